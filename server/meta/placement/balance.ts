/**
 * Replicas from nodes that have much to nodes that have little. Dimensions in order of priority, each only as far as those before it bear it:
 *
 *   full      a disk beyond its high mark, until it is below the low one
 *   busy      cores or disk beyond theirs, when moving leads (leads.ts) did not do: the busiest replicas
 *   traffic   more than its share by the tolerance
 *   bytes     the same
 *   replicas  the same: an idle shard costs something, too
 *
 * Begun when somebody is beyond its share by the tolerance, or below it; a move has to bring the two nodes nearer to each other, and may put neither beyond
 * or below its share of what counts for more. So a cluster within its tolerance is left alone, moves end, and none is undone by the next.
 *
 * Shares are those of a zone, since where there are as many zones as replicas nothing can leave one; between zones only where the rules leave a choice. What
 * counts for more is measured by every share by which it is evened: a node may have its share of the pool's traffic, and too much of its zone's.
 *
 * Pure. Called by plan.ts.
 */
import { SYSTEM_TABLE } from '../../shard/descriptor.ts';
import { bytesOf, type ReplicaRecord, replicaOn, type Shard } from '../shard.ts';
import { successorOf } from './progress.ts';
import { diskAfter, type Dimension, fairOf, inTurn, levelOf, type Pool, type Round, type Seat } from './round.ts';
import { wantedReplicas } from './rules.ts';
import { enoughOf, isBelow, isBeyond, readsOf, sparesTraffic, staysEven, staysIdle, writesOf } from './shares.ts';
import { stepsToMove } from './steps.ts';
import { targetFor, type Wish } from './targets.ts';
import { bytesText, nodeText, partText, rateText } from './words.ts';

/** Of the nodes of a zone that have too much so many are looked at in a round; of the shards of each so many. */
const SOURCES_MAX = 24;
const TRIES_MAX = 8;

type Evenable = Exclude<Dimension, 'leads'>;

export function balance(round: Round): void {
  for (const pool of round.pools()) {
    emptyFullDisks(round, pool);
    relieveBusy(round, pool);
    // Whoever comes first may leave nothing for the others: they take turns.
    const free = isFree(round, pool);
    const groups = inTurn([...pool.zones(), ...(free ? [pool] : [])], round.nowMs);
    const judges = (seat: Seat): readonly Pool[] => (free ? [pool.zoneOf(seat), pool] : [pool.zoneOf(seat)]);
    for (const dimension of ['traffic', 'bytes', 'replicas'] as const) {
      for (const group of groups) even(round, { pool, group, judges }, dimension);
    }
  }
}

interface Evened {
  readonly pool: Pool;
  /** Among whom. */
  readonly group: Pool;
  /** All groups by whose shares a seat is evened: one must not bring what another takes back. */
  judges(seat: Seat): readonly Pool[];
}

/** Whether the rules leave a choice of zones for some table. */
function isFree({ state }: Round, pool: Pool): boolean {
  const zones = pool.zones().length;
  if (zones < 2) return false;
  for (const table of state.tables.values()) if (state.nodesFor(table) === pool.nodes && wantedReplicas(table) % zones !== 0) return true;
  return false;
}

function emptyFullDisks(round: Round, pool: Pool): void {
  const { diskHigh, diskLow } = round.state.policy;
  for (const seat of pool.seats) {
    if (!seat.node.over.disk || diskAfter(seat) <= diskLow || !mayGive(round, seat)) continue;
    const why = `the disk of ${nodeText(seat.node)} is ${partText(diskAfter(seat))} full, beyond ${partText(diskHigh)}`;
    const shards = movable(round, seat).sort((a, b) => bytesOf(b) - bytesOf(a) || a.id - b.id);
    move(round, pool, {
      seat,
      shards,
      why,
      to: pool.seats,
      accepts: (other, shard) => diskAfter(other, bytesOf(shard)) < diskAfter(seat, -bytesOf(shard)),
      done: () => diskAfter(seat) <= diskLow,
    });
  }
}

function relieveBusy(round: Round, pool: Pool): void {
  for (const seat of pool.seats) {
    const { over, load } = seat.node;
    // What it leads goes first, and what remains of its traffic is told by the next report.
    if (!seat.welcoming || (!over.cpu && !over.io) || load === undefined || seat.leadsMoved > 0 || !mayGive(round, seat)) continue;
    const busy = over.cpu
      ? `the cores of ${nodeText(seat.node)} are ${partText(load.cpu)} busy`
      : `the disk of ${nodeText(seat.node)} is ${partText(load.io)} busy`;
    const shards = movable(round, seat)
      .filter((shard) => writesOf(shard) > 0 && shard.plannedLeader !== seat.id)
      .sort((a, b) => writesOf(b) - writesOf(a) || a.id - b.id);
    const enough = enoughOf(seat);
    if (seat.traffic <= enough) continue;
    move(round, pool, {
      seat,
      shards,
      why: busy,
      to: pool.seats,
      accepts: (other, shard) => staysIdle(round, seat, other, writesOf(shard)),
      done: () => seat.traffic <= enough,
    });
  }
}

function even(round: Round, evened: Evened, dimension: Evenable): void {
  const { pool, group } = evened;
  const { tolerance } = round.state.policy;
  const beyond = (seat: Seat): boolean => isBeyond(round, group, seat, dimension, seat[dimension]);
  const below = (seat: Seat): boolean => seat.welcoming && !seat.node.over.slow && isBelow(round, group, seat, dimension, seat[dimension]);
  const { copiesIntoNodeMax } = round.state.policy;
  if (round.balanceCopiesLeft <= 0 || round.isSpent || !group.seats.some((seat) => seat.welcoming && seat.arriving < copiesIntoNodeMax))
    return;
  const members = group.seats.filter(({ welcoming }) => welcoming);
  round.looked += members.length;
  const high = members.filter(beyond);
  // Nobody has too much, and somebody has too little: then whoever has more than its share gives.
  const lows = high.length > 0 ? [] : members.filter(below);
  const sources = high.length > 0 ? high : lows.length > 0 ? members.filter((seat) => levelOf(group, seat, dimension) > 1) : [];
  const able = sources
    .filter((seat) => mayGive(round, seat))
    .sort((a, b) => levelOf(group, b, dimension) - levelOf(group, a, dimension) || a.id - b.id);
  const wanted = new Set(lows);
  for (const seat of inTurn(able, round.nowMs, SOURCES_MAX)) {
    if (round.balanceCopiesLeft <= 0 || round.isSpent) return;
    const fair = fairOf(group, seat, dimension);
    const why = `${nodeText(seat.node)} has ${amountText(dimension, seat[dimension])}, and its share is ${amountText(dimension, fair)}`;
    const accepts = (other: Seat, shard: Shard): boolean => {
      const amount = amountOf(dimension, shard);
      if (lows.length > 0 && !wanted.has(other)) return false;
      if (levelOf(group, other, dimension, amount) > levelOf(group, seat, dimension, -amount)) return false;
      return bears(round, evened, dimension, { from: seat, to: other, shard });
    };
    const groups = evened.judges(seat);
    const done = (): boolean => seat[dimension] <= fair * (high.length > 0 ? 1 + tolerance / 2 : 1);
    move(round, pool, {
      seat,
      shards: inOrder(round, group, dimension, seat),
      why,
      to: group.seats,
      spares: (shard) => spares(round, groups, dimension, seat, shard),
      accepts,
      done,
    });
  }
}

/** Whether who gets a shard is neither busy with it nor beyond its share of what counts for more: the next round would take it back. */
function bears(
  round: Round,
  { pool, judges }: Evened,
  dimension: Evenable,
  { from, to, shard }: { readonly from: Seat; readonly to: Seat; readonly shard: Shard },
): boolean {
  if (!staysIdle(round, from, to, writesOf(shard))) return false;
  if (dimension !== 'traffic' && !staysEven(round, pool, to, writesOf(shard))) return false;
  if (dimension !== 'replicas') return true;
  return !judges(to).some((group) => isBeyond(round, group, to, 'bytes', to.bytes + bytesOf(shard)));
}

/**
 * Whether who gives it is not below its share of what counts for more, by any of these groups: the next round would bring it another one. Where it leads, it
 * loses the reads, too.
 */
function spares(round: Round, groups: readonly Pool[], dimension: Evenable, from: Seat, shard: Shard): boolean {
  if (dimension === 'traffic') return true;
  if (!sparesTraffic(round, groups, from, writesOf(shard) + (shard.plannedLeader === from.id ? readsOf(shard) : 0))) return false;
  const bytes = dimension === 'replicas' ? bytesOf(shard) : 0;
  return bytes === 0 || !groups.some((group) => isBelow(round, group, from, 'bytes', from.bytes - bytes));
}

/** Those whose going helps most without making too little of too much; for the count of replicas those that carry least. */
function inOrder(round: Round, group: Pool, dimension: Evenable, seat: Seat): Shard[] {
  const shards = movable(round, seat);
  if (dimension === 'replicas') return shards.sort((a, b) => bytesOf(a) - bytesOf(b) || a.id - b.id);
  const { tolerance } = round.state.policy;
  const spare = seat[dimension] - fairOf(group, seat, dimension) * (1 - tolerance / 2);
  return (
    shards
      .filter((shard) => amountOf(dimension, shard) > 0 && amountOf(dimension, shard) <= spare)
      // Where a leader's replica goes its reads go to another member: that is for leads.ts to weigh.
      .filter((shard) => dimension !== 'traffic' || shard.plannedLeader !== seat.id)
      .sort((a, b) => amountOf(dimension, b) - amountOf(dimension, a) || a.id - b.id)
  );
}

/** Whether another replica may leave it now. */
function mayGive({ state: { policy } }: Round, { departing }: Seat): boolean {
  return departing < policy.copiesOutOfNodeMax;
}

interface Giving {
  readonly seat: Seat;
  /** In the order in which they are tried. */
  readonly shards: readonly Shard[];
  readonly why: string;
  readonly to: readonly Seat[];
  /** Whether it may give this one; no try if not. */
  spares?(shard: Shard): boolean;
  accepts(other: Seat, shard: Shard): boolean;
  /** It has given enough. */
  done(): boolean;
}

function move(round: Round, pool: Pool, { seat, shards, why, to, spares: isSpare, accepts, done }: Giving): void {
  const { state } = round;
  let tries = TRIES_MAX;
  for (const shard of shards) {
    if (isSpare?.(shard) === false) continue;
    if (tries-- <= 0 || done() || round.balanceCopiesLeft <= 0 || round.isSpent || !mayGive(round, seat)) return;
    const from = replicaOn(shard, seat.id)!;
    const table = state.tables.get(shard.record.table)!;
    const staying = shard.record.replicas.filter((replica) => replica !== from);
    round.looked++;
    const wish: Wish = { table, shard, staying, kind: 'balance', data: from.data, seats: to, accepts: (other) => accepts(other, shard) };
    const target = targetFor(round, wish);
    if (typeof target === 'string') continue;
    const reason = `${why}; ${nodeText(target.node)} has ${partText(levelOf(pool, target, 'bytes'))} of its fair bytes and ${partText(levelOf(pool, target, 'replicas'))} of its replicas, and gets ${bytesText(bytesOf(shard))}`;
    round.propose(shard, 'balance', reason, stepsToMove(shard, from, target.id, successorOf(state, shard, seat.id, 0)));
  }
}

/** Replicas of a node that may be moved for balance: nothing else is to be done about their shards. */
function movable(round: Round, seat: Seat): Shard[] {
  round.looked += seat.node.shards.size;
  return [...seat.node.shards].filter((shard) => {
    if (!round.isFree(shard) || shard.ailment !== undefined || shard.leader === 0 || shard.load === undefined) return false;
    if (shard.record.table === SYSTEM_TABLE) return false;
    const { byHand, joint, descriptor } = shard.record;
    const replica: ReplicaRecord | undefined = replicaOn(shard, seat.id);
    return (
      !byHand &&
      !joint &&
      descriptor.state === 'normal' &&
      replica?.data === true &&
      round.state.tables.get(shard.record.table)?.droppedAtMs === 0
    );
  });
}

function amountOf(dimension: Evenable, shard: Shard): number {
  if (dimension === 'replicas') return 1;
  return dimension === 'bytes' ? bytesOf(shard) : writesOf(shard);
}

function amountText(dimension: Evenable, amount: number): string {
  if (dimension === 'replicas') return `${Math.round(amount * 10) / 10} replicas`;
  return dimension === 'bytes' ? `${bytesText(amount)} of replicas` : `${rateText(amount)} reads and writes`;
}
