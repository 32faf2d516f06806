/**
 * The dependency table: who may import whom, and what each part may touch. The one place where it is declared; docs/ARCHITECTURE.md shows it
 * (rendered by `renderTable`, compared by architecture.test.ts), rules.ts enforces it.
 *
 * Grades:
 *   kernel   AssemblyScript: imports its own folder only
 *   pure     no promise, clock, randomness, timer or input and output: same input, same output
 *   driven   may await, but only on components that it was given (base/env.ts)
 *   edge     may touch the outside world: `node:` modules, third-party packages, clocks
 *   tool     edge, and may enter any folder by any file: tests, benchmarks, scripts
 */
export type Grade = 'kernel' | 'pure' | 'driven' | 'edge' | 'tool';

export interface Part {
  /** A folder, or one file whose grade differs from its folder's. The longest path that fits decides. */
  readonly path: string;
  readonly grade: Grade;
  /** Other parts whose files it may import (parts within parts count as theirs), or single files. */
  readonly imports: readonly string[];
  /** npm packages that it may import. */
  readonly packages: readonly string[];
  /** What it is, for readers. */
  readonly holds: string;
}

export const PARTS: readonly Part[] = [
  { path: 'assembly', grade: 'kernel', imports: [], packages: [], holds: 'WebAssembly kernels and the memory map' },
  { path: 'base', grade: 'driven', imports: [], packages: [], holds: 'errors, assertions, environment interfaces' },
  { path: 'base/node', grade: 'edge', imports: ['base'], packages: [], holds: 'the real environment: files, clock, timers' },
  { path: 'engine', grade: 'driven', imports: ['base', 'assembly/memory-map.ts'], packages: [], holds: 'the embedded store' },
  { path: 'engine/memory/kernel.ts', grade: 'edge', imports: ['base'], packages: [], holds: 'door: loads the WebAssembly module' },
  { path: 'proto', grade: 'edge', imports: ['base'], packages: ['@bufbuild/protobuf', '@grpc/grpc-js'], holds: 'the wire contract' },
  { path: 'server/raft', grade: 'pure', imports: ['base'], packages: [], holds: 'consensus as a state machine' },
  {
    path: 'server/node',
    grade: 'driven',
    imports: ['base', 'engine', 'server/raft'],
    packages: [],
    holds: 'a replica: propose, log, apply',
  },
  {
    path: 'server',
    grade: 'edge',
    imports: ['base', 'engine', 'proto'],
    packages: ['@grpc/grpc-js', '@grpc/reflection', 'grpc-health-check', 'pino', 'yaml', 'zod'],
    holds: 'gateway, settings, and `server.ts`, which builds everything',
  },
  { path: 'client', grade: 'edge', imports: ['base', 'proto'], packages: ['@grpc/grpc-js'], holds: 'the SDK' },
  { path: 'index.ts', grade: 'edge', imports: ['base', 'engine', 'client'], packages: [], holds: 'what `sparrowkv` itself exports' },
  {
    path: 'cli',
    grade: 'edge',
    imports: ['base', 'client', 'server'],
    packages: ['cli-progress', 'cli-table3', 'commander'],
    holds: 'the program `sparrowkv`',
  },
  {
    path: 'test',
    grade: 'tool',
    imports: ['assembly', 'base', 'engine', 'proto', 'client', 'server', 'cli', 'bench', 'scripts'],
    packages: ['*'],
    holds: 'tests',
  },
  {
    path: 'bench',
    grade: 'tool',
    imports: ['assembly', 'base', 'engine', 'proto', 'client', 'server'],
    packages: ['*'],
    holds: 'benchmarks',
  },
  { path: 'scripts', grade: 'tool', imports: [], packages: ['*'], holds: 'build and checks' },
  { path: 'vitest.config.ts', grade: 'tool', imports: ['test'], packages: ['*'], holds: 'how tests run' },
];

/** Names that code of a grade may not use, with what it uses instead. `a.b` is a member; `new a()` is construction without arguments. */
const OUTSIDE: Readonly<Record<string, string>> = {
  'Date.now': 'Clock.wallMs',
  'new Date()': 'Clock.wallMs',
  performance: 'Clock.monotonicMs',
  'Math.random': 'Random',
  crypto: 'Random',
  setTimeout: 'Scheduler.after',
  setInterval: 'Scheduler.after',
  setImmediate: 'Scheduler.soon',
  process: 'a setting or a component',
  fetch: 'a component',
  WeakRef: 'explicit disposal',
  FinalizationRegistry: 'explicit disposal',
};

export const BANNED: Readonly<Record<Grade, Readonly<Record<string, string>>>> = {
  kernel: {},
  pure: {
    ...OUTSIDE,
    Promise: 'return values',
    'async function': 'return values',
    await: 'return values',
    queueMicrotask: 'return values',
  },
  driven: OUTSIDE,
  edge: {},
  tool: {},
};

/** `node:` modules without state or input and output, fit for every grade that may import any. */
export const HARMLESS_MODULES: readonly string[] = ['node:path'];

/** The table as docs/ARCHITECTURE.md shows it. */
export function renderTable(parts: readonly Part[] = PARTS): string {
  const rows = parts.map(({ path, grade, imports, packages, holds }) => [
    `\`${path}\``,
    grade,
    [...imports.map((other) => `\`${other}\``), ...packages.map((name) => (name === '*' ? 'any package' : name))].join(', ') || '-',
    holds,
  ]);
  const table = [['part', 'grade', 'may import', 'holds'], ['---', '---', '---', '---'], ...rows];
  return table.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
