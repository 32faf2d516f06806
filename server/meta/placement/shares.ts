/**
 * What a node may take over, or give away, without something that counts for more being undone by a next move: so moves end. Traffic is measured against its share, of the
 * pool, by which leads are moved, and of its zone, by which replicas are: the two differ where zones have unequal cores or traffic.
 *
 *   beyond, below   more or less than its share by the tolerance, and by so much that it is worth a move
 *   idle            below the marks of cores and disk, with what is about to come
 *
 * Pure. Used by leads.ts, balance.ts.
 */
import type { Node } from '../node.ts';
import type { Shard } from '../shard.ts';
import { type Dimension, fairOf, type Pool, type Round, type Seat } from './round.ts';

/** Whether a node that has so much has more than its share, and by so much that it gives some away. */
export function isBeyond(round: Round, group: Pool, seat: Seat, dimension: Dimension, amount: number): boolean {
  const fair = fairOf(group, seat, dimension);
  return amount > fair * (1 + round.state.policy.tolerance) && amount - fair >= leastOf(round, dimension);
}

/** Whether a node that has so much has less than its share, and by so much that it gets some. */
export function isBelow(round: Round, group: Pool, seat: Seat, dimension: Dimension, amount: number): boolean {
  const fair = fairOf(group, seat, dimension);
  return amount < fair * (1 - round.state.policy.tolerance) && fair - amount >= leastOf(round, dimension);
}

/** Whether a node with so much more traffic is not beyond its share. */
export function staysEven(round: Round, pool: Pool, seat: Seat, added: number): boolean {
  return ![pool, pool.zoneOf(seat)].some((group) => isBeyond(round, group, seat, 'traffic', seat.traffic + added));
}

/** Whether a node with so much less traffic is not below its share, by any of these groups. */
export function sparesTraffic(round: Round, groups: readonly Pool[], seat: Seat, taken: number): boolean {
  return taken === 0 || !groups.some((group) => isBelow(round, group, seat, 'traffic', seat.traffic - taken));
}

/**
 * Whether a node stays below its high marks when it takes so much traffic over from another: as much of its cores and disk as that takes there, for all that is
 * known. What it reports is the mean of a while, and of what it carried then (node.ts); what has come or been decided since is added. A shard that fills a node by itself fills every other one, too, and is
 * left where it is.
 */
export function staysIdle({ state: { policy } }: Round, from: Seat, to: Seat, rate: number): boolean {
  const [gives, takes] = [from.node.load, to.node.load];
  if (gives === undefined || takes === undefined || isBusy(to)) return false;
  const part = from.node.carried === 0 ? 0 : rate / from.node.carried;
  const cores = coresOf(from.node) / coresOf(to.node);
  const { carried } = to.node;
  const coming = carried === 0 ? 0 : Math.max(0, to.traffic - carried) / carried;
  const cpu = takes.cpu * (1 + coming) + gives.cpu * part * cores;
  const io = takes.io * (1 + coming) + gives.io * part;
  return cpu < policy.cpuHigh && io < policy.ioHigh;
}

export function isBusy({ node: { over } }: Seat): boolean {
  return over.cpu || over.io;
}

/** Of its leader alone, each second. */
export function readsOf({ load }: Shard): number {
  return load?.readsPerSecond ?? 0;
}

export function writesOf({ load }: Shard): number {
  return load?.writesPerSecond ?? 0;
}

/**
 * What a busy node is to be left with at least: a quarter less than what it is busy with, as it reports. That is a mean, so what was taken away before shows over some seconds, and more
 * is taken away then.
 */
export function enoughOf({ node }: Seat): number {
  return 0.75 * node.carried;
}

function coresOf({ record }: Node): number {
  return record.capacity.cores || 1;
}

function leastOf({ state: { policy } }: Round, dimension: Dimension): number {
  switch (dimension) {
    case 'bytes':
      return policy.balanceBytesMin;
    case 'traffic':
      return policy.balanceTrafficMin;
    case 'replicas':
    case 'leads':
      return policy.balanceReplicasMin;
  }
}
