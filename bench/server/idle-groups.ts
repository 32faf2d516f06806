/**
 * What groups cost in which nothing happens: three nodes in three processes over loopback, each with a replica of each group, and the CPU time that each
 * process takes over a while.
 *
 *   node bench/server/idle-groups.ts [--groups 1000] [--seconds 30] [--heartbeat-ms 100]
 *
 * Twice: with groups that go to sleep, as they do by default, and with groups that are kept awake, whose leaders send heartbeats.
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
import { createResources, type HostedEngine, open } from '../../engine/index.ts';
import { NodeHost, NodeLog, Replica } from '../../server/node/index.ts';
import { GrpcTransport } from '../../server/transport/index.ts';

const NODES: readonly number[] = [1, 2, 3];
const ELECTION_MS = 1000;
const CLUSTER = 0x1d7en;

interface Setup {
  readonly node: number;
  readonly directory: string;
  readonly groups: number;
  readonly tickMs: number;
  readonly sleeps: boolean;
}

type Order = { readonly setup: Setup } | { readonly peers: Readonly<Record<number, string>> } | 'figures';

interface Figures {
  readonly leads: number;
  readonly led: number;
  readonly awake: number;
  readonly cpuMs: number;
  readonly turns: number;
}

if (process.send === undefined) await bench();
else serve();

async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      groups: { type: 'string', default: '1000' },
      seconds: { type: 'string', default: '30' },
      'heartbeat-ms': { type: 'string', default: '100' },
    },
  });
  const [groups, seconds, tickMs] = [Number(values.groups), Number(values.seconds), Number(values['heartbeat-ms'])];
  for (const sleeps of [true, false]) {
    const nodes = await measure(groups, seconds, tickMs, sleeps);
    const each = nodes.map(({ share, turns }) => `${(share * 100).toFixed(2)} % (${turns.toFixed(0)} turns a second)`).join(', ');
    process.stdout.write(
      `${groups} groups on three nodes, ${sleeps ? 'asleep' : `awake, heartbeats each ${tickMs} ms`}: ${each} of a core\n`,
    );
  }
}

interface Cost {
  /** Of a core. */
  readonly share: number;
  /** Of the node's host, a second: where they are few for heartbeats that often, the machine was too busy for this to be a measurement. */
  readonly turns: number;
}

/** What each node takes. */
async function measure(groups: number, seconds: number, tickMs: number, sleeps: boolean): Promise<Cost[]> {
  const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-idle-'));
  const children = NODES.map(() => fork(fileURLToPath(import.meta.url)));
  try {
    const addresses = await Promise.all(
      children.map((child, i) =>
        ask<string>(child, { setup: { node: NODES[i]!, directory: join(directory, `${NODES[i]}`), groups, tickMs, sleeps } }),
      ),
    );
    const peers = Object.fromEntries(addresses.map((address, i) => [NODES[i]!, address]));
    await Promise.all(children.map((child) => ask(child, { peers })));
    const figures = (): Promise<Figures[]> => Promise.all(children.map((child) => ask<Figures>(child, 'figures')));
    // Until every group has a leader that all know, and, where they sleep, does.
    for (;;) {
      const now = await figures();
      const leads = now.reduce((sum, each) => sum + each.leads, 0);
      if (leads === groups && now.every(({ led, awake }) => led === groups && (!sleeps || awake === 0))) break;
      await sleep(500);
    }
    await sleep(2000);
    const before = await figures();
    const beganMs = performance.now();
    await sleep(seconds * 1000);
    const after = await figures();
    const tookMs = performance.now() - beganMs;
    return after.map(({ cpuMs, turns }, i) => ({
      share: (cpuMs - before[i]!.cpuMs) / tookMs,
      turns: ((turns - before[i]!.turns) * 1000) / tookMs,
    }));
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

async function ask<T>(child: ChildProcess, order: Order): Promise<T> {
  child.send(order);
  const [answer] = (await once(child, 'message')) as [T];
  return answer;
}

/** A node, in a process of its own. */
function serve(): void {
  const replicas: Replica[] = [];
  let host: NodeHost | undefined;
  let transport: GrpcTransport | undefined;
  let begin: () => Promise<void> = () => Promise.resolve();
  const obey = async (order: Order): Promise<unknown> => {
    if (order === 'figures') {
      const { user, system } = process.cpuUsage();
      const stats = replicas.map((replica) => replica.stats());
      const figures: Figures = {
        leads: stats.filter(({ role }) => role === 'leader').length,
        led: stats.filter(({ leader }) => leader !== 0).length,
        awake: host!.awake,
        cpuMs: (user + system) / 1000,
        turns: host!.turns,
      };
      return figures;
    }
    if ('peers' in order) {
      for (const [id, address] of Object.entries(order.peers)) if (address !== transport!.address) transport!.addPeer(Number(id), address);
      await begin();
      return 'begun';
    }
    const { setup } = order;
    const { h64Raw: hash, create64: createHash } = await xxhash();
    const [clock, scheduler, random, fileSystem] = [new NodeClock(), new NodeScheduler(), new NodeRandom(), new NodeFileSystem()];
    const identity = { cluster: CLUSTER, node: setup.node, incarnation: BigInt(random.u32()) };
    const credentials = { serverCredentials: ServerCredentials.createInsecure(), channelCredentials: ChannelCredentials.createInsecure() };
    transport = await GrpcTransport.listen('127.0.0.1:0', identity, { clock, scheduler, random, hash, createHash, ...credentials });
    fileSystem.makeDirectorySync(setup.directory);
    const directory = join(setup.directory, 'log');
    const nodeLog = NodeLog.open({ fileSystem, directory, hash, clock, scheduler, random, segmentBytes: 64 << 20, cacheBytes: 1 << 20 });
    host = new NodeHost({ node: setup.node, tickMs: setup.tickMs, scheduler, transport, nodeLog, logBytesMax: 1 << 30 });
    const resources = createResources({ memoryBytes: 1 << 30 });
    const hosted = { segmentPath: (segment: number) => nodeLog.segmentPath(segment) };
    const engines: HostedEngine[] = [];
    for (let group = 1; group <= setup.groups; group++) {
      engines.push(await open(join(setup.directory, `${group}`), {}, { resources, hosted }));
    }
    const electionTicks = Math.round(ELECTION_MS / setup.tickMs);
    begin = async () => {
      for (const [i, engine] of engines.entries()) {
        const group = i + 1;
        const settings = {
          ...{ group, id: setup.node, voters: NODES, tickMs: setup.tickMs, electionTicks, heartbeatTicks: 1 },
          sleepTicks: setup.sleeps ? 2 * electionTicks : Infinity,
          ...{
            keptBytesMax: 1 << 20,
            logKeptBytesMax: 1 << 20,
            checkpointBytes: 1 << 20,
            writeBytesInFlightMax: 1 << 20,
            writesWaitingMax: 100,
          },
        };
        const onStopped = (error: Error): void => {
          throw error;
        };
        const parts = { engine, nodeLog, log: nodeLog.group(group), host: host!, clock, scheduler, random, onStopped };
        replicas.push(await Replica.open(settings, parts));
      }
    };
    return transport.address;
  };
  process.on('message', (order: Order) => {
    void obey(order).then((answer) => process.send!(answer));
  });
}
