/**
 * Small neighbours become one shard: two ranges that meet, or the two halves of a hash shard.
 *
 * Both are small in bytes and keys, healthy, have been neither made nor split for `mergeGuardMs`, and are together far from being split again. What the table
 * was asked to be divided into stays divided: split keys that were given are never merged over, and a hash has as many shards as were asked for. Shard 1 is not merged away.
 *
 * What the smaller one has is copied. Versions of keys come from the log's index, and must not come back: where the target's log is the shorter one when the source
 * is sealed, it is made longer by entries of nothing. Where it would lack too many (told from how long both are, and how much they are written) the other one is
 * the target. One node has to lead
 * both while keys are copied; where no node has both, a replica of the source is moved first, which costs little: it is small.
 *
 * Pure. Called by plan.ts, manual.ts.
 */
import { FIRST_SHARD, SYSTEM_TABLE, unionOf } from '../../shard/descriptor.ts';
import { LENGTHENED_MAX } from '../orders.ts';
import { follows, placeOf } from '../shard-order.ts';
import type { Step } from '../operator.ts';
import { bytesOf, mayLead, replicaOn, type Shard, trafficOf } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import type { TableRecord } from '../table.ts';
import { successorOf } from './progress.ts';
import type { Round } from './round.ts';
import { inZone, wantedReplicas, zoneShare } from './rules.ts';
import { stepsToMove } from './steps.ts';
import { bytesText, durationText, rateText } from './words.ts';

/** Of those that could be merged so many are looked at in a round, others in the next. */
const LOOKED_MAX = 4096;
/** From the decision to the seal, mostly. */
const SEALED_AFTER_S = 10;

export function merge(round: Round): void {
  const small = round.state.sized('small');
  if (round.mergesLeft <= 0 || small.size === 0) return;
  // Most wait for their guard; in turn, so that those at the front do not keep the others from being seen.
  let skip = small.size <= LOOKED_MAX ? 0 : (Math.floor(round.nowMs / 1000) * LOOKED_MAX) % small.size;
  let left = LOOKED_MAX;
  for (const shard of small) {
    if (skip-- > 0) continue;
    if (left-- <= 0 || round.mergesLeft <= 0) return;
    round.looked++;
    if (!isRipe(round, shard)) continue;
    const other = neighboursOf(round.state, shard).find(
      (neighbour) => neighbour.size === 'small' && isRipe(round, neighbour) && mayMeet(round, shard, neighbour) === undefined,
    );
    if (other === undefined) continue;
    const { target, source } = directed(shard, other);
    proposeMerge(round, target, source, undefined);
  }
}

/** Throws nothing; proposes nothing when they cannot be brought together now: the reason why, then. */
export function proposeMerge(round: Round, target: Shard, source: Shard, asked: string | undefined): string | undefined {
  const together = broughtTogether(round, target, source);
  if (typeof together === 'string') return together;
  const lacking = expectedIndex(source) - expectedIndex(target);
  if (lacking > LENGTHENED_MAX)
    return `the log of shard ${source.id} will be longer than that of shard ${target.id} by about ${lacking} entries, and ${LENGTHENED_MAX} can be made up for`;
  const { id: shard } = target;
  const epoch = Math.max(target.record.descriptor.epoch, source.record.descriptor.epoch) + 1;
  const steps: Step[] = [
    ...together,
    { shard, type: 'seal', source: source.id },
    { shard, type: 'import', source: source.id },
    { shard, type: 'retire', source: source.id },
    { shard, type: 'commit-merge', source: source.id, epoch },
    { shard: source.id, type: 'destroy-shard' },
  ];
  const { mergeBytes, mergeGuardMs } = round.state.policy;
  const reason = `it has ${bytesText(bytesOf(target))} and its neighbour ${source.id} ${bytesText(bytesOf(source))}, both below ${bytesText(mergeBytes)} for ${durationText(mergeGuardMs)}`;
  round.propose(target, 'merge', asked ?? reason, steps, source.id);
  return undefined;
}

/** Which one keeps its id. */
export function directed(a: Shard, b: Shard): { readonly target: Shard; readonly source: Shard } {
  if (a.id === FIRST_SHARD || b.id === FIRST_SHARD) return a.id === FIRST_SHARD ? { target: a, source: b } : { target: b, source: a };
  const aIsLarger = bytesOf(a) === bytesOf(b) ? a.id < b.id : bytesOf(a) > bytesOf(b);
  const [large, small] = aIsLarger ? [a, b] : [b, a];
  const lacking = expectedIndex(small) - expectedIndex(large);
  return lacking <= LENGTHENED_MAX / 10 ? { target: large, source: small } : { target: small, source: large };
}

/** Of its log's last entry, when the other one is about to be sealed. */
function expectedIndex({ lastIndex, load }: Shard): number {
  return lastIndex + Math.ceil(SEALED_AFTER_S * (load?.writesPerSecond ?? 0));
}

/** Whose keys meet the shard's, as far as they may be merged. */
export function neighboursOf(state: ClusterState, shard: Shard): Shard[] {
  const shards = state.shardsOf(shard.record.table);
  const at = placeOf(shards, shard);
  return [shards[at - 1], shards[at + 1]].filter((other) => other !== undefined && meet(shard, other)) as Shard[];
}

/** Why two neighbours are not merged, if so; whatever their size and age. */
export function mayMeet(round: Round, a: Shard, b: Shard): string | undefined {
  for (const shard of [a, b]) {
    if (!round.isFree(shard)) return `another operator is at work on shard ${shard.id}`;
    if (shard.leader === 0 || shard.load === undefined) return `nobody leads shard ${shard.id}`;
    if (shard.ailment !== undefined) return `shard ${shard.id} is ${shard.ailment}`;
    if (shard.record.descriptor.state !== 'normal') return `shard ${shard.id} is ${shard.record.descriptor.state}`;
    if (shard.record.byHand) return `the members of shard ${shard.id} were changed by hand`;
  }
  const traffic = trafficOf(a) + trafficOf(b);
  const most = round.state.policy.splitTraffic / 2;
  if (traffic > most)
    return `together they have ${rateText(traffic)} reads and writes, beyond ${rateText(most)}: they would soon be split again`;
  return keptApart(round, a, b);
}

/** As `mayMeet`, of what does not pass by itself. */
export function keptApart(round: Round, a: Shard, b: Shard): string | undefined {
  const table = round.state.tables.get(a.record.table);
  if (table === undefined || table.id === SYSTEM_TABLE || table.droppedAtMs > 0) return 'their table is not merged';
  if (wasAskedFor(table, a, b)) return `table ${table.name} was asked to be divided here`;
  const bytes = bytesOf(a) + bytesOf(b);
  const most = round.state.policy.splitBytes / 2;
  return bytes > most ? `together they have ${bytesText(bytes)}, beyond ${bytesText(most)}: they would soon be split again` : undefined;
}

function isRipe({ state: { policy }, nowMs }: Round, { record }: Shard): boolean {
  return nowMs - Math.max(record.createdAtMs, record.splitAtMs) >= policy.mergeGuardMs;
}

function meet(a: Shard, b: Shard): boolean {
  return unionOf(a.record.descriptor.keys, b.record.descriptor.keys) !== undefined;
}

function wasAskedFor({ partitioning }: TableRecord, a: Shard, b: Shard): boolean {
  const [x, y] = [a.record.descriptor.keys, b.record.descriptor.keys];
  if (partitioning.kind === 'hash') return x.kind === 'hash' && 2 ** x.bits <= partitioning.shards;
  if (x.kind === 'hash' || y.kind === 'hash') return true;
  const border = follows(x, y) ? y.start : x.start;
  return partitioning.splitKeys.some((key) => Buffer.compare(key, border) === 0);
}

/** The steps after which one node leads both, or why there are none. */
function broughtTogether(round: Round, target: Shard, source: Shard): readonly Step[] | string {
  const { state } = round;
  const up = (node: number): boolean => state.nodes.get(node)?.record.health === 'up';
  const canLead = (shard: Shard, node: number): boolean => {
    const replica = replicaOn(shard, node);
    return replica !== undefined && mayLead(replica) && up(node);
  };
  const common = [target.leader, source.leader, ...target.record.replicas.map(({ node }) => node)].find(
    (node) => canLead(target, node) && canLead(source, node),
  );
  const leads = (at: number): Step[] => [
    { shard: target.id, type: 'transfer', from: 0, to: at },
    { shard: source.id, type: 'transfer', from: 0, to: at },
  ];
  if (common !== undefined) return leads(common);
  const to = target.leader;
  const { table, replicas } = { table: state.tables.get(source.record.table)!, replicas: source.record.replicas };
  if (!up(to) || source.hosts.has(to)) return `node ${to}, which leads shard ${target.id}, cannot take a replica of shard ${source.id} in`;
  const zone = state.nodes.get(to)!.record.zone;
  const share = zoneShare(wantedReplicas(table), state.zonesFor(table));
  const goes = replicas
    .filter((replica) => mayLead(replica))
    .find(
      ({ node }) =>
        inZone(
          state,
          replicas.filter((replica) => replica.node !== node),
          zone,
        ) < share,
    );
  if (goes === undefined) return `no replica of shard ${source.id} can move to node ${to} by the rules of zones`;
  return [...stepsToMove(source, goes, to, successorOf(state, source, goes.node, 0)), ...leads(to)];
}
