/**
 * Makes bytes that alias a received message the caller's own. A fresh Uint8Array costs 300 ns and more, so small ones are cut from slabs of
 * 16 KiB: what a caller keeps holds at most one slab. A value that is most of its message is handed over as it is.
 */
const SLAB_BYTES = 16 * 1024;
const SLAB_SHARE_MAX = 2 * 1024;

export class OwnedBytes {
  #slab: Uint8Array = new Uint8Array(SLAB_BYTES);
  #used = 0;

  own(bytes: Uint8Array): Uint8Array {
    const length = bytes.length;
    if (length > SLAB_SHARE_MAX) {
      if (length * 2 >= bytes.buffer.byteLength) return new Uint8Array(bytes.buffer, bytes.byteOffset, length);
      return new Uint8Array(bytes);
    }
    if (this.#used + length > SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used + length);
    copy.set(bytes);
    this.#used += length;
    return copy;
  }
}
