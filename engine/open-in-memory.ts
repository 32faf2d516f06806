/**
 * The door to a store without a disk: the same engine over a file system in memory (base/memory-file-system.ts). For caches, tests and what
 * is computed again anyway. Background work is done between the caller's turns, so its memtables are small: a flush is one piece of work.
 */
import type { Scheduler } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { MemoryFileSystem } from '../base/memory-file-system.ts';
import type { Engine } from './api.ts';
import { open } from './open.ts';
import type { EngineSettingsInput } from './settings.ts';

const MIB = 1024 * 1024;
/** Shown where a path would be. */
const PATH = '/memory';
/** Below it a flush and a compaction at once would hardly find room. */
const FILE_BYTES_LEAST = 16 * MIB;

/**
 * Defaults that differ from those of a store on disk. Pages and large values lie in memory already: caches of them only save the copying.
 * `buffered`: there is no process that could die and leave the store behind.
 */
const DEFAULTS: EngineSettingsInput = {
  durability: 'buffered',
  memtableBytes: 8 * MIB,
  segmentBytes: 16 * MIB,
  tableBytes: 8 * MIB,
  level1Bytes: 32 * MIB,
  pageCacheBytes: 64 * MIB,
  valueCacheBytes: 0,
};

export interface InMemorySettings extends EngineSettingsInput {
  /**
   * All files together take no more memory than this, in bytes; 16 MiB and up. Beyond it writes answer `exhausted/DISK_FULL` until space comes
   * back, as on a full disk. Memtables and caches come on top (`memoryBytes` bounds those). Default: no bound.
   */
  fileBytesMax?: number;
}

/** What it touches the world through. Defaults: a file system of its own, the event loop. */
export interface InMemoryComponents {
  /** To open again what an engine left in it, or to look at its files. `fileBytesMax` is not for it: it has its own bound. */
  fileSystem?: MemoryFileSystem;
  scheduler?: Scheduler;
}

/** Opens a store in memory. It is gone when nothing refers to the file system any more. Errors as of `open`. */
export function openInMemory(settings: InMemorySettings = {}, components: InMemoryComponents = {}): Promise<Engine> {
  const { fileBytesMax, ...given } = settings;
  try {
    const fileSystem = fileSystemFor(fileBytesMax, components.fileSystem);
    return open(PATH, { ...DEFAULTS, ...given }, { ...components, fileSystem, background: 'inline' });
  } catch (error) {
    return Promise.reject(error as Error);
  }
}

function fileSystemFor(fileBytesMax: number | undefined, given: MemoryFileSystem | undefined): MemoryFileSystem {
  if (fileBytesMax === undefined) return given ?? new MemoryFileSystem();
  if (given) {
    throw new SparrowError('invalid', 'OPTION_RANGE', 'fileBytesMax is not given with a file system, which has a bound of its own', {
      field: 'fileBytesMax',
    });
  }
  if (typeof fileBytesMax !== 'number' || !(fileBytesMax >= FILE_BYTES_LEAST)) {
    throw new SparrowError('invalid', 'OPTION_RANGE', `fileBytesMax is a number from ${FILE_BYTES_LEAST}, not ${String(fileBytesMax)}`, {
      field: 'fileBytesMax',
      min: FILE_BYTES_LEAST,
    });
  }
  return new MemoryFileSystem({ bytesMax: fileBytesMax });
}
