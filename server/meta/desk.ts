/**
 * The leader's end of the streams of all nodes that attend: who is there, what each is told, and where all nodes are.
 *
 * A node has one stream; when it comes by another one, the older is ended. Something is said over each at least every `ALIVE_MS`, so that a node notices a
 * leader that is gone. Where nodes are is told to each that comes, and to all when it changes, once in a round. Called by lead.ts.
 */
import type { NodePlace, NodeStream, ToNode } from './attending.ts';
import type { ClusterState } from './state.ts';

const ALIVE_MS = 2000;

interface Seat {
  readonly stream: NodeStream;
  saidMs: number;
  /** Of the list of nodes that it was told. */
  places: number;
}

export interface DeskParts {
  readonly term: number;
  readonly leader: number;
  readonly reportMs: number;
  readonly nowMs: () => number;
}

export class Desk {
  readonly #parts: DeskParts;
  readonly #seats: Map<number, Seat> = new Map();
  #places: { readonly version: number; readonly text: string; readonly message: ToNode } | undefined;

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  get attending(): number {
    return this.#seats.size;
  }

  has(node: number): boolean {
    return this.#seats.has(node);
  }

  /** From now on `stream` is the node's. */
  take(node: number, stream: NodeStream, state: ClusterState): void {
    const before = this.#seats.get(node);
    if (before !== undefined && before.stream !== stream) before.stream.end();
    this.#seats.set(node, { stream, saidMs: 0, places: 0 });
    this.#welcome(node);
    this.#refresh(state);
    this.#tellPlaces(node);
  }

  /** Whether it was the one that counts. */
  leave(node: number, stream: NodeStream): boolean {
    return this.#seats.get(node)?.stream === stream && this.#seats.delete(node);
  }

  /** False: the node is not there. */
  say(node: number, message: ToNode): boolean {
    const seat = this.#seats.get(node);
    if (seat === undefined) return false;
    seat.saidMs = this.#parts.nowMs();
    seat.stream.send(message);
    return true;
  }

  round(state: ClusterState): void {
    this.#refresh(state);
    const nowMs = this.#parts.nowMs();
    for (const [node, seat] of this.#seats) {
      this.#tellPlaces(node);
      if (nowMs - seat.saidMs >= ALIVE_MS) this.#welcome(node);
    }
  }

  /** The lead is over. */
  close(): void {
    for (const { stream } of this.#seats.values()) stream.end();
    this.#seats.clear();
  }

  #welcome(node: number): void {
    const { term, leader, reportMs } = this.#parts;
    this.say(node, { type: 'welcome', term, leader, reportMs });
  }

  #tellPlaces(node: number): void {
    const seat = this.#seats.get(node);
    if (seat === undefined || this.#places === undefined || seat.places === this.#places.version) return;
    seat.places = this.#places.version;
    this.say(node, this.#places.message);
  }

  #refresh(state: ClusterState): void {
    const nodes = placesOf(state);
    const removed = [...state.nodes.values()].filter(({ record }) => record.duty === 'decommissioned').map(({ record }) => record.id);
    const text = JSON.stringify([nodes, removed]);
    if (text === this.#places?.text) return;
    const version = (this.#places?.version ?? 0) + 1;
    this.#places = { version, text, message: { type: 'nodes', version, nodes, removed } };
  }
}

/** Of all nodes that are a part of the cluster. */
export function placesOf(state: ClusterState): NodePlace[] {
  return [...state.nodes.values()]
    .filter(({ record }) => record.duty !== 'decommissioned')
    .map(({ record: { id, address, peerAddress, zone, pool, role } }) => ({ node: id, address, peerAddress, zone, pool, role }));
}
