/**
 * Reads that wait: for the core to say up to which index what is applied is fresh, then for that index to be applied.
 *
 *   ask -> waiting -> (core: a round of heartbeats, or a question to the leader) asked -> confirmed at an index -> answered when it is applied
 *
 * All reads of a turn are one read of the core. One that waits for what was answered and is not committed (early-answers.ts) is asked again when another member
 * leads: should a loss of power have taken that, it would never come.
 *
 * A confirmed index is also a proof for later: what is applied up to it shows everything that was acknowledged anywhere before it was asked for.
 * So a read that may be `staleMs` old needs nothing but a proof that was asked for at most so long ago, by this node's own clock: no other clock,
 * and no message's delay, comes into it. A hundredth is taken off for a clock that is slow. Half way to its end a proof is renewed, so
 * that reads that keep coming never wait for one.
 *
 * Used by replica.ts.
 */
import type { SparrowError } from '../../base/errors.ts';
import type { ReadState } from '../raft/index.ts';

/** How fresh a read must be, and who may serve it. */
export interface ReadTerms {
  /** Any member may. False: only the one that leads. */
  readonly anyMember: boolean;
  /** It shows at least what had been acknowledged so many milliseconds before it was asked for. 0: linearizable. */
  readonly staleMs: number;
}

export const AT_LEADER: ReadTerms = Object.freeze({ anyMember: false, staleMs: 0 });

interface Read {
  readonly anyMember: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What is one read of the core. */
interface Asked {
  readonly atMs: number;
  readonly reads: Read[];
}

/** A monotonic clock loses no more than a hundredth. */
const SLOW_CLOCK = 1.01;

export class Reads {
  #waiting: Read[] = [];
  /** A proof is wanted though nobody waits for it. */
  #renew = false;
  /** By the core's number. */
  readonly #asked: Map<number, Asked> = new Map();
  #confirmed: { index: number; committed: boolean; reads: Read[] }[] = [];
  /** The newest: what is applied up to `index` shows everything that was acknowledged before `atMs`. */
  #proof: { readonly atMs: number; readonly index: number } | undefined;

  get waiting(): boolean {
    return this.#waiting.length > 0 || this.#renew;
  }

  get confirmed(): boolean {
    return this.#confirmed.length > 0;
  }

  ask(anyMember: boolean): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ anyMember, resolve, reject }));
  }

  /** Settles when `index` is applied. */
  when(index: number): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#confirmed.push({ index, committed: true, reads: [{ anyMember: true, resolve, reject }] }),
    );
  }

  /** Up to where a read must see that may be `staleMs` old; undefined when nothing proves it. */
  provenWithin(staleMs: number, nowMs: number): number | undefined {
    if (this.#proof === undefined) return undefined;
    const ageMs = (nowMs - this.#proof.atMs) * SLOW_CLOCK;
    if (ageMs > staleMs) return undefined;
    if (ageMs * 2 > staleMs && this.#asked.size === 0) this.#renew = true;
    return this.#proof.index;
  }

  /**
   * All that wait are one read of the core now. `request` asks it, and returns undefined when this member does not lead, or, `anywhere`, knows nobody
   * to ask: they are refused then.
   */
  begin(request: (anywhere: boolean) => number | undefined, nowMs: number, refusal: () => SparrowError): void {
    let reads = this.#waiting;
    this.#waiting = [];
    let read = request(false);
    if (read === undefined) {
      for (const { anyMember, reject } of reads) if (!anyMember) reject(refusal());
      reads = reads.filter(({ anyMember }) => anyMember);
      if (reads.length > 0 || this.#renew) read = request(true);
    }
    this.#renew = false;
    if (read !== undefined) this.#asked.set(read, { atMs: nowMs, reads });
    else for (const { reject } of reads) reject(refusal());
  }

  /** Everything up to `committed` is. */
  confirm({ read, index }: ReadState, committed: number): void {
    const asked = this.#asked.get(read);
    if (asked === undefined) return;
    this.#asked.delete(read);
    this.#confirmed.push({ index, committed: index <= committed, reads: asked.reads });
    if (this.#proof === undefined || asked.atMs > this.#proof.atMs) this.#proof = { atMs: asked.atMs, index };
  }

  /** Reads that wait for what is not committed ask again. Whether there were any. */
  askAgain(): boolean {
    const again = this.#confirmed.filter(({ committed }) => !committed);
    if (again.length === 0) return false;
    this.#confirmed = this.#confirmed.filter(({ committed }) => committed);
    for (const { reads } of again) this.#waiting.push(...reads);
    return true;
  }

  lose(read: number, refusal: () => SparrowError): void {
    for (const { reject } of this.#asked.get(read)?.reads ?? []) reject(refusal());
    this.#asked.delete(read);
  }

  /** Everything up to `applied` can be seen. */
  answer(applied: number): void {
    if (this.#confirmed.length === 0) return;
    const confirmed = this.#confirmed;
    this.#confirmed = confirmed.filter(({ index }) => index > applied);
    for (const { index, reads } of confirmed) if (index <= applied) for (const { resolve } of reads) resolve();
  }

  close(error: SparrowError): void {
    const lists = [this.#waiting, ...[...this.#asked.values()].map(({ reads }) => reads), ...this.#confirmed.map(({ reads }) => reads)];
    for (const reads of lists) for (const { reject } of reads) reject(error);
    this.#waiting = [];
    this.#asked.clear();
    this.#confirmed = [];
  }
}
