/** The package as others install it: its exports load, carry types, pull in no more than they need, and hold no file too many. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSource } from './architecture/source-file.ts';
import { ROOT } from './project-files.ts';

const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** A project that has SparrowKV installed. */
const consumer = mkdtempSync(join(tmpdir(), 'sparrowkv-consumer-'));

beforeAll(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.ts'), '--if-needed'], { stdio: 'pipe' });
  mkdirSync(join(consumer, 'node_modules'));
  symlinkSync(ROOT, join(consumer, 'node_modules', 'sparrowkv'));
  symlinkSync(join(ROOT, 'node_modules', '@types'), join(consumer, 'node_modules', '@types'));
  writeFileSync(join(consumer, 'package.json'), '{ "type": "module" }');
}, 120_000);
afterAll(() => rmSync(consumer, { recursive: true, force: true }));

describe('sparrowkv/engine', () => {
  it('is made of base, engine and the memory map alone, and needs no package', () => {
    const reached = reachedFrom('engine/background/worker.ts', reachedFrom('engine/index.ts'));
    expect(reached.size).toBeGreaterThan(10);
    expect([...reached].filter((target) => !/^(?:base|engine)\/|^assembly\/memory-map\.ts$|^node:/.test(target))).toEqual([]);
  });

  it('runs in a project that installed the package', () => {
    const program = `
      import { open } from 'sparrowkv/engine';
      const engine = await open(process.argv[1]);
      await engine.put('sparrow', 'a small bird', { durability: 'synced' });
      for (let i = 0; i < 100; i++) await engine.put('key' + i, 'v'.repeat(i * 100));
      await engine.flush();
      process.stdout.write(new TextDecoder().decode(await engine.get('sparrow')) + ' ' + (await engine.get('key99')).length);
      await engine.close();`;
    expect(runProgram(program, join(consumer, 'data'))).toBe('a small bird 9900');
  });

  it('is also loaded by require', () => {
    const program = `process.stdout.write(typeof require('sparrowkv/engine').open)`;
    expect(execFileSync(process.execPath, ['--input-type=commonjs', '-e', program], { cwd: consumer, encoding: 'utf8' })).toBe('function');
  });
});

describe('the other exports', () => {
  it.each(['sparrowkv', 'sparrowkv/client', 'sparrowkv/server', 'sparrowkv/level'])('%s loads and exports something', (name) => {
    expect(Number(runProgram(`process.stdout.write(String(Object.keys(await import('${name}')).length))`))).toBeGreaterThan(0);
  });

  it('have types that a strict project accepts', () => {
    const program = `
      import { open, type Engine } from 'sparrowkv/engine';
      import { connect } from 'sparrowkv/client';
      import * as server from 'sparrowkv/server';
      import { SparrowLevel } from 'sparrowkv/level';
      import * as all from 'sparrowkv';
      export const engine: Engine = await open('x');
      export const value: Uint8Array | undefined = await engine.get('k');
      // @ts-expect-error a number is no key
      await engine.get(1);
      const level = new SparrowLevel<string, { birds: number }>('y', { valueEncoding: 'json', settings: { durability: 'buffered' } });
      await level.put('k', { birds: 1 }, { sync: true });
      await level.batch().put('k', { birds: 2 }).write({ sync: true });
      export const birds: number | undefined = (await level.get('k'))?.birds;
      // @ts-expect-error not what this database holds
      await level.put('k', 1);
      export const parts: unknown[] = [connect, server, all];`;
    writeFileSync(join(consumer, 'main.ts'), program);
    const options = [
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--lib',
      'es2024,esnext.disposable',
      '--noEmit',
      '--types',
      'node',
    ];
    const run = spawnSync(process.execPath, [TSC, ...options, 'main.ts'], { cwd: consumer, encoding: 'utf8' });
    expect(run.stdout).toBe('');
    expect(run.status).toBe(0);
  }, 60_000);
});

describe('the examples in README.md', () => {
  const examples = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!);
  const example = (entry: string): string => examples.find((code) => code.includes(`from '${entry}'`))!;

  it('of the engine prints what it found', () => {
    expect(runProgram(example('sparrowkv/engine'))).toBe('Passer domesticus\nsparrow 17\nwren 23\n');
  });

  it('of Level prints what it found', () => {
    expect(runProgram(example('sparrowkv/level'))).toBe('2026-05-01 wren\n');
  });

  it('of the SDK changes what it found', async () => {
    const { startServer } = await import('../server/index.ts');
    await using server = await startServer({ data: join(consumer, 'served'), listen: '127.0.0.1:0', logLevel: 'silent' });
    const output = await runConcurrently(example('sparrowkv/client').replace('127.0.0.1:7400', server.address));
    expect(output).toBe('sparrow Passer montanus\n');
  });
});

describe('the package', () => {
  it('passes publint', async () => {
    const { messages } = await publint({ pkgDir: ROOT, level: 'suggestion', strict: true, pack: false });
    expect(messages).toEqual([]);
  });

  it('holds what runs and nothing else', () => {
    const listed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' });
    const [packed] = Object.values(JSON.parse(listed) as Record<string, { files: { path: string }[] }>);
    const paths = packed!.files.map(({ path }) => path);
    for (const needed of [
      'dist/engine/index.js',
      'dist/engine/index.d.ts',
      'dist/assembly/engine.wasm',
      'dist/cli/main.js',
      'dist/server/dashboard/page/index.html',
      'dist/server/dashboard/page/main.js',
      'LICENSE',
      'README.md',
    ]) {
      expect(paths).toContain(needed);
    }
    expect(
      paths.filter(
        (path) => !/^(?:dist\/(?:assembly|base|engine|proto|client|server|cli|level|index\.)|[A-Z]+(?:\.md)?$|package\.json$)/.test(path),
      ),
    ).toEqual([]);
  });

  it('has a program that runs', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(execFileSync(join(ROOT, 'dist/cli/main.js'), ['--version'], { encoding: 'utf8' })).toContain(version);
    expect(execFileSync(process.execPath, [join(ROOT, 'dist/cli/main.js'), '--help'], { encoding: 'utf8' })).toMatch(/Usage: sparrowkv/);
  });
});

describe('the version guard', () => {
  const guarded = (version: string): ReturnType<typeof spawnSync> => {
    const program = `Object.defineProperty(process.versions, 'node', { value: '${version}' }); await import(process.argv[1])`;
    return spawnSync(process.execPath, ['--input-type=module', '-e', program, join(ROOT, 'scripts/check-node.mjs')], { encoding: 'utf8' });
  };

  it.each(['12.22.12', '20.20.2', '22.17.1'])('refuses Node %s in one line', (version) => {
    const { status, stderr } = guarded(version);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^SparrowKV needs Node 22\.18 or newer, this is .*npm ci.*\n$/)]);
  });

  it.each(['22.18.0', '24.21.0', '26.0.0'])('lets Node %s pass', (version) => {
    expect(guarded(version)).toMatchObject({ status: 0, stderr: '' });
  });

  it('agrees with what the package declares', () => {
    const { engines, devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    expect(engines!['node']).toBe('>=22.18');
    expect(readFileSync(join(ROOT, '.node-version'), 'utf8').trim()).toBe(devDependencies!['node']);
  });
});

/** Every file, package and module that is loaded with `path`. */
function reachedFrom(path: string, reached: Set<string> = new Set()): Set<string> {
  reached.add(path);
  for (const { target, typeOnly } of readSource(path, readFileSync(join(ROOT, path), 'utf8')).references) {
    if (typeOnly || reached.has(target)) continue;
    if (target.endsWith('.ts')) reachedFrom(target, reached);
    else reached.add(target);
  }
  return reached;
}

function runProgram(program: string, ...operands: string[]): string {
  return execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program, ...operands], {
    cwd: consumer,
    encoding: 'utf8',
  });
}

/** While this process goes on: it holds the server. */
async function runConcurrently(program: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', program], { cwd: consumer });
  return stdout;
}
