/**
 * What the replicas of a node and its log count. What is of one shard has the label `shard`, for `LISTED_MAX` shards at most: those that this node leads
 * first, then those with the longest logs; of all together there are sums and counts. What is counted for the node is there once.
 */
import type { ReplicaStats } from '../node/index.ts';
import { byLabel, type Family, family, labelled, type Sample } from './exposition.ts';

export interface ShardStats {
  readonly shard: number;
  readonly stats: ReplicaStats;
}

const LISTED_MAX = 200;
/** They are always listed: the first shard, and the metaserver. */
const ALWAYS = 2;
const ROLES: readonly ReplicaStats['role'][] = ['follower', 'pre-candidate', 'candidate', 'leader'];

export function replicaFamilies(all: readonly ShardStats[]): Family[] {
  const [any] = all;
  if (any === undefined) return [];
  const { log, syncMs } = any.stats;
  return [
    ...ofEach(listed(all)),
    ...ofAll(all.map(({ stats }) => stats)),
    family('sparrowkv_raft_log_bytes', 'Bytes of the log.', log.bytes),
    family('sparrowkv_raft_log_segments', 'Files of the log.', log.segments),
    family('sparrowkv_raft_log_syncs_total', 'Batches made durable.', log.syncs),
    family('sparrowkv_raft_log_written_bytes_total', 'Bytes written in them.', log.bytesWritten),
    family('sparrowkv_raft_log_cache_bytes', 'Entries that were written last, in memory.', log.cacheBytes),
    family('sparrowkv_raft_log_index_bytes', 'Memory of what is known of every entry.', log.indexBytes),
    family('sparrowkv_raft_log_sync_seconds', 'How long a sync of the log took lately; 0: there was none.', (syncMs ?? 0) / 1000),
  ];
}

/** In the order of their ids. */
function listed(all: readonly ShardStats[]): ShardStats[] {
  if (all.length <= LISTED_MAX) return [...all];
  const rank = ({ shard, stats }: ShardStats): number => (shard <= ALWAYS ? 0 : stats.role === 'leader' ? 1 : 2);
  const ranked = [...all].sort((a, b) => rank(a) - rank(b) || b.stats.lastIndex - a.stats.lastIndex);
  return ranked.slice(0, LISTED_MAX).sort((a, b) => a.shard - b.shard);
}

function ofEach(shards: readonly ShardStats[]): Family[] {
  const each = (name: string, help: string, value: (stats: ReplicaStats) => number): Family =>
    labelled(
      name,
      help,
      shards.map(({ shard, stats }) => ({ labels: { shard: String(shard) }, value: value(stats) })),
    );
  const split = (name: string, help: string, label: string, values: (stats: ReplicaStats) => Readonly<Record<string, number>>): Family =>
    labelled(
      name,
      help,
      shards.flatMap(({ shard, stats }): Sample[] =>
        Object.entries(values(stats)).map(([of, value]) => ({ labels: { shard: String(shard), [label]: of }, value })),
      ),
    );
  return [
    each('sparrowkv_raft_term', 'The current term.', ({ term }) => term),
    each('sparrowkv_raft_leader', 'Whether this replica leads.', ({ role }) => Number(role === 'leader')),
    each('sparrowkv_raft_leader_id', 'The node that leads as far as this one knows; 0: none.', ({ leader }) => leader),
    split('sparrowkv_raft_role', 'What this replica is: 1 for its role.', 'role', (stats) =>
      Object.fromEntries(ROLES.map((role) => [role, Number(role === stats.role)])),
    ),
    split('sparrowkv_raft_members', 'Members of the group, by what they are.', 'as', ({ configuration }) => ({
      voter: new Set([...configuration.voters, ...configuration.outgoing]).size,
      learner: configuration.learners.length,
    })),
    split('sparrowkv_raft_index', 'Indexes of the log.', 'of', (stats) => ({
      first: stats.firstIndex,
      last: stats.lastIndex,
      persisted: stats.persistedIndex,
      committed: stats.committedIndex,
      applied: stats.appliedIndex,
    })),
    each('sparrowkv_raft_damaged', 'Whether data is damaged, and is coming back from another node.', ({ damagedBecause }) =>
      Number(damagedBecause !== undefined),
    ),
    each('sparrowkv_raft_asleep', 'Whether nothing happens in the group, so that it has no heartbeats.', ({ asleep }) => Number(asleep)),
    each('sparrowkv_raft_stopped', 'Whether the replica has stopped.', ({ stoppedBecause }) => Number(stoppedBecause !== undefined)),
  ];
}

function ofAll(all: readonly ReplicaStats[]): Family[] {
  const sum = (name: string, help: string, value: (stats: ReplicaStats) => number): Family =>
    family(
      name,
      help,
      all.reduce((total, stats) => total + value(stats), 0),
    );
  const count = (which: (stats: ReplicaStats) => boolean): number => all.filter(which).length;
  return [
    byLabel('sparrowkv_raft_replicas', 'Replicas of this node, by what they are.', 'role', {
      leader: count(({ role, stoppedBecause }) => role === 'leader' && stoppedBecause === undefined),
      other: count(({ role, stoppedBecause }) => role !== 'leader' && stoppedBecause === undefined),
      stopped: count(({ stoppedBecause }) => stoppedBecause !== undefined),
    }),
    family(
      'sparrowkv_raft_replicas_without_leader',
      'Replicas of this node that know nobody to lead.',
      count(({ leader }) => leader === 0),
    ),
    sum('sparrowkv_raft_leads_begun_total', 'How often replicas of this node came to lead.', ({ leadsBegun }) => leadsBegun),
    sum('sparrowkv_raft_leads_lost_total', 'How often they ceased to.', ({ leadsLost }) => leadsLost),
    sum('sparrowkv_raft_log_segments_held', 'Files of the log, or that were, in which values of an engine lie.', (s) => s.segmentsHeld),
    sum('sparrowkv_raft_log_values_held_bytes', 'Values there that engines point to.', ({ heldValueBytes }) => heldValueBytes),
    sum(
      'sparrowkv_raft_entries_fetched_total',
      'Entries that were read from the log again, for members that lag.',
      (s) => s.entriesFetched,
    ),
    sum('sparrowkv_raft_snapshots_sent_total', 'Snapshots that other members took.', ({ snapshotsSent }) => snapshotsSent),
    sum('sparrowkv_raft_snapshots_installed_total', 'Snapshots that replicas of this node took.', (s) => s.snapshotsInstalled),
    sum('sparrowkv_raft_writes_in_flight', 'Writes that are proposed and not answered, or wait to be proposed.', (s) => s.writesInFlight),
    sum('sparrowkv_raft_write_bytes_in_flight', 'Their bytes, without those that wait.', ({ writeBytesInFlight }) => writeBytesInFlight),
    sum('sparrowkv_raft_writes_waiting', 'Writes that wait to be proposed.', ({ writesWaiting }) => writesWaiting),
    sum(
      'sparrowkv_raft_reads_following_total',
      'Reads that this node served while another one led.',
      ({ readsFollowing }) => readsFollowing,
    ),
    sum(
      'sparrowkv_raft_reads_stale_total',
      'Reads that were served within the age that they may have, without asking anybody.',
      ({ readsStale }) => readsStale,
    ),
    sum(
      'sparrowkv_raft_writes_answered_early_total',
      'Writes of tables with durability os that were answered before they were on disks.',
      (s) => s.writesAnsweredEarly,
    ),
    sum('sparrowkv_raft_handovers_total', "How often a lead was given up for the disk's sake.", ({ handovers }) => handovers),
    sum(
      'sparrowkv_raft_entries_mended_total',
      'Entries that damage had taken from the log, and that came back from other nodes.',
      ({ entriesMended }) => entriesMended,
    ),
    sum(
      'sparrowkv_raft_engines_repaired_total',
      "How often another node's state has taken the place of a damaged one.",
      ({ enginesRepaired }) => enginesRepaired,
    ),
  ];
}
