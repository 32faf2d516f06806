/** What engines can share, as users see it. Types only; implemented by resources.ts, made by `createResources`. */
import type { IoKind } from './io-kind.ts';
import type { ResourceSettings } from './settings.ts';

/** What engines of one process share (`createResources`): memory, caches, background threads. */
export interface Resources extends AsyncDisposable {
  readonly settings: Readonly<ResourceSettings>;
  stats(): ResourceStats;
  /** Ends the threads. Idempotent. `invalid/RESOURCES_IN_USE` while an engine uses them: engines are closed first. */
  close(): Promise<void>;
}

export interface ResourceStats {
  /** Engines that are open. */
  engines: number;
  /** Linear memory that is handed out, caches included whether they are filled or not. */
  linearMemoryBytes: number;
  /** Of it, what memtables take. */
  memtableBytes: number;
  /** What the caches hold. */
  pageCacheBytes: number;
  valueCacheBytes: number;
  /** Files that are open for reading, or because a log writes them. */
  openFiles: number;
  /** Read and written behind so far, in all and by work, and what may be per second at present; Infinity: no bound. */
  backgroundBytes: number;
  backgroundBytesByKind: Readonly<Record<IoKind, number>>;
  backgroundBytesPerSec: number;
  /** Indexes and filters of tables that are in memory as a whole; how many tables those are, and how many are read page by page. */
  indexBytes: number;
  wholeTables: number;
  pagedTables: number;
}
