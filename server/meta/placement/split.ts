/**
 * Shards that are too large, or have more traffic than one should have, are split: the largest first. A split moves no data; where the halves are better
 * off elsewhere, balance moves them after. Pure. Called by plan.ts, manual.ts.
 */
import { DEFAULT_TABLE, SYSTEM_TABLE } from '../../shard/descriptor.ts';
import type { Step } from '../operator.ts';
import { bytesOf, type Shard, trafficOf } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import type { Round } from './round.ts';
import { wantedReplicas } from './rules.ts';
import { bytesText, durationText, rateText } from './words.ts';

/** After a split its halves' figures are not known yet. */
const SETTLE_MS = 60_000;
const HASH_BITS_MAX = 32;

export function split(round: Round): void {
  const { policy } = round.state;
  const large = (shard: Shard): string => {
    const bound = bytesOf(shard) > policy.splitBytesMax ? policy.splitBytesMax : policy.splitBytes;
    return `it has ${bytesText(bytesOf(shard))}, beyond ${bytesText(bound)}`;
  };
  const hot = (shard: Shard): string => `it has ${rateText(trafficOf(shard))} reads and writes, beyond ${rateText(policy.splitTraffic)}`;
  for (const [size, why, amount] of [['large', large, bytesOf] as const, ['hot', hot, trafficOf] as const]) {
    if (round.splitsLeft <= 0) return;
    const shards = [...round.state.sized(size)]
      .filter((shard) => !isBetterWhole(round.state, shard) && canSplit(round, shard) === undefined)
      .sort((a, b) => amount(b) - amount(a) || a.id - b.id);
    for (const shard of shards) {
      if (round.splitsLeft <= 0) return;
      round.looked++;
      round.propose(shard, 'split', why(shard), splitSteps(shard, undefined));
    }
  }
}

/**
 * Clients that know no shards use table `default`, and once it is several their calls are passed on by the node that they ask. While all nodes have all of it that
 * would cost them more than it gives anybody: nothing can go elsewhere.
 */
function isBetterWhole(state: ClusterState, { record }: Shard): boolean {
  const table = state.tables.get(record.table);
  return table?.id === DEFAULT_TABLE && state.nodesFor(table).length <= wantedReplicas(table);
}

/** The child gets its id when this begins. `key`: where; undefined: in the middle. */
export function splitSteps(shard: Shard, key: Uint8Array | undefined): Step[] {
  return [{ shard: shard.id, type: 'split', child: 0, epoch: shard.record.descriptor.epoch, key }];
}

/** Why not now, if so. */
export function canSplit(round: Round, shard: Shard): string | undefined {
  const { state, nowMs } = round;
  const { record } = shard;
  const never = undivided(state, shard);
  if (never !== undefined) return never;
  if (!round.isFree(shard)) return 'another operator is at work on it';
  if (shard.leader === 0) return 'nobody leads it';
  if (record.descriptor.state !== 'normal') return `it is ${record.descriptor.state}`;
  if (shard.ailment === 'endangered' || shard.ailment === 'lost') return `it is ${shard.ailment}: its members come first`;
  if (record.splitAtMs > 0 && nowMs - record.splitAtMs < SETTLE_MS) return `it was split ${durationText(nowMs - record.splitAtMs)} ago`;
  return undefined;
}

/** As `canSplit`, of what does not pass by itself. */
export function undivided(state: ClusterState, { record }: Shard): string | undefined {
  const table = state.tables.get(record.table);
  if (table === undefined || table.id === SYSTEM_TABLE || table.droppedAtMs > 0) return 'its table is not split';
  if (record.descriptor.keys.kind === 'hash' && record.descriptor.keys.bits >= HASH_BITS_MAX) return 'all bits of the hash are used';
  const count = state.shardsOf(table.id).length;
  return count >= state.policy.shardsPerTableMax
    ? `its table has ${count} shards, which is the most that the policy lets it have`
    : undefined;
}
