/**
 * A node of a cluster that runs itself: the replicas of a node of many shards (shards/node-program.ts), the production metaserver where it has a replica of its
 * group, and its attendance at whichever leads, put together as server/cluster-part.ts does.
 */
import { type OperateRequest, TopologyRequest, TopologyResponse } from '../../../proto/index.ts';
import { SparrowError } from '../../../base/errors.ts';
import { MetaCalls } from '../../../server/gateway/index.ts';
import { Attendance, SELF, type Whom } from '../../../server/meta/attendance.ts';
import type { MetaEvent } from '../../../server/meta/lead.ts';
import type { Registration } from '../../../server/meta/attending.ts';
import { Metaserver } from '../../../server/meta/metaserver.ts';
import { attendOwn } from '../../../server/meta/own-stream.ts';
import type { Replica } from '../../../server/node/index.ts';
import { META_GROUP } from '../../../server/shard/descriptor.ts';
import { ShardReports } from '../../../server/shard-reports.ts';
import type { AnswerFrame, RequestFrame } from '../kv-frames.ts';
import { bootShardNode, type Ledgers, type ShardNode } from '../shards/node-program.ts';
import type { StackSettings } from '../server-program.ts';
import type { SimEndpoint } from '../sim-network.ts';
import type { Environment } from '../sim-node.ts';
import { acceptAttending, type AttendCounts, connectToLeader } from './attend-frames.ts';
import { HeedWatch } from './heed-watch.ts';
import { CLUSTER_ID, NODES, VOTERS, zoneOf } from './cluster-plan.ts';

/** What a node says of its machine: all are alike. */
const DISK_BYTES: number = 2 ** 30;
const CORES = 4;
/** None loses its whole directory and comes back. */
const DIRECTORY_IDS: readonly string[] = NODES.map((_, at) => (at + 1).toString(16).padStart(16, '0'));
/** A sync that takes longer is one of a slow disk. */
const QUICK_MS = 20;
const SYNCS_WITHIN_MS = 3000;

/** What people ask the metaserver for. */
export type Operation = NonNullable<OperateRequest['operation']>;

export interface ClusterNode extends ShardNode {
  /** Undefined: it has no replica of the metaserver's group now. */
  readonly metaserver: Metaserver | undefined;
  readonly attending: Whom | undefined;
  readonly attendCounts: AttendCounts;
  /** As whoever asks this node is answered. */
  operate(operation: Operation): Promise<void>;
}

export interface ClusterNodeParts {
  readonly settings: StackSettings;
  readonly ledgers: Ledgers;
  /** How often nodes report, and how often is decided. */
  readonly reportMs: number;
  readonly roundMs: number;
  readonly onEvent: (event: MetaEvent) => void;
  /** A promise is broken. */
  readonly alarm: (error: Error) => void;
}

export async function bootClusterNode(environment: Environment, parts: ClusterNodeParts): Promise<ClusterNode> {
  const { clock, scheduler, random, endpoint, name } = environment;
  const id = NODES.indexOf(name) + 1;
  const incarnation = random.u32().toString(16);
  const attendCounts: AttendCounts = { reports: 0 };
  let replica: Replica | undefined;
  let metaserver: Metaserver | undefined;
  let calls: MetaCalls | undefined;
  const node = await bootShardNode(environment, {
    settings: parts.settings,
    ledgers: parts.ledgers,
    nodes: NODES,
    voters: VOTERS,
    accept: (connection, raft) => acceptAttending(connection, () => calls, raft),
    others: (request) => (request.meta === undefined ? undefined : answerMeta(calls, request)),
  });
  const { replicas, transport, agent, nodeLog } = node;
  const follow = (): void => {
    const now = replicas.get(META_GROUP);
    if (now === replica) return;
    metaserver?.close();
    replica = now;
    const { reportMs, roundMs, onEvent } = parts;
    metaserver =
      replica && new Metaserver({ replica, clock, scheduler, clusterId: CLUSTER_ID, voters: VOTERS, reportMs, roundMs, onEvent });
  };
  replicas.onChanged((group) => {
    if (group === META_GROUP) follow();
  });
  follow();
  const reports = new ShardReports(replicas, clock);
  const knownLeader = (): Whom | undefined => {
    const { leader = 0, role } = replica?.stats() ?? {};
    if (role === 'leader') return SELF;
    return leader === 0 ? undefined : NODES[leader - 1];
  };
  const registration = (): Registration => ({
    node: id,
    address: name,
    peerAddress: name,
    zone: zoneOf(id),
    pool: '',
    role: 'all',
    labels: {},
    clusterId: CLUSTER_ID,
    version: 'simulated',
    incarnation,
    directoryId: DIRECTORY_IDS[id - 1]!,
    diskBytes: DISK_BYTES,
    cores: CORES,
  });
  const heed = new HeedWatch(name, parts.alarm);
  const attendance = new Attendance({
    clock,
    scheduler,
    registration,
    load: () => ({
      diskUsedBytes: 0,
      diskFreeBytes: DISK_BYTES,
      cpu: 0,
      io: 0,
      ioBytesPerSecond: 4096,
      slowDisk: Math.max(1, (nodeLog.syncMs(SYNCS_WITHIN_MS) ?? 0) / QUICK_MS),
      ...reports.sum,
      snapshots: 0,
    }),
    shards: () => reports.take(),
    failed: () => reports.failed(),
    execute: (given) => {
      reports.ordered(given.order);
      return agent.execute(given);
    },
    leader: knownLeader,
    known: () => NODES.filter((other) => other !== name),
    connect: (whom, listener) =>
      heed.watched(listener, (watched) =>
        whom === SELF ? attendOwn(metaserver, scheduler, watched) : connectToLeader(endpoint, whom, attendCounts, watched),
      ),
    reaches: (other) => (transport.reachable(other) ? Promise.resolve(true) : probe(endpoint, NODES[other - 1]!)),
    onNodes: () => undefined,
  });
  calls = new MetaCalls({
    metaserver: () => metaserver,
    leader: () => {
      const leader = knownLeader();
      if (leader === SELF) return { node: id, address: name };
      const whom = leader ?? attendance.attending;
      return whom === undefined || whom === SELF ? undefined : { node: NODES.indexOf(whom) + 1, address: whom };
    },
    clusterId: CLUSTER_ID,
    historySince: () => [],
  });
  return {
    ...node,
    get metaserver() {
      return metaserver;
    },
    get attending() {
      return attendance.attending;
    },
    attendCounts,
    operate: async (operation) => void (await calls.operate({ operation, dryRun: false })),
    leadsMetaserver: () => (metaserver?.lead?.state === undefined ? 0 : metaserver.lead.term),
    reached: () => ({ ...node.reached!(), 'metaserver: leads begun': metaserver?.leadsBegun ?? 0 }),
  };
}

/** Whether it takes a connection. */
function probe(endpoint: SimEndpoint, node: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = endpoint.connect(node, {
      opened: () => {
        resolve(true);
        connection.close();
      },
      frame: () => undefined,
      closed: () => resolve(false),
    });
  });
}

async function answerMeta(calls: MetaCalls | undefined, { call, meta }: RequestFrame): Promise<AnswerFrame> {
  try {
    if (calls === undefined) throw new SparrowError('unavailable', 'STARTING', 'the node is starting', { applied: false });
    const answer = await calls.topology(TopologyRequest.decode(Buffer.from(meta!.request, 'base64')));
    return { call, meta: Buffer.from(TopologyResponse.encode(answer).finish()).toString('base64') };
  } catch (error) {
    const routed = calls?.routed(error) ?? error;
    if (!(routed instanceof SparrowError)) throw routed;
    const { kind, code, details } = routed;
    const { leader, leaderAddress } = details as { leader?: number; leaderAddress?: string };
    return { call, error: { kind, code, applied: false, leader, leaderAddress } };
  }
}
