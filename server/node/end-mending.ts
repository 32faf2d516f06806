/**
 * Brings a member back whose log has lost its end: what it acknowledged and voted last, nobody can tell (mending.ts). It asks whoever leads for a *barrier*:
 * an entry that was proposed after it had asked, and is committed, which was done without this member, as it says nothing meanwhile.
 *
 *   this member, of 1 2 3   ... 7 8 ? ?       maybe it had acknowledged 9 and 10, maybe it had voted in terms 4 and 5
 *   a majority without it   ... 7 8 9 10 11   11, of term 6, is the barrier: then a snapshot of 11 at least, term 6, and its vote there is for who led it
 *
 * Why that is enough. Call the barrier b, its term t, and Q the majority that acknowledged it; this member is none of Q.
 *
 * - A candidate of a term beyond t that had this member's vote stood before b was there, so its log lacks b. It needs the vote of a majority, and one of
 *   that is in Q: which either has b, and refuses; or has voted first, knows the term, and has not acknowledged b in t. So it never won and never will,
 *   and that vote may be given again. In t somebody leads, and below t there are no votes any more.
 * - What was committed with this member's word is in the log of every later leader, that of b's among them, and before b: its own word came before b was
 *   there. In the log of a later leader b is, too.
 *
 * So behind a snapshot of b it knows as much as if it had forgotten nothing. The answer to a question that it asked in an earlier life proves nothing: it
 * may have lost something since. Questions have numbers that are drawn anew.
 *
 * Where the others are no majority without it there is no barrier. Used by replica-mending.ts. Answered by lending.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Barrier, BarrierWanted, PeerMessage, SnapshotSink } from '../transport/index.ts';
import { Mending, type MendingParts } from './mending.ts';

export class EndMending extends Mending<Barrier> {
  readonly #number: number;

  /** `run` settles when there is a barrier. `question`: drawn for this life. */
  constructor(parts: MendingParts, question: number) {
    super(parts);
    this.#number = question;
  }

  accept(): Promise<SnapshotSink> {
    return Promise.reject(new SparrowError('unavailable', 'LOG_MENDING', `member ${this.id} asks from where on it may go on`));
  }

  protected override answered(message: PeerMessage): void {
    if (message.type === 'barrier' && message.question === this.#number) this.done(message);
  }

  protected question(to: number): BarrierWanted {
    return { type: 'barrier-wanted', from: this.id, to, term: 0, question: this.#number };
  }
}
