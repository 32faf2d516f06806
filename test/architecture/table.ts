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
  /** Other parts that it may import (not the parts within them), or single files. A file's come on top of its folder's. */
  readonly imports: readonly string[];
  /** npm packages that it may import. */
  readonly packages: readonly string[];
  /** What it is, for readers. */
  readonly holds: string;
}

const EVERYTHING: readonly string[] = ['*'];

export const PARTS: readonly Part[] = [
  { path: 'assembly', grade: 'kernel', imports: [], packages: [], holds: 'WebAssembly kernels and the memory map' },
  { path: 'base', grade: 'driven', imports: [], packages: [], holds: 'errors, assertions, what the outside world looks like' },
  { path: 'base/node', grade: 'edge', imports: ['base'], packages: [], holds: 'the real files, clock, timers, randomness and zstd' },
  {
    path: 'engine',
    grade: 'driven',
    imports: ['base', 'assembly/memory-map.ts', 'engine/inspect', 'engine/upkeep'],
    packages: [],
    holds: 'the embedded store',
  },
  {
    path: 'engine/inspect',
    grade: 'driven',
    imports: ['base', 'engine', 'assembly/memory-map.ts'],
    packages: [],
    holds: 'a store as files: verify, dump, repair, figures',
  },
  {
    path: 'engine/upkeep',
    grade: 'driven',
    imports: ['base', 'engine', 'engine/inspect', 'assembly/memory-map.ts'],
    packages: [],
    holds: 'stores out of stores: checkpoints, backups, ingest',
  },
  { path: 'engine/open.ts', grade: 'edge', imports: ['base/node'], packages: [], holds: 'door: puts the engine together' },
  {
    path: 'engine/backups.ts',
    grade: 'edge',
    imports: ['base/node'],
    packages: [],
    holds: 'door: copies of stores, directories of backups',
  },
  {
    path: 'engine/create-table-writer.ts',
    grade: 'edge',
    imports: ['base/node'],
    packages: [],
    holds: 'door: tables outside of any engine',
  },
  { path: 'engine/offline.ts', grade: 'edge', imports: ['base/node'], packages: [], holds: 'door: work on a store that nobody has open' },
  { path: 'engine/memory/kernel.ts', grade: 'edge', imports: [], packages: [], holds: 'door: loads the WebAssembly module' },
  { path: 'engine/background/worker-thread.ts', grade: 'edge', imports: [], packages: [], holds: 'door: starts a background thread' },
  { path: 'engine/background/lifeline.ts', grade: 'edge', imports: [], packages: [], holds: 'tells whether a thread is gone' },
  { path: 'engine/background/worker.ts', grade: 'edge', imports: ['base/node'], packages: [], holds: 'door: a background thread' },
  { path: 'engine/compaction/picker.ts', grade: 'pure', imports: [], packages: [], holds: 'what to compact next' },
  {
    path: 'engine/compaction/pick-unseen.ts',
    grade: 'pure',
    imports: [],
    packages: [],
    holds: 'what nobody sees: hidden, expired, deleted',
  },
  {
    path: 'engine/compaction/pick-overlap.ts',
    grade: 'pure',
    imports: [],
    packages: [],
    holds: 'what older versions take when nobody writes',
  },
  {
    path: 'engine/compaction/level-facts.ts',
    grade: 'pure',
    imports: [],
    packages: [],
    holds: 'what is known of levels, carried on',
  },
  { path: 'engine/compaction/steps.ts', grade: 'pure', imports: [], packages: [], holds: 'what a compaction can be' },
  { path: 'engine/compaction/split.ts', grade: 'pure', imports: [], packages: [], holds: 'how a large compaction is divided' },
  { path: 'engine/manifest/version.ts', grade: 'pure', imports: [], packages: [], holds: 'which files make up the store' },
  { path: 'engine/manifest/segment-map.ts', grade: 'pure', imports: [], packages: [], holds: 'what is known of segments' },
  { path: 'engine/manifest/sorted-run.ts', grade: 'pure', imports: [], packages: [], holds: 'tables in the order of their keys' },
  { path: 'engine/manifest/version-builder.ts', grade: 'pure', imports: [], packages: [], holds: 'versions out of edits' },
  { path: 'engine/manifest/version-edit.ts', grade: 'pure', imports: [], packages: [], holds: 'the change from one version to the next' },
  { path: 'engine/manifest/edit-fields.ts', grade: 'pure', imports: [], packages: [], holds: 'fields, of which edits are made' },
  { path: 'engine/manifest/table-fields.ts', grade: 'pure', imports: [], packages: [], holds: 'what an edit says of a table' },
  { path: 'engine/log/log-format.ts', grade: 'pure', imports: [], packages: [], holds: 'bytes of the log' },
  { path: 'proto', grade: 'edge', imports: ['base'], packages: ['@bufbuild/protobuf', '@grpc/grpc-js'], holds: 'the wire contract' },
  { path: 'server/raft', grade: 'pure', imports: ['base'], packages: [], holds: 'consensus as a state machine' },
  {
    path: 'server/transport',
    grade: 'driven',
    imports: ['base', 'server/raft', 'server/transport/grpc'],
    packages: [],
    holds: 'the way between nodes: its interface and formats, snapshots as files',
  },
  { path: 'server/transport/message-codec.ts', grade: 'pure', imports: [], packages: [], holds: 'bytes of messages between nodes' },
  { path: 'server/transport/greeting.ts', grade: 'pure', imports: [], packages: [], holds: 'bytes with which a stream begins' },
  { path: 'server/transport/snapshot-codec.ts', grade: 'pure', imports: [], packages: [], holds: 'bytes of snapshots between nodes' },
  { path: 'server/transport/outbox.ts', grade: 'pure', imports: [], packages: [], holds: 'what waits to go to a node' },
  {
    path: 'server/transport/grpc',
    grade: 'edge',
    imports: ['base', 'server/transport', 'server/raft'],
    packages: ['@grpc/grpc-js'],
    holds: 'the way between nodes over gRPC',
  },
  {
    path: 'server/shard/descriptor.ts',
    grade: 'pure',
    imports: ['base'],
    packages: [],
    holds: 'which keys a shard has',
  },
  {
    path: 'server/shard',
    grade: 'driven',
    imports: ['base', 'server/node', 'server/raft', 'server/meta/orders.ts'],
    packages: [],
    holds: 'what a node does by order of the metaserver',
  },
  {
    path: 'server/meta',
    grade: 'driven',
    imports: [
      'base',
      'server/node',
      'server/raft',
      'server/shard',
      'server/shard/descriptor.ts',
      'server/meta/changes',
      'server/meta/placement',
    ],
    packages: [],
    holds: 'the metaserver: what the cluster is made of, and what is done about it',
  },
  {
    path: 'server/meta/state.ts',
    grade: 'pure',
    imports: [],
    packages: [],
    holds: 'the topology: records, what is reported, what follows',
  },
  { path: 'server/meta/node.ts', grade: 'pure', imports: [], packages: [], holds: 'what is known of a node' },
  { path: 'server/meta/lost-directory.ts', grade: 'pure', imports: [], packages: [], holds: 'what a node without its directory is told' },
  { path: 'server/meta/table.ts', grade: 'pure', imports: [], packages: [], holds: 'a table as it was asked for' },
  { path: 'server/meta/shard.ts', grade: 'pure', imports: [], packages: [], holds: 'what is known of a shard' },
  { path: 'server/meta/operator.ts', grade: 'pure', imports: [], packages: [], holds: 'what is done about a shard, in steps' },
  { path: 'server/meta/cluster.ts', grade: 'pure', imports: [], packages: [], holds: 'the topology in memory, with its indices' },
  {
    path: 'server/meta/shard-order.ts',
    grade: 'pure',
    imports: [],
    packages: [],
    holds: 'the shards of a table in the order of their keys',
  },
  { path: 'server/meta/timestamp-oracle.ts', grade: 'pure', imports: [], packages: [], holds: 'numbers that only grow, whoever leads' },
  { path: 'server/meta/clocks.ts', grade: 'pure', imports: [], packages: [], holds: 'times of a leader whose clock was ahead' },
  {
    path: 'server/meta/reads-before.ts',
    grade: 'pure',
    imports: [],
    packages: [],
    holds: 'reads that were reported before a leader was new',
  },
  { path: 'server/meta/lineage.ts', grade: 'pure', imports: [], packages: [], holds: 'which shards others have replaced' },
  { path: 'server/meta/load.ts', grade: 'pure', imports: [], packages: [], holds: 'load of nodes against the marks' },
  {
    path: 'server/meta/changes',
    grade: 'pure',
    imports: ['base', 'server/meta', 'server/meta/placement', 'server/raft', 'server/shard/descriptor.ts'],
    packages: [],
    holds: 'changes of the topology, checked, as what is to be written',
  },
  {
    path: 'server/meta/placement',
    grade: 'pure',
    imports: ['base', 'server/meta', 'server/raft', 'server/shard/descriptor.ts'],
    packages: [],
    holds: 'what should be done about the cluster, and how operators go',
  },
  { path: 'server/meta/policy.ts', grade: 'pure', imports: [], packages: [], holds: 'by which bounds the metaserver decides' },
  {
    path: 'server/meta/orders.ts',
    grade: 'pure',
    imports: [],
    packages: [],
    holds: 'what the metaserver tells nodes, and they it',
  },
  { path: 'server/meta/beginning.ts', grade: 'pure', imports: [], packages: [], holds: 'what a cluster begins with' },
  { path: 'server/meta/hands.ts', grade: 'pure', imports: [], packages: [], holds: 'shards that people look after' },
  { path: 'server/meta/order-book.ts', grade: 'pure', imports: [], packages: [], holds: 'which orders were given' },
  { path: 'server/meta/records.ts', grade: 'pure', imports: [], packages: [], holds: 'the topology as keys and values' },
  { path: 'server/meta/slowness.ts', grade: 'pure', imports: [], packages: [], holds: 'whether one disk is slow, or all' },
  { path: 'server/meta/quota-shares.ts', grade: 'pure', imports: [], packages: [], holds: "what of tables' quotas each node may serve" },
  { path: 'server/meta/attending.ts', grade: 'pure', imports: [], packages: [], holds: 'what passes between nodes and the metaserver' },
  {
    path: 'server/node',
    grade: 'driven',
    imports: ['base', 'engine', 'server/raft', 'server/transport', 'server/node/log', 'server/shard/descriptor.ts'],
    packages: [],
    holds: 'a replica: propose, log, apply',
  },
  { path: 'server/node/log', grade: 'driven', imports: ['base', 'server/raft'], packages: [], holds: "the node's log, one for all groups" },
  {
    path: 'server/gateway',
    grade: 'edge',
    imports: [
      'base',
      'engine',
      'proto',
      'server/node',
      'server/meta',
      'server/meta/changes',
      'server/meta/placement',
      'server/raft',
      'server/shard/descriptor.ts',
      'server/address.ts',
      'server/settings.ts',
    ],
    packages: ['@grpc/grpc-js'],
    holds: 'what clients talk to',
  },
  {
    path: 'server/proxy',
    grade: 'edge',
    imports: ['base', 'client', 'proto', 'server/gateway', 'server/node', 'server/settings.ts'],
    packages: [],
    holds: 'tables and the cluster for whoever knows no nodes',
  },
  {
    path: 'server/metrics',
    grade: 'edge',
    imports: ['base', 'engine', 'server/gateway', 'server/meta', 'server/node', 'server/transport'],
    packages: [],
    holds: 'what Prometheus reads',
  },
  { path: 'server/dashboard', grade: 'edge', imports: ['base', 'proto'], packages: [], holds: 'what an operator sees in a browser' },
  { path: 'server/dashboard/view-of-survey.ts', grade: 'pure', imports: [], packages: [], holds: 'the survey as the page wants it' },
  { path: 'server/dashboard/history.ts', grade: 'pure', imports: [], packages: [], holds: 'the last hour' },
  {
    path: 'server/dashboard/page',
    grade: 'edge',
    imports: ['server/dashboard'],
    packages: [],
    holds: 'the page itself: runs in a browser, a TypeScript project of its own',
  },
  {
    path: 'server',
    grade: 'edge',
    imports: [
      'base',
      'base/node',
      'engine',
      'proto',
      'server/dashboard',
      'server/gateway',
      'server/meta',
      'server/metrics',
      'server/node',
      'server/proxy',
      'server/shard',
      'server/shard/descriptor.ts',
      'server/transport',
    ],
    packages: ['@grpc/grpc-js', '@grpc/reflection', 'grpc-health-check', 'pino', 'xxhash-wasm', 'yaml', 'zod'],
    holds: '`server.ts`, which builds everything: what a node is made of, what clients meet; settings',
  },
  { path: 'client', grade: 'edge', imports: ['base', 'base/node', 'proto'], packages: ['@grpc/grpc-js'], holds: 'the SDK' },
  {
    path: 'level',
    grade: 'edge',
    imports: ['base', 'base/node', 'engine'],
    packages: ['abstract-level'],
    holds: 'a database for what is written for Level',
  },
  { path: 'index.ts', grade: 'edge', imports: ['engine', 'client'], packages: [], holds: 'what `sparrowkv` itself exports' },
  {
    path: 'cli',
    grade: 'edge',
    imports: ['base', 'client', 'engine', 'server'],
    packages: ['cli-progress', 'commander'],
    holds: 'the program `sparrowkv`',
  },
  { path: 'test', grade: 'tool', imports: EVERYTHING, packages: ['*'], holds: 'tests' },
  { path: 'bench', grade: 'tool', imports: EVERYTHING, packages: ['*'], holds: 'benchmarks' },
  { path: 'scripts', grade: 'tool', imports: [], packages: ['*'], holds: 'building and checking' },
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
    [
      ...imports.map((other) => (other === '*' ? 'everything' : `\`${other}\``)),
      ...packages.map((name) => (name === '*' ? 'any package' : name)),
    ].join(', ') || '-',
    holds,
  ]);
  const table = [['part', 'grade', 'may import', 'holds'], ['---', '---', '---', '---'], ...rows];
  return table.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
