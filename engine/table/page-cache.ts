/**
 * Owns the memory of a page cache (assembly/page-cache.ts): frames and their descriptors. The tables of any number of engines of one
 * linear memory may share it; only the caller's thread uses it. Frames take address space at once, but memory only when first filled.
 */
import { PAGE_BYTES, PAGE_CACHE_BYTES, PAGE_CACHE_FRAMES_MIN } from '../../assembly/memory-map.ts';
import { type LinearMemory, unitBytes } from '../memory/linear-memory.ts';

const USED = 16;
const LOADS = 20;
const EVICTIONS = 24;
const USES = 32;

export interface PageCacheStats {
  frames: number;
  /** Frames that hold a page. */
  used: number;
  /** Pages read into the cache and put out of it, modulo 2^32. */
  loads: number;
  evictions: number;
  /** How often a page was found in its frame: right away, or after it was loaded. */
  uses: number;
}

export class PageCache {
  /** For kernels. */
  readonly address: number;
  readonly frames: number;
  readonly #memory: LinearMemory;
  readonly #framesAddress: number;
  readonly #arrays: number;
  readonly #arrayBytes: number;

  /** `bytes`: for pages; at least PAGE_CACHE_FRAMES_MIN frames are made. */
  constructor(memory: LinearMemory, bytes: number) {
    this.#memory = memory;
    this.frames = framesIn(bytes);
    this.#framesAddress = memory.allocate(this.frames * PAGE_BYTES);
    this.#arrayBytes = memory.kernel['cacheArrayBytes']!(this.frames);
    this.#arrays = memory.allocateCleared(this.#arrayBytes);
    this.address = memory.allocateSmall(PAGE_CACHE_BYTES);
    memory.kernel['cacheInit']!(this.address, this.#framesAddress, this.#arrays, this.frames);
  }

  /** Kernels of this context read through this cache from now on. */
  bind(context: number): void {
    this.#memory.kernel['cacheBind']!(context, this.address);
  }

  get usedBytes(): number {
    return this.#field(USED) * PAGE_BYTES;
  }

  stats(): PageCacheStats {
    return {
      frames: this.frames,
      used: this.#field(USED),
      loads: this.#field(LOADS),
      evictions: this.#field(EVICTIONS),
      uses: this.#field(USES) + this.#field(USES + 4) * 2 ** 32,
    };
  }

  /** No table uses it any more. */
  free(): void {
    this.#memory.free(this.#framesAddress, this.frames * PAGE_BYTES);
    this.#memory.free(this.#arrays, this.#arrayBytes);
    this.#memory.freeSmall(this.address, PAGE_CACHE_BYTES);
  }

  #field(offset: number): number {
    return this.#memory.u32[(this.address + offset) >>> 2]!;
  }
}

/** What a cache for `bytes` of pages takes: frames; for each a descriptor, a place among the ghosts and in the buckets (cacheArrayBytes). */
export function pageCacheMemory(bytes: number): number {
  const frames = framesIn(bytes);
  const slots = 2 ** (32 - Math.clz32(frames - 1));
  return unitBytes(frames * PAGE_BYTES) + unitBytes(frames * 16 + Math.floor(frames / 16) * 4 + slots * 12);
}

function framesIn(bytes: number): number {
  return Math.max(PAGE_CACHE_FRAMES_MIN, Math.floor(bytes / PAGE_BYTES));
}
