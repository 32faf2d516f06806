/** Sorted runs of table pages in linear memory, as merge and scan benchmarks read them. */
import {
  BUILDER_BYTES,
  BUILDER_INDEX_AT,
  BUILDER_OUT,
  KIND_PUT,
  PAGE_BYTES,
  TABLE_FILE_ID,
  TABLE_HEADER_BYTES,
  TABLE_LARGEST,
  TABLE_LARGEST_BYTES,
  TABLE_SMALLEST,
  TABLE_SMALLEST_BYTES,
} from '../../assembly/memory-map.ts';
import type { LinearMemory } from '../../engine/memory/linear-memory.ts';

export const KEY_BYTES = 16;
export const VALUE_BYTES = 100;

export interface Run {
  readonly fileId: number;
  readonly pages: number;
  readonly pageCount: number;
  readonly index: number;
  readonly indexBytes: number;
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
}

/** Every `step`-th of the keys 0, 1, 2 ... from `first` on. */
export function buildRun(memory: LinearMemory, fileId: number, entries: number, first: number, step: number): Run {
  const { kernel, u8, u32 } = memory;
  const windowBytes = (Math.ceil((entries * (KEY_BYTES + VALUE_BYTES + 24)) / PAGE_BYTES) + 4) * PAGE_BYTES;
  const pages = memory.allocate(windowBytes);
  const index = memory.allocate(entries * 2 + 65536);
  const hashes = memory.allocate(entries * 8 + 64);
  const builder = memory.allocateSmall(BUILDER_BYTES);
  const entry = memory.allocate(1024);
  kernel['builderBegin']!(builder, fileId, pages, windowBytes, index, entries * 2 + 65536, hashes, entries * 8 + 64);
  for (let i = 0; i < entries; i++) {
    u8.set(key(first + i * step), entry);
    const answer = kernel['builderPut']!(builder, entry, KEY_BYTES, 1 + i, KIND_PUT, 0, entry + 64, VALUE_BYTES);
    if (answer !== 0) throw new Error(`the builder answered ${answer}`);
  }
  const pageCount = kernel['builderFinish']!(builder);
  const indexBytes = u32[(builder + BUILDER_INDEX_AT) >>> 2]! - index;
  if (u32[(builder + BUILDER_OUT) >>> 2]! - pages !== pageCount * PAGE_BYTES) throw new Error('all pages are in the window');
  memory.free(hashes, entries * 8 + 64);
  return { fileId, pages, pageCount, index, indexBytes, smallest: key(first), largest: key(first + (entries - 1) * step) };
}

export function key(n: number): Uint8Array {
  return Buffer.from(n.toString(16).padStart(KEY_BYTES, '0'));
}

/** A table header over the run, with every page in place as if the cache held all. */
export function openRun(memory: LinearMemory, run: Run): number {
  const { kernel, u8, u32 } = memory;
  const header = memory.allocateSmall(TABLE_HEADER_BYTES);
  const keys = memory.allocateSmall(2 * KEY_BYTES + 64);
  u8.set(run.smallest, keys);
  u8.set(run.largest, keys + KEY_BYTES);
  u32[(header + TABLE_FILE_ID) >>> 2] = run.fileId;
  u32[(header + TABLE_SMALLEST) >>> 2] = keys;
  u32[(header + TABLE_SMALLEST_BYTES) >>> 2] = KEY_BYTES;
  u32[(header + TABLE_LARGEST) >>> 2] = keys + KEY_BYTES;
  u32[(header + TABLE_LARGEST_BYTES) >>> 2] = KEY_BYTES;
  const arrays = memory.allocate(kernel['tableArrayBytes']!(run.pageCount));
  if (kernel['tableOpen']!(header, run.pageCount, run.index, run.indexBytes, arrays) !== 1) throw new Error('the index does not open');
  return header;
}
