/**
 * Copies values out of linear memory. A fresh array for every small value costs 300 to 450 ns, a view of a pooled one about 70; so small
 * values share slabs that are never written again once handed out. A value that is kept keeps its slab: 64 KiB at most.
 */
import { copyOut } from './memory/copy.ts';
import type { LinearMemory } from './memory/linear-memory.ts';

const SLAB_BYTES = 64 * 1024;
/** A value over this gets an array of its own. */
const POOLED_BYTES_MAX = 8 * 1024;

export class ValuePool {
  #slab: Uint8Array<ArrayBuffer> = new Uint8Array(SLAB_BYTES);
  #used = 0;

  /** A copy of `bytes` at `from` that belongs to the caller. */
  copy(source: LinearMemory, from: number, bytes: number): Uint8Array {
    if (bytes > POOLED_BYTES_MAX) return copyAlone(source, from, bytes);
    if (this.#used + bytes > SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const at = this.#used;
    const slab = this.#slab;
    // Eight bytes apart, so that a caller may look at it as words.
    this.#used = (at + bytes + 7) & ~7;
    copyOut(source, from, bytes, slab, at);
    return new Uint8Array(slab.buffer, at, bytes);
  }
}

function copyAlone(source: LinearMemory, from: number, bytes: number): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes);
  copyOut(source, from, bytes, copy, 0);
  return new Uint8Array(copy.buffer, 0, bytes);
}
