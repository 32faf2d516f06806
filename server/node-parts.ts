/**
 * What a node is made of, below its clients: put together in this order, and taken apart in the other.
 *
 *   lock -> identity -> engine -> log -> way to other nodes -> host -> replica
 *
 * There is one group so far, whose members are the nodes. A node alone has no way to others, and nothing waits for anybody there. A node of several does
 * not wait for them either: it is there when its own data are, and has a leader when a majority is.
 */
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import xxhash from 'xxhash-wasm';
import type { DirectoryLock } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../base/node/index.ts';
import { open } from '../engine/index.ts';
import { type ClusterSettings, clusterIdOf, nodesOf } from './cluster-settings.ts';
import { GROUP_ID, groupDirectory, logDirectory } from './data-directory.ts';
import { formatClusterId, NodeHost, type NodeIdentity, NodeLog, openIdentity, Replica, ReplicaStore } from './node/index.ts';
import { engineOptions, type ServerSettings } from './settings.ts';
import { type Hash64, GrpcTransport, type RunningHash64 } from './transport/index.ts';

/** Nodes whose last refusal is remembered, so that it is not logged at each attempt. */
const REFUSALS_MAX = 100;

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
  readonly members: ClusterSettings;
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
  /** Where the nodes are reached that the settings name. */
  readonly members: ClusterSettings;
  readonly #lock: DirectoryLock;
  #closing: Promise<void> | undefined;

  /** `onStopped`: the replica can go on no longer. Throws what directory, files, address and identity have against it, and leaves nothing open then. */
  static async open(settings: ServerSettings, logger: Logger, onStopped: (error: SparrowError) => void): Promise<NodeParts> {
    const opened: (() => unknown)[] = [];
    try {
      fileSystem.makeDirectorySync(settings.data);
      const lock = fileSystem.lockDirectory(settings.data);
      opened.push(() => lock.release());
      const { identity, found } = openIdentity(fileSystem, settings.data, wantedIdentity(settings), random);
      logger.info({ nodeId: identity.nodeId, clusterId: formatClusterId(identity.clusterId), voters: identity.voters }, 'this node');

      const { h64Raw: hash, create64: createHash } = await xxhash();
      const store = await openStore(settings, hash, createHash);
      opened.push(() => store.engine.close());
      const log = openLog(settings, hash, logger);
      opened.push(() => log.close());
      const transport = await openTransport(settings, identity, { hash, createHash }, logger);
      opened.push(() => transport?.close());
      const onReach = (node: number, reached: boolean): void =>
        reached ? logger.info({ node }, 'another node is reached') : logger.warn({ node }, 'another node is not reached any more');
      const host = new NodeHost({ node: identity.nodeId, tickMs: settings.raft.tickMs, scheduler, transport, onReach });
      opened.push(() => host.close());
      const replica = await openReplica(settings, identity, { store, log, host }, onStopped);
      opened.push(() => replica.close());
      if (transport === undefined && replica.members.some((member) => member !== identity.nodeId))
        throw alone(settings.data, replica.members);
      return new NodeParts({ identity, found, store, log, transport, host, replica, members: membersOf(settings, identity) }, lock);
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
    this.members = parts.members;
    this.#lock = lock;
  }

  /** Finishes what was proposed, as long as it can be finished. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  /** Stops at once. `close` only waits for files to be closed then. */
  abort(): void {
    this.replica.abort();
    this.host.close();
    this.log.abort();
    this.#closing ??= this.#release();
  }

  async #close(): Promise<void> {
    await this.replica.close();
    this.host.close();
    await this.log.close();
    await this.#release();
  }

  async #release(): Promise<void> {
    await this.transport?.close();
    this.store.close();
    await this.store.engine.close();
    this.#lock.release();
  }
}

function wantedIdentity({ nodeId, cluster, clusterName }: ServerSettings): Parameters<typeof openIdentity>[2] {
  if (cluster === undefined) return { nodeId, clusterId: undefined, voters: undefined };
  return { nodeId, clusterId: clusterIdOf(cluster, clusterName), voters: nodesOf(cluster) };
}

/** A node alone can be told to others when it can be reached by them. */
function membersOf({ cluster, listen, peerListen }: ServerSettings, { nodeId }: NodeIdentity): ClusterSettings {
  return cluster ?? (peerListen === undefined ? {} : { [nodeId]: { address: listen, peerAddress: peerListen } });
}

function openStore(settings: ServerSettings, hash: Hash64, createHash: () => RunningHash64): Promise<ReplicaStore> {
  const directory = groupDirectory(settings.data, GROUP_ID);
  const options = engineOptions(settings);
  return ReplicaStore.open({ fileSystem, directory, openEngine: (path) => open(path, options), hash, createHash });
}

function openLog(settings: ServerSettings, hash: Hash64, logger: Logger): NodeLog {
  const { segmentBytes, logCacheBytes } = settings.raft;
  // A node alone has no followers that would read entries again.
  const cacheBytes = settings.peerListen === undefined ? 0 : logCacheBytes;
  const log = NodeLog.open({ fileSystem, directory: logDirectory(settings.data), hash, scheduler, random, segmentBytes, cacheBytes });
  for (const place of log.damage) logger.error(place, 'the log is damaged');
  log.onFull((full) => logger.warn(full ? 'the disk is full: writes wait, new ones are refused' : 'there is room on the disk again'));
  return log;
}

async function openTransport(
  { peerListen, cluster, snapshotBytesPerSecond }: ServerSettings,
  { nodeId, clusterId }: NodeIdentity,
  hashes: { hash: Hash64; createHash: () => RunningHash64 },
  logger: Logger,
): Promise<GrpcTransport | undefined> {
  if (peerListen === undefined) return undefined;
  const identity = { cluster: clusterId, node: nodeId, incarnation: (BigInt(random.u32()) << 32n) | BigInt(random.u32()) };
  const parts = {
    clock,
    scheduler,
    random,
    ...hashes,
    serverCredentials: ServerCredentials.createInsecure(),
    channelCredentials: ChannelCredentials.createInsecure(),
    onRefused: refusalLog(logger),
  };
  const transport = await GrpcTransport.listen(peerListen, identity, parts, { snapshotBytesPerSecond });
  for (const [id, { peerAddress }] of Object.entries(cluster ?? {})) if (Number(id) !== nodeId) transport.addPeer(Number(id), peerAddress);
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
  { nodeId, voters }: NodeIdentity,
  { store, log, host }: { store: ReplicaStore; log: NodeLog; host: NodeHost },
  onStopped: (error: SparrowError) => void,
): Promise<Replica> {
  const { electionTicks, heartbeatTicks, sleepTicks, checkpointBytes, logKeptBytesMax, keptBytesMax } = settings.raft;
  const { writeBytesInFlightMax, writesWaitingMax } = settings;
  return Replica.open(
    {
      group: GROUP_ID,
      id: nodeId,
      voters,
      electionTicks,
      heartbeatTicks,
      sleepTicks: sleepTicks === 0 ? Infinity : sleepTicks,
      keptBytesMax,
      logKeptBytesMax,
      checkpointBytes,
      writeBytesInFlightMax,
      writesWaitingMax,
    },
    { engine: store.engine, store, nodeLog: log, log: log.group(GROUP_ID), clock, scheduler, random, host, onStopped },
  );
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
