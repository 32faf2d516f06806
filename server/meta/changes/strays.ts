/**
 * Shards are taken in that nobody leads: split off at so few members that none can be elected before another one has a replica. Their leader is not there to say that there is one (reports.ts);
 * a replica that follows nobody knows the same, keys and members as of what it has applied. That is enough where it is certain that nobody else has the keys (lineage.ts). Then the shard is one
 * like others, whose members get the replicas that they lack (placement/tidy.ts). It can be led by a majority of its members only, whatever is believed here.
 *
 * Pure. Called by the shell, each round.
 */
import type { ShardReport } from '../attending.ts';
import { partedFrom } from '../lineage.ts';
import { membersOf } from '../../raft/index.ts';
import type { Change, ClusterState, MetaWrite, Stray } from '../state.ts';
import { change } from './change.ts';
import { recordOf } from './reports.ts';

/** After a split its child has a leader, mostly, and that one reports. */
const UNHEARD_MS = 10_000;

export function takeStrays(state: ClusterState, nowMs: number): Change {
  const writes: MetaWrite[] = [];
  for (const [id, at] of state.strays) {
    const newest = newestOf(at.values());
    const parent = newest === undefined ? undefined : partedFrom(state, newest.descriptor);
    if (newest === undefined || parent === undefined || nowMs - Math.max(parent.record.splitAtMs, state.ledSinceMs) < UNHEARD_MS) continue;
    // It is as old as the split. No leader has said it in any term.
    writes.push({ kind: 'shard', id, record: { ...recordOf(newest, parent.record.splitAtMs), asOfTerm: 0 } });
  }
  return change(state, writes, undefined);
}

/** What the replica says that is furthest, of those that have applied what the shard began with. */
function newestOf(strays: Iterable<Stray>): ShardReport | undefined {
  let newest: ShardReport | undefined;
  for (const { report } of strays) {
    if (report === undefined || membersOf(report.configuration).length === 0 || report.applied <= (newest?.applied ?? 0)) continue;
    newest = report;
  }
  const { state } = newest?.descriptor ?? {};
  return state === 'normal' || state === 'splitting' ? newest : undefined;
}
