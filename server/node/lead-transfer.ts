/**
 * Whoever asked that the lead be handed over waits here for what becomes of it: another member leads, or the core has given it up, and then why, as far
 * as the leader can tell. Used by replica-lead.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import type { Raft } from '../raft/index.ts';

interface Waiting {
  readonly to: number;
  readonly resolve: () => void;
  readonly reject: (error: SparrowError) => void;
}

export class LeadTransfers {
  readonly #id: number;
  #waiting: Waiting[] = [];

  /** `id`: this member. */
  constructor(id: number) {
    this.#id = id;
  }

  /** The core has been asked. Settles when this member leads no more; rejects with `unavailable/NOT_TAKEN_OVER`. */
  begun(to: number): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ to, resolve, reject }));
  }

  /** As the core has it now. */
  note(raft: Pick<Raft, 'role' | 'transferee' | 'progress' | 'log'>): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) {
      const { to, resolve, reject } = each;
      if (raft.role !== 'leader' || to === this.#id) resolve();
      else if (raft.transferee === to) this.#waiting.push(each);
      else reject(notTakenOver(to, raft.transferee, lagOf(raft, to)));
    }
  }

  close(error: SparrowError): void {
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting = [];
  }
}

/** Entries that the member has not acknowledged; undefined: it is none any more. */
function lagOf(raft: Pick<Raft, 'progress' | 'log'>, to: number): number | undefined {
  const match = raft.progress(to)?.match;
  return match === undefined ? undefined : raft.log.lastIndex - match;
}

function notTakenOver(to: number, instead: number, lag: number | undefined): SparrowError {
  const why =
    lag === undefined
      ? 'it is no member any more'
      : instead !== 0
        ? `node ${instead} is to lead instead`
        : lag > 0
          ? `it has not acknowledged the last ${lag} entries: its disk may be full or slow, or it cannot be reached`
          : 'it has everything, and was not elected: its disk may be full, so that it cannot note its own vote, or the others do not hear it';
  const message = `node ${to} did not take the lead over: ${why}`;
  return new SparrowError('unavailable', 'NOT_TAKEN_OVER', message, { node: to, applied: false, ...(lag !== undefined && { lag }) });
}
