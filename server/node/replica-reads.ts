/**
 * Which way a read of a replica goes: at once, by a proof that is young enough, or by asking the core (reads.ts).
 *
 *   sole voter, everything that was ever committed is applied    at once
 *   `staleMs` given, and something proves that what is applied is no older    at once
 *   all others    of a turn together: one read of the core
 *
 * Nothing is answered while a snapshot takes the engine's place. Used by replica.ts. Calls reads.ts.
 */
import type { SparrowError } from '../../base/errors.ts';
import type { Output, Raft } from '../raft/index.ts';
import { Reads, type ReadTerms } from './reads.ts';

export interface ReplicaReadsParts {
  readonly raft: Pick<Raft, 'requestRead'>;
  readonly nowMs: () => number;
  /** This member leads. */
  readonly leads: () => boolean;
  readonly applied: () => number;
  readonly committed: () => number;
  readonly installing: () => boolean;
  /** Has `begin` called soon. */
  readonly schedule: () => void;
  readonly notLeader: () => SparrowError;
}

export class ReplicaReads {
  readonly #parts: ReplicaReadsParts;
  readonly #reads: Reads = new Reads();
  #following = 0;
  #stale = 0;
  /** Nobody else can lead, and everything that was ever committed is applied. */
  #atOnce = false;

  constructor(parts: ReplicaReadsParts) {
    this.#parts = parts;
  }

  /** Served while another member led. */
  get following(): number {
    return this.#following;
  }

  /** Of all, those for which nobody was asked. */
  get stale(): number {
    return this.#stale;
  }

  get waiting(): boolean {
    return this.#reads.waiting;
  }

  set atOnce(atOnce: boolean) {
    this.#atOnce = atOnce;
  }

  /** Undefined: it may look at the engine now. */
  read(terms: ReadTerms): Promise<void> | undefined {
    if (this.#atOnce) return undefined;
    if (terms.anyMember && !this.#parts.leads()) this.#following++;
    if (terms.anyMember && terms.staleMs > 0 && this.#staleNow(terms.staleMs)) return undefined;
    const ready = this.#reads.ask(terms.anyMember);
    this.#parts.schedule();
    return ready;
  }

  /** Settles when `index` is applied. */
  when(index: number): Promise<void> {
    return this.#reads.when(index);
  }

  /** All that wait are one read of the core now. */
  begin(nowMs: number): void {
    this.#reads.begin((anywhere) => this.#parts.raft.requestRead(anywhere), nowMs, this.#parts.notLeader);
  }

  /** What the core says of reads that it was asked for. */
  note({ reads, lostReads }: Pick<Output, 'reads' | 'lostReads'>): void {
    for (const read of reads) this.#reads.confirm(read, this.#parts.committed());
    for (const read of lostReads) this.#reads.lose(read, this.#parts.notLeader);
  }

  /** Another member leads, or nobody: the log may go on without what is not committed. */
  askAgain(): void {
    if (this.#reads.askAgain()) this.#parts.schedule();
  }

  /** Something was applied, or confirmed. */
  answer(): void {
    if (!this.#parts.installing()) this.#reads.answer(this.#parts.applied());
  }

  close(error: SparrowError): void {
    this.#atOnce = false;
    this.#reads.close(error);
  }

  #staleNow(staleMs: number): boolean {
    const index = this.#reads.provenWithin(staleMs, this.#parts.nowMs());
    if (this.#reads.waiting) this.#parts.schedule();
    if (index === undefined || index > this.#parts.applied() || this.#parts.installing()) return false;
    this.#stale++;
    return true;
  }
}
