/**
 * What a member asks others when its own disk has lost something. No matter of consensus: the core never sees it (server/node: lending.ts answers,
 * log-mending.ts, snapshot-mending.ts and end-mending.ts ask).
 *
 *   entries-request    entries of the log. Whoever has the entry `anchor` has all that is before it alike (Raft, log matching).
 *   entries-response   some of them, from the first one on. None: they are not to be had, but what is committed goes beyond the anchor; a
 *                      snapshot will do instead
 *   snapshot-wanted    a snapshot of `index` at least. It comes with term 0, which no leader's does: it stands for no message of Raft
 *   barrier-wanted     an entry that is committed from now on, without the asker; of whoever leads
 *   barrier            that entry, of the term of the message, to the question of that number
 */
import type { LogEntry } from '../raft/index.ts';

interface Envelope {
  from: number;
  to: number;
  term: number;
}

/** An entry behind those that are asked for, which the asker has. */
interface Anchored extends Envelope {
  anchorIndex: number;
  anchorTerm: number;
}

export interface EntriesRequest extends Anchored {
  type: 'entries-request';
  first: number;
  last: number;
}

export interface EntriesResponse extends Anchored {
  type: 'entries-response';
  /** The entry before the first one. */
  previousIndex: number;
  previousTerm: number;
  entries: readonly LogEntry[];
}

export interface SnapshotWanted extends Envelope {
  type: 'snapshot-wanted';
  index: number;
}

export interface BarrierWanted extends Envelope {
  type: 'barrier-wanted';
  /** Its number. */
  question: number;
}

export interface Barrier extends Envelope {
  type: 'barrier';
  question: number;
  index: number;
}

export type RepairMessage = EntriesRequest | EntriesResponse | SnapshotWanted | BarrierWanted | Barrier;

const TYPES: ReadonlySet<string> = new Set(['entries-request', 'entries-response', 'snapshot-wanted', 'barrier-wanted', 'barrier']);

export function isRepairMessage(message: { type: string }): message is RepairMessage {
  return TYPES.has(message.type);
}
