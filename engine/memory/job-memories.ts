/**
 * Linear memories of jobs that need one of their own (compactions), kept from one job to the next: pages that were touched once are there at once, and a memory
 * that is let go of comes back to the system only when the JavaScript heap is collected, which a thread that allocates little hardly ever does.
 *
 * One that has been touched beyond a bound is let go of all the same.
 */
import { HEAP } from '../../assembly/memory-map.ts';
import type { WasmMemory } from './kernel.ts';
import { LinearMemory, WASM_PAGE_BYTES } from './linear-memory.ts';

export class JobMemories {
  readonly #keptBytesMax: number;
  /** Not in use. */
  readonly #kept: WasmMemory[] = [];

  /** `keptBytesMax`: of each memory, so much may have been touched for it to be kept. */
  constructor(keptBytesMax: number) {
    this.#keptBytesMax = keptBytesMax;
  }

  /** A memory with at least so many bytes of address space, a multiple of 64 KiB. What is in it is anybody's. */
  take(bytes: number): LinearMemory {
    const memory = this.#kept.pop();
    if (memory === undefined) return new LinearMemory(bytes);
    const missing = bytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(missing / WASM_PAGE_BYTES);
    return new LinearMemory(bytes, { memory, from: HEAP, to: bytes - WASM_PAGE_BYTES });
  }

  /** The job has ended. */
  give(memory: LinearMemory): void {
    if (memory.touchedBytes <= this.#keptBytesMax) this.#kept.push(memory.memory);
  }
}
