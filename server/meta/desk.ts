/**
 * The leader's end of the streams of all nodes that attend: who is there, what each is told, and where all nodes are.
 *
 * A node has one stream; when it comes by another one, the older is ended. Something is said over each at least every `ALIVE_MS`, so that a node notices a
 * leader that is gone. Shares of quotas are told when they change, and not before all nodes have reported in this lead: until then demands and bytes of tables are
 * not known, and what the last leader told holds. Where nodes are is told to each that comes, and to all when it changes, once in a round. Called by lead.ts.
 */
import type { NodePlace, NodeStream, TableDemand, TableShare, ToNode } from './attending.ts';
import { unheard } from './placement/index.ts';
import { quotaShares } from './quota-shares.ts';
import type { ClusterState } from './state.ts';

const ALIVE_MS = 2000;
/** A node that was told nothing has nothing to keep to; of an earlier leader it may have. */
const NO_SHARES = '';

interface Seat {
  readonly stream: NodeStream;
  saidMs: number;
  /** Of the list of nodes that it was told. */
  places: number;
  /** What it was asked for last, of tables with quotas; and which shares of those it was told. */
  demands: readonly TableDemand[];
  shares: string;
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

  /** Whether `stream` is the node's. */
  isOf(node: number, stream: NodeStream): boolean {
    return this.#seats.get(node)?.stream === stream;
  }

  /** From now on `stream` is the node's. */
  take(node: number, stream: NodeStream, state: ClusterState): void {
    const before = this.#seats.get(node);
    if (before !== undefined && before.stream !== stream) before.stream.end();
    this.#seats.set(node, { stream, saidMs: 0, places: 0, demands: [], shares: NO_SHARES });
    this.#welcome(node);
    this.#refresh(state);
    this.#tellPlaces(node);
  }

  /** The node has reported. */
  heard(node: number, demands: readonly TableDemand[]): void {
    const seat = this.#seats.get(node);
    if (seat !== undefined) seat.demands = demands;
  }

  /** Whether it was the one that counts. */
  leave(node: number, stream: NodeStream): boolean {
    return this.isOf(node, stream) && this.#seats.delete(node);
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
    const isSettled = unheard(state, nowMs) === undefined;
    const shares = quotaShares(state, new Map([...this.#seats].map(([node, { demands }]) => [node, demands])));
    for (const [node, seat] of this.#seats) {
      this.#tellPlaces(node);
      if (isSettled) this.#tellShares(node, seat, shares.get(node) ?? []);
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

  #tellShares(node: number, seat: Seat, shares: readonly TableShare[]): void {
    const text = JSON.stringify(shares);
    if (text === seat.shares) return;
    seat.shares = text;
    this.say(node, { type: 'quotas', shares });
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
