/**
 * One shared linear memory, its kernel instance, and who owns which part of it.
 *
 * The heap is handed out in units of 64 KiB (`allocate`: arenas, cache frames, indexes, filters) with small pieces carved out of such
 * units in power-of-two classes (`allocateSmall`: headers, views). Bookkeeping is the host's: the kernels only see addresses.
 * Freed units are reused last-in-first-out, because memory already touched is faster than fresh pages.
 * The size is fixed when the memory is made (address space, not memory: pages are taken when they are first written), at most 2 GiB.
 * What was never handed out is zeros, and stays without pages until somebody writes there: `allocateCleared` leaves it so.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import { HEAP, SLACK_BYTES } from '../../assembly/memory-map.ts';
import { bindKernel, type Kernel, type WasmMemory } from './kernel.ts';

export const WASM_PAGE_BYTES: number = 65536;
const UNIT_BYTES = 65536;
const SMALL_BYTES_MIN = 64;
/** Larger pieces are handed out in units. */
export const SMALL_BYTES_MAX = 32768;
export const LINEAR_MEMORY_BYTES_MAX: number = 2 ** 31;

type FreeRun = { address: number; bytes: number };

/**
 * Who can do with less, or can wait, leaves so much for those who can do neither: headers of tables, views, tops of indexes.
 */
export const LEFT_BYTES: number = 1024 * 1024;

/** Somebody who holds memory that others may want more urgently. */
export interface MemoryHolder {
  /** Gives back at once what can be had again later. */
  giveBack(): void;
  /** Waits until work that holds memory has ended. Whether any memory was given back. */
  makeRoom(): boolean;
}

/** A range of another LinearMemory's heap, both ends 64 KiB aligned. */
export type Lent = { memory: WasmMemory; from: number; to: number };

export class LinearMemory {
  readonly memory: WasmMemory;
  readonly kernel: Kernel;
  readonly bytes: number;
  readonly u8: Uint8Array<SharedArrayBuffer>;
  /** All of it, for copy.ts. */
  readonly buffer: Buffer<SharedArrayBuffer>;
  readonly u16: Uint16Array<SharedArrayBuffer>;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly i32: Int32Array<SharedArrayBuffer>;
  readonly f64: Float64Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;

  /** Never-used space of the heap, from here to its end. */
  #fresh: number;
  readonly #start: number;
  readonly #end: number;
  /** Nothing from here on has ever been handed out. */
  #untouched: number;
  /** Freed runs, most recently freed last; neighbours are merged when a search fails, before anything is taken that was never used. */
  #free: FreeRun[] = [];
  readonly #small = new Map<number, number[]>();
  /** Set aside for small pieces, and not cut up yet. */
  readonly #smallUnits: number[] = [];
  #used = 0;
  #touched = HEAP;
  /** Something was freed since neighbours were merged. */
  #isFragmented = false;
  readonly #holders = new Set<MemoryHolder>();

  /**
   * `bytes`: size of the memory, a multiple of 64 KiB, at most 2 GiB.
   * `lent`: instead of a memory of its own, a range of somebody else's, for kernels that run beside their owner on another thread.
   */
  constructor(bytes: number, lent?: Lent) {
    assert(bytes % WASM_PAGE_BYTES === 0 && bytes > HEAP && bytes <= LINEAR_MEMORY_BYTES_MAX, 'memory size is within its range');
    this.bytes = bytes;
    this.memory =
      lent?.memory ??
      new WebAssembly.Memory({
        initial: bytes / WASM_PAGE_BYTES,
        maximum: LINEAR_MEMORY_BYTES_MAX / WASM_PAGE_BYTES,
        shared: true,
      });
    this.#start = this.#fresh = lent?.from ?? HEAP;
    // The last unit stays unused: what lies before it may be read past its end.
    this.#end = lent?.to ?? bytes - UNIT_BYTES;
    // What is lent has been somebody's.
    this.#untouched = lent ? this.#end : this.#fresh;
    const buffer = this.memory.buffer as SharedArrayBuffer;
    this.u8 = new Uint8Array(buffer);
    this.buffer = Buffer.from(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.view = new DataView(buffer);
    this.kernel = bindKernel(this.memory);
  }

  /** Bytes handed out and not yet freed. */
  get usedBytes(): number {
    return this.#used;
  }

  /** At most so many bytes from its start on have ever been written. */
  get touchedBytes(): number {
    return this.#touched;
  }

  /** Bytes that have not been handed out, wherever they lie. */
  get freeBytes(): number {
    return this.#end - this.#start - this.#used;
  }

  /**
   * Address of at least `bytes`, 64 KiB aligned, not cleared. `exhausted/MEMORY_BUDGET` when the memory is full, or would have less than
   * `leave` left. Free with the same size.
   */
  allocate(bytes: number, leave = 0): number {
    const size = unitBytes(bytes);
    if (size + leave > this.freeBytes) throw this.#full(size);
    let address = this.#takeFree(size);
    if (address === undefined && this.#isFragmented) {
      this.#mergeFree();
      this.#isFragmented = false;
      address = this.#takeFree(size);
    }
    address ??= this.#takeFresh(size);
    if (address === undefined) throw this.#full(size);
    this.#used += size;
    this.#untouched = Math.max(this.#untouched, address + size);
    return address;
  }

  /** As `allocate`, all zeros. */
  allocateCleared(bytes: number): number {
    const untouched = this.#untouched;
    const address = this.allocate(bytes);
    if (address < untouched) this.u8.fill(0, address, Math.min(address + bytes, untouched));
    return address;
  }

  /** Whoever holds memory and can give some back, until what is returned is called. */
  addHolder(holder: MemoryHolder): () => void {
    this.#holders.add(holder);
    return () => this.#holders.delete(holder);
  }

  /** Memory that can be had again later is given back. No kernel call is under way. Whether there was any. */
  giveBack(): boolean {
    const used = this.#used;
    for (const holder of this.#holders) holder.giveBack();
    return this.#used < used;
  }

  /**
   * Sees to it that there is more memory, and waits for it if need be. Nobody in the midst of anything holds an address of a memtable or a
   * table. Whether there is more.
   */
  makeRoom(): boolean {
    if (this.giveBack()) return true;
    for (const holder of this.#holders) if (holder.makeRoom()) return true;
    return false;
  }

  free(address: number, bytes: number): void {
    const size = unitBytes(bytes);
    this.#used -= size;
    this.#free.push({ address, bytes: size });
    this.#isFragmented = true;
  }

  /** Sets `bytes`, a multiple of 64 KiB, aside for small pieces: they stay for long, and must not lie about between large ones. */
  provideSmall(bytes: number): void {
    const address = this.allocate(bytes - SLACK_BYTES);
    for (let unit = address + bytes - UNIT_BYTES; unit >= address; unit -= UNIT_BYTES) this.#smallUnits.push(unit);
  }

  /** Address of at least `bytes` (32 KiB at most), 64-byte aligned, cleared. Free with the same size. */
  allocateSmall(bytes: number): number {
    const size = smallClass(bytes);
    let list = this.#small.get(size);
    if (!list) this.#small.set(size, (list = []));
    if (list.length === 0) {
      const unit = this.#smallUnits.pop() ?? this.allocate(UNIT_BYTES - SLACK_BYTES);
      for (let at = unit + UNIT_BYTES - size; at >= unit; at -= size) list.push(at);
    }
    const address = list.pop()!;
    this.u8.fill(0, address, address + size);
    return address;
  }

  freeSmall(address: number, bytes: number): void {
    this.#small.get(smallClass(bytes))!.push(address);
  }

  #full(size: number): SparrowError {
    return new SparrowError(
      'exhausted',
      'MEMORY_BUDGET',
      `the engine's memory of ${this.bytes} bytes has no ${size} bytes left: set memoryBytes higher`,
      { field: 'memoryBytes', limit: this.bytes, wanted: size },
    );
  }

  #takeFresh(size: number): number | undefined {
    if (this.#fresh + size > this.#end) return undefined;
    const address = this.#fresh;
    this.#fresh += size;
    if (this.#fresh > this.#touched) this.#touched = this.#fresh;
    return address;
  }

  #takeFree(size: number): number | undefined {
    for (let i = this.#free.length - 1; i >= 0; i--) {
      const run = this.#free[i]!;
      if (run.bytes < size) continue;
      const address = run.address;
      if (run.bytes === size) this.#free.splice(i, 1);
      else {
        run.address += size;
        run.bytes -= size;
      }
      return address;
    }
    return undefined;
  }

  #mergeFree(): void {
    const sorted = this.#free.sort((a, b) => a.address - b.address);
    const merged: FreeRun[] = [];
    for (const run of sorted) {
      const last = merged.at(-1);
      if (last && last.address + last.bytes === run.address) last.bytes += run.bytes;
      else merged.push(run);
    }
    const tail = merged.at(-1);
    if (tail && tail.address + tail.bytes === this.#fresh) {
      this.#fresh = tail.address;
      merged.pop();
    }
    this.#free = merged;
  }
}

/** What `allocate` takes for so many bytes. */
export function unitBytes(bytes: number): number {
  return Math.ceil((bytes + SLACK_BYTES) / UNIT_BYTES) * UNIT_BYTES;
}

function smallClass(bytes: number): number {
  assert(bytes <= SMALL_BYTES_MAX, 'small pieces are at most 32 KiB');
  let size = SMALL_BYTES_MIN;
  while (size < bytes) size *= 2;
  return size;
}

export function isMemoryShort(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'MEMORY_BUDGET';
}
