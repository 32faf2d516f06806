/**
 * Packs the pages that a table writer is about to write (assembly/page-pack.ts): in place, one behind another, each noted in its index entry. A
 * page that does not shrink by an eighth stays as it is.
 */
import {
  CODEC_PLAIN,
  CODEC_ZSTD,
  PACKED_BYTES_MAX,
  PACKED_HEADER_BYTES,
  PAGE_BYTES,
  STORED_UNIT_BYTES,
} from '../../assembly/memory-map.ts';
import type { Zstd } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { CODECS, type PageCompression, requireZstd } from './page-compression.ts';

/** Scratch for LZ4 (LZ4_PLACES_BYTES), and behind it room for a packed page. */
const PLACES_BYTES = 8192;
const SCRATCH_BYTES = PLACES_BYTES + PAGE_BYTES;
/** Of an index entry's flags (assembly/table-index.ts). */
const CODEC_SHIFT = 1;
const STORED_SHIFT = 3;

export class PagePacker {
  readonly #memory: LinearMemory;
  readonly #fileId: number;
  readonly #codec: number;
  readonly #zstd: Zstd | undefined;
  readonly #scratch: number;
  #page = 0;
  /** Where the next page's index entry begins, from the start of the index. */
  #entry = 0;
  #packedAny = false;

  /** `invalid/ZSTD_MISSING`. */
  constructor(memory: LinearMemory, fileId: number, compression: Exclude<PageCompression, 'none'>, zstd: Zstd | undefined) {
    this.#memory = memory;
    this.#fileId = fileId;
    this.#codec = CODECS[compression];
    this.#zstd = this.#codec === CODEC_ZSTD ? requireZstd(zstd, `table ${fileId}`) : undefined;
    this.#scratch = memory.allocate(SCRATCH_BYTES);
  }

  /** Whether some page was worth it. */
  get packedAny(): boolean {
    return this.#packedAny;
  }

  /** Packs the whole pages at `address`; their entries are the next ones of the index at `index`. Returns the bytes that they take now. */
  pack(address: number, bytes: number, index: number): number {
    const { u8 } = this.#memory;
    let out = address;
    for (let page = address; page < address + bytes; page += PAGE_BYTES) {
      const stored = this.#packPage(page);
      const codec = stored === 0 ? CODEC_PLAIN : this.#codec;
      if (stored === 0) u8.copyWithin(out, page, page + PAGE_BYTES);
      else {
        u8.copyWithin(out, this.#scratch + PLACES_BYTES, this.#scratch + PLACES_BYTES + stored);
        this.#packedAny = true;
      }
      out += stored === 0 ? PAGE_BYTES : stored;
      this.#note(index, (codec << CODEC_SHIFT) | ((stored / STORED_UNIT_BYTES) << STORED_SHIFT));
      this.#page++;
    }
    return out - address;
  }

  free(): void {
    this.#memory.free(this.#scratch, SCRATCH_BYTES);
  }

  /** Packs a page to the scratch area. Returns what it takes, or 0 when it is not worth it. */
  #packPage(page: number): number {
    const { kernel, u8 } = this.#memory;
    const packed = this.#scratch + PLACES_BYTES;
    if (this.#zstd === undefined) return kernel['pagePack']!(page, packed, this.#scratch, this.#fileId, this.#page);
    const block = this.#zstd.compressSync(u8.slice(page + 8, page + PAGE_BYTES));
    if (block.length > PACKED_BYTES_MAX - PACKED_HEADER_BYTES) return 0;
    u8.set(block, packed + PACKED_HEADER_BYTES);
    return kernel['pageSealPacked']!(packed, block.length, CODEC_ZSTD, this.#fileId, this.#page);
  }

  /** Adds flags to the next index entry: | key bytes u16 | flags u16 | key |. */
  #note(index: number, flags: number): void {
    const { view } = this.#memory;
    const at = index + this.#entry;
    view.setUint16(at + 2, view.getUint16(at + 2, true) | flags, true);
    this.#entry += 4 + view.getUint16(at, true);
  }
}
