/**
 * What engines of one process can share: a linear memory with its kernels, caches and windows, and the threads that flush and compact. An
 * engine that is given none makes its own. A shared one outlives its engines: it is closed after the last of them.
 */
import type { FileSystem, Scheduler, Zstd } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { FRONT } from '../assembly/memory-map.ts';
import { type Background, InlineBackground, IO_BUDGET_BYTES, IoBudget, IoTuner, WorkerPool } from './background/index.ts';
import { IO_KINDS, type IoKind } from './io-kind.ts';
import { flushScratchBytesMax } from './flush-scratch.ts';
import { LINEAR_MEMORY_BYTES_MAX, LinearMemory, WASM_PAGE_BYTES } from './memory/linear-memory.ts';
import { Reserve } from './memory/reserve.ts';
import { Staging } from './memory/staging.ts';
import { KEPT_FREE_BYTES, SMALL_AREA_BYTES, valueWindowBytes } from './memory-plan.ts';
import { MemtableBudget } from './memtable/index.ts';
import { OpenFiles } from './open-files.ts';
import { SCAN_WINDOW_BYTES } from './scan.ts';
import type { Resources, ResourceStats } from './resources-api.ts';
import type { EngineSettings, ResourceSettings } from './settings.ts';
import { IndexBudget, PageCache } from './table/index.ts';
import { ValueCache } from './value-cache.ts';
import { ValuePool } from './value-pool.ts';

export class SharedResources implements Resources {
  readonly settings: Readonly<ResourceSettings>;
  readonly memory: LinearMemory;
  readonly pageCache: PageCache;
  readonly valueCache: ValueCache;
  readonly indexBudget: IndexBudget;
  readonly memtables: MemtableBudget;
  readonly files: OpenFiles;
  readonly staging: Staging;
  readonly valuePool: ValuePool = new ValuePool();
  /** Address of SCAN_WINDOW_BYTES. */
  readonly scanWindow: number;
  /** For a flush, and for large values that are read. */
  readonly flushScratch: Reserve;
  readonly valueWindow: Reserve;
  /** For all that is read and written behind, and what sets its rate. */
  readonly ioBudget: IoBudget;
  readonly io: IoTuner;
  readonly #memoryForEngines: number;
  readonly #threads: WorkerPool;
  /** Paths of the engines that use it. */
  readonly #engines = new Map<object, string>();
  #closing: Promise<void> | undefined;

  /** `nowMs`: of a clock that all threads have in common. */
  constructor(settings: Readonly<ResourceSettings>, nowMs: () => number) {
    this.settings = settings;
    this.memory = new LinearMemory(wholePages(settings.memoryBytes));
    this.memory.provideSmall(SMALL_AREA_BYTES);
    this.pageCache = new PageCache(this.memory, settings.pageCacheBytes);
    this.pageCache.bind(FRONT);
    this.valueCache = new ValueCache(this.memory, settings.valueCacheBytes);
    this.indexBudget = new IndexBudget(settings.indexBytes);
    this.memtables = new MemtableBudget(settings.memtableBytesTotal);
    this.files = new OpenFiles(settings.openFilesMax);
    this.staging = new Staging(this.memory);
    this.scanWindow = this.memory.allocate(SCAN_WINDOW_BYTES);
    this.flushScratch = new Reserve(this.memory);
    this.valueWindow = new Reserve(this.memory);
    this.#memoryForEngines = this.memory.freeBytes - KEPT_FREE_BYTES;
    const budget = new SharedArrayBuffer(IO_BUDGET_BYTES);
    this.ioBudget = new IoBudget(budget, nowMs);
    this.io = new IoTuner(this.ioBudget, settings.backgroundBytesPerSecMax || Infinity);
    this.#threads = new WorkerPool(this.memory, settings.backgroundThreads, budget);
  }

  /** What `open` was given, or `invalid/TYPE`. `closed/RESOURCES_CLOSED` once they are closed. */
  static from(resources: Resources): SharedResources {
    if (!(resources instanceof SharedResources)) {
      throw new SparrowError('invalid', 'TYPE', 'resources are made by createResources', { field: 'resources' });
    }
    if (resources.#closing) throw new SparrowError('closed', 'RESOURCES_CLOSED', 'the resources have been closed');
    return resources;
  }

  /** An engine begins to use them. Returns what ends that. */
  enter(path: string): () => void {
    const user = {};
    this.#engines.set(user, path);
    return () => this.#engines.delete(user);
  }

  /** Sets aside what an engine cannot be without, or `exhausted/MEMORY_BUDGET`. */
  reserve(settings: Readonly<EngineSettings>): void {
    this.flushScratch.require(flushScratchBytesMax(settings.memtableBytes));
    this.valueWindow.require(valueWindowBytes(settings));
  }

  /** Linear memory that is left for memtables and what comes and goes with them. */
  get memoryForMemtables(): number {
    return this.#memoryForEngines - this.flushScratch.bytes - this.valueWindow.bytes;
  }

  /** For one engine. `worker`: on the shared threads; `inline`: on the caller's, over the engine's file system. */
  background(kind: 'worker' | 'inline', fileSystem: FileSystem, scheduler: Scheduler, zstd: Zstd | undefined): Background {
    return kind === 'worker'
      ? this.#threads.background()
      : new InlineBackground(this.memory, fileSystem, scheduler, this.ioBudget, this.settings.backgroundThreads, zstd);
  }

  stats(): ResourceStats {
    return {
      engines: this.#engines.size,
      linearMemoryBytes: this.memory.usedBytes,
      memtableBytes: this.memtables.usedBytes,
      pageCacheBytes: this.pageCache.usedBytes,
      valueCacheBytes: this.valueCache.usedBytes,
      openFiles: this.files.count,
      backgroundBytes: this.ioBudget.spentBytes,
      backgroundBytesByKind: Object.fromEntries(IO_KINDS.map((kind) => [kind, this.ioBudget.spentOn(kind)])) as Record<IoKind, number>,
      backgroundBytesPerSec: this.ioBudget.rate,
      indexBytes: this.indexBudget.bytes,
      wholeTables: this.indexBudget.wholeTables,
      pagedTables: this.indexBudget.pagedTables,
    };
  }

  close(): Promise<void> {
    const [path] = this.#engines.values();
    if (path !== undefined) {
      const others = this.#engines.size > 1 ? ` and ${this.#engines.size - 1} more` : '';
      return Promise.reject(
        new SparrowError(
          'invalid',
          'RESOURCES_IN_USE',
          `resources are closed after their engines; still open: the one at ${path}${others}`,
          {
            path,
            engines: this.#engines.size,
          },
        ),
      );
    }
    return (this.#closing ??= this.#threads.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The largest memory there can be is one page short: addresses of 2^31 are negative to some. */
function wholePages(bytes: number): number {
  const whole = Math.ceil(bytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
  return Math.min(whole, LINEAR_MEMORY_BYTES_MAX - WASM_PAGE_BYTES);
}
