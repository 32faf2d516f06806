/**
 * Shards whose members people changed by hand, by `sparrowkv cluster add-learner`, `remove`, `recover` and the like: whoever did that knows why, and the
 * metaserver keeps away from them until they are released. Pure.
 *
 * It sees it by what a leader reports: members that changed while no operator was at work on the shard, nor had been given up lately. Called by lead.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { ShardRecord } from './shard.ts';
import type { Change, ClusterState, MetaWrite } from './state.ts';

/** One that was given up so lately may still have effects of an order that was under way. */
const AFTERMATH_MS = 10 * 60_000;

/** `writes` of a report (takeReport), with a mark on those. */
export function markHands(state: ClusterState, writes: readonly MetaWrite[], nowMs: number): readonly MetaWrite[] {
  return writes.map((write) => {
    if (write.kind !== 'shard' || write.record === undefined || write.record.byHand) return write;
    const shard = state.shards.get(write.id);
    if (shard === undefined || shard.record.asOfIndex === 0 || shard.operator !== undefined) return write;
    if (membersText(shard.record) === membersText(write.record) || wasWorkedOn(state, write.id, nowMs)) return write;
    return { ...write, record: { ...write.record, byHand: true } };
  });
}

/** The metaserver looks after it again. Throws `invalid/SHARD_UNKNOWN`. */
export function releaseShard(state: ClusterState, id: number): Change {
  const shard = state.shards.get(id);
  if (shard === undefined) throw new SparrowError('invalid', 'SHARD_UNKNOWN', `there is no shard ${id}`, { shard: id, applied: false });
  if (!shard.record.byHand) return { writes: [], result: undefined };
  const { counters } = state;
  return {
    writes: [
      { kind: 'shard', id, record: { ...shard.record, byHand: false } },
      { kind: 'counters', id: 0, record: { ...counters, version: counters.version + 1 } },
    ],
    result: undefined,
  };
}

function wasWorkedOn(state: ClusterState, id: number, nowMs: number): boolean {
  for (const { shard, other, state: how, stepAtMs } of state.operators.values())
    if (how !== 'done' && (shard === id || other === id) && nowMs - stepAtMs < AFTERMATH_MS) return true;
  return false;
}

function membersText({ replicas }: ShardRecord): string {
  return replicas.map(({ node, votes }) => `${node}${votes ? 'v' : ''}`).join();
}
