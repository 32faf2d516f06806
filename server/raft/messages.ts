/**
 * What goes into and comes out of the core: log entries, hard state, messages between members, and the output that a host carries out.
 * All are plain values. Terms and indexes are numbers that never lose precision (below 2^53). Index 0 and term 0 are before the first.
 * Heartbeats are five numbers each, so that a host can put those of all groups to one node into one message.
 */
import type { Configuration, ConfigurationChange } from './configuration.ts';

export interface LogEntry {
  index: number;
  term: number;
  /** Empty in the entry with which a leader begins its term. Not changed after it was given to the core. */
  data: Uint8Array;
  /** Present in an entry that changes who is a member. */
  change?: ConfigurationChange | undefined;
  /** At a witness: how many bytes of data the entry has elsewhere. `data` is empty then. */
  withheldBytes?: number | undefined;
}

/** What a member must not forget. `vote` 0: none in this term. `commit` may be behind after a crash; the others may not. */
export interface HardState {
  term: number;
  vote: number;
  commit: number;
}

/** A state that takes the place of the log up to `index`. Its data is moved by the host. */
export interface Snapshot {
  index: number;
  term: number;
  /** As of `index`. */
  configuration: Configuration;
}

interface Envelope {
  from: number;
  to: number;
  /** The sender's term; of a pre-vote request and its grant the term that the candidate would begin. */
  term: number;
}

export interface VoteRequest extends Envelope {
  type: 'vote-request';
  /** Only asks whether it would be granted. */
  pre: boolean;
  /** A transfer of leadership or a forced configuration: the vote is not withheld for the sake of a leader that was heard. */
  force: boolean;
  lastIndex: number;
  lastTerm: number;
  /** What the sender knows to be committed, and the term of that entry: news to whoever has the entry. */
  commit: number;
  commitTerm: number;
}

export interface VoteResponse extends Envelope {
  type: 'vote-response';
  pre: boolean;
  granted: boolean;
  commit: number;
  commitTerm: number;
}

export interface AppendRequest extends Envelope {
  type: 'append-request';
  /** The entry before the first one sent: the follower accepts when its log has it. */
  previousIndex: number;
  previousTerm: number;
  entries: readonly LogEntry[];
  commit: number;
}

export interface AppendResponse extends Envelope {
  type: 'append-response';
  accepted: boolean;
  /** Accepted: the log agrees, durably, up to here. Refused: the `previousIndex` that did not match. */
  index: number;
  /** Refused: the largest index at which the logs may agree, and the term that the follower has there. */
  hintIndex: number;
  hintTerm: number;
}

/** The log agrees up to here as an `append-response` says it, but for the disk: a loss of power may still take it. Commits nothing (received.ts). */
export interface AppendReceived extends Envelope {
  type: 'append-received';
  index: number;
}

export interface HeartbeatRequest extends Envelope {
  type: 'heartbeat-request';
  commit: number;
  /** Counted by the leader; its answer confirms leadership for reads asked before this heartbeat. */
  round: number;
  /** The group is idle: whoever has everything up to `commit` goes to sleep and does not answer. */
  sleep: boolean;
}

export interface HeartbeatResponse extends Envelope {
  type: 'heartbeat-response';
  round: number;
}

/** The follower lacks entries that the leader's log has no more. Delivered by the host when the data has arrived. */
export interface SnapshotRequest extends Envelope {
  type: 'snapshot-request';
  snapshot: Snapshot;
}

/** The leader hands its leadership over: campaign at once. */
export interface TimeoutNow extends Envelope {
  type: 'timeout-now';
}

/** A follower asks its leader up to where it must have applied before it reads itself. */
export interface ReadRequest extends Envelope {
  type: 'read-request';
  /** The asker's number for it (forwarded-reads.ts); the answer brings it back. */
  read: number;
}

/** The sender led this term after it had got that request, and everything committed before then is up to `index`. */
export interface ReadResponse extends Envelope {
  type: 'read-response';
  read: number;
  index: number;
}

export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | AppendReceived
  | HeartbeatRequest
  | HeartbeatResponse
  | SnapshotRequest
  | TimeoutNow
  | ReadRequest
  | ReadResponse;

/**
 * Identifies what was handed over to storage so far: given back with `Raft.persisted` once it is durable. Storage works in order, so
 * a durable token makes all earlier ones durable.
 */
export interface StorageToken {
  /** The member's term when the output was made: tokens of an older term are ignored, the log may have been replaced since. */
  term: number;
  /** The last entry handed over, and its term. */
  index: number;
  entryTerm: number;
  /** Index of the last snapshot handed over, 0 for none. */
  snapshot: number;
}

/** A read that `requestRead` asked for: it may be served once everything up to `index` is applied. */
export interface ReadState {
  read: number;
  index: number;
}

/** Entries that a member needs and that are only in storage: the host reads them and gives them to `Raft.fetched`. */
export interface EntryFetch {
  member: number;
  from: number;
  /** As many as fit, at least one. */
  bytesMax: number;
}

/** Why something was not taken in. */
export type Refusal =
  /** This member does not lead. */
  | 'not-leader'
  /** Leadership is being handed over. */
  | 'transferring'
  /** Entries that are not applied yet have reached `uncommittedBytesMax`. */
  | 'uncommitted-bytes'
  /** A change of the configuration is not applied yet, or may not be. */
  | 'change-pending'
  /** Of the voters that would remain, none with data has what the witnesses know of. */
  | 'no-successor'
  /** Not a member that can lead: no voter, or a witness. */
  | 'cannot-lead';

/** What the host does next. Anything may be empty. */
export interface Output {
  /** Send at once, before or while storage works. */
  messages: Message[];
  /** A state to take over in place of the own one and of the whole log: the host makes it durable before what follows. */
  snapshot: Snapshot | undefined;
  /**
   * To be made durable, hard state and entries together: never the entries without the `commit` that came with them. Entries replace
   * everything in the log from the first one's index on.
   */
  hardState: HardState | undefined;
  entries: LogEntry[];
  /** Whether this must reach the disk; a changed `commit` alone need not. */
  mustSync: boolean;
  /** Give it back when all of this output is durable. */
  token: StorageToken;
  /** Send when all of this output is durable: votes, acknowledgements, and requests for votes. Those to itself: step. */
  messagesAfterSync: Message[];
  /** Committed, durable here, and to be applied in this order. */
  committed: LogEntry[];
  reads: ReadState[];
  /** Reads that can no longer be answered here: leadership was lost, or no leader answers. */
  lostReads: number[];
  fetches: EntryFetch[];
}
