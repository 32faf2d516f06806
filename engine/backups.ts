/**
 * The door to copies of stores that nobody has open, and to directories of backups. Components are injected or defaulted here, as in open.ts.
 *
 *   checkpoint(directory, to)      backup(engine or directory, target)      listBackups(target)      verifyBackup(target)      restore(target, directory)      pruneBackups(target, keep)
 */
import type { Clock, Random } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler, nodeZstd } from '../base/node/index.ts';
import type { Engine } from './api.ts';
import { UpkeepIo } from './background/index.ts';
import type {
  BackupInfo,
  BackupOptions,
  BackupResult,
  CheckpointOptions,
  CheckpointResult,
  RestoreOptions,
  RestoreResult,
  VerifyBackupOptions,
  VerifyBackupReport,
} from './files-api.ts';
import { imageOfDirectory } from './inspect/index.ts';
import { checkOptions } from './keys.ts';
import { readVersion } from './manifest/index.ts';
import { type OfflineComponents, withStoreLocked } from './offline.ts';
import type { Resources } from './resources-api.ts';
import { SharedResources } from './resources.ts';
import * as upkeep from './upkeep/index.ts';

/** Beside what offline work uses. Defaults: the system's clock and randomness. */
export interface BackupComponents extends OfflineComponents {
  /** Says when a backup was made. */
  clock?: Clock;
  /** Gives a restored store its id. Default with a file system of one's own: none. */
  random?: Random;
  /** Of engines that are open in this process: a restore then takes what it reads and writes from the budget of their background I/O. */
  resources?: Resources;
}

const CHECKPOINT_OPTIONS: readonly string[] = ['copy'];
const BACKUP_OPTIONS: readonly string[] = ['onProgress', 'signal'];
const CHOICE_OPTIONS: readonly string[] = ['backup', 'onProgress', 'signal'];

/**
 * Adds a backup of the store to the directory of backups `target`, making it where it is not there. `source`: an engine, which keeps serving (as
 * `engine.backup`), or the directory of a store that nobody has open.
 */
export async function backup(
  source: Engine | string,
  target: string,
  options: BackupOptions = {},
  components: BackupComponents = {},
): Promise<BackupResult> {
  if (typeof source !== 'string') return await source.backup(target, options);
  checkOptions(options, BACKUP_OPTIONS);
  checkName(target, 'target');
  const { clock = new NodeClock(), scheduler = new NodeScheduler() } = components;
  return await withStoreLocked(source, components, (fileSystem) => {
    const image = imageOfDirectory(fileSystem, source, readVersion(fileSystem, source).version);
    const still = { image, scheduler, zstd: nodeZstd, sequence: undefined, sync: () => Promise.resolve(), assertOpen: () => undefined };
    return upkeep.makeBackup(fileSystem, still, target, clock.wallMs(), options);
  });
}

/** Makes `to`, which does not exist or is empty, a store of its own that is what `directory` is, which nobody has open. As `engine.checkpoint`. */
export async function checkpoint(
  directory: string,
  to: string,
  options: CheckpointOptions = {},
  components: BackupComponents = {},
): Promise<CheckpointResult> {
  checkOptions(options, CHECKPOINT_OPTIONS);
  checkName(to, 'to');
  const random = randomOf(components);
  return await withStoreLocked(directory, components, (fileSystem) => {
    const image = imageOfDirectory(fileSystem, directory, readVersion(fileSystem, directory).version);
    const storeId = random && upkeep.newStoreId(random);
    const still = { sync: () => Promise.resolve(), assertOpen: () => undefined, storeId, sequence: undefined };
    return upkeep.makeCheckpoint(fileSystem, image, to, options, still);
  });
}

/** The backups of a directory, oldest first. `invalid/NO_BACKUPS`. */
export function listBackups(target: string, components: BackupComponents = {}): BackupInfo[] {
  return upkeep.listBackups(components.fileSystem ?? new NodeFileSystem(), target);
}

/** Reads every file of a backup, or of all, and compares it with its check. Does not reject for damage. */
export async function verifyBackup(
  target: string,
  options: VerifyBackupOptions = {},
  components: BackupComponents = {},
): Promise<VerifyBackupReport> {
  checkOptions(options, CHOICE_OPTIONS);
  return await upkeep.verifyBackup(components.fileSystem ?? new NodeFileSystem(), target, options);
}

/**
 * Makes `directory`, which does not exist or is empty, the store that a backup holds. Every file is compared with its check on the way. Whole when it
 * settles; after a crash before that it is refused, and the call may be repeated.
 */
export async function restore(
  target: string,
  directory: string,
  options: RestoreOptions = {},
  components: BackupComponents = {},
): Promise<RestoreResult> {
  checkOptions(options, CHOICE_OPTIONS);
  checkName(directory, 'directory');
  const random = randomOf(components);
  const storeId = random && upkeep.newStoreId(random);
  const { fileSystem = new NodeFileSystem(), scheduler = new NodeScheduler(), resources } = components;
  if (resources === undefined) return await upkeep.restoreBackup(fileSystem, target, directory, { ...options, storeId });
  const io = new UpkeepIo(fileSystem, SharedResources.from(resources).ioBudget, 'restore', scheduler, () => undefined);
  try {
    return await upkeep.restoreBackup(io.fileSystem, target, directory, { ...options, storeId, pause: () => io.pause() });
  } finally {
    io.end();
  }
}

/** Removes all but the newest `keep` backups that can be read; returns the numbers of those removed, oldest first. */
export function pruneBackups(target: string, keep: number, components: BackupComponents = {}): number[] {
  return upkeep.pruneBackups(components.fileSystem ?? new NodeFileSystem(), target, keep);
}

/** Simulated disks have no ids unless they are given randomness: the same seed makes the same store. */
function randomOf({ random, fileSystem }: BackupComponents): Random | undefined {
  return random ?? (fileSystem ? undefined : new NodeRandom());
}

function checkName(name: string, field: string): void {
  if (typeof name === 'string' && name !== '') return;
  throw new SparrowError('invalid', 'TYPE', `${field} is the name of a directory`, { field });
}
