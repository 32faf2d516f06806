/** The dependency table holds for every source file, docs/ARCHITECTURE.md shows the table, and the rules find what breaks them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { violations } from './architecture/rules.ts';
import { PARTS, renderTable } from './architecture/table.ts';
import { ROOT, sourceFiles } from './project-files.ts';

const paths = sourceFiles();

describe('the sources', () => {
  it('keep to the dependency table', () => {
    expect(paths.length).toBeGreaterThan(50);
    expect(violations(new Map(paths.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')])))).toEqual([]);
  });

  it('fill every part that the table names', () => {
    expect(PARTS.filter(({ path }) => !existsSync(join(ROOT, path))).map(({ path }) => path)).toEqual([]);
  });

  it('are described by the same table in docs/ARCHITECTURE.md', () => {
    expect(readFileSync(join(ROOT, 'docs/ARCHITECTURE.md'), 'utf8')).toContain(renderTable());
  });
});

describe('the rules', () => {
  const check = (sources: Record<string, string>): string[] => violations(new Map(Object.entries(sources)));

  it('accept what the table allows', () => {
    expect(
      check({
        'base/errors.ts': 'export class SparrowError {}',
        'assembly/memory-map.ts': 'export const PAGE_BYTES: i32 = 8192;',
        'assembly/page.ts': `import { PAGE_BYTES } from './memory-map';\n@inline\nexport function f(): i32 { return <i32>PAGE_BYTES; }`,
        'engine/index.ts': `export { open } from './open.ts';`,
        'engine/open.ts': `import { SparrowError } from '../base/errors.ts';\nimport { PAGE_BYTES } from '../assembly/memory-map.ts';\nimport { Log } from './log/index.ts';\nimport { NodeClock } from '../base/node/index.ts';`,
        'base/node/index.ts': `import { SparrowError } from '../errors.ts';\nimport { readFileSync } from 'node:fs';`,
        'engine/log/index.ts': `export { Log } from './log.ts';`,
        'engine/log/log.ts': `export class Log { now = 1; async run(log: Log): Promise<void> { await log.run(log); log.now; ({ process: 1 }); } }`,
        'client/index.ts': `import { connect } from '@grpc/grpc-js';\nimport { readFileSync } from 'node:fs';\nDate.now();`,
      }),
    ).toEqual([]);
  });

  it('refuse an import against the direction, type-only and re-exports included', () => {
    expect(check({ 'engine/a.ts': `\nimport { x } from '../server/index.ts';`, 'server/index.ts': '' })).toEqual([
      'engine/a.ts:2: engine may not import server/index.ts',
    ]);
    expect(check({ 'base/a.ts': `import type { X } from '../engine/index.ts';`, 'engine/index.ts': '' })).toHaveLength(1);
    expect(check({ 'base/a.ts': `export * from '../engine/index.ts';`, 'engine/index.ts': '' })).toHaveLength(1);
    expect(check({ 'base/a.ts': `export type X = import('../engine/index.ts').X;`, 'engine/index.ts': '' })).toHaveLength(1);
    expect(check({ 'client/a.ts': `const e = import('../engine/index.ts');`, 'engine/index.ts': '' })).toHaveLength(1);
    expect(check({ 'server/raft/a.ts': `import '../node/b.ts';`, 'server/node/b.ts': '' })).toEqual([
      'server/raft/a.ts:1: server/raft may not import server/node/b.ts',
    ]);
    expect(check({ 'engine/a.ts': `import '../base/node/index.ts';`, 'base/node/index.ts': '' })).toHaveLength(1);
    expect(check({ 'engine/a.ts': `import '../assembly/page.ts';`, 'assembly/page.ts': '' })).toHaveLength(1);
    expect(check({ 'base/a.ts': `new Worker(new URL('../engine/worker.ts', import.meta.url));` })).toHaveLength(1);
  });

  it('refuse a part that the table does not know', () => {
    expect(check({ 'misc/a.ts': '' })).toEqual(['misc/a.ts:1: belongs to no part of the dependency table']);
  });

  it('refuse a folder entered beside its door, and a folder that imports its own door', () => {
    expect(check({ 'cli/a.ts': `import '../client/session.ts';`, 'client/index.ts': '', 'client/session.ts': '' })).toEqual([
      'cli/a.ts:1: client is entered by its index.ts, not by client/session.ts',
    ]);
    expect(check({ 'engine/a.ts': `import './log/log.ts';`, 'engine/log/index.ts': '', 'engine/log/log.ts': '' })).toHaveLength(1);
    expect(check({ 'engine/log/a.ts': `import '../index.ts';`, 'engine/index.ts': '' })).toEqual([
      'engine/log/a.ts:1: a folder does not import its own index.ts',
    ]);
  });

  it('let tests enter anywhere', () => {
    expect(check({ 'test/a.test.ts': `import '../engine/log.ts';`, 'engine/index.ts': '', 'engine/log.ts': '' })).toEqual([]);
  });

  it('refuse cycles, over type-only imports too', () => {
    expect(
      check({
        'engine/a.ts': `import './b.ts';`,
        'engine/b.ts': `import type { C } from './c.ts';`,
        'engine/c.ts': `export * from './a.ts';`,
      }),
    ).toEqual([expect.stringContaining('cycle of imports: engine/a.ts, engine/b.ts, engine/c.ts')]);
  });

  it('refuse the outside world below the edge', () => {
    const banned = (code: string): string[] =>
      check({ 'engine/a.ts': code }).map((line) => line.replace(/^.*may not (use|import) /, '').replace(/ .*$/, ''));
    expect(banned('Date.now()')).toEqual(['Date.now']);
    expect(banned('new Date()')).toEqual(['new']);
    expect(banned('globalThis.Date.now()')).toEqual(['Date.now']);
    expect(banned('Math.random()')).toEqual(['Math.random']);
    expect(banned('setTimeout(() => {}, 1)')).toEqual(['setTimeout']);
    expect(banned('globalThis.setInterval(f, 1)')).toEqual(['setInterval']);
    expect(banned('setImmediate(f)')).toEqual(['setImmediate']);
    expect(banned('performance.now()')).toEqual(['performance']);
    expect(banned('process.exit(1)')).toEqual(['process']);
    expect(banned('crypto.randomUUID()')).toEqual(['crypto']);
    expect(banned('new WeakRef(x)')).toEqual(['WeakRef']);
    expect(banned('new FinalizationRegistry(f)')).toEqual(['FinalizationRegistry']);
    expect(banned(`import { readFileSync } from 'node:fs';`)).toEqual(['node:fs']);
    expect(banned(`import { connect } from 'node:net';`)).toEqual(['node:net']);
    expect(banned(`import { randomBytes } from 'node:crypto';`)).toEqual(['node:crypto']);
    expect(banned(`import { z } from 'zod';`)).toEqual(['package']);
  });

  it('refuse promises in pure code', () => {
    const count = (code: string): number => check({ 'server/raft/a.ts': code }).length;
    expect(count('async function f() {}')).toBe(1);
    expect(count('const f = async () => await g();')).toBe(2);
    expect(count('function f(): Promise<void> { return g(); }')).toBe(1);
    expect(count('class C { async m() {} }')).toBe(1);
    expect(count('queueMicrotask(f)')).toBe(1);
    expect(count('function f(): number { return 1; }')).toBe(0);
  });

  it('take a name of our own for what it is', () => {
    expect(
      check({ 'engine/a.ts': `import { process } from './b.ts';\nprocess();`, 'engine/b.ts': 'export function process(): void {}' }),
    ).toEqual([]);
  });
});
