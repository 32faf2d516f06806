/**
 * What an engine takes of linear memory, for its settings: what cannot be done without. Settings for which it is more than `memoryBytes` are
 * refused. What else there is goes to memtables that wait for their flush, and to indexes of tables, which give way.
 *
 *   | kernels' contexts | page cache | value cache | scan window | staging | left | scratch of a flush | value window | memtable | batch |
 *
 * The first four are made with the memory (resources.ts), and the next two are kept free of what can do without (linear-memory.ts). Scratch and
 * value window are set aside when the engine is opened (reserve.ts). What remains must hold one memtable and a batch; when those
 * before them are not gone yet, a write waits for their flush.
 */
import { HEAP } from '../assembly/memory-map.ts';
import { flushScratchBytesMax } from './flush-scratch.ts';
import { LEFT_BYTES, unitBytes, WASM_PAGE_BYTES } from './memory/linear-memory.ts';
import { STAGING_BYTES } from './memory/staging.ts';
import { SCAN_WINDOW_BYTES } from './scan.ts';
import { pageCacheMemory } from './table/index.ts';
import { cachedValueBytesMax, valueCacheMemory } from './value-cache.ts';

const VALUE_WINDOW_BYTES_MIN = 1024 * 1024;

/** Bytes, by the setting that they come from. `fixed`: from none. */
export interface MemoryPlan {
  readonly fixed: number;
  readonly pageCacheBytes: number;
  readonly valueCacheBytes: number;
  readonly memtableBytes: number;
  readonly maxValueBytes: number;
  readonly maxBatchBytes: number;
}

/** For small pieces: headers of tables and memtables, views. */
export const SMALL_AREA_BYTES: number = 1024 * 1024;

/** What memtables and batches cannot have of a memory that has been made: kept free for a log's staging and for what is small. */
export const KEPT_FREE_BYTES: number = unitBytes(STAGING_BYTES) + LEFT_BYTES;

/** What the memory of resources takes before any engine uses it. */
export function planResources(settings: {
  pageCacheBytes: number;
  valueCacheBytes: number;
}): Pick<MemoryPlan, 'fixed' | 'pageCacheBytes' | 'valueCacheBytes'> {
  return {
    // The first: before the heap, and the unit behind it.
    fixed: HEAP + SMALL_AREA_BYTES + WASM_PAGE_BYTES + unitBytes(SCAN_WINDOW_BYTES) + KEPT_FREE_BYTES,
    pageCacheBytes: pageCacheMemory(settings.pageCacheBytes),
    valueCacheBytes: valueCacheMemory(settings.valueCacheBytes),
  };
}

export function planMemory(settings: {
  pageCacheBytes: number;
  valueCacheBytes: number;
  memtableBytes: number;
  maxValueBytes: number;
  maxBatchBytes: number;
}): MemoryPlan {
  return {
    ...planResources(settings),
    memtableBytes: unitBytes(settings.memtableBytes) + unitBytes(flushScratchBytesMax(settings.memtableBytes)),
    maxValueBytes: unitBytes(valueWindowBytes(settings)),
    maxBatchBytes: unitBytes(settings.maxBatchBytes),
  };
}

/** What is set aside for reading large values: 0 when the cache takes them all. */
export function valueWindowBytes(settings: { valueCacheBytes: number; maxValueBytes: number; maxBatchBytes: number }): number {
  const largest = Math.min(settings.maxValueBytes, settings.maxBatchBytes);
  return largest <= cachedValueBytesMax(settings.valueCacheBytes) ? 0 : Math.max(largest, VALUE_WINDOW_BYTES_MIN);
}

export function plannedBytes(plan: Partial<MemoryPlan>): number {
  return Object.values(plan).reduce((sum, bytes) => sum + bytes, 0);
}
