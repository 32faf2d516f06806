/**
 * What a node is made of, below its clients: put together in this order, and taken apart in the other.
 *
 *   lock -> identity -> log -> what engines share -> way to other nodes -> host -> replicas -> ties to its cluster
 *
 * A node alone has no way to others, and nothing waits for anybody there. A node of several does not wait for them either: it is there when its own data are,
 * and has leaders when majorities are. One that joins asks a member first who the others are, and notes it
 * for the next start (known-nodes.ts).
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import xxhash from 'xxhash-wasm';
import type { DirectoryLock } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../base/node/index.ts';
import { createResources, type HostedEngine, open, partSettings, type Resources } from '../engine/index.ts';
import { type ClusterSettings, clusterIdOf, nodesOf } from './cluster-settings.ts';
import { ClusterTies } from './cluster-ties.ts';
import { groupsDirectory, logDirectory } from './data-directory.ts';
import { askToJoin, checkBeginning, type ClusterFacts } from './join.ts';
import { type KnownNodes, readKnownNodes } from './known-nodes.ts';
import {
  formatClusterId,
  hasIdentity,
  type NodeAddress,
  NodeHost,
  type NodeIdentity,
  NodeLog,
  NodeReplicas,
  type NodeReplicasParts,
  openIdentity,
  type Replica,
  type ReplicaSettings,
} from './node/index.ts';
import { refuseRemoved } from './removal.ts';
import { FIRST_SHARD } from './shard/descriptor.ts';
import { engineOptions, type ServerSettings } from './settings.ts';
import { callerCredentials, peerCredentials } from './tls.ts';
import { type Hash64, GrpcTransport, type RunningHash64 } from './transport/index.ts';

/** Nodes whose last refusal is remembered, so that it is not logged at each attempt. */
const REFUSALS_MAX = 100;
/** The node that a new one asks may still be starting. */
const JOIN_MS_MAX = 10_000;

/** Of entries that are applied, in memory for members that lag, of each shard beside the first. */
const KEPT_BYTES_OF_OTHERS: number = 1024 * 1024;

/** Of all that is driven. */
const fileSystem = new NodeFileSystem();
const clock = new NodeClock();
const scheduler = new NodeScheduler();
const random = new NodeRandom();

interface Parts {
  readonly identity: NodeIdentity;
  readonly found: boolean;
  readonly log: NodeLog;
  readonly resources: Resources;
  readonly transport: GrpcTransport | undefined;
  readonly host: NodeHost;
  readonly replicas: NodeReplicas;
  readonly ties: ClusterTies;
}

export class NodeParts implements Parts {
  readonly identity: NodeIdentity;
  /** The directory was that of a node before. */
  readonly found: boolean;
  readonly log: NodeLog;
  /** Of all engines. */
  readonly resources: Resources;
  /** Undefined on a node that no other can reach. */
  readonly transport: GrpcTransport | undefined;
  readonly host: NodeHost;
  readonly replicas: NodeReplicas;
  readonly ties: ClusterTies;
  readonly #lock: DirectoryLock;
  #closing: Promise<void> | undefined;

  /** `onStopped`: the node can go on no longer. Throws what directory, files, address and identity have against it, and leaves nothing open then. */
  static async open(settings: ServerSettings, logger: Logger, onStopped: (error: SparrowError) => void): Promise<NodeParts> {
    const opened: (() => unknown)[] = [];
    try {
      makeDirectory(settings.data);
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
      const { resources: shared } = partSettings(engineOptions(settings));
      const resources = createResources(shared);
      opened.push(() => resources.close());
      const { data: directory, join: member } = settings;
      const ties = new ClusterTies({ identity, directory, join: member, credentials, fileSystem, scheduler, logger, onOther: onStopped });
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
      const connected: number[] = [];
      // A replica may have to get from other nodes what its disk has lost, before it opens.
      const onPeers = (peers: ReadonlyMap<number, string>): void => {
        for (const [id, address] of peers) {
          if (id === node || address === '') continue;
          transport?.addPeer(id, address);
          connected.push(id);
        }
      };
      const replicas = await openReplicas(settings, identity, { log, host, resources, hash, createHash, onPeers }, logger, onStopped);
      opened.push(async () => {
        await replicas.close();
        await replicas.release();
      });
      const { first } = replicas;
      if (transport === undefined && first.members.some((member) => member !== node)) throw alone(settings.data, first.members);
      const known = facts?.nodes ?? knownNodes(settings.data, logger);
      const knowsNobody = settings.join === undefined && known.size === 0;
      if (first.members.length === 0 && knowsNobody && identity.voters.length === 0) throw joinNeeded(settings.data, node);
      if (transport === undefined && identity.voters.length === 0) throw peerListenNeeded(settings.data, node);
      if (settings.join !== undefined && begunAlone(identity) && !first.members.some((member) => member !== node)) {
        throw joinsAlone(settings.data, identity);
      }
      ties.begin(replicas, transport, { connected, learned: known });
      return new NodeParts({ identity, found, log, resources, transport, host, replicas, ties }, lock);
    } catch (error) {
      for (const close of opened.toReversed()) await close();
      throw error;
    }
  }

  private constructor(parts: Parts, lock: DirectoryLock) {
    this.identity = parts.identity;
    this.found = parts.found;
    this.log = parts.log;
    this.resources = parts.resources;
    this.transport = parts.transport;
    this.host = parts.host;
    this.replicas = parts.replicas;
    this.ties = parts.ties;
    this.#lock = lock;
  }

  /** Of shard 1. */
  get replica(): Replica {
    return this.replicas.first;
  }

  /** Finishes what was proposed, as long as it can be finished. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Stops at once. `close` only waits for files to be closed then. */
  abort(): void {
    this.ties.close();
    this.replicas.abort();
    this.host.close();
    this.log.abort();
    this.#closing ??= this.#release();
  }

  async #close(): Promise<void> {
    this.ties.close();
    await this.replicas.close();
    this.host.close();
    await this.log.close();
    await this.#release();
  }

  async #release(): Promise<void> {
    await this.transport?.close();
    await this.replicas.release();
    await this.resources.close();
    this.#lock.release();
  }
}

/** What a member says of the cluster that this node is to join; of one that has joined before nothing is asked. */
async function join({ data, join: member, nodeId }: ServerSettings, credentials: ChannelCredentials): Promise<ClusterFacts | undefined> {
  if (member === undefined || hasIdentity(fileSystem, data)) return undefined;
  return askToJoin(member, credentials, nodeId!, JOIN_MS_MAX);
}

/** Where others were when this node knew last. */
function knownNodes(directory: string, logger: Logger): KnownNodes {
  try {
    return readKnownNodes(fileSystem, directory);
  } catch (error) {
    if (!(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
    logger.warn({ err: error }, 'where the other nodes were is not known');
    return new Map();
  }
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

function openReplicas(
  settings: ServerSettings,
  identity: NodeIdentity,
  parts: Pick<NodeReplicasParts, 'host' | 'hash' | 'createHash' | 'onPeers'> & { log: NodeLog; resources: Resources },
  logger: Logger,
  onStopped: (error: SparrowError) => void,
): Promise<NodeReplicas> {
  const { log, resources, ...given } = parts;
  const { nodeId, voters } = identity;
  const { engine: engineSettings } = partSettings(engineOptions(settings));
  // The engine has no log of its own: the node's holds what is not in its tables yet, and large values.
  const hosted = { segmentPath: (segment: number) => log.segmentPath(segment), expiry: 'told' as const };
  return NodeReplicas.open({
    fileSystem,
    directory: groupsDirectory(settings.data),
    nodeLog: log,
    clock,
    scheduler,
    random,
    ...given,
    openEngine: (path, inlineThreshold): Promise<HostedEngine> => {
      const options = inlineThreshold === 0 ? engineSettings : { ...engineSettings, inlineThreshold };
      return open(path, options, { hosted, resources });
    },
    settingsOf: (group) => replicaSettings(settings, nodeId, group),
    voters,
    nodes: beginningOf(settings, identity),
    cannotBegin: settings.cluster === undefined ? alone(settings.data, voters) : undefined,
    onStopped: (group, error) => {
      logger.error({ err: error, shard: group }, 'a replica stopped');
      // The first shard is what the node serves whoever names none; without the log it serves nobody.
      if (group === FIRST_SHARD || log.failure !== undefined) onStopped(error);
    },
    onFailed: (group, error) => logger.error({ err: error, shard: group }, 'a replica cannot be opened; it is left as it is'),
    onDamaged: (group, error) =>
      logger.error({ err: error, shard: group }, 'data is damaged on this disk: what was here comes back from the other nodes'),
    onHandover: (group, handover) => logger.warn({ ...handover, shard: group }, "this node gives a lead up for its disk's sake"),
  });
}

function replicaSettings(
  { raft, writeBytesInFlightMax, writesWaitingMax }: ServerSettings,
  id: number,
  group: number,
): Omit<ReplicaSettings, 'group' | 'voters' | 'nodes' | 'descriptor'> {
  const { tickMs, electionTicks, heartbeatTicks, sleepTicks, leaseReads, leaseMarginMs, checkpointBytes, logKeptBytesMax } = raft;
  return {
    id,
    tickMs,
    electionTicks,
    heartbeatTicks,
    lease: leaseReads ? { durationMs: electionTicks * tickMs, pauseMarginMs: leaseMarginMs } : undefined,
    sleepTicks: sleepTicks === 0 ? Infinity : sleepTicks,
    // Of a thousand shards together it must fit the memory; what is not there is read from the log's files.
    keptBytesMax: group === FIRST_SHARD ? raft.keptBytesMax : Math.min(raft.keptBytesMax, KEPT_BYTES_OF_OTHERS),
    logKeptBytesMax,
    checkpointBytes,
    writeBytesInFlightMax,
    writesWaitingMax,
  };
}

function joinNeeded(data: string, node: number): SparrowError {
  const message = `${data} is that of node ${node}, which waits to be taken in and knows nobody: the settings must name a member of its cluster (join)`;
  return new SparrowError('invalid', 'JOIN_NEEDED', message, { field: 'join', directory: data });
}

function peerListenNeeded(data: string, node: number): SparrowError {
  const message = `${data} is that of node ${node}, which has joined a cluster: the settings must say where it listens to the others (peerListen)`;
  return new SparrowError('invalid', 'CLUSTER_NEEDED', message, { field: 'peerListen', directory: data });
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

function makeDirectory(path: string): void {
  try {
    fileSystem.makeDirectorySync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' || code === 'ENOTDIR' ? 'that is no directory' : message;
    throw new SparrowError('invalid', 'DIRECTORY_UNUSABLE', `data cannot be kept in ${path}: ${why}`, { field: 'data' }, error);
  }
}
