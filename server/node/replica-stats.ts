/** What a replica tells of itself, and a leader of its members. Used by replica.ts. */
import type { SparrowError } from '../../base/errors.ts';
import type { HostSegment } from '../../engine/index.ts';
import type { Configuration, ProgressState, Raft, Role } from '../raft/index.ts';
import type { NodeLogStats } from './log/index.ts';
import type { Proposals } from './proposals.ts';
import type { ReplicaLead } from './replica-lead.ts';
import type { ReplicaParts, ReplicaSettings } from './replica-parts.ts';
import type { ReplicaReads } from './replica-reads.ts';

export interface ReplicaStats {
  id: number;
  role: Role;
  leader: number;
  term: number;
  configuration: Configuration;
  firstIndex: number;
  lastIndex: number;
  /** Of the last entry. */
  lastTerm: number;
  persistedIndex: number;
  committedIndex: number;
  appliedIndex: number;
  log: NodeLogStats;
  /** With those that wait to be proposed. */
  writesInFlight: number;
  writesWaiting: number;
  writeBytesInFlight: number;
  /** Entries that opening had to apply again. */
  replayedEntries: number;
  /** How often this member came to lead, and ceased to. */
  leadsBegun: number;
  leadsLost: number;
  /** How often it gave the lead up for its disk's sake. */
  handovers: number;
  /** Writes that were answered before they were on disks, as their table wants it (early-answers.ts). */
  writesAnsweredEarly: number;
  /** How long a sync of the log took lately; undefined: there was none. */
  syncMs: number | undefined;
  /** Reads that this member served while another one led, and of all its reads those for which nobody was asked. */
  readsFollowing: number;
  readsStale: number;
  /** Entries that damage had taken from the log and that came back from other members. */
  entriesMended: number;
  /** Entries that were read from the log's files for members that lag. */
  entriesFetched: number;
  /** How often another member's state has taken the place of a damaged one; and what is damaged now. */
  enginesRepaired: number;
  damagedBecause: SparrowError | undefined;
  /** Snapshots that other members took, and that this one installed. */
  snapshotsSent: number;
  snapshotsInstalled: number;
  /** Segments of the node's log that the engine's values lie in, and bytes of those that it still points to. */
  segmentsHeld: number;
  heldValueBytes: number;
  /** Of the snapshot that is arriving. */
  receiving: { bytes: number; bytesTotal: number } | undefined;
  /** Nothing happens in its group: no heartbeats. */
  asleep: boolean;
  /** The node's log has no room: writes wait. */
  diskFull: boolean;
  stoppedBecause: SparrowError | undefined;
}

/** What a leader knows of a member. */
export interface MemberProgress {
  readonly state: ProgressState;
  /** Up to where it is known to have the log. */
  readonly match: number;
}

/** Of what the figures are. */
export interface Counted extends Pick<
  ReplicaStats,
  'replayedEntries' | 'entriesMended' | 'entriesFetched' | 'enginesRepaired' | 'damagedBecause' | 'writesAnsweredEarly' | 'stoppedBecause'
> {
  readonly settings: Pick<ReplicaSettings, 'id' | 'electionTicks' | 'tickMs'>;
  readonly parts: Pick<ReplicaParts, 'nodeLog' | 'store'>;
  readonly raft: Raft;
  readonly applied: number;
  readonly asleep: boolean;
  readonly budget: Proposals['budget'];
  readonly reads: ReplicaReads;
  readonly lead: Pick<ReplicaLead, 'counts'>;
  readonly held: readonly HostSegment[];
}

export function statsOf({ settings, parts, raft, applied, asleep, budget, reads, lead, held, ...counts }: Counted): ReplicaStats {
  const { nodeLog, store } = parts;
  const { log } = raft;
  return {
    id: settings.id,
    role: raft.role,
    leader: raft.leader,
    term: raft.term,
    configuration: raft.configuration,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    lastTerm: log.term(log.lastIndex)!,
    persistedIndex: log.persisted,
    committedIndex: log.committed,
    appliedIndex: applied,
    log: nodeLog.stats(),
    writesInFlight: budget.count,
    writesWaiting: budget.waiting,
    writeBytesInFlight: budget.bytes,
    replayedEntries: counts.replayedEntries,
    leadsBegun: lead.counts.begun,
    leadsLost: lead.counts.lost,
    handovers: lead.counts.handovers,
    writesAnsweredEarly: counts.writesAnsweredEarly,
    syncMs: nodeLog.syncMs(settings.electionTicks * settings.tickMs),
    readsFollowing: reads.following,
    readsStale: reads.stale,
    entriesMended: counts.entriesMended,
    entriesFetched: counts.entriesFetched,
    enginesRepaired: counts.enginesRepaired,
    damagedBecause: counts.damagedBecause,
    snapshotsSent: store?.counts.sent ?? 0,
    snapshotsInstalled: store?.counts.installed ?? 0,
    segmentsHeld: held.length,
    heldValueBytes: held.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
    receiving: store?.receiving,
    asleep,
    diskFull: nodeLog.full,
    stoppedBecause: counts.stoppedBecause,
  };
}
