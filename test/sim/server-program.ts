/**
 * The server's stack on a simulated machine: the node's log, an engine under it, replica and the verbs of the gateway, put together as server/server.ts does;
 * instead of gRPC, frames over a simulated connection. With settings so small that files roll, memtables fill and the log is cut within
 * seconds, drawn from the node's randomness.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { type EngineMetrics, type EngineSettingsInput, type HostedEngine, open } from '../../engine/index.ts';
import type { WriteRequest } from '../../proto/index.ts';
import { KvCalls } from '../../server/gateway/kv-calls.ts';
import { NodeHost, NodeLog, NO_LIMIT, Replica, ReplicaStore, soleShard } from '../../server/node/index.ts';
import { DEFAULT_TABLE, FIRST_SHARD, wholeTable } from '../../server/shard/descriptor.ts';
import { resolveSettings, type ServerSettings } from '../../server/settings.ts';
import { createHash, hash } from '../server/transport/hash.ts';
import { type ClusterSettings, drawClusterSettings } from './cluster-settings.ts';
import { type Ledger, watchApplied } from './ledger.ts';
import { MessageCounts } from './message-counts.ts';
import { momentOf } from './moments.ts';
import type { Condition, Found } from './kv-client.ts';
import { type AnswerFrame, decodeRequest, encodeFrame, type RequestFrame } from './kv-frames.ts';
import { TraceHash } from './trace-hash.ts';
import { type Environment, isDiskError, type Program } from './sim-node.ts';
import type { ConnectionEvents, SimConnection } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import { SimTransport } from './sim-transport.ts';

const KIB = 1024;
const MIB: number = 1024 * KIB;

export interface StackSettings {
  readonly memtableBytes: number;
  readonly raftSegmentBytes: number;
  readonly checkpointBytes: number;
  readonly logBytesMax: number;
  readonly inlineThreshold: number;
  readonly cluster: ClusterSettings;
  /** The table has durability `os`. */
  readonly earlyAnswers?: boolean;
}

/** Small ones, and now and then those of production. */
export function drawStackSettings(random: SimRandom): StackSettings {
  return {
    memtableBytes: random.pick([64, 64, 256]) * KIB,
    raftSegmentBytes: random.pick([4, 16, 64]) * KIB,
    checkpointBytes: random.pick([2, 8, 32, 1024]) * KIB,
    logBytesMax: random.pick([8, 64, 4096]) * KIB,
    inlineThreshold: random.pick([64, 1024, 4096, 4096]),
    cluster: drawClusterSettings(random),
  };
}

/** The verbs that the program answers with: KvCalls, or what a test puts before it. */
export type Calls = Pick<KvCalls, 'multiGet' | 'write'>;

export interface StackHooks {
  /** Of the group, over all its members. */
  readonly ledger?: Ledger;
  readonly fileSystem?: (fileSystem: FileSystem) => FileSystem;
  readonly calls?: (calls: Calls) => Calls;
}

function engineSettings(settings: StackSettings): EngineSettingsInput {
  return {
    memtableBytes: settings.memtableBytes,
    inlineThreshold: settings.inlineThreshold,
    memoryBytes: 64 * MIB,
    pageCacheBytes: MIB,
    maxBatchBytes: 4 * MIB,
    maxValueBytes: MIB,
    tableBytes: 64 * KIB,
    level0Compact: 2,
    level1Bytes: 256 * KIB,
    manifestBytes: 4 * KIB,
  };
}

export const SERVER_SETTINGS: ServerSettings = resolveSettings({ data: '/data' });

export interface ServerProgram extends Program {
  readonly replica: Replica;
}

/** `nodes`: the addresses of the cluster that this server is a node of; the first `votersFirst` of them begin the group. */
export async function bootServer(
  environment: Environment,
  settings: StackSettings,
  hooks: StackHooks = {},
  nodes: readonly string[] = [environment.name],
  votersFirst: number = nodes.length,
): Promise<ServerProgram> {
  const { clock, scheduler, random, endpoint } = environment;
  const fileSystem = hooks.fileSystem?.(environment.fileSystem) ?? environment.fileSystem;
  const nodeLog = NodeLog.open({
    fileSystem,
    directory: '/data/log',
    hash,
    clock,
    scheduler,
    random,
    segmentBytes: settings.raftSegmentBytes,
    cacheBytes: settings.cluster.cacheBytes,
  });
  const hosted = { segmentPath: (segment: number) => nodeLog.segmentPath(segment), expiry: 'told' as const };
  const store = await ReplicaStore.open({
    fileSystem,
    directory: '/data/groups/000001',
    openEngine: async (path) => {
      const engine = await open(path, engineSettings(settings), { fileSystem, scheduler, clock, random, hosted });
      if (hooks.ledger !== undefined) watchApplied(engine, hooks.ledger, environment.name);
      return engine;
    },
    hash,
    createHash,
    scheduler,
  });
  const id = nodes.indexOf(environment.name) + 1;
  const { tickMs, electionTicks, heartbeatTicks, lease, sleepTicks, keptBytesMax, logKeptBytesMax } = settings.cluster;
  const messages = new MessageCounts();
  const transport = new SimTransport(endpoint, scheduler, new SimRandom(random.u32()), nodes, settings.cluster.transport, (message) => {
    messages.add(message);
    hooks.ledger?.sent(message);
    const moment = momentOf(message);
    if (moment !== undefined) environment.sent(moment);
  });
  const host = new NodeHost({ node: id, tickMs, scheduler, transport, nodeLog, logBytesMax: settings.logBytesMax });
  const { writeBytesInFlightMax, writesWaitingMax } = SERVER_SETTINGS;
  // Other nodes are listened to at once: a replica may have to get something from them before it opens.
  let serve: ((connection: SimConnection) => ConnectionEvents) | undefined;
  endpoint.listen((connection) => {
    if (nodes.includes(connection.peer)) return transport.accept(connection);
    if (serve !== undefined) return serve(connection);
    connection.close();
    return { frame: () => undefined, closed: () => undefined };
  });
  const replica = await Replica.open(
    {
      group: 1,
      id,
      // The others are taken in by an operator.
      voters: id <= votersFirst ? nodes.slice(0, votersFirst).map((_, i) => i + 1) : [],
      sleepTicks,
      keptBytesMax,
      tickMs,
      electionTicks,
      heartbeatTicks,
      lease,
      writeBytesInFlightMax,
      writesWaitingMax,
      checkpointBytes: settings.checkpointBytes,
      logKeptBytesMax,
      descriptor: { ...wholeTable(FIRST_SHARD, DEFAULT_TABLE), durability: settings.earlyAnswers === true ? 'os' : undefined },
    },
    {
      store,
      nodeLog,
      log: nodeLog.group(1),
      clock,
      scheduler,
      random,
      host,
      onStopped: (error) => environment.exit(error),
    },
  );
  const kv = new KvCalls(soleShard(replica), SERVER_SETTINGS);
  const calls = hooks.calls?.(kv) ?? kv;
  const standing = (): Standing => {
    const { leader, term, stoppedBecause } = replica.stats();
    return { node: id, leader: stoppedBecause !== undefined && leader === id ? 0 : leader, term, members: nodes };
  };
  serve = (connection) => {
    return {
      frame: (bytes) => {
        const request = decodeRequest(bytes);
        void answer(calls, request, standing).then(
          (frame) => {
            connection.send(encodeFrame(frame));
            if (frame.written?.applied === true) environment.sent('answer');
          },
          (error: unknown) => environment.exit(error as Error),
        );
      },
      closed: () => undefined,
    };
  };
  const dataHash = (): string => {
    const trace = new TraceHash();
    for (const [key, value] of replica.engine.scanSync()) {
      trace.fold('', key);
      trace.fold('', value);
    }
    return trace.hex;
  };
  return {
    replica,
    digest() {
      const { term, lastIndex, appliedIndex } = replica.stats();
      return `term ${term} last ${lastIndex} applied ${appliedIndex} data ${dataHash()}`;
    },
    replicated: () => ({ applied: replica.applied, data: dataHash }),
    leads() {
      const { role, term, stoppedBecause } = replica.stats();
      return role === 'leader' && stoppedBecause === undefined ? term : 0;
    },
    handOver(to) {
      try {
        replica.lead.transfer(nodes.indexOf(to) + 1);
        return true;
      } catch (error) {
        if (error instanceof SparrowError) return false;
        throw error;
      }
    },
    readAll() {
      try {
        dataHash();
      } catch (error) {
        // Its listeners know.
        if (!(error instanceof SparrowError) || (error.kind !== 'corrupt' && error.kind !== 'closed')) throw error;
      }
    },
    isSound: () => replica.stats().damagedBecause === undefined,
    upkeep: (what) => (what === 'flush' ? replica.engine.flush() : replica.engine.compact()),
    reached() {
      const { flushes, compactions } = metricsOf(replica.engine);
      const links = replica.upkeep.held.length;
      const {
        replayedEntries,
        firstIndex,
        log: raft,
        leadsBegun,
        leadsLost,
        handovers,
        readsFollowing,
        readsStale,
        entriesFetched,
        snapshotsSent,
        snapshotsInstalled,
        enginesRepaired,
        writesAnsweredEarly,
      } = replica.stats();
      const { dropped, duplicated, reordered, overflowed } = transport.counts;
      return {
        ...messages.reached,
        'leads begun': leadsBegun,
        'leads lost': leadsLost,
        'leads handed over': handovers,
        'reads of followers': readsFollowing,
        'reads within their age': readsStale,
        'entries fetched': entriesFetched,
        'snapshots sent': snapshotsSent,
        'snapshots installed': snapshotsInstalled,
        'engines repaired': enginesRepaired,
        'writes answered early': writesAnsweredEarly,
        'groups asleep': Number(replica.asleep),
        'messages dropped': dropped,
        'messages doubled': duplicated,
        'messages reordered': reordered,
        'messages beyond the bound': overflowed,
        flushes: flushes.count,
        compactions: compactions.count,
        'segments linked': links,
        'segments emptied': host.segmentsEmptied,
        'entries replayed': replayedEntries,
        'logs cut': firstIndex > 1 ? 1 : 0,
        'logs of several segments': raft.segments > 1 ? 1 : 0,
      };
    },
  };
}

/** Nothing while a snapshot takes the engine's place. */
export function metricsOf(
  engine: HostedEngine,
): Pick<EngineMetrics, 'flushes' | 'compactions'> | { flushes: { count: number }; compactions: { count: number } } {
  try {
    return engine.metrics();
  } catch (error) {
    if (error instanceof SparrowError && error.kind === 'closed') return { flushes: { count: 0 }, compactions: { count: 0 } };
    throw error;
  }
}

export type Standing = NonNullable<AnswerFrame['standing']>;

/** `standingOf`: undefined, the first shard. */
export async function answer(
  calls: Calls,
  request: RequestFrame,
  standingOf: (shard: number | undefined) => Standing,
): Promise<AnswerFrame> {
  const { call, read, anyNode, write, shard, epoch } = request;
  if (request.standing === true) return { call, standing: standingOf(shard) };
  try {
    if (read) {
      const { entries } = await calls.multiGet({ keys: read.map((key) => Buffer.from(key)), anyNode, shard, epoch });
      return { call, found: entries.map(({ found, value, version }) => foundOf(found, value, version)) };
    }
    const { applied, version, failed } = await calls.write({ ...writeRequest(write!), shard, epoch }, NO_LIMIT);
    if (applied) return { call, written: { applied, version } };
    return { call, written: { applied, condition: failed!.index, found: foundOf(failed!.found, failed!.value, failed!.version) } };
  } catch (error) {
    // What the disk says of a read goes to the caller as it is; the gateway calls it internal.
    if (isDiskError(error)) return { call, error: { kind: 'internal', code: error.code, applied: undefined, leader: undefined } };
    if (!(error instanceof SparrowError)) throw error;
    const { kind, code, details } = error;
    const of = typeof details['shard'] === 'number' ? details['shard'] : shard;
    const common = { applied: details['applied'] === false ? false : undefined, shard: of };
    if (code === 'WRONG_SHARD') return { call, error: { kind, code, ...common, leader: undefined, shards: String(details['shards']) } };
    if (code !== 'NOT_LEADER') return { call, error: { kind, code, ...common, leader: undefined } };
    // Both of this moment, as the gateway tells them (server/gateway/cluster-view.ts).
    const { node, leader, term, members } = standingOf(of);
    if (leader === 0 || leader === node)
      return { call, error: { kind: 'unavailable', code: 'NO_LEADER', ...common, leader: undefined, term } };
    return { call, error: { kind, code, ...common, leader, leaderAddress: members[leader - 1], term } };
  }
}

function foundOf(found: boolean, value: Uint8Array, version: number): Found {
  return { value: found ? Buffer.from(value).toString() : undefined, version };
}

function writeRequest({ client, sequence, seen, changes, conditions }: NonNullable<RequestFrame['write']>): WriteRequest {
  return {
    requestId: { client: Buffer.from(client), sequence, seen },
    conditions: conditions.map(({ key, version }: Condition) => ({
      key: Buffer.from(key),
      expected: version === 0 ? { $case: 'absent', value: true } : { $case: 'version', value: version },
    })),
    operations: Object.entries(changes).map(([name, value]) => {
      const key = Buffer.from(name);
      return {
        operation: value === null ? { $case: 'delete', value: { key } } : { $case: 'put', value: { key, value: Buffer.from(value) } },
      };
    }),
  };
}
