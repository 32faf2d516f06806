/**
 * The door to a store that nobody has open: takes its directory's lock and works on its files. Components are injected or defaulted here, as
 * in open.ts. Who has the engine open asks it instead (`engine.verify()`).
 *
 * `unavailable/LOCKED` when the store is open somewhere; `invalid/NOT_A_STORE` when the directory is not there or holds no store.
 */
import type { FileSystem, Scheduler } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { NodeFileSystem, NodeScheduler, nodeZstd } from '../base/node/index.ts';
import type { InspectOptions, RepairOptions, RepairReport, VerifyReport } from './files-api.ts';
import {
  drive,
  dump as dumpItems,
  type DumpItem,
  type DumpOptions,
  repairDirectory,
  storeStats,
  type StoreStats,
  verifyDirectory,
} from './inspect/index.ts';
import { checkOptions } from './keys.ts';
import { parseFileName } from './manifest/index.ts';

/** What offline work touches the world through. Defaults: the real file system, the event loop. */
export interface OfflineComponents {
  fileSystem?: FileSystem;
  scheduler?: Scheduler;
}

const INSPECT_OPTIONS: readonly string[] = ['onProgress', 'signal'];
const REPAIR_OPTIONS: readonly string[] = [...INSPECT_OPTIONS, 'dryRun', 'compression', 'filterBitsPerKey'];
const DUMP_OPTIONS: readonly string[] = ['entries', 'limit'];

/** Reads every byte of a store that counts, changes nothing, and says what is wrong with it. Does not reject for damage. */
export async function verify(directory: string, options: InspectOptions = {}, components: OfflineComponents = {}): Promise<VerifyReport> {
  checkOptions(options, INSPECT_OPTIONS);
  const { scheduler = new NodeScheduler() } = components;
  return await withStoreLocked(directory, components, (fileSystem) =>
    drive(verifyDirectory(fileSystem, directory, nodeZstd), scheduler, options),
  );
}

/**
 * Makes a store out of what is left of one: whatever has a valid checksum is kept, and the report says what is lost. A sound store stays as it
 * is. The originals of what is replaced go to a directory `repair-NNN` within. `dryRun`: only the report.
 */
export async function repair(directory: string, options: RepairOptions = {}, components: OfflineComponents = {}): Promise<RepairReport> {
  checkOptions(options, REPAIR_OPTIONS);
  const { scheduler = new NodeScheduler() } = components;
  return await withStoreLocked(directory, components, (fileSystem) =>
    drive(repairDirectory(fileSystem, directory, options, nodeZstd), scheduler, options),
  );
}

/** Figures of a store from its manifest and the sizes of its files. */
export async function stats(directory: string, components: OfflineComponents = {}): Promise<StoreStats> {
  return await withStoreLocked(directory, components, (fileSystem) => Promise.resolve(storeStats(fileSystem, directory)));
}

/** What is in one file of a store, or in all files of a directory. Takes no lock: of an open store it shows what is there at the moment. */
export function dump(path: string, options: DumpOptions = {}, components: OfflineComponents = {}): IterableIterator<DumpItem> {
  checkOptions(options, DUMP_OPTIONS);
  return dumpItems(components.fileSystem ?? new NodeFileSystem(), path, options, nodeZstd);
}

/** Does something with a store's files, its lock held. */
export async function withStoreLocked<T>(
  directory: string,
  components: OfflineComponents,
  work: (fileSystem: FileSystem) => Promise<T>,
): Promise<T> {
  const fileSystem = components.fileSystem ?? new NodeFileSystem();
  assertStore(fileSystem, directory);
  const lock = fileSystem.lockDirectory(directory);
  try {
    return await work(fileSystem);
  } finally {
    lock.release();
  }
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is not a directory',
  EACCES: 'cannot be read: permission denied',
  EPERM: 'cannot be read: permission denied',
};

/** Before the lock, which would leave its file in a directory that is none of ours. */
function assertStore(fileSystem: FileSystem, directory: string): void {
  let names: string[] = [];
  try {
    names = fileSystem.listSync(directory);
  } catch (cause) {
    const why = UNREADABLE[String((cause as NodeJS.ErrnoException).code)] ?? `cannot be read: ${(cause as Error).message}`;
    throw new SparrowError('invalid', 'NOT_A_STORE', `${directory} ${why}`, { directory }, cause);
  }
  if (names.some((name) => parseFileName(name) !== undefined)) return;
  throw new SparrowError('invalid', 'NOT_A_STORE', `${directory} holds no store`, { directory });
}
