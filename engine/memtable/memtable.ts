/**
 * A memtable from the host's side: the header in linear memory, the chunks that its records and nodes lie in, and which log segment
 * its first record is in. The tree itself is assembly/memtable.ts.
 *
 * Chunks begin small and double up to CHUNK_BYTES_MAX, so that an engine with little in it takes little. A frame never straddles chunks.
 */
import { assert } from '../../base/assert.ts';
import { FRONT, KEY_A, KIND_RANGE_DELETE, RECORD_HEADER_BYTES, RESULT_VALUE, STACKS } from '../../assembly/memory-map.ts';
import type { RangeTombstone } from '../manifest/index.ts';
import type { MemtableBudget } from './memtable-budget.ts';
import { LEFT_BYTES, type LinearMemory, SMALL_BYTES_MAX } from '../memory/linear-memory.ts';

const HEADER_BYTES = 72;
/** Kernels may read a little past what they are given. */
const SLACK_BYTES = 64;
/** The first chunks have twice as much. */
const CHUNK_BYTES_MIN = 2 * 1024 - SLACK_BYTES;
const CHUNK_BYTES_MAX = 4 * 1024 * 1024 - SLACK_BYTES;
/** What a record of a batch takes of nodes, on the whole: a node of four, a version, and its share of the growth of larger nodes. */
export const NODE_BYTES_PER_RECORD = 96;
/** What is left of a chunk when it has no room for one more insertion. */
const NODE_BYTES_LEFT = 2048;

/** Of a chunk that is not small. */
const ROOM_BYTES_MIN = 64 * 1024;

const NO_LINKS: ReadonlyMap<number, MemtableLink> = new Map();

type Chunk = { address: number; bytes: number };

/** A name of the engine's own for a segment of its host's log (hosted/host-links.ts). */
export interface MemtableLink {
  /** Its id: pointers have it. */
  readonly segment: number;
  /** Of all values that the memtable was given there, overwritten ones too, and the offset behind the last. */
  bytes: number;
  end: number;
}

export class Memtable {
  readonly address: number;
  /** The log segment that holds the oldest record of this memtable; segments before it are not needed to rebuild it. */
  readonly firstSegment: number;
  readonly #memory: LinearMemory;
  readonly #budget: MemtableBudget | undefined;
  /** u32 index of the header's first word. */
  readonly #word: number;
  readonly #chunks: Chunk[] = [];
  /** Chunks for nodes that `provide` took ahead. */
  readonly #spare: Chunk[] = [];
  #recordChunkBytes = CHUNK_BYTES_MIN;
  #nodeChunkBytes = CHUNK_BYTES_MIN;
  #arenaBytes = 0;
  #sealed = false;
  #freed = false;
  #links: Map<number, MemtableLink> | undefined;
  /** Oldest first. */
  readonly #rangeTombstones: RangeTombstone[] = [];
  readonly #onRangeDelete: (tombstone: RangeTombstone) => void;

  /** `budget` learns what it takes; `onRangeDelete` of each range tombstone when its batch is indexed, before anybody reads. */
  constructor(
    memory: LinearMemory,
    firstSegment: number,
    budget?: MemtableBudget,
    onRangeDelete: (tombstone: RangeTombstone) => void = () => undefined,
  ) {
    this.#onRangeDelete = onRangeDelete;
    this.#memory = memory;
    this.#budget = budget;
    this.firstSegment = firstSegment;
    this.address = memory.allocateSmall(HEADER_BYTES);
    this.#word = this.address >>> 2;
    memory.kernel['memtableInit']!(this.address);
  }

  /** Where the next frame begins, when `bytes` fit the current chunk; a new chunk is added when they do not. */
  reserve(bytes: number): number {
    const u32 = this.#memory.u32;
    const top = u32[this.#word + 1]!;
    if (top + bytes <= u32[this.#word + 2]!) return top;
    this.#recordChunkBytes = Math.min(this.#recordChunkBytes * 2 + SLACK_BYTES, CHUNK_BYTES_MAX);
    const size = Math.max(this.#recordChunkBytes, bytes);
    const address = this.#add(size);
    u32[this.#word + 1] = address;
    u32[this.#word + 2] = address + size;
    return address;
  }

  /** Memory from where the next frame begins, at least `bytes` of it: what is laid out there may stay. */
  room(bytes: number): { address: number; bytes: number } {
    // The rest of a chunk that is hardly worth a read is left.
    const address = this.reserve(Math.max(bytes, Math.min(ROOM_BYTES_MIN, this.#recordChunkBytes >>> 2)));
    return { address, bytes: this.#memory.u32[this.#word + 2]! - address };
  }

  /** After a kernel answered that it has no room for nodes. */
  addNodeChunk(): void {
    const { address, bytes } = this.#spare.pop() ?? this.#nodeChunk();
    this.#memory.u32[this.#word + 3] = address;
    this.#memory.u32[this.#word + 4] = address + bytes;
  }

  /**
   * Sees to it that so many records can be indexed without asking for more memory half-way, when a batch would be there in part. Throws
   * `exhausted/MEMORY_BUDGET` otherwise; nothing that anybody sees has changed then.
   */
  provide(records: number): void {
    const u32 = this.#memory.u32;
    let room = u32[this.#word + 4]! - u32[this.#word + 3]! - NODE_BYTES_LEFT;
    for (const spare of this.#spare) room += spare.bytes - NODE_BYTES_LEFT;
    while (room < records * NODE_BYTES_PER_RECORD) {
      const chunk = this.#nodeChunk();
      this.#spare.push(chunk);
      room += chunk.bytes - NODE_BYTES_LEFT;
    }
  }

  /** Moves the record top behind a frame that the host laid out itself. */
  setTop(top: number): void {
    this.#memory.u32[this.#word + 1] = top;
  }

  /** Indexes records at [from, from + bytes); see `memtableInsert`. */
  insert(from: number, bytes: number, sequence: number, skipTo: number): void {
    const insert = this.#memory.kernel['memtableInsert']!;
    for (let done = 0; done < bytes;) {
      const step = insert(this.address, from + done, bytes - done, sequence, skipTo) >>> 0;
      done += step;
      if (done < bytes) this.addNodeChunk();
    }
    if (this.#memory.u32[this.#word + 14]! > this.#rangeTombstones.length) this.#takeRangeTombstones(from, bytes, skipTo);
  }

  /**
   * Takes frames that recovery read into the arena, as far as that goes without the host (assembly/frame-replay.ts): returns how many bytes of them
   * are done, and up to where the segment was on disk by what they say.
   */
  replay(address: number, bytes: number, segment: number, skipTo: number): { bytes: number; syncedTo: number } {
    const replay = this.#memory.kernel['memtableReplay']!;
    const done = replay(FRONT, this.address, address, bytes, segment, skipTo) >>> 0;
    return { bytes: done, syncedTo: this.#memory.u32[(FRONT + RESULT_VALUE) >>> 2]! };
  }

  /** Range tombstones are records, but the tree does not hold them. */
  #takeRangeTombstones(from: number, bytes: number, skipTo: number): void {
    const { u8, u16, u32, view } = this.#memory;
    for (let at = from; at < from + bytes;) {
      const keyAt = at + RECORD_HEADER_BYTES;
      const valueAt = keyAt + u16[(at + 4) >>> 1]!;
      const valueEnd = valueAt + u32[at >>> 2]!;
      const sequence = Number(view.getBigUint64(at + 8, true));
      if (u8[at + 6] === KIND_RANGE_DELETE && sequence > skipTo) {
        // Copies: they cross threads, and outlive the arena in the version.
        const tombstone = {
          start: Uint8Array.from(u8.subarray(keyAt, valueAt)),
          end: Uint8Array.from(u8.subarray(valueAt, valueEnd)),
          sequence,
        };
        this.#rangeTombstones.push(tombstone);
        this.#onRangeDelete(tombstone);
      }
      at = (valueEnd + 7) & ~7;
    }
  }

  /** Whether it has anything, deletes too, of this internal key or of one behind it. */
  reaches(key: Uint8Array): boolean {
    const { kernel, u8 } = this.#memory;
    u8.set(key, FRONT + KEY_A);
    kernel['memtableSeek']!(this.address, FRONT + STACKS, FRONT + KEY_A, key.length);
    return kernel['memtableNext']!(FRONT + STACKS) !== 0 || this.#rangeTombstones.some(({ start }) => Buffer.compare(start, key) >= 0);
  }

  /** Oldest first. */
  get rangeTombstones(): readonly RangeTombstone[] {
    return this.#rangeTombstones;
  }

  /** Of a hosted engine's: its links into the host's log, by the host's number of the segment. */
  get links(): ReadonlyMap<number, MemtableLink> {
    return this.#links ?? NO_LINKS;
  }

  addLink(hostSegment: number, link: MemtableLink): void {
    (this.#links ??= new Map()).set(hostSegment, link);
  }

  get keys(): number {
    return this.#memory.u32[this.#word + 5]!;
  }
  get records(): number {
    return this.#memory.u32[this.#word + 6]!;
  }
  /** Bytes of records. */
  get bytes(): number {
    return this.#memory.u32[this.#word + 7]!;
  }
  get lastSequence(): number {
    return this.#memory.f64[(this.address + 40) >>> 3]!;
  }
  get pointers(): number {
    return this.#memory.u32[this.#word + 12]!;
  }
  get deletes(): number {
    return this.#memory.u32[this.#word + 13]!;
  }
  /** Linear memory taken. */
  get arenaBytes(): number {
    return this.#arenaBytes;
  }

  /** Of versions that are kept for snapshots alone, with their large values: at most. */
  get pinnedBytes(): number {
    return this.#memory.f64[(this.address + 64) >>> 3]!;
  }

  /** The newest snapshot in use: what it can see is kept when it is overwritten. -1: none. */
  set newestSnapshot(sequence: number) {
    this.#memory.f64[(this.address + 32) >>> 3] = sequence;
    if (sequence < 0) this.#memory.f64[(this.address + 64) >>> 3] = 0;
  }

  /** It takes no more writes. */
  seal(): void {
    this.#sealed = true;
    this.#budget?.sealed(this.#arenaBytes);
  }

  free(): void {
    assert(!this.#freed, 'a memtable is freed once');
    this.#freed = true;
    this.#budget?.freed(this.#arenaBytes, this.#sealed);
    for (const { address, bytes } of this.#chunks) {
      if (isSmall(bytes)) this.#memory.freeSmall(address, bytes + SLACK_BYTES);
      else this.#memory.free(address, bytes);
    }
    this.#memory.freeSmall(this.address, HEADER_BYTES);
  }

  #nodeChunk(): Chunk {
    const bytes = Math.min(this.#nodeChunkBytes * 2 + SLACK_BYTES, CHUNK_BYTES_MAX);
    const address = this.#add(bytes);
    this.#nodeChunkBytes = bytes;
    return { address, bytes };
  }

  #add(bytes: number): number {
    const address = isSmall(bytes) ? this.#memory.allocateSmall(bytes + SLACK_BYTES) : this.#memory.allocate(bytes, LEFT_BYTES);
    this.#chunks.push({ address, bytes });
    this.#arenaBytes += bytes;
    this.#budget?.grew(bytes);
    return address;
  }
}

function isSmall(bytes: number): boolean {
  return bytes + SLACK_BYTES <= SMALL_BYTES_MAX;
}
