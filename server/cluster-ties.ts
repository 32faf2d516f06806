/**
 * What ties a node to its cluster beside Raft itself: whom it is connected with and what clients are told (the address book's feed), what it does while it
 * hears no leader (the watch), and its end when it was removed.
 *
 * Made before the way to other nodes and the replica, which both ask it; `begin` gives it them. Made by node-parts.ts.
 */
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { FileSystem, Scheduler } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { ClusterWatch } from './cluster-watch.ts';
import {
  AddressFeed,
  formatClusterId,
  type NodeAddress,
  type NodeIdentity,
  type NodeShards,
  type Replica,
  setAddress,
} from './node/index.ts';
import { type KnownNodes, sameNodes, writeKnownNodes } from './known-nodes.ts';
import { markRemoved, removedError } from './removal.ts';
import type { GrpcTransport } from './transport/index.ts';

export interface ClusterTiesParts {
  readonly identity: NodeIdentity;
  /** Of the node's data. */
  readonly directory: string;
  /** A member that can be asked, by the settings. */
  readonly join: string | undefined;
  readonly credentials: ChannelCredentials;
  readonly fileSystem: FileSystem;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  /** This is not the node that the cluster knows by its id: the process is to end. */
  readonly onOther: (error: SparrowError) => void;
}

export class ClusterTies {
  readonly #parts: ClusterTiesParts;
  #shards: NodeShards | undefined;
  #feed: AddressFeed | undefined;
  #watch: ClusterWatch | undefined;
  #scheduled = false;
  #closed = false;
  #removed = false;
  /** Where other nodes are, as is noted in the directory. */
  #remembered: KnownNodes = new Map();
  #onRemoved: (() => void) | undefined;
  /** That the metaserver has told of, a node's or one that is used up. */
  #largestTold = 0;
  /** Of nodes, as the metaserver has told last. */
  #registered: readonly number[] = [];

  constructor(parts: ClusterTiesParts) {
    this.#parts = parts;
  }

  /** Where clients reach the members, by node id: always the same map. */
  get addresses(): ReadonlyMap<number, string> {
    return this.#feed?.addresses ?? new Map<number, string>();
  }

  /** Shard 1's: its address book is the cluster's. */
  get #replica(): Replica | undefined {
    return this.#shards?.first;
  }

  /** Of any node that is known. */
  placeOf(node: number): NodeAddress | undefined {
    return this.#feed?.nodes.get(node);
  }

  /** Where clients reach it. */
  addressOf(node: number): string | undefined {
    return this.placeOf(node)?.address || undefined;
  }

  /** The same, where other nodes reach it. */
  peerAddressOf(node: number): string | undefined {
    return this.placeOf(node)?.peerAddress || undefined;
  }

  /** Where clients reach nodes that are known, but for this one. */
  get knownAddresses(): string[] {
    const own = this.#parts.identity.nodeId;
    return [...(this.#feed?.nodes ?? [])].filter(([id, { address }]) => id !== own && address !== '').map(([, { address }]) => address);
  }

  /** Of all ids that this node knows to be used, or used up. */
  get largestId(): number {
    return Math.max(this.#largestTold, ...(this.#feed?.nodes.keys() ?? []));
  }

  /** Nodes that are registered with the metaserver, as far as it has told. */
  get registered(): readonly number[] {
    return this.#registered;
  }

  /** By the metaserver: where all nodes are, and which ids are used up. */
  told(nodes: ReadonlyMap<number, NodeAddress>, removed: readonly number[]): void {
    this.#largestTold = Math.max(this.#largestTold, ...nodes.keys(), ...removed);
    this.#registered = [...nodes.keys()];
    this.#feed?.tell(nodes);
    if (removed.includes(this.#parts.identity.nodeId)) this.#wasRemoved('the metaserver says so');
  }

  /**
   * `learned`: what another node said of where members are, or what was known when this one was stopped, for a node whose own book says nothing yet. `connected`: peers that the way to other nodes has
   * already.
   */
  begin(
    shards: NodeShards,
    transport: GrpcTransport | undefined,
    { connected, learned }: { readonly connected: readonly number[]; readonly learned: ReadonlyMap<number, NodeAddress> },
  ): void {
    const { identity, join, credentials, scheduler, logger } = this.#parts;
    const node = identity.nodeId;
    this.#shards = shards;
    const replica = (): Replica => shards.first;
    const onNodes = (nodes: KnownNodes): void => this.#remember(nodes);
    const onRemoved = (): void => this.#wasRemoved('its own log says so');
    this.#feed = new AddressFeed({ node, replica, links: transport, connected, onNodes, onRemoved });
    this.#feed.learn(learned);
    if (transport === undefined) return;
    this.#watch = new ClusterWatch({
      node,
      clusterId: identity.clusterId,
      replica,
      feed: this.#feed,
      join,
      credentials,
      scheduler,
      logger,
      onRemoved: () => this.#wasRemoved('another node says so'),
    });
  }

  /** A node that is alone is where its settings say; one of several is where the address book says, and that is changed by an operator. */
  settle({ address, peerAddress }: NodeAddress): void {
    const own = { address, peerAddress };
    const replica = this.#replica;
    const { identity, logger } = this.#parts;
    if (replica === undefined) return;
    const { nodeId } = identity;
    const entry = replica.book.nodes.get(nodeId);
    if (entry?.address === own.address && entry.peerAddress === own.peerAddress) return;
    if (replica.members.length === 1 && replica.members[0] === nodeId) {
      setAddress(replica, nodeId, own).catch((error: unknown) => logger.warn({ err: error }, 'the own addresses could not be noted'));
    } else if (entry !== undefined) {
      const next = `sparrowkv cluster set-address ${nodeId} --address ${own.address} --peer-address ${own.peerAddress}`;
      logger.warn({ book: entry, own }, `the cluster knows this node at other addresses than its settings say; if it has moved: ${next}`);
    }
  }

  /** Members or addresses may be others. Not done at once: this is called from within the replica. */
  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#parts.scheduler.soon(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#feed?.refresh();
    });
  }

  /** For the transport: what a node that is no peer is told. */
  whyNoPeer(node: number): SparrowError | undefined {
    if (this.#replica?.book.removed.has(node) !== true) return undefined;
    const cluster = formatClusterId(this.#parts.identity.clusterId);
    return new SparrowError('invalid', 'NODE_REMOVED', `node ${node} was removed from cluster ${cluster}`, { node });
  }

  /** Another node refuses this one, or is refused. Whether nothing more is to be said of it. */
  refused(error: SparrowError): boolean {
    const { nodeId } = this.#parts.identity;
    if (error.code === 'NODE_REMOVED' && error.details['node'] === nodeId) this.#wasRemoved('another node refuses it');
    if ((error.code === 'NODE_TWICE' || error.code === 'NODE_ID_TAKEN') && error.details['node'] === nodeId) this.#isAnother(error);
    // As long as it waits to be taken in, nobody knows it.
    return error.code === 'NOT_A_PEER' && this.#replica?.members.includes(nodeId) !== true;
  }

  /** Calls `listener` when the node learns that it was removed. */
  onRemoved(listener: () => void): void {
    this.#onRemoved = listener;
    if (this.#removed) listener();
  }

  close(): void {
    this.#closed = true;
    this.#watch?.close();
  }

  /** For the next start. */
  #remember(nodes: KnownNodes): void {
    const { identity, directory, fileSystem, logger } = this.#parts;
    const others = new Map([...nodes].filter(([id, { address }]) => id !== identity.nodeId && address !== ''));
    if (this.#removed || this.#closed || others.size === 0 || sameNodes(others, this.#remembered)) return;
    this.#remembered = others;
    try {
      writeKnownNodes(fileSystem, directory, others);
    } catch (error) {
      logger.warn({ err: error }, 'where the other nodes are could not be noted');
    }
  }

  /** Another process, or another directory, is this node: the votes of one are not the other's. It says no more, and no peer reaches it. */
  #isAnother(error: SparrowError): void {
    if (this.#removed || this.#closed) return;
    this.#closed = true;
    this.#watch?.close();
    this.#feed?.end();
    this.#parts.logger.error({ code: error.code }, error.message);
    for (const replica of this.#shards ?? []) replica.retire(error);
    this.#parts.onOther(error);
  }

  #wasRemoved(how: string): void {
    const { identity, directory, fileSystem, logger } = this.#parts;
    if (this.#removed || this.#closed || this.#replica === undefined) return;
    this.#removed = true;
    this.#watch?.close();
    this.#feed?.end();
    const error = removedError(identity);
    logger.error({ code: error.code, how }, error.message);
    for (const replica of this.#shards ?? []) replica.retire(error);
    try {
      markRemoved(fileSystem, directory, identity);
    } catch (failure) {
      // It is told again when it is started again.
      logger.error({ err: failure }, 'the directory could not be marked as that of a removed node');
    }
    this.#onRemoved?.();
  }
}
