/**
 * What a replica gives to a member whose disk has lost something: entries of its log, a snapshot, or an entry that is committed without that member (end-mending.ts).
 * Nothing is promised: who gets no answer asks another one.
 *
 * Used by replica.ts.
 */
import type { RaftLog } from '../raft/index.ts';
import type { Barrier, BarrierWanted, EntriesRequest, EntriesResponse, RepairMessage } from '../transport/index.ts';
import type { GroupLog } from './log/index.ts';

export interface Lender {
  readonly id: number;
  readonly term: number;
  readonly core: Pick<RaftLog, 'committed' | 'persisted' | 'term'>;
  readonly log: GroupLog;
  readonly applied: number;
  readonly send: (message: EntriesResponse | Barrier) => void;
  readonly sendSnapshot: (to: number) => void;
  /** Settles when an entry that is proposed now is applied. Undefined: this member does not lead, or that one is no member. */
  readonly commitFor: (member: number) => Promise<{ readonly index: number; readonly term: number }> | undefined;
}

const RESPONSE_BYTES_MAX: number = 1024 * 1024;

export function lend(message: RepairMessage, lender: Lender): void {
  if (message.type === 'entries-request') lendEntries(message, lender);
  else if (message.type === 'barrier-wanted') lendBarrier(message, lender);
  else if (message.type === 'snapshot-wanted' && lender.applied >= message.index) lender.sendSnapshot(message.from);
}

function lendEntries({ from, first, last, anchorIndex, anchorTerm }: EntriesRequest, { id, term, core, log, send }: Lender): void {
  const previousIndex = first - 1;
  const previousTerm = core.term(previousIndex);
  const respond = (entries: EntriesResponse['entries']): void =>
    send({
      type: 'entries-response',
      from: id,
      to: from,
      term,
      anchorIndex,
      anchorTerm,
      previousIndex,
      previousTerm: previousTerm ?? 0,
      entries,
    });
  if (core.term(anchorIndex) === anchorTerm && anchorIndex <= core.persisted && previousTerm !== undefined) {
    // What cannot be read here is asked for elsewhere.
    log.read(first, Math.min(last, anchorIndex), RESPONSE_BYTES_MAX).then(
      (entries) => entries.length > 0 && respond(entries),
      () => undefined,
    );
  } else if (core.committed >= anchorIndex) {
    respond([]);
  }
}

function lendBarrier({ from, question }: BarrierWanted, { id, send, commitFor }: Lender): void {
  commitFor(from)?.then(
    ({ index, term }) => send({ type: 'barrier', from: id, to: from, term, question, index }),
    // It asks the next leader.
    () => undefined,
  );
}
