/**
 * For how long a shard answers nobody when it is split: three nodes in three processes over loopback, with callers that write all the time through the node that leads. The
 * shard that has all keys is split, and what is left of it and its children again, until there are many small ones.
 *
 *   node bench/server/splits.ts [--megabytes 320] [--splits 60] [--value-bytes 1000] [--callers 16] [--dir /tmp]
 *
 * A write is repeated until it is applied, by whichever shard has its key: how long one took that a split came into is how long its key was not to be had. Told for the half that stays and
 * the half that goes, of each split the worst; beside it the worst of as long a time in which nothing was split, which is the machine's.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import xxhash from 'xxhash-wasm';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../../base/node/index.ts';
import { createResources, open } from '../../engine/index.ts';
import { encodeWrite, NO_LIMIT, NodeHost, NodeLog, NodeReplicas, type Replica, splitShard } from '../../server/node/index.ts';
import { coversKey, MADE_SHARD_MIN } from '../../server/shard/descriptor.ts';
import { GrpcTransport } from '../../server/transport/index.ts';

const NODES: readonly number[] = [1, 2, 3];
const CLUSTER = 0x1d7fn;
const KEY_DIGITS = 10;
const TICK_MS = 100;
/** The lead stays where the callers are, on a busy machine too. A child's leader campaigns at once. */
const ELECTION_TICKS = 50;
/** After a split was ordered and done, writes are looked at for so long. */
const LOOK_MS = 1500;
const QUIET_TIMES = 20;

interface Run {
  readonly megabytes: number;
  readonly splits: number;
  readonly valueBytes: number;
  readonly callers: number;
}

type Order =
  | { readonly node: number; readonly directory: string }
  | { readonly peers: Readonly<Record<number, string>> }
  | 'leads'
  | { readonly run: Run };

/** Of one split: bytes of the shard, what the order took, and the longest write into each half. */
interface Split {
  readonly megabytes: number;
  readonly tookMs: number;
  readonly stayedMs: number;
  readonly wentMs: number;
}

interface Result {
  readonly splits: readonly Split[];
  /** The longest write of each time of the same length in which nothing was split. */
  readonly quiet: readonly number[];
  readonly writes: number;
}

if (process.send === undefined) await bench();
else serve();

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      megabytes: { type: 'string', default: '320' },
      splits: { type: 'string', default: '60' },
      'value-bytes': { type: 'string', default: '1000' },
      callers: { type: 'string', default: '16' },
      dir: { type: 'string', default: tmpdir() },
    },
  });
  const run: Run = {
    megabytes: Number(values.megabytes),
    splits: Number(values.splits),
    valueBytes: Number(values['value-bytes']),
    callers: Number(values.callers),
  };
  const directory = mkdtempSync(join(values.dir, 'sparrowkv-splits-'));
  const children = NODES.map(() => fork(fileURLToPath(import.meta.url)));
  try {
    const addresses = await Promise.all(
      children.map((child, i) => ask<string>(child, { node: NODES[i]!, directory: join(directory, `${NODES[i]}`) })),
    );
    const peers = Object.fromEntries(addresses.map((address, i) => [NODES[i]!, address]));
    await Promise.all(children.map((child) => ask(child, { peers })));
    let leader: ChildProcess | undefined;
    while (leader === undefined) {
      await sleep(200);
      const leads = await Promise.all(children.map((child) => ask<boolean>(child, 'leads')));
      leader = children[leads.indexOf(true)];
    }
    tell(await ask<Result>(leader, { run }));
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

function tell({ splits, quiet, writes }: Result): void {
  const line = (what: string, values: readonly number[]): string =>
    `${what.padEnd(24)} p50 ${at(values, 0.5).toFixed(0)} ms, p99 ${at(values, 0.99).toFixed(0)} ms, max ${Math.max(...values).toFixed(0)} ms\n`;
  const sizes = splits.map(({ megabytes }) => megabytes);
  process.stdout.write(
    `${splits.length} splits of shards of ${Math.min(...sizes).toFixed(0)} to ${Math.max(...sizes).toFixed(0)} MB, ${writes} writes meanwhile\n` +
      line('without a split', quiet) +
      line(
        'the half that stays',
        splits.map(({ stayedMs }) => stayedMs),
      ) +
      line(
        'the half that goes',
        splits.map(({ wentMs }) => wentMs),
      ) +
      line(
        'the order, with flush',
        splits.map(({ tookMs }) => tookMs),
      ),
  );
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

async function ask<T>(child: ChildProcess, order: Order): Promise<T> {
  child.send(order);
  const over = new AbortController();
  const { signal } = over;
  const ended = once(child, 'exit', { signal }).then(() => {
    throw new Error('a node has ended; what it said is above');
  });
  try {
    const [answer] = await Promise.race([once(child, 'message', { signal }) as Promise<[T]>, ended]);
    return answer;
  } finally {
    over.abort();
  }
}

/** A node, in a process of its own. */
function serve(): void {
  let transport: GrpcTransport | undefined;
  let replicas: NodeReplicas | undefined;
  let begin: () => Promise<void> = () => Promise.resolve();
  const obey = async (order: Order): Promise<unknown> => {
    if (order === 'leads') return replicas!.first.stats().role === 'leader';
    if ('run' in order) return run(replicas!, order.run);
    if ('peers' in order) {
      for (const [id, address] of Object.entries(order.peers)) if (address !== transport!.address) transport!.addPeer(Number(id), address);
      await begin();
      return 'begun';
    }
    const { node, directory } = order;
    const { h64Raw: hash, create64: createHash } = await xxhash();
    const [clock, scheduler, random, fileSystem] = [new NodeClock(), new NodeScheduler(), new NodeRandom(), new NodeFileSystem()];
    const identity = { cluster: CLUSTER, node, incarnation: BigInt(random.u32()) };
    const credentials = { serverCredentials: ServerCredentials.createInsecure(), channelCredentials: ChannelCredentials.createInsecure() };
    transport = await GrpcTransport.listen('127.0.0.1:0', identity, { clock, scheduler, random, hash, createHash, ...credentials });
    fileSystem.makeDirectorySync(directory);
    const nodeLog = NodeLog.open({
      ...{ fileSystem, hash, clock, scheduler, random },
      directory: join(directory, 'log'),
      segmentBytes: 64 << 20,
      cacheBytes: 1 << 20,
    });
    const host = new NodeHost({ node, tickMs: TICK_MS, scheduler, transport, nodeLog, logBytesMax: 1 << 30 });
    const resources = createResources({ memoryBytes: 1 << 30 });
    const hosted = { segmentPath: (segment: number) => nodeLog.segmentPath(segment) };
    const onFailed = (group: number, error: Error): void => {
      process.stderr.write(`node ${node}, group ${group}: ${error.message}\n`);
    };
    begin = async () => {
      replicas = await NodeReplicas.open({
        ...{ fileSystem, nodeLog, host, clock, scheduler, random, hash, createHash, nodes: new Map(), voters: NODES },
        directory: join(directory, 'groups'),
        openEngine: (path) => open(path, {}, { hosted, resources }),
        settingsOf: () => ({
          ...{ id: node, tickMs: TICK_MS, electionTicks: ELECTION_TICKS, heartbeatTicks: 1, sleepTicks: 2 * ELECTION_TICKS },
          ...{ keptBytesMax: 1 << 20, logKeptBytesMax: 16 << 20, checkpointBytes: 64 << 20 },
          ...{ writeBytesInFlightMax: 16 << 20, writesWaitingMax: 1000 },
        }),
        onPeers: () => undefined,
        cannotBegin: undefined,
        onStopped: onFailed,
        onFailed,
      });
    };
    return transport.address;
  };
  process.on('message', (order: Order) => {
    void obey(order).then(
      (answer) => process.send!(answer),
      (error: unknown) => {
        process.stderr.write(`${String((error as Error).stack)}\n`);
        process.exit(1);
      },
    );
  });
}

/** Callers and splits, in the process of the node that leads. */
async function run(replicas: NodeReplicas, { megabytes, splits: wanted, valueBytes, callers }: Run): Promise<Result> {
  const keys = Math.ceil((megabytes * 1e6) / valueBytes);
  const value = Buffer.alloc(valueBytes, 'v');
  const write = async (n: number): Promise<void> => {
    const key = keyOf(n);
    for (;;) {
      if (await attempt(ownerOf(replicas, key), key, value)) return;
      await sleep(1);
    }
  };
  for (let n = 0; n < keys; n += 500) await Promise.all(Array.from({ length: Math.min(500, keys - n) }, (_, i) => write(n + i)));
  process.stderr.write(`${keys} keys are there\n`);

  let writes = 0;
  let over = false;
  /** Of writes since the last split began: the key and how long it took; of those that ended by now, and those under way. */
  let ended: { n: number; ms: number }[] = [];
  const under = new Map<number, { n: number; beganMs: number }>();
  const caller = async (id: number): Promise<void> => {
    while (!over) {
      const n = Math.floor(Math.random() * keys);
      const beganMs = performance.now();
      under.set(id, { n, beganMs });
      await write(n);
      under.delete(id);
      ended.push({ n, ms: performance.now() - beganMs });
      writes++;
    }
  };
  const all = Array.from({ length: callers }, (_, id) => caller(id));
  await sleep(3000);
  const quiet: number[] = [];
  for (let i = 0; i < QUIET_TIMES; i++) {
    ended = [];
    await sleep(LOOK_MS);
    quiet.push(Math.max(...ended.map(({ ms }) => ms)));
  }
  const shards = [{ shard: 1, from: 0, to: keys }];
  const splits: Split[] = [];
  for (let child = MADE_SHARD_MIN; splits.length < wanted; child++) {
    const largest = shards.reduce((a, b) => (a.to - a.from >= b.to - b.from ? a : b));
    const { shard, from, to } = largest;
    const middle = Math.floor((from + to) / 2);
    const replica = replicas.get(shard)!;
    ended = [];
    const beganMs = performance.now();
    await splitShard(replica, { epoch: replica.shard.descriptor.epoch, child, at: { how: 'key', key: keyOf(middle) } }, NO_LIMIT);
    const tookMs = performance.now() - beganMs;
    await sleep(LOOK_MS);
    // One that is still under way has waited since then.
    for (const { n, beganMs: sinceMs } of under.values()) ended.push({ n, ms: performance.now() - sinceMs });
    const longest = (a: number, b: number): number => ended.reduce((most, { n, ms }) => (n >= a && n < b ? Math.max(most, ms) : most), 0);
    const split = { megabytes: ((to - from) * valueBytes) / 1e6, tookMs, stayedMs: longest(from, middle), wentMs: longest(middle, to) };
    splits.push(split);
    process.stderr.write(`${JSON.stringify(split)}\n`);
    largest.to = middle;
    shards.push({ shard: child, from: middle, to });
  }
  over = true;
  await Promise.all(all);
  return { splits, quiet, writes };
}

async function attempt(owner: Replica | undefined, key: Uint8Array, value: Uint8Array): Promise<boolean> {
  if (owner === undefined) return false;
  const command = encodeWrite(undefined, [], [{ type: 'put', key, value }], owner.shard.descriptor.epoch);
  try {
    return (await owner.propose(command, NO_LIMIT)).outcome === 'applied';
  } catch {
    return false;
  }
}

function ownerOf(replicas: NodeReplicas, key: Uint8Array): Replica | undefined {
  for (const replica of replicas) if (replica.group !== 2 && coversKey(replica.shard.descriptor.keys, key)) return replica;
  return undefined;
}

function keyOf(n: number): Uint8Array {
  return Buffer.from(String(n).padStart(KEY_DIGITS, '0'));
}
