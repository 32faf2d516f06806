/**
 * What a node is made of, below its clients: put together in this order, and taken apart in the other.
 *
 *   lock -> identity -> log -> engine -> way to other nodes -> host -> replica -> ties to its cluster
 *
 * There is one group so far, whose members are the nodes. A node alone has no way to others, and nothing waits for anybody there. A node of several does
 * not wait for them either: it is there when its own data are, and has a leader when a majority is. One that joins asks a member first who the others are.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import xxhash from 'xxhash-wasm';
import type { DirectoryLock } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../base/node/index.ts';
import { open } from '../engine/index.ts';
import { type ClusterSettings, clusterIdOf, nodesOf } from './cluster-settings.ts';
import { ClusterTies } from './cluster-ties.ts';
import { GROUP_ID, groupDirectory, logDirectory } from './data-directory.ts';
import { askToJoin, checkBeginning, type ClusterFacts } from './join.ts';
import {
  formatClusterId,
  type Handover,
  hasIdentity,
  type NodeAddress,
  NodeHost,
  type NodeIdentity,
  NodeLog,
  openIdentity,
  Replica,
  ReplicaStore,
  type NodeShards,
  soleShard,
} from './node/index.ts';
import { refuseRemoved } from './removal.ts';
import { engineOptions, type ServerSettings } from './settings.ts';
import { callerCredentials, peerCredentials } from './tls.ts';
import { type Hash64, GrpcTransport, type RunningHash64 } from './transport/index.ts';

/** Nodes whose last refusal is remembered, so that it is not logged at each attempt. */
const REFUSALS_MAX = 100;
/** The node that a new one asks may still be starting. */
const JOIN_MS_MAX = 10_000;

/** Of all that is driven. */
const fileSystem = new NodeFileSystem();
const clock = new NodeClock();
const scheduler = new NodeScheduler();
const random = new NodeRandom();

interface Parts {
  readonly identity: NodeIdentity;
  readonly found: boolean;
  readonly store: ReplicaStore;
  readonly log: NodeLog;
  readonly transport: GrpcTransport | undefined;
  readonly host: NodeHost;
  readonly replica: Replica;
  readonly ties: ClusterTies;
}

export class NodeParts implements Parts {
  readonly identity: NodeIdentity;
  /** The directory was that of a node before. */
  readonly found: boolean;
  readonly store: ReplicaStore;
  readonly log: NodeLog;
  /** Undefined on a node that no other can reach. */
  readonly transport: GrpcTransport | undefined;
  readonly host: NodeHost;
  readonly replica: Replica;
  readonly ties: ClusterTies;
  readonly #lock: DirectoryLock;
  #closing: Promise<void> | undefined;

  /** `onStopped`: the replica can go on no longer. Throws what directory, files, address and identity have against it, and leaves nothing open then. */
  static async open(settings: ServerSettings, logger: Logger, onStopped: (error: SparrowError) => void): Promise<NodeParts> {
    const opened: (() => unknown)[] = [];
    try {
      fileSystem.makeDirectorySync(settings.data);
      const lock = fileSystem.lockDirectory(settings.data);
      opened.push(() => lock.release());
      const credentials = callerCredentials(settings);
      const facts = await join(settings, credentials);
      await begin(settings, credentials);
      const { identity, found } = openIdentity(fileSystem, settings.data, wantedIdentity(settings, facts), random);
      refuseRemoved(fileSystem, settings.data, identity);
      logger.info({ nodeId: identity.nodeId, clusterId: formatClusterId(identity.clusterId), voters: identity.voters }, 'this node');

      const { h64Raw: hash, create64: createHash } = await xxhash();
      const log = openLog(settings, hash, logger);
      opened.push(() => log.close());
      const store = await openStore(settings, log, hash, createHash);
      opened.push(() => store.closeEngine());
      const ties = new ClusterTies({ identity, directory: settings.data, join: settings.join, credentials, fileSystem, scheduler, logger });
      opened.push(() => ties.close());
      const transport = await openTransport(settings, identity, { hash, createHash }, ties, logger);
      opened.push(() => transport?.close());
      const onReach = (node: number, reached: boolean): void =>
        reached ? logger.info({ node }, 'another node is reached') : logger.warn({ node }, 'another node is not reached any more');
      const { nodeId: node } = identity;
      const membersChanged = (): void => ties.changed();
      const { tickMs, logBytesMax } = settings.raft;
      const host = new NodeHost({ node, tickMs, scheduler, transport, nodeLog: log, logBytesMax, onReach, membersChanged });
      opened.push(() => host.close());
      const peers = peersOf(settings, identity, store);
      if (transport !== undefined) for (const [id, address] of peers) transport.addPeer(id, address);
      const replica = await openReplica(settings, identity, { store, log, host }, logger, onStopped);
      opened.push(() => replica.close());
      if (transport === undefined && replica.members.some((member) => member !== identity.nodeId))
        throw alone(settings.data, replica.members);
      if (replica.members.length === 0 && settings.join === undefined) throw joinNeeded(settings.data, node);
      if (settings.join !== undefined && begunAlone(identity) && !replica.members.some((member) => member !== node)) {
        throw joinsAlone(settings.data, identity);
      }
      ties.begin(replica, transport, { connected: [...peers.keys()], learned: facts?.nodes ?? new Map<number, NodeAddress>() });
      return new NodeParts({ identity, found, store, log, transport, host, replica, ties }, lock);
    } catch (error) {
      for (const close of opened.toReversed()) await close();
      throw error;
    }
  }

  private constructor(parts: Parts, lock: DirectoryLock) {
    this.identity = parts.identity;
    this.found = parts.found;
    this.store = parts.store;
    this.log = parts.log;
    this.transport = parts.transport;
    this.host = parts.host;
    this.replica = parts.replica;
    this.ties = parts.ties;
    this.#lock = lock;
  }

  get shards(): NodeShards {
    return soleShard(this.replica);
  }

  /** Finishes what was proposed, as long as it can be finished. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Stops at once. `close` only waits for files to be closed then. */
  abort(): void {
    this.ties.close();
    this.replica.abort();
    this.host.close();
    this.log.abort();
    this.#closing ??= this.#release();
  }

  async #close(): Promise<void> {
    this.ties.close();
    await this.replica.close();
    this.host.close();
    await this.log.close();
    await this.#release();
  }

  async #release(): Promise<void> {
    await this.transport?.close();
    this.store.close();
    await this.store.closeEngine();
    this.#lock.release();
  }
}

/** What a member says of the cluster that this node is to join; of one that has joined before nothing is asked. */
async function join({ data, join: member, nodeId }: ServerSettings, credentials: ChannelCredentials): Promise<ClusterFacts | undefined> {
  if (member === undefined || hasIdentity(fileSystem, data)) return undefined;
  return askToJoin(member, credentials, nodeId!, JOIN_MS_MAX);
}

/** One that begins a cluster with others, or believes so. */
async function begin({ data, cluster, clusterName, nodeId }: ServerSettings, credentials: ChannelCredentials): Promise<void> {
  if (cluster === undefined || hasIdentity(fileSystem, data)) return;
  const others = nodesOf(cluster).filter((id) => id !== nodeId);
  const addresses = others.map((id) => cluster[id]!.address);
  await checkBeginning(addresses, credentials, nodeId!, clusterIdOf(cluster, clusterName));
}

function wantedIdentity(
  { nodeId, cluster, clusterName }: ServerSettings,
  facts: ClusterFacts | undefined,
): Parameters<typeof openIdentity>[2] {
  if (facts !== undefined) return { nodeId, clusterId: facts.clusterId, voters: [] };
  if (cluster === undefined) return { nodeId, clusterId: undefined, voters: undefined };
  return { nodeId, clusterId: clusterIdOf(cluster, clusterName), voters: nodesOf(cluster) };
}

/** Where the nodes are that the cluster begins with. A node alone can be told to others when it can be reached by them. */
function beginningOf({ cluster, listen, peerListen }: ServerSettings, { nodeId }: NodeIdentity): ReadonlyMap<number, NodeAddress> {
  const nodes: ClusterSettings = cluster ?? (peerListen === undefined ? {} : { [nodeId]: { address: listen, peerAddress: peerListen } });
  return new Map(Object.entries(nodes).map(([id, addresses]) => [Number(id), addresses]));
}

/** Where the other nodes listen, as far as is known before there is a replica: it may have to get from them what its disk has lost. */
function peersOf(settings: ServerSettings, identity: NodeIdentity, store: ReplicaStore): ReadonlyMap<number, string> {
  const beginning = [...beginningOf(settings, identity)].map(([id, { peerAddress }]) => [id, peerAddress] as const);
  const known = new Map([...beginning, ...store.peerAddresses]);
  return new Map([...known].filter(([id, address]) => id !== identity.nodeId && address !== ''));
}

/** The engine has no log of its own: the node's holds what is not in its tables yet, and large values. */
function openStore(settings: ServerSettings, log: NodeLog, hash: Hash64, createHash: () => RunningHash64): Promise<ReplicaStore> {
  const directory = groupDirectory(settings.data, GROUP_ID);
  const options = engineOptions(settings);
  const hosted = { segmentPath: (segment: number) => log.segmentPath(segment) };
  return ReplicaStore.open({ fileSystem, directory, openEngine: (path) => open(path, options, { hosted }), hash, createHash, scheduler });
}

function openLog(settings: ServerSettings, hash: Hash64, logger: Logger): NodeLog {
  const { segmentBytes, logCacheBytes } = settings.raft;
  // A node alone has no followers that would read entries again.
  const cacheBytes = settings.peerListen === undefined ? 0 : logCacheBytes;
  const log = NodeLog.open({
    fileSystem,
    directory: logDirectory(settings.data),
    hash,
    clock,
    scheduler,
    random,
    segmentBytes,
    cacheBytes,
  });
  for (const place of log.damage) logger.error(place, 'the log is damaged');
  log.onFull((full) => logger.warn(full ? 'the disk is full: writes wait, new ones are refused' : 'there is room on the disk again'));
  return log;
}

async function openTransport(
  { peerListen, peerTls, snapshotBytesPerSecond }: ServerSettings,
  { nodeId, clusterId }: NodeIdentity,
  hashes: { hash: Hash64; createHash: () => RunningHash64 },
  ties: ClusterTies,
  logger: Logger,
): Promise<GrpcTransport | undefined> {
  if (peerListen === undefined) return undefined;
  const identity = { cluster: clusterId, node: nodeId, incarnation: (BigInt(random.u32()) << 32n) | BigInt(random.u32()) };
  const log = refusalLog(logger);
  const parts = {
    clock,
    scheduler,
    random,
    ...hashes,
    ...peerCredentials(peerTls),
    onRefused: (peer: number | undefined, error: SparrowError): void => {
      if (!ties.refused(error)) log(peer, error);
    },
    whyNoPeer: (node: number) => ties.whyNoPeer(node),
  };
  const transport = await GrpcTransport.listen(peerListen, identity, parts, { snapshotBytesPerSecond });
  logger.info({ address: transport.address }, 'listening to other nodes');
  return transport;
}

/** What a node says against another, once for as long as it says the same. */
function refusalLog(logger: Logger): (peer: number | undefined, error: SparrowError) => void {
  const last = new Map<number | undefined, string>();
  return (peer, error) => {
    if (last.get(peer) === error.message) return;
    if (last.size >= REFUSALS_MAX) last.clear();
    last.set(peer, error.message);
    logger.warn({ node: peer, code: error.code }, error.message);
  };
}

function openReplica(
  settings: ServerSettings,
  identity: NodeIdentity,
  { store, log, host }: { store: ReplicaStore; log: NodeLog; host: NodeHost },
  logger: Logger,
  onStopped: (error: SparrowError) => void,
): Promise<Replica> {
  const { nodeId, voters } = identity;
  // The first entry is about to be applied, or applied again: it writes where the nodes are, and on each of them the same.
  if (store.damage === undefined && store.engine.sequence === 0 && settings.cluster === undefined && voters.length > 1)
    throw alone(settings.data, voters);
  const { tickMs, electionTicks, heartbeatTicks, sleepTicks, leaseReads, leaseMarginMs } = settings.raft;
  const { checkpointBytes, logKeptBytesMax, keptBytesMax } = settings.raft;
  const lease = leaseReads ? { durationMs: electionTicks * tickMs, pauseMarginMs: leaseMarginMs } : undefined;
  const { writeBytesInFlightMax, writesWaitingMax } = settings;
  const onHandover = (handover: Handover): void => logger.warn(handover, "this node gives the lead up for its disk's sake");
  const onDamaged = (error: SparrowError): void =>
    logger.error({ err: error }, 'data is damaged on this disk: what was here comes back from the other nodes');
  return Replica.open(
    {
      group: GROUP_ID,
      id: nodeId,
      voters,
      nodes: beginningOf(settings, identity),
      tickMs,
      electionTicks,
      heartbeatTicks,
      lease,
      sleepTicks: sleepTicks === 0 ? Infinity : sleepTicks,
      keptBytesMax,
      logKeptBytesMax,
      checkpointBytes,
      writeBytesInFlightMax,
      writesWaitingMax,
    },
    { store, nodeLog: log, log: log.group(GROUP_ID), clock, scheduler, random, host, onStopped, onHandover, onDamaged },
  );
}

function joinNeeded(data: string, node: number): SparrowError {
  const message = `${data} is that of node ${node}, which waits to be taken in and knows nobody: the settings must name a member of its cluster (join)`;
  return new SparrowError('invalid', 'JOIN_NEEDED', message, { field: 'join', directory: data });
}

function begunAlone({ nodeId, voters }: NodeIdentity): boolean {
  return voters.length === 1 && voters[0] === nodeId;
}

/** It was started without `join` before. */
function joinsAlone(data: string, { nodeId, clusterId }: NodeIdentity): SparrowError {
  const message =
    `${data} is that of node ${nodeId} of cluster ${formatClusterId(clusterId)}, of which it is the only node: with its data it cannot join another cluster. ` +
    'Start it with an empty directory';
  return new SparrowError('invalid', 'OTHER_CLUSTER', message, { field: 'join', directory: data });
}

function alone(data: string, members: readonly number[]): SparrowError {
  const nodes = members.join(', ');
  return new SparrowError(
    'invalid',
    'CLUSTER_NEEDED',
    `${data} is that of one of the nodes ${nodes}: the settings must say where they are reached`,
    {
      field: 'cluster',
      directory: data,
    },
  );
}
