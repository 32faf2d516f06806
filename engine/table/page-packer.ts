/**
 * Packs the pages that a table writer is about to write (assembly/page-pack.ts): in place, one behind another, each noted in its index entry. A
 * page is packed as the keyspace of its first key has it; one that does not shrink by an eighth stays as it is.
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
import { keyspaceOf } from '../keyspace-key.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { CODECS, requireZstd } from './page-compression.ts';
import { formOf, type TableForms } from './table-form.ts';

/** Scratch for LZ4 (LZ4_PLACES_BYTES), and behind it room for a packed page. */
const PLACES_BYTES = 8192;
const SCRATCH_BYTES = PLACES_BYTES + PAGE_BYTES;
/** Of an index entry's flags (assembly/table-index.ts). */
const CODEC_SHIFT = 1;
const STORED_SHIFT = 3;
/** Of a page (assembly/page.ts). */
const PAGE_HEADER_BYTES = 16;
const TAGS_UNIT = 16;
const SLOT_BYTES = 4;
const KEYSPACE_PREFIX_BYTES_MAX = 3;

export class PagePacker {
  readonly #memory: LinearMemory;
  readonly #fileId: number;
  readonly #forms: TableForms;
  readonly #zstd: Zstd | undefined;
  readonly #scratch: number;
  #page = 0;
  /** Where the next page's index entry begins, from the start of the index. */
  #entry = 0;
  #packedAny = false;

  /** Undefined when there is nothing to pack. `invalid/ZSTD_MISSING`. */
  static of(memory: LinearMemory, fileId: number, forms: TableForms, zstd: Zstd | undefined): PagePacker | undefined {
    const wanted = [forms.own, ...forms.keyspaces.values()].map(({ compression }) => compression);
    if (wanted.every((compression) => compression === 'none')) return undefined;
    return new PagePacker(memory, fileId, forms, wanted.includes('zstd') ? requireZstd(zstd, `table ${fileId}`) : undefined);
  }

  private constructor(memory: LinearMemory, fileId: number, forms: TableForms, zstd: Zstd | undefined) {
    this.#memory = memory;
    this.#fileId = fileId;
    this.#forms = forms;
    this.#zstd = zstd;
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
      const wanted = this.#codecOf(page);
      const stored = this.#packPage(page, wanted);
      const codec = stored === 0 ? CODEC_PLAIN : wanted;
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

  #codecOf(page: number): number {
    const { own, keyspaces } = this.#forms;
    if (keyspaces.size === 0) return CODECS[own.compression];
    return CODECS[formOf(this.#forms, keyspaceOf(firstKeyBytes(this.#memory, page))).compression];
  }

  /** Packs a page to the scratch area. Returns what it takes, or 0 when it is not worth it. */
  #packPage(page: number, codec: number): number {
    const { kernel, u8 } = this.#memory;
    const packed = this.#scratch + PLACES_BYTES;
    if (codec === CODEC_PLAIN) return 0;
    if (codec !== CODEC_ZSTD) return kernel['pagePack']!(page, packed, this.#scratch, this.#fileId, this.#page);
    const block = this.#zstd!.compressSync(u8.slice(page + 8, page + PAGE_BYTES));
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

/** The first bytes of a page's first key (assembly/page.ts), as many as tell its keyspace. */
function firstKeyBytes({ u8, u16 }: LinearMemory, page: number): Uint8Array {
  const [count, prefixBytes] = [u16[(page + 8) >>> 1]!, u16[(page + 10) >>> 1]!];
  const slots = page + PAGE_HEADER_BYTES + Math.ceil(count / TAGS_UNIT) * TAGS_UNIT;
  const [prefix, suffix] = [slots + (count + 1) * SLOT_BYTES, page + u16[slots >>> 1]!];
  return Uint8Array.from({ length: KEYSPACE_PREFIX_BYTES_MAX }, (_, i) => u8[i < prefixBytes ? prefix + i : suffix + i - prefixBytes]!);
}
