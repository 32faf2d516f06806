/**
 * The bytes of one file in memory, as a list of chunks: writing and reading copy what is written and read and nothing else, however large
 * the file is. Chunks come with the first write to their place; what was never written reads as zeros.
 *
 *   | chunk 0 | chunk 1 | (hole) | chunk 3 |        64 KiB each; a file that fits the first one has a smaller one, which doubles
 *
 * The files of one file system take their memory from one Space, which may be bounded. A write finds all the memory that it needs before it
 * changes anything. Used by memory-file-system.ts.
 */
const CHUNK_BYTES = 64 * 1024;
const SMALLEST_CHUNK_BYTES = 512;

/** Memory for all files of one file system. */
export class Space {
  /** May be changed at any time. */
  bytesMax: number;
  #usedBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes `bytes` if there are so many left. */
  take(bytes: number): boolean {
    if (bytes > 0 && this.#usedBytes + bytes > this.bytesMax) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

export class MemoryFile {
  readonly #space: Space;
  readonly #chunks: (Uint8Array | undefined)[] = [];
  #bytes = 0;

  constructor(space: Space) {
    this.#space = space;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Copies up to `length` bytes to `target`; returns how many there were. */
  read(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    const count = Math.max(0, Math.min(length, this.#bytes - position));
    for (let done = 0; done < count;) {
      const at = position + done;
      const within = at % CHUNK_BYTES;
      const bytes = Math.min(count - done, CHUNK_BYTES - within);
      const chunk = this.#chunks[(at - within) / CHUNK_BYTES];
      const held = chunk === undefined ? 0 : Math.max(0, Math.min(bytes, chunk.length - within));
      if (held > 0) target.set(chunk!.subarray(within, within + held), targetOffset + done);
      if (held < bytes) target.fill(0, targetOffset + done + held, targetOffset + done + bytes);
      done += bytes;
    }
    return count;
  }

  /** Gets the memory for a write of `length` bytes at `position`; false: there is not enough, and nothing has changed. */
  reserve(position: number, length: number): boolean {
    if (length === 0) return true;
    const end = position + length;
    const first = Math.floor(position / CHUNK_BYTES);
    const last = Math.ceil(end / CHUNK_BYTES) - 1;
    let wanted = 0;
    for (let index = first; index <= last; index++) wanted += this.#sizeWanted(index, end) - (this.#chunks[index]?.length ?? 0);
    if (!this.#space.take(wanted)) return false;
    for (let index = first; index <= last; index++) {
      const size = this.#sizeWanted(index, end);
      const before = this.#chunks[index];
      if (before?.length === size) continue;
      const chunk = new Uint8Array(size);
      if (before) chunk.set(before);
      this.#chunks[index] = chunk;
    }
    return true;
  }

  /** Copies `source[sourceOffset .. sourceOffset+length]` to where `reserve` has made room. */
  write(source: Uint8Array, sourceOffset: number, length: number, position: number): void {
    for (let done = 0; done < length;) {
      const at = position + done;
      const within = at % CHUNK_BYTES;
      const bytes = Math.min(length - done, CHUNK_BYTES - within);
      this.#chunks[(at - within) / CHUNK_BYTES]!.set(source.subarray(sourceOffset + done, sourceOffset + done + bytes), within);
      done += bytes;
    }
    if (length > 0) this.#bytes = Math.max(this.#bytes, position + length);
  }

  /** Cuts the file, or extends it by a hole. */
  truncate(bytes: number): void {
    if (bytes < this.#bytes) {
      const kept = Math.ceil(bytes / CHUNK_BYTES);
      for (const chunk of this.#chunks.splice(kept)) this.#space.give(chunk?.length ?? 0);
      // What lies behind the end is gone for good: a later extension reads zeros there.
      if (bytes % CHUNK_BYTES > 0) this.#chunks[kept - 1]?.fill(0, bytes % CHUNK_BYTES);
    }
    this.#bytes = bytes;
  }

  /** Gives all memory back. */
  free(): void {
    this.truncate(0);
  }

  /** Size that a chunk must have for a write that ends at `end`. Only the first one of a small file is not whole. */
  #sizeWanted(index: number, end: number): number {
    if (index > 0 || end > CHUNK_BYTES || this.#bytes > CHUNK_BYTES) return CHUNK_BYTES;
    let size = this.#chunks[0]?.length ?? SMALLEST_CHUNK_BYTES;
    while (size < end) size *= 2;
    return size;
  }
}
