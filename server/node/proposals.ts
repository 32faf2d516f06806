/**
 * Writes on their way through a replica, and whoever waits for their outcome.
 *
 *   propose -> budget -> queued -> (core) -> pending, by index -> settled when applied
 *
 * An entry of the log is the write that was proposed at its index only when it has that write's term: another leader may have put its own there. A
 * leader that loses its lead cannot tell what becomes of its pending writes, and says so at once: whoever asked may ask the next leader.
 *
 * Made by replica.ts, used by core-drive.ts. Calls write-budget.ts.
 */
import { type ErrorDetails, SparrowError } from '../../base/errors.ts';
import type { LogEntry } from '../raft/index.ts';
import type { CallState } from './call-state.ts';
import type { ApplyResult } from './state-machine.ts';
import type { WriteBudget, WriteShare } from './write-budget.ts';

export interface Proposal {
  readonly command: Uint8Array;
  readonly call: CallState;
  /** Of the entry; 0 before it is one. */
  term: number;
  readonly resolve: (result: ApplyResult) => void;
  readonly reject: (error: unknown) => void;
}

export class Proposals {
  readonly #budget: WriteShare;
  /** Something is queued. */
  readonly #wake: () => void;
  #queued: Proposal[] = [];
  /** In the log, by index. */
  readonly #pending: Map<number, Proposal> = new Map();

  constructor(budget: WriteBudget, wake: () => void) {
    this.#wake = wake;
    this.#budget = budget.share();
  }

  /** Nobody waits for an outcome. */
  get idle(): boolean {
    return this.#pending.size === 0 && this.#queued.length === 0 && this.#budget.waiting === 0;
  }

  /** Something waits for `take`. */
  get queued(): boolean {
    return this.#queued.length > 0;
  }

  get budget(): Pick<WriteShare, 'bytes' | 'count' | 'waiting'> {
    return this.#budget;
  }

  enter(command: Uint8Array, call: CallState): Promise<ApplyResult> {
    return new Promise((resolve, reject) => {
      const proposal: Proposal = { command, call, term: 0, resolve, reject };
      const enter = (): void => {
        this.#queued.push(proposal);
        this.#wake();
      };
      this.#budget.acquire(command.length, call, enter, reject);
    });
  }

  /** What is queued, without those that `refusal` has something against: these are refused. */
  take(refusal: (proposal: Proposal) => SparrowError | undefined): Proposal[] {
    if (this.#queued.length === 0) return this.#queued;
    // Leaving the budget lets others in: they come with the next turn.
    const queued = this.#queued;
    this.#queued = [];
    return queued.filter((proposal) => {
      const error = refusal(proposal);
      if (error !== undefined) this.#refuse(proposal, error);
      return error === undefined;
    });
  }

  refuse(proposals: readonly Proposal[], error: SparrowError): void {
    for (const proposal of proposals) this.#refuse(proposal, error);
  }

  /** They are entries now, from `first` on. */
  begun(proposals: readonly Proposal[], first: number, term: number): void {
    for (const [i, proposal] of proposals.entries()) {
      proposal.term = term;
      this.#pending.set(first + i, proposal);
    }
  }

  /** Waits for an entry that the core has already, and that takes nothing of the budget. */
  enterBegun(index: number, term: number, call: CallState): Promise<ApplyResult> {
    return new Promise((resolve, reject) => this.#pending.set(index, { command: NOTHING, call, term, resolve, reject }));
  }

  settle(entry: LogEntry, result: ApplyResult): void {
    const proposal = this.#pending.get(entry.index);
    if (proposal === undefined) return;
    this.#pending.delete(entry.index);
    this.#leave(proposal);
    if (proposal.term === entry.term) proposal.resolve(result);
    else proposal.reject(lost('another member took the lead; the write was not applied', { applied: false }));
  }

  /** This member leads no more: what was proposed may be applied, or not. */
  lose(): void {
    if (this.#pending.size === 0) return;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const proposal of pending) this.#refuse(proposal, lost('the lead was lost; whether the write is applied is not known', {}));
  }

  /** Nothing is taken in any more, and nobody waits. */
  close(error: SparrowError): void {
    this.#budget.close(error);
    for (const { reject } of [...this.#queued, ...this.#pending.values()]) reject(error);
    this.#queued = [];
    this.#pending.clear();
  }

  #refuse(proposal: Proposal, error: SparrowError): void {
    this.#leave(proposal);
    proposal.reject(error);
  }

  #leave({ command }: Proposal): void {
    if (command !== NOTHING) this.#budget.leave(command.length);
  }
}

/** Of what never entered the budget. */
const NOTHING: Uint8Array = new Uint8Array(0);

function lost(message: string, details: ErrorDetails): SparrowError {
  return new SparrowError('unavailable', 'LEADERSHIP_LOST', message, details);
}
