/** What the server around the engine counts: the replica and its log, and the gateway. */
import type { CallCounter } from '../gateway/index.ts';
import type { ReplicaStats } from '../node/index.ts';
import { byLabel, type Family, family, labelled, type Sample } from './exposition.ts';

const ROLES: readonly ReplicaStats['role'][] = ['follower', 'pre-candidate', 'candidate', 'leader'];

export function replicaFamilies(stats: ReplicaStats): Family[] {
  const { log } = stats;
  const { voters, outgoing, learners } = stats.configuration;
  return [
    family('sparrowkv_raft_term', 'The current term.', stats.term),
    family('sparrowkv_raft_leader', 'Whether this replica leads.', Number(stats.role === 'leader')),
    family('sparrowkv_raft_leader_id', 'The node that leads as far as this one knows; 0: none.', stats.leader),
    byLabel(
      'sparrowkv_raft_role',
      'What this replica is: 1 for its role.',
      'role',
      Object.fromEntries(ROLES.map((role) => [role, Number(role === stats.role)])),
    ),
    family('sparrowkv_raft_leads_begun_total', 'How often this replica came to lead.', stats.leadsBegun),
    family('sparrowkv_raft_leads_lost_total', 'How often it ceased to.', stats.leadsLost),
    byLabel('sparrowkv_raft_members', 'Members of the group, by what they are.', 'as', {
      voter: new Set([...voters, ...outgoing]).size,
      learner: learners.length,
    }),
    byLabel('sparrowkv_raft_index', 'Indexes of the log.', 'of', {
      first: stats.firstIndex,
      last: stats.lastIndex,
      persisted: stats.persistedIndex,
      committed: stats.committedIndex,
      applied: stats.appliedIndex,
    }),
    family('sparrowkv_raft_log_bytes', 'Bytes of the log.', log.bytes),
    family('sparrowkv_raft_log_segments', 'Files of the log.', log.segments),
    family('sparrowkv_raft_log_segments_held', 'Files of the log, or that were, in which values of the engine lie.', stats.segmentsHeld),
    family('sparrowkv_raft_log_values_held_bytes', 'Values there that the engine points to.', stats.heldValueBytes),
    family('sparrowkv_raft_log_syncs_total', 'Batches made durable.', log.syncs),
    family('sparrowkv_raft_log_written_bytes_total', 'Bytes written in them.', log.bytesWritten),
    family('sparrowkv_raft_log_cache_bytes', 'Entries that were written last, in memory.', log.cacheBytes),
    family('sparrowkv_raft_log_index_bytes', 'Memory of what is known of every entry.', log.indexBytes),
    family(
      'sparrowkv_raft_entries_fetched_total',
      'Entries that were read from the log again, for members that lag.',
      stats.entriesFetched,
    ),
    family('sparrowkv_raft_snapshots_sent_total', 'Snapshots that other members took.', stats.snapshotsSent),
    family('sparrowkv_raft_snapshots_installed_total', 'Snapshots that this replica took.', stats.snapshotsInstalled),
    family('sparrowkv_raft_writes_in_flight', 'Writes that are proposed and not answered, or wait to be proposed.', stats.writesInFlight),
    family('sparrowkv_raft_write_bytes_in_flight', 'Their bytes, without those that wait.', stats.writeBytesInFlight),
    family('sparrowkv_raft_writes_waiting', 'Writes that wait to be proposed.', stats.writesWaiting),
    family('sparrowkv_raft_reads_following_total', 'Reads that this replica served while another one led.', stats.readsFollowing),
    family(
      'sparrowkv_raft_reads_stale_total',
      'Reads that were served within the age that they may have, without asking anybody.',
      stats.readsStale,
    ),
    family('sparrowkv_raft_handovers_total', "How often the lead was given up for the disk's sake.", stats.handovers),
    family('sparrowkv_raft_log_sync_seconds', 'How long a sync of the log took lately; 0: there was none.', (stats.syncMs ?? 0) / 1000),
    family(
      'sparrowkv_raft_entries_mended_total',
      'Entries that damage had taken from the log, and that came back from other nodes.',
      stats.entriesMended,
    ),
    family(
      'sparrowkv_raft_engines_repaired_total',
      "How often another node's state has taken the place of a damaged one.",
      stats.enginesRepaired,
    ),
    family(
      'sparrowkv_raft_damaged',
      'Whether data is damaged, and is coming back from another node.',
      Number(stats.damagedBecause !== undefined),
    ),
    family('sparrowkv_raft_asleep', 'Whether nothing happens in the group, so that it has no heartbeats.', Number(stats.asleep)),
    family('sparrowkv_raft_stopped', 'Whether the replica has stopped.', Number(stats.stoppedBecause !== undefined)),
  ];
}

export interface GatewayFigures {
  readonly calls: CallCounter;
  readonly connections: { readonly count: number; readonly bytesReceived: number; readonly bytesSent: number };
  readonly sessions: number;
  readonly intake: { readonly receiving: number; readonly waiting: number; readonly overloaded: number; readonly slow: number };
}

export function gatewayFamilies({ calls, connections, sessions, intake }: GatewayFigures): Family[] {
  const ended = [...calls.methods].flatMap(([method, { answered, refused }]): Sample[] => [
    { labels: { method, outcome: 'answered' }, value: answered },
    ...[...refused].map(([kind, value]) => ({ labels: { method, outcome: kind }, value })),
  ]);
  return [
    labelled('sparrowkv_gateway_calls_total', 'Calls that have ended, by what the client got: an answer, or an error of this kind.', ended),
    family('sparrowkv_gateway_calls_in_flight', 'Calls that are being worked on.', calls.callsInFlight),
    family('sparrowkv_gateway_connections', 'Open connections of clients.', connections.count),
    family('sparrowkv_gateway_sessions', 'Open sessions.', sessions),
    family('sparrowkv_gateway_received_bytes_total', 'Bytes received from clients.', connections.bytesReceived),
    family('sparrowkv_gateway_sent_bytes_total', 'Bytes sent to clients.', connections.bytesSent),
    family('sparrowkv_gateway_writes_receiving', 'Plain writes that are being received.', intake.receiving),
    family('sparrowkv_gateway_writes_waiting', 'Plain writes that wait to be received.', intake.waiting),
    byLabel('sparrowkv_gateway_writes_not_received_total', 'Plain writes that were refused before they were received.', 'reason', {
      overloaded: intake.overloaded,
      slow: intake.slow,
    }),
  ];
}
