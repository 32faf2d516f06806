/**
 * How the replicas of a node do: how many there are, and those that do not do well, by name and with the reason. A thousand that are well are three numbers.
 *
 *   cannot be opened    it is in the node's directory, and that is all                       the worst first
 *   stopped             it cannot go on
 *   waits               for what other members have, before it opens
 *   damaged             it runs, and its state comes back from another member
 *   no leader           nobody is known to lead its group
 *
 * Used by admin-service.ts.
 */
import type { ShardsStatus, UnwellShard } from '../../proto/index.ts';
import type { NodeShards, Replica } from '../node/index.ts';
import { FIRST_SHARD } from '../shard/descriptor.ts';

/** Further ones are counted. */
const NAMED_MAX = 100;
const STATES: readonly string[] = ['cannot be opened', 'stopped', 'waits', 'damaged', 'no leader'];

export function shardsStatus(shards: NodeShards): ShardsStatus {
  const unwell: UnwellShard[] = [];
  for (const [shard, { message }] of shards.failures) unwell.push({ shard, state: 'cannot be opened', why: message });
  for (const [shard, { message }] of shards.waiting) unwell.push({ shard, state: 'waits', why: message });
  let replicas = 0;
  let leading = 0;
  let asleep = 0;
  for (const replica of shards) {
    // A place for it is on every node, a member or not.
    if (replica.group === FIRST_SHARD && replica.members.length === 0) continue;
    replicas++;
    if (replica.lead.leads) leading++;
    if (replica.asleep) asleep++;
    const ill = illness(replica);
    if (ill !== undefined) unwell.push({ shard: replica.group, ...ill });
  }
  unwell.sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.shard - b.shard);
  return { replicas, leading, asleep, unwellCount: unwell.length, unwell: unwell.slice(0, NAMED_MAX) };
}

function illness({ stopped, damage, lead }: Replica): Omit<UnwellShard, 'shard'> | undefined {
  if (stopped !== undefined) return { state: 'stopped', why: stopped.message };
  if (damage !== undefined) return { state: 'damaged', why: damage.message };
  return lead.leader === 0 ? { state: 'no leader', why: '' } : undefined;
}
