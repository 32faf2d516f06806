/**
 * What has been laid out for the log and is not written yet: ranges of linear memory, in the order in which the file takes them. Frames lie in the
 * memtable's arena, one behind another, so most of the time it is a single range. Large values wait in a staging area, or, those that are
 * larger than one, in memory of their own: until the write, which gives that back. Used by log-writer.ts.
 */
import type { File } from '../../base/env.ts';
import { LEFT_BYTES, type LinearMemory } from '../memory/linear-memory.ts';
import { type Staging, STAGING_BYTES } from '../memory/staging.ts';

type Range = { address: number; bytes: number };

export class Pending {
  readonly #memory: LinearMemory;
  readonly #staging: Staging;
  /** Finished ranges, and the open one that the next frame most likely extends. */
  #ranges: Range[] = [];
  #from = 0;
  #to = 0;
  /** Where large values wait until the next write; 0: none does. */
  #staged = 0;
  #stagedBytes = 0;
  #oversize: Range[] = [];

  constructor(memory: LinearMemory, staging: Staging) {
    this.#memory = memory;
    this.#staging = staging;
  }

  /** A large value waits that has memory of its own. */
  get isOversize(): boolean {
    return this.#oversize.length > 0;
  }

  /** Adds a range that has been laid out. It must stay as it is until it is written. */
  append(address: number, bytes: number): void {
    if (address === this.#to) this.#to += bytes;
    else {
      if (this.#to !== this.#from) this.#ranges.push({ address: this.#from, bytes: this.#to - this.#from });
      this.#from = address;
      this.#to = address + bytes;
    }
  }

  /** Address of what is `offset` bytes behind the first that waits. */
  at(offset: number): number {
    let from = 0;
    for (const { address, bytes } of this.#ranges) {
      if (offset < from + bytes) return address + offset - from;
      from += bytes;
    }
    return this.#from + offset - from;
  }

  /** Room for a large value of `bytes`, a multiple of 8, until the next write; undefined: there is none before it. */
  stage(bytes: number): number | undefined {
    if (this.#stagedBytes + bytes > STAGING_BYTES) {
      if (this.#stagedBytes > 0) return undefined;
      if (bytes > STAGING_BYTES) {
        const address = this.#memory.allocate(bytes, LEFT_BYTES);
        this.#oversize.push({ address, bytes });
        return address;
      }
    }
    if (this.#staged === 0) this.#staged = this.#staging.take();
    const address = this.#staged + this.#stagedBytes;
    this.#stagedBytes += bytes;
    return address;
  }

  /** Writes all of it, in one call. It waits on until `written`. */
  writeTo(file: File, offset: number): void {
    const { u8 } = this.#memory;
    if (this.#ranges.length === 0) file.writeSync(u8, this.#from, this.#to - this.#from, offset);
    else {
      const spans = this.#ranges.map((range) => u8.subarray(range.address, range.address + range.bytes));
      spans.push(u8.subarray(this.#from, this.#to));
      file.writevSync(spans, offset);
    }
  }

  /** Nothing waits any more. */
  written(): void {
    this.#ranges = [];
    this.#from = this.#to = 0;
    this.freeStaged();
  }

  /** Gives back the room for large values. */
  freeStaged(): void {
    if (this.#staged !== 0) this.#staging.give(this.#staged);
    this.#staged = this.#stagedBytes = 0;
    for (const piece of this.#oversize) this.#memory.free(piece.address, piece.bytes);
    this.#oversize = [];
  }
}
