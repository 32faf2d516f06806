/**
 * What is worst about a shard's members (shard.ts has the list). A function of records, health of nodes and who leads: cluster.ts asks again
 * whenever one of those changes, so that nobody searches a hundred thousand shards for the few that need something. Pure.
 */
import { majority } from '../../raft/index.ts';
import { FIRST_SHARD, MADE_SHARD_MIN, sameSettings, type ShardDescriptor } from '../../shard/descriptor.ts';
import { type Ailment, failureOn, type ReplicaKind, type ReplicaRecord, type Shard, type ShardRecord } from '../shard.ts';
import type { ClusterState } from '../state.ts';
import { isDropped, shardSettings, type ReplicaCounts, type TableRecord } from '../table.ts';
import { misplaced, wantedReplicas } from './rules.ts';

export function diagnose(state: ClusterState, shard: Shard): Ailment | undefined {
  const { record } = shard;
  const table = state.tables.get(record.table);
  if (table === undefined || record.replicas.length === 0) return undefined;
  let voters = 0;
  let alive = 0;
  let down = 0;
  let leaving = false;
  for (const { node, votes } of record.replicas) {
    const { health, duty } = state.nodes.get(node)?.record ?? GONE;
    if (votes) {
      voters++;
      if (health !== 'down') alive++;
    }
    if (health === 'down') down++;
    else if (duty !== 'active') leaving = true;
  }
  if (alive < majority(voters)) return 'lost';
  // Nothing else can be done about it before somebody leads, nor can it be told anything.
  if (!record.byHand && isLeaderless(state, shard) && absentMember(state, shard) !== undefined) return 'absent';
  // Clients wait for it, and it takes one order.
  if (record.descriptor.state === 'sealed' && shard.operator === undefined) return 'sealed';
  // Just so: it answers clients of a table that is dropped, or none of one that is not.
  if (isDropped(table) !== (record.descriptor.dropped === true)) return 'undescribed';
  if (record.byHand) return undefined;
  const short = missing(table, record.replicas) !== undefined;
  const extra = surplus(table, record.replicas) !== undefined;
  if ((down > 0 || short) && alive === majority(voters) && table.replicas.voters + table.replicas.witnesses > 1) return 'endangered';
  if (down > 0) return 'degraded';
  if (failedMember(state, shard) !== undefined) return 'failed';
  if (absentMember(state, shard) !== undefined) return 'absent';
  if (short) return 'short';
  // What is too many goes first: a misplaced replica may be just that one.
  if (extra) return 'surplus';
  if (misplaced(state, table, record.replicas) !== undefined) return 'misplaced';
  if (leaving) return 'leaving';
  if (strayHost(state, shard) !== undefined) return 'stray';
  if (!isDescribed(record.descriptor, table)) return 'undescribed';
  if (record.descriptor.state === 'splitting' && shard.operator === undefined) return 'unsplit';
  const leader = state.nodes.get(shard.leader);
  return leader?.over.slow === true && record.replicas.length > 1 ? 'misled' : undefined;
}

/** Whether the shard has been told what its table says now. */
export function isDescribed(descriptor: ShardDescriptor, table: TableRecord): boolean {
  return sameSettings(descriptor, shardSettings(table));
}

/** A node that is in no record: it was removed by hand, and does not come back. */
const GONE = { health: 'down', duty: 'decommissioned' } as const;

/** The kind of which there are fewer than the table wants: voters before others. */
export function missing(table: TableRecord, replicas: readonly ReplicaRecord[]): ReplicaKind | undefined {
  const { voters, learners, witnesses } = countsOf(replicas);
  if (voters < table.replicas.voters) return 'voter';
  if (witnesses < table.replicas.witnesses) return 'witness';
  return learners < table.replicas.learners ? 'learner' : undefined;
}

/** The kind of which there are more, where none is missing: learners first, nobody counts on them. */
export function surplus(table: TableRecord, replicas: readonly ReplicaRecord[]): ReplicaKind | undefined {
  const { voters, learners, witnesses } = countsOf(replicas);
  if (voters + learners + witnesses <= wantedReplicas(table) || missing(table, replicas) !== undefined) return undefined;
  if (learners > table.replicas.learners) return 'learner';
  return voters > table.replicas.voters ? 'voter' : 'witness';
}

/** A node that can have replicas of the table, has one of this shard and is no member, as of what is at least as new as its replica. */
export function strayHost(state: ClusterState, shard: Shard): number | undefined {
  // Members are told by whoever leads; nothing is removed on what was known before.
  if (shard.load === undefined || shard.record.joint) return undefined;
  for (const [node, { applied, waits, failure }] of shard.hosts) {
    if (shard.record.replicas.some((replica) => replica.node === node) || applied > shard.membersAsOf) continue;
    // Nobody knows what it has applied.
    if (failure?.how === 'failed') continue;
    // A node that joins has an empty replica of the shards that a cluster begins with, and waits to be taken in by hand. One of a node that the cluster began
    // with, and that was replaced before it had anything, does not wait: it believes to be a member. Nor does one of a node that is to leave.
    const there = state.nodes.get(node)?.record;
    if (waits && applied === 0 && shard.id < MADE_SHARD_MIN && there?.duty === 'active') continue;
    if (there?.health === 'up' && there.duty !== 'decommissioned') return node;
  }
  return undefined;
}

/**
 * A member whose node is up, reports, and has no replica: making it failed, or its directory was taken away, or a snapshot of the shard that it was split off from
 * has carried the node past the split. A node's first report names all that it has. Of what a leader says whose configuration is known; where nobody leads, for want
 * of that replica perhaps, of what was known last: a node that is no member any more has it destroyed later. Shard 1 is on every node.
 */
export function absentMember(state: ClusterState, shard: Shard): number | undefined {
  if (shard.id === FIRST_SHARD) return undefined;
  if (!isLeaderless(state, shard) && (shard.load === undefined || shard.record.joint)) return undefined;
  for (const { node } of shard.record.replicas) {
    if (shard.hosts.has(node)) continue;
    const there = state.nodes.get(node);
    if (there?.load === undefined || there.record.health !== 'up') continue;
    // One that is to leave is needed all the same where nobody leads: else nobody could be taken in its place.
    if (there.record.duty === 'active' || (there.record.duty !== 'decommissioned' && isLeaderless(state, shard))) return node;
  }
  return undefined;
}

/** A member whose node is up, and does not run its replica: of several the one that has been so for longest. */
export function failedMember(state: ClusterState, shard: Shard): ReplicaRecord | undefined {
  let found: ReplicaRecord | undefined;
  let sinceMs = Infinity;
  for (const replica of shard.record.replicas) {
    const failure = failureOn(shard, replica.node);
    if (failure === undefined || failure.sinceMs >= sinceMs || state.nodes.get(replica.node)?.record.health !== 'up') continue;
    found = replica;
    ({ sinceMs } = failure);
  }
  return found;
}

/** Who votes before the group's first entry. Nobody is to be told of one that has been led: its leader takes members in. */
export function foundersOf({ replicas, asOfIndex }: ShardRecord): number[] {
  return asOfIndex > 0 ? [] : replicas.filter(({ votes }) => votes).map(({ node }) => node);
}

/** Nobody is known to lead it, or whoever did cannot be heard. */
export function isLeaderless(state: ClusterState, { leader }: Shard): boolean {
  return leader === 0 || state.nodes.get(leader)?.record.health !== 'up';
}

function countsOf(replicas: readonly ReplicaRecord[]): ReplicaCounts {
  let voters = 0;
  let learners = 0;
  let witnesses = 0;
  for (const { votes, data } of replicas) {
    if (!data) witnesses++;
    else if (votes) voters++;
    else learners++;
  }
  return { voters, learners, witnesses };
}
