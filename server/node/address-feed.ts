/**
 * Keeps what a node has of others as the address book says: connections to nodes, and the addresses that clients are told.
 *
 * The book of a node may say nothing yet (it waits to be taken in), or be far behind. What other nodes said (`learn`) then stands in for what it lacks.
 *
 * Refreshed by its host when members change (NodeHostParts.membersChanged).
 */
import type { NodeAddress } from './address-book.ts';
import type { Replica } from './replica.ts';

/** As GrpcTransport has it. */
export interface PeerLinks {
  addPeer(id: number, address: string): void;
  removePeer(id: number): void;
}

export interface AddressFeedParts {
  readonly node: number;
  /** Of shard 1, as it is when asked. */
  readonly replica: () => Pick<Replica, 'book' | 'members'>;
  /** Undefined: this node listens to no others. */
  readonly links: PeerLinks | undefined;
  /** Nodes that there are connections to already. */
  readonly connected?: readonly number[];
  /** Told which nodes are known of, each time that they may be others. */
  readonly onNodes?: (nodes: ReadonlyMap<number, NodeAddress>) => void;
  /** The log says that this node was removed. Called once. */
  readonly onRemoved: () => void;
}

export class AddressFeed {
  readonly #parts: AddressFeedParts;
  readonly #addresses: Map<number, string> = new Map();
  #learned: ReadonlyMap<number, NodeAddress> = new Map();
  /** By the metaserver. */
  #told: ReadonlyMap<number, NodeAddress> = new Map();
  #peers: ReadonlySet<number> = new Set();
  #removed = false;
  #ended = false;

  constructor(parts: AddressFeedParts) {
    this.#parts = parts;
    this.#peers = new Set(parts.connected);
  }

  /** Where clients reach the members, by node id, in their order: always this map. */
  get addresses(): ReadonlyMap<number, string> {
    return this.#addresses;
  }

  /** Every node that is known of and not removed, whoever said so, in the order of ids. */
  get nodes(): ReadonlyMap<number, NodeAddress> {
    const { nodes, removed } = this.#parts.replica().book;
    const learned = [...this.#learned].filter(([id]) => !removed.has(id));
    const told = [...this.#told].filter(([id]) => !removed.has(id));
    return new Map([...new Map([...learned, ...told, ...nodes])].toSorted(([a], [b]) => a - b));
  }

  /** What another node says of where nodes are. */
  learn(nodes: ReadonlyMap<number, NodeAddress>): void {
    this.#learned = new Map(nodes);
    this.refresh();
  }

  /** What the metaserver says of where nodes are. Of those that the book has, an operator has the say. */
  tell(nodes: ReadonlyMap<number, NodeAddress>): void {
    this.#told = new Map([...nodes].filter(([, { address, peerAddress }]) => address !== '' && peerAddress !== ''));
    this.refresh();
  }

  /** No connections any more, and none that come. Clients are told what was so in the end. */
  end(): void {
    this.#ended = true;
    for (const id of this.#peers) this.#parts.links?.removePeer(id);
    this.#peers = new Set();
  }

  refresh(): void {
    if (this.#ended) return;
    const { node: own, links, onNodes, onRemoved } = this.#parts;
    const replica = this.#parts.replica();
    const { nodes } = this;
    onNodes?.(nodes);
    const peers = new Map([...nodes].filter(([id, { peerAddress }]) => id !== own && peerAddress !== ''));
    for (const id of this.#peers) if (!peers.has(id)) links?.removePeer(id);
    for (const [id, { peerAddress }] of peers) links?.addPeer(id, peerAddress);
    this.#peers = new Set(peers.keys());

    const { members } = replica;
    this.#addresses.clear();
    for (const [id, { address }] of nodes) if (address !== '' && members.includes(id)) this.#addresses.set(id, address);

    if (this.#removed || !replica.book.removed.has(own)) return;
    this.#removed = true;
    onRemoved();
  }
}
