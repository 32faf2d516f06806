/**
 * Memory of packets that have left, for those that come: a packet lives for as long as the network takes to accept it, and each that is allocated anew is memory
 * that V8 counts until its next full collection.
 *
 *   take(bytes)  -> a buffer of a power of two bytes, SMALLEST to LARGEST; smaller and larger ones are as Node makes them
 *   give(packet) -> what it lies in is taken again, while no more than SPARE_BYTES_MAX are kept
 *
 * One for a node, so that what is kept does not grow with the number of its peers. Whoever gives a packet back does not look at it any more. Pure.
 */
const KIB = 1024;
const SMALLEST: number = 16 * KIB;
const LARGEST: number = 1024 * KIB;
const SPARE_BYTES_MAX: number = 4 * 1024 * KIB;

export class PacketMemory {
  /** By the number of bytes. */
  readonly #spares: Map<number, Buffer[]> = new Map();
  /** Memory that was made here, and is not spare now. */
  readonly #lent: WeakMap<ArrayBufferLike, Buffer> = new WeakMap();
  #spareBytes = 0;

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

  /** A packet that lies in what `take` returned, or elsewhere. */
  give(packet: Buffer): void {
    const memory = this.#lent.get(packet.buffer);
    if (memory === undefined || !this.#lent.delete(packet.buffer)) return;
    const size = memory.length;
    if (this.#spareBytes + size > SPARE_BYTES_MAX) return;
    const spares = this.#spares.get(size);
    if (spares === undefined) this.#spares.set(size, [memory]);
    else spares.push(memory);
    this.#spareBytes += size;
  }
}
