/**
 * Memory of messages that have left, for those that come: a message lives for as long as the network takes to accept it, and each that is allocated anew is memory
 * that V8 counts until its next full collection.
 *
 *   take(bytes)   -> a buffer of a power of two bytes, SMALLEST to LARGEST; smaller and larger ones are as Node makes them
 *   give(message) -> what it lies in is taken again, while no more than `spareBytesMax` are kept
 *
 * Whoever gives a message back does not look at it any more. Pure. Used by server/transport and the client's sessions.
 */
const KIB = 1024;
const SMALLEST: number = 16 * KIB;
const LARGEST: number = 1024 * KIB;

export class MessageMemory {
  readonly #spareBytesMax: number;
  /** By the number of bytes. */
  readonly #spares: Map<number, Buffer[]> = new Map();
  /** Memory that was made here, and is not spare now. */
  readonly #lent: WeakMap<ArrayBufferLike, Buffer> = new WeakMap();
  #spareBytes = 0;

  constructor(spareBytesMax: number) {
    this.#spareBytesMax = spareBytesMax;
  }

  /** Kept for later. */
  get spareBytes(): number {
    return this.#spareBytes;
  }

  /** At least so many bytes, of any content. */
  take(bytes: number): Buffer {
    if (bytes < SMALLEST || bytes > LARGEST) return Buffer.allocUnsafe(bytes);
    const size = SMALLEST << Math.ceil(Math.log2(bytes / SMALLEST));
    const spare = this.#spares.get(size)?.pop();
    const taken = spare ?? Buffer.allocUnsafeSlow(size);
    if (spare !== undefined) this.#spareBytes -= size;
    this.#lent.set(taken.buffer, taken);
    return taken;
  }

  /** A message that lies in what `take` returned, or elsewhere. */
  give(message: Buffer): void {
    const memory = this.#lent.get(message.buffer);
    if (memory === undefined || !this.#lent.delete(message.buffer)) return;
    const size = memory.length;
    if (this.#spareBytes + size > this.#spareBytesMax) return;
    const spares = this.#spares.get(size);
    if (spares === undefined) this.#spares.set(size, [memory]);
    else spares.push(memory);
    this.#spareBytes += size;
  }
}
