/**
 * What goes into and comes out of the core: log entries, hard state, messages between members, and the output that a host carries out.
 * All are plain values. Terms and indexes are numbers that never lose precision (below 2^53). Index 0 and term 0 are before the first.
 */

export interface LogEntry {
  index: number;
  term: number;
  /** Empty in the entry with which a leader begins its term. Not changed after it was given to the core. */
  data: Uint8Array;
}

/** What a member must not forget. `vote` 0: none in this term. `commit` may be behind after a crash; the others may not. */
export interface HardState {
  term: number;
  vote: number;
  commit: number;
}

interface Envelope {
  from: number;
  to: number;
  /** The sender's term. */
  term: number;
}

export interface VoteRequest extends Envelope {
  type: 'vote-request';
  lastIndex: number;
  lastTerm: number;
}

export interface VoteResponse extends Envelope {
  type: 'vote-response';
  granted: boolean;
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

export interface HeartbeatRequest extends Envelope {
  type: 'heartbeat-request';
  commit: number;
  /** Counted by the leader; its answer confirms leadership for reads asked before this heartbeat. */
  round: number;
}

export interface HeartbeatResponse extends Envelope {
  type: 'heartbeat-response';
  round: number;
}

export type Message = VoteRequest | VoteResponse | AppendRequest | AppendResponse | HeartbeatRequest | HeartbeatResponse;

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
}

/** A read that `requestRead` asked for: it may be served once everything up to `index` is applied. */
export interface ReadState {
  read: number;
  index: number;
}

/** What the host does next. Anything may be empty. */
export interface Output {
  /** Send at once, before or while storage works. */
  messages: Message[];
  /** To be made durable, hard state and entries together. Entries replace everything in the log from the first one's index on. */
  hardState: HardState | undefined;
  entries: LogEntry[];
  /** Whether hardState or entries must reach the disk; a changed `commit` alone need not. */
  mustSync: boolean;
  /** Give it back when all of this output is durable. */
  token: StorageToken;
  /** Send when all of this output is durable: votes, acknowledgements, and requests for votes. */
  messagesAfterSync: Message[];
  /** Committed, durable here, and to be applied in this order. */
  committed: LogEntry[];
  reads: ReadState[];
  /** Reads that can no longer be answered here: leadership was lost. */
  lostReads: number[];
}
