/**
 * A node of many shards on a simulated machine: the node's log, the production table of its replicas, what carries out orders, and the verbs of the gateway, put together
 * as server/node-parts.ts does. Each group has a ledger of its own.
 */
import { SparrowError } from '../../../base/errors.ts';
import { createResources, open } from '../../../engine/index.ts';
import type { Order, OrderOutcome } from '../../../server/meta/orders.ts';
import { KvCalls } from '../../../server/gateway/kv-calls.ts';
import { NodeHost, NodeLog, NodeReplicas, type Replica } from '../../../server/node/index.ts';
import { decodeCommand } from '../../../server/node/command-codec.ts';
import type { ApplyResult, StateMachine } from '../../../server/node/state-machine.ts';
import type { LogEntry } from '../../../server/raft/index.ts';
import { FIRST_SHARD, META_GROUP } from '../../../server/shard/descriptor.ts';
import { NodeAgent } from '../../../server/shard/node-agent.ts';
import { createHash, hash } from '../../server/transport/hash.ts';
import { type AnswerFrame, decodeRequest, encodeFrame, type RequestFrame } from '../kv-frames.ts';
import { BROKEN, Ledger, watchApplied } from '../ledger.ts';
import { MessageCounts } from '../message-counts.ts';
import { momentOf } from '../moments.ts';
import { KeyOwners } from './key-owners.ts';
import { answer, metricsOf, SERVER_SETTINGS, type StackSettings, type Standing } from '../server-program.ts';
import type { ConnectionEvents, SimConnection } from '../sim-network.ts';
import type { Environment, Program } from '../sim-node.ts';
import { SimRandom } from '../sim-random.ts';
import { SimTransport } from '../sim-transport.ts';
import { TraceHash } from '../trace-hash.ts';

const KIB = 1024;
const MIB: number = 1024 * KIB;
/** Of an engine's files, which group it is of. */
const GROUP = /\/groups\/(\d+)\//;

/** Of all groups, over all nodes and lives. */
export class Ledgers {
  readonly #alarm: (error: Error) => void;
  readonly #byGroup: Map<number, Ledger> = new Map();
  readonly #owners: KeyOwners;
  /** Told whenever a client has got an answer. */
  onServed: () => void = () => undefined;

  constructor(alarm: (error: Error) => void) {
    this.#alarm = alarm;
    this.#owners = new KeyOwners(alarm);
  }

  /** What a write of keys has come to. */
  readonly applied = ({ shard: { descriptor } }: StateMachine, { index, data }: LogEntry, result: ApplyResult): void => {
    // One that was remembered was written before.
    if (result.outcome !== 'applied' || result.version !== index || data.length === 0) return;
    const command = decodeCommand(data);
    if (command.kind !== 'write') return;
    const { shard, state } = descriptor;
    if (state === 'sealed' || state === 'retired')
      this.#alarm(new Error(`${BROKEN}sealed is sealed: shard ${shard} is ${state}, and is written by entry ${index}`));
    this.#owners.wrote(
      descriptor,
      index,
      command.operations.map(({ key }) => key),
    );
  };

  of(group: number): Ledger {
    const known = this.#byGroup.get(group);
    if (known !== undefined) return known;
    const made = new Ledger((error) => this.#alarm(new Error(`${error.message} (group ${group})`)));
    this.#byGroup.set(group, made);
    return made;
  }
}

export interface ShardNode extends Program {
  readonly id: number;
  readonly nodeLog: NodeLog;
  readonly replicas: NodeReplicas;
  readonly transport: SimTransport;
  readonly agent: NodeAgent;
  /** What it has sent to other nodes for its groups. */
  readonly messages: MessageCounts;
  execute(order: Order): Promise<OrderOutcome>;
}

/** The shards that clients know, of this node. Not its place for shard 1, where that has not been filled yet. */
export function shardsOn(node: ShardNode): Replica[] {
  return [...node.replicas].filter(({ group, applied, members }) => group !== META_GROUP && (applied > 0 || members.length > 0));
}

/** What a node is told of its cluster. */
export interface ShardNodeParts {
  readonly settings: StackSettings;
  readonly ledgers: Ledgers;
  /** Addresses; a node's id is its place, from 1 on. */
  readonly nodes: readonly string[];
  /** Who begin shard 1 and the metaserver's group. Left out: all of them. */
  readonly voters?: readonly number[];
  /** Takes the connection of another node. Left out: all that nodes send each other is Raft's. */
  readonly accept?: (connection: SimConnection, raft: () => ConnectionEvents) => ConnectionEvents;
  /** Answers what is no verb of the gateway's; undefined: it is one. */
  readonly others?: (request: RequestFrame) => Promise<AnswerFrame> | undefined;
}

export async function bootShardNode(environment: Environment, parts: ShardNodeParts): Promise<ShardNode> {
  const { settings, ledgers, nodes, voters = nodes.map((_, i) => i + 1), accept = (_, raft) => raft(), others = () => undefined } = parts;
  const { clock, scheduler, random, endpoint, fileSystem, name } = environment;
  const { tickMs, electionTicks, heartbeatTicks, lease, sleepTicks, keptBytesMax, logKeptBytesMax, cacheBytes } = settings.cluster;
  const nodeLog = NodeLog.open({
    fileSystem,
    directory: '/data/log',
    hash,
    clock,
    scheduler,
    random,
    segmentBytes: settings.raftSegmentBytes,
    cacheBytes,
  });
  const id = nodes.indexOf(name) + 1;
  const messages = new MessageCounts();
  const transport = new SimTransport(
    endpoint,
    scheduler,
    new SimRandom(random.u32()),
    nodes,
    settings.cluster.transport,
    (message, group) => {
      messages.add(message);
      ledgers.of(group).sent(message);
      const moment = momentOf(message);
      if (moment !== undefined) environment.sent(moment);
    },
  );
  const host = new NodeHost({ node: id, tickMs, scheduler, transport, nodeLog, logBytesMax: settings.logBytesMax });
  let serve: ((connection: SimConnection) => ConnectionEvents) | undefined;
  endpoint.listen((connection) => {
    if (nodes.includes(connection.peer)) return accept(connection, () => transport.accept(connection));
    if (serve !== undefined) return serve(connection);
    connection.close();
    return { frame: () => undefined, closed: () => undefined };
  });
  const resources = createResources({
    memoryBytes: 64 * MIB,
    pageCacheBytes: MIB,
    indexBytes: MIB,
    valueCacheBytes: 0,
    memtableBytesTotal: 8 * MIB,
  });
  const hosted = { segmentPath: (segment: number) => nodeLog.segmentPath(segment) };
  const engine = {
    memtableBytes: settings.memtableBytes,
    inlineThreshold: settings.inlineThreshold,
    maxBatchBytes: 4 * MIB,
    maxValueBytes: MIB,
    tableBytes: 64 * KIB,
    level0Compact: 2,
    level1Bytes: 256 * KIB,
    manifestBytes: 4 * KIB,
  };
  const { writeBytesInFlightMax, writesWaitingMax } = SERVER_SETTINGS;
  const begins = voters.includes(id);
  const replicas = await NodeReplicas.open({
    fileSystem,
    directory: '/data/groups',
    nodeLog,
    host,
    clock,
    scheduler,
    random,
    hash,
    createHash,
    openEngine: async (path) => {
      const opened = await open(path, engine, { fileSystem, scheduler, clock, random, hosted, resources });
      watchApplied(opened, ledgers.of(Number(GROUP.exec(path)![1])), name, ledgers.applied);
      return opened;
    },
    settingsOf: () => ({
      id,
      sleepTicks,
      keptBytesMax,
      logKeptBytesMax,
      tickMs,
      electionTicks,
      heartbeatTicks,
      lease,
      writeBytesInFlightMax,
      writesWaitingMax,
      checkpointBytes: settings.checkpointBytes,
    }),
    // The others are taken in.
    voters: begins ? voters : [],
    nodes: new Map(voters.map((node) => [node, { address: nodes[node - 1]!, peerAddress: nodes[node - 1]! }])),
    onPeers: () => undefined,
    cannotBegin: undefined,
    // Whoever sees that a shard has stopped on a node starts the node again.
    onStopped: (_, error) => environment.exit(error),
    onFailed: (_, error) => environment.exit(error),
  });
  const agent = new NodeAgent({ replicas, scheduler, reachable: (node) => transport.reachable(node) });
  const calls = new KvCalls(replicas, SERVER_SETTINGS);
  const standingOf = (shard: number = FIRST_SHARD): Standing => {
    const stats = replicas.get(shard)?.stats();
    if (stats === undefined) return { node: id, leader: 0, term: 0, members: nodes };
    const { leader, term, stoppedBecause } = stats;
    return { node: id, leader: stoppedBecause !== undefined && leader === id ? 0 : leader, term, members: nodes };
  };
  serve = (connection) => ({
    frame: (bytes) => {
      const request = decodeRequest(bytes);
      const answered = others(request) ?? answer(calls, request, standingOf);
      void answered.then(
        (frame) => {
          if (frame.error === undefined) ledgers.onServed();
          connection.send(encodeFrame(frame));
          if (frame.written?.applied === true) environment.sent('answer');
        },
        (error: unknown) => environment.exit(error as Error),
      );
    },
    closed: () => undefined,
  });
  let orders = 0;
  const leading = (): Replica[] => [...replicas].filter(leads);
  const program: ShardNode = {
    id,
    nodeLog,
    replicas,
    transport,
    agent,
    messages,
    execute: (order) => agent.execute({ id: String(++orders), order }),
    digest: () => shardsOn(program).map(digestOf).join('; '),
    leads: () => Math.max(0, ...leading().map((replica) => replica.stats().term)),
    handOver(to) {
      const led = leading();
      for (const replica of led) {
        try {
          replica.lead.transfer(nodes.indexOf(to) + 1);
        } catch (error) {
          if (!(error instanceof SparrowError)) throw error;
        }
      }
      return led.length > 0;
    },
    upkeep: async (what) => {
      await Promise.all([...replicas].map(({ engine: each }) => (what === 'flush' ? each.flush() : each.compact())));
    },
    reached() {
      const counts: Record<string, number> = { ...messages.reached, 'segments emptied': host.segmentsEmptied };
      const add = (what: string, count: number): void => void (counts[what] = (counts[what] ?? 0) + count);
      for (const replica of replicas) {
        const { snapshotsSent, snapshotsInstalled, replayedEntries, leadsBegun, writesAnsweredEarly, firstIndex, log } = replica.stats();
        const { flushes, compactions } = metricsOf(replica.engine);
        add('leads begun', leadsBegun);
        add('writes answered early', writesAnsweredEarly);
        add('snapshots sent', snapshotsSent);
        add('snapshots installed', snapshotsInstalled);
        add('entries replayed', replayedEntries);
        add('logs cut', firstIndex > 1 ? 1 : 0);
        add('logs of several segments', log.segments > 1 ? 1 : 0);
        add('flushes', flushes.count);
        add('compactions', compactions.count);
      }
      return counts;
    },
  };
  return program;
}

export function leads(replica: Replica): boolean {
  return replica.stopped === undefined && replica.stats().role === 'leader';
}

/** All that its engine has under users' keys. */
export function dataOf(replica: Replica): string {
  const trace = new TraceHash();
  for (const [key, value] of replica.engine.scanSync()) {
    trace.fold('', key);
    trace.fold('', value);
  }
  return trace.hex;
}

function digestOf(replica: Replica): string {
  const { term, lastIndex, appliedIndex } = replica.stats();
  return `shard ${replica.group} epoch ${replica.shard.descriptor.epoch} term ${term} last ${lastIndex} applied ${appliedIndex} data ${dataOf(replica)}`;
}
