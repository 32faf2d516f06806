/**
 * Linearizable reads that wait: for the core to say up to which index what is applied is fresh, then for that index to be applied.
 *
 *   ask -> waiting -> (core: a round of heartbeats) asked -> confirmed at an index -> answered when it is applied
 *
 * All reads of a turn are one read of the core. Used by replica.ts.
 */
import type { SparrowError } from '../../base/errors.ts';
import type { ReadState } from '../raft/index.ts';

interface Read {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Reads {
  #waiting: Read[] = [];
  /** By the core's number. */
  readonly #asked: Map<number, Read[]> = new Map();
  #confirmed: { index: number; reads: Read[] }[] = [];

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  get confirmed(): boolean {
    return this.#confirmed.length > 0;
  }

  ask(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Settles when `index` is applied. */
  when(index: number): Promise<void> {
    return new Promise((resolve, reject) => this.#confirmed.push({ index, reads: [{ resolve, reject }] }));
  }

  /** All that wait are the core's read `read` now; undefined when it takes none, and they are refused. */
  begin(read: number | undefined, refusal: () => SparrowError): void {
    const reads = this.#waiting;
    this.#waiting = [];
    if (read !== undefined) this.#asked.set(read, reads);
    else for (const { reject } of reads) reject(refusal());
  }

  confirm({ read, index }: ReadState): void {
    this.#confirmed.push({ index, reads: this.#asked.get(read) ?? [] });
    this.#asked.delete(read);
  }

  lose(read: number, refusal: () => SparrowError): void {
    for (const { reject } of this.#asked.get(read) ?? []) reject(refusal());
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
    for (const reads of [this.#waiting, ...this.#asked.values(), ...this.#confirmed.map((confirmed) => confirmed.reads)]) {
      for (const { reject } of reads) reject(error);
    }
    this.#waiting = [];
    this.#asked.clear();
    this.#confirmed = [];
  }
}
