/**
 * One round of decisions: what is proposed so far, what room is left, and how nodes would stand after all of it.
 *
 *   seat    a node in this round: its planned figures, with what this round adds
 *   level   of a seat in a dimension: its part of the pool's amount over its part of the pool's capacity; 1 is its fair share
 *
 * Data and replicas are shared out by disks, leads and traffic by cores. A round costs a pass over the nodes; shards are looked at one by one only where
 * indices name them (state.ts). Pure; a round is used once.
 */
import { SYSTEM_TABLE } from '../../shard/descriptor.ts';
import { diskPart } from '../load.ts';
import { isWelcoming, type Node } from '../node.ts';
import type { OperatorKind, OperatorRecord, Step } from '../operator.ts';
import { bytesOf, type Shard } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import type { TableRecord } from '../table.ts';
import { nodesTouched } from './planned.ts';

/** What should be begun. */
export interface Proposal {
  readonly shard: number;
  readonly other: number | undefined;
  readonly kind: OperatorKind;
  readonly reason: string;
  readonly steps: readonly Step[];
}

/** What would be, were there not something in its way. */
export interface Blocked {
  readonly shard: number;
  readonly reason: string;
}

export type Dimension = 'bytes' | 'replicas' | 'leads' | 'traffic';
export const DIMENSIONS: readonly Dimension[] = ['bytes', 'replicas', 'leads', 'traffic'];

export interface Seat {
  readonly node: Node;
  readonly id: number;
  readonly welcoming: boolean;
  arriving: number;
  departing: number;
  /** Leads that it gets or gives away in this round. */
  leadsMoved: number;
  bytes: number;
  replicas: number;
  leads: number;
  traffic: number;
}

/** The nodes that share the tables of a pool, or those of one zone of it. */
export interface Pool {
  readonly nodes: readonly Node[];
  readonly seats: readonly Seat[];
  readonly byId: ReadonlyMap<number, Seat>;
  /** Of those that are welcome: amount over capacity, when the round began. Moves between them do not change it. */
  readonly fair: Readonly<Record<Dimension, number>>;
  /** Its zones, as pools of the same seats. */
  zones(): readonly Pool[];
  /** The one of a seat. */
  zoneOf(seat: Seat): Pool;
}

export class Round {
  readonly state: ClusterState;
  readonly nowMs: number;
  readonly proposals: Proposal[] = [];
  readonly blocked: Blocked[] = [];
  /** Shards and seats that were looked at: what the round costs, whatever the machine. */
  looked = 0;

  #lookedMax = Infinity;
  #copies: number;
  #balanceCopies: number;
  #transfers: number;
  #splits: number;
  #merges: number;
  readonly #taken: Set<number> = new Set();
  readonly #pools: Map<readonly Node[], Pool> = new Map();
  /** A node has one, whatever pools it is in. */
  readonly #seats: Map<Node, Seat> = new Map();

  constructor(state: ClusterState, nowMs: number) {
    const { policy } = state;
    this.state = state;
    this.nowMs = nowMs;
    this.#copies = policy.copiesMax;
    this.#balanceCopies = policy.balanceCopiesMax;
    this.#transfers = policy.transfersMax;
    this.#splits = policy.splitsMax;
    this.#merges = policy.mergesMax;
    for (const operator of state.running.values()) this.#spend(operator);
  }

  /** What comes next may look at so much; the rest is for the next round, which is in a second. */
  allow(looks: number): void {
    this.#lookedMax = this.looked + looks;
  }

  get isSpent(): boolean {
    return this.looked >= this.#lookedMax;
  }

  get copiesLeft(): number {
    return this.#copies;
  }

  get balanceCopiesLeft(): number {
    return Math.min(this.#copies, this.#balanceCopies);
  }

  get transfersLeft(): number {
    return this.#transfers;
  }

  get splitsLeft(): number {
    return this.#splits;
  }

  get mergesLeft(): number {
    return this.#merges;
  }

  /** Whether nobody works on it, nor is about to. */
  isFree(shard: Shard): boolean {
    return shard.operator === undefined && !this.#taken.has(shard.id);
  }

  poolOf(table: TableRecord): Pool {
    const nodes = this.state.nodesFor(table);
    const known = this.#pools.get(nodes);
    if (known !== undefined) return known;
    const pool = makePool(
      nodes,
      nodes.map((node) => this.#seatOf(node)),
    );
    this.looked += nodes.length;
    this.#pools.set(nodes, pool);
    return pool;
  }

  /** Of all tables that are there; the metaserver's own shard is where rules want it, and shares in nothing. */
  pools(): readonly Pool[] {
    const pools = new Set<Pool>();
    for (const table of this.state.tables.values()) if (table.id !== SYSTEM_TABLE) pools.add(this.poolOf(table));
    return [...pools];
  }

  propose(shard: Shard, kind: OperatorKind, reason: string, steps: readonly Step[], other?: number): void {
    const proposal = { shard: shard.id, other, kind, reason, steps };
    this.proposals.push(proposal);
    this.#taken.add(shard.id);
    if (other !== undefined) this.#taken.add(other);
    this.#spend(proposal);
    const table = this.state.tables.get(shard.record.table);
    if (table !== undefined) this.#seat(this.poolOf(table), shard, steps);
  }

  /** Of a shard without a record. */
  proposeGone(id: number, reason: string, steps: readonly Step[]): void {
    if (this.#taken.has(id)) return;
    this.#taken.add(id);
    this.proposals.push({ shard: id, other: undefined, kind: 'tidy', reason, steps });
  }

  block(shard: Shard, reason: string): void {
    if (this.blocked.length < BLOCKED_MAX) this.blocked.push({ shard: shard.id, reason });
  }

  #spend({ kind, steps, at = 0 }: Pick<OperatorRecord, 'kind' | 'steps'> & { readonly at?: number }): void {
    for (let i = at; i < steps.length; i++) {
      if (steps[i]!.type !== 'catch-up') continue;
      this.#copies--;
      if (kind === 'balance') this.#balanceCopies--;
    }
    if (kind === 'lead' || kind === 'transfer') this.#transfers--;
    if (kind === 'split') this.#splits--;
    if (kind === 'merge') this.#merges--;
  }

  #seatOf(node: Node): Seat {
    const seat = this.#seats.get(node) ?? seatOf(node);
    this.#seats.set(node, seat);
    return seat;
  }

  /** The figures of nodes as they are after these steps. */
  #seat({ byId }: Pool, shard: Shard, steps: readonly Step[]): void {
    const { arriving, departing } = nodesTouched({ at: 0, steps });
    for (const id of arriving) {
      const seat = byId.get(id);
      if (seat) seat.arriving++;
    }
    for (const id of departing) {
      const seat = byId.get(id);
      if (seat) seat.departing++;
    }
    for (const step of steps) {
      if (step.shard !== shard.id) continue;
      if (step.type === 'add-learner') addReplica(byId.get(step.node), shard, 1);
      if (step.type === 'remove') addReplica(byId.get(step.node), shard, -1);
      if (step.type === 'transfer' && (step.from === 0 || step.from === shard.plannedLeader)) {
        addLead(byId.get(shard.plannedLeader), shard, -1);
        addLead(byId.get(step.to), shard, 1);
      }
    }
  }
}

/** Of what is in the way of the rest, examples do. */
const BLOCKED_MAX = 100;

/** `max` of those, beginning with another one each second: where some cannot be helped now, the others get their turn all the same. */
export function inTurn<Each>(all: readonly Each[], nowMs: number, max: number = all.length): readonly Each[] {
  if (all.length === 0) return all;
  const seconds = Math.floor(nowMs / 1000);
  const first = all.length <= max ? seconds % all.length : (seconds * max) % all.length;
  return [...all.slice(first), ...all.slice(0, first)].slice(0, max);
}

/** Its part over its fair part; 1 where there is nothing to share. */
export function levelOf({ fair }: Pool, seat: Seat, dimension: Dimension, added = 0): number {
  const mean = fair[dimension];
  return mean === 0 ? 1 : (seat[dimension] + added) / weightOf(seat, dimension) / mean;
}

/** What its fair part would be. */
export function fairOf({ fair }: Pool, seat: Seat, dimension: Dimension): number {
  return fair[dimension] * weightOf(seat, dimension);
}

export function weightOf({ node }: Seat, dimension: Dimension): number {
  const { diskBytes, cores } = node.record.capacity;
  return (dimension === 'bytes' || dimension === 'replicas' ? diskBytes : cores) || 1;
}

/** The part of its disk that is in use when what is planned is done, and `added` bytes more. */
export function diskAfter({ node, bytes }: Seat, added = 0): number {
  const { diskBytes } = node.record.capacity;
  return diskBytes === 0 ? 0 : diskPart(node) + (bytes - node.memberBytes + added) / diskBytes;
}

function makePool(nodes: readonly Node[], seats: readonly Seat[]): Pool {
  const sums = { bytes: 0, replicas: 0, leads: 0, traffic: 0 };
  const weights = { bytes: 0, replicas: 0, leads: 0, traffic: 0 };
  for (const seat of seats) {
    if (!seat.welcoming) continue;
    for (const dimension of DIMENSIONS) {
      sums[dimension] += seat[dimension];
      weights[dimension] += weightOf(seat, dimension);
    }
  }
  const fair = { bytes: 0, replicas: 0, leads: 0, traffic: 0 };
  for (const dimension of DIMENSIONS) fair[dimension] = weights[dimension] === 0 ? 0 : sums[dimension] / weights[dimension];
  let known: ReadonlyMap<string, Pool> | undefined;
  const byZone = (): ReadonlyMap<string, Pool> => {
    known ??= new Map([...Map.groupBy(seats, ({ node }) => node.record.zone)].map(([zone, group]) => [zone, makePool(nodes, group)]));
    return known;
  };
  return {
    nodes,
    seats,
    byId: new Map(seats.map((seat) => [seat.id, seat])),
    fair,
    zones: () => [...byZone().values()],
    zoneOf: ({ node }) => byZone().get(node.record.zone)!,
  };
}

function seatOf(node: Node): Seat {
  const { record, arriving, departing, bytes, replicas, leads, traffic } = node;
  return { node, id: record.id, welcoming: isWelcoming(record), arriving, departing, leadsMoved: 0, bytes, replicas, leads, traffic };
}

function addReplica(seat: Seat | undefined, shard: Shard, sign: 1 | -1): void {
  if (seat === undefined) return;
  seat.replicas += sign;
  seat.bytes += sign * bytesOf(shard);
  seat.traffic += sign * (shard.load?.writesPerSecond ?? 0);
}

function addLead(seat: Seat | undefined, shard: Shard, sign: 1 | -1): void {
  if (seat === undefined) return;
  seat.leads += sign;
  seat.leadsMoved++;
  seat.traffic += sign * (shard.load?.readsPerSecond ?? 0);
}
