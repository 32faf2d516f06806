/**
 * The disk and the time that an upkeep task (upkeep-tasks.ts) is done in, and what can be said of the stores there. A store is told by its
 * contents, which must be those after some number of batches: its sequence number may have gone on for other reasons.
 */
import { type Engine, type KeyValues, open, restore, SparrowError, verify } from '../../engine/index.ts';
import { contentsAfter, DIRECTORY, SETTINGS, type StoreImage } from '../corruption/stores.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

/** Contents of files by path. */
export type DiskImage = ReadonlyMap<string, Uint8Array>;

export const COPY = '/copy';
export const MADE = '/made';
export const BACKUPS = '/backups';

export class World {
  readonly disk: SimFileSystem;
  readonly scheduler: SimScheduler = new SimScheduler();
  readonly image: StoreImage;
  #fresh = 0;

  constructor(disk: SimFileSystem, image: StoreImage) {
    this.disk = disk;
    this.image = image;
  }

  get components(): { fileSystem: SimFileSystem; scheduler: SimScheduler } {
    return { fileSystem: this.disk, scheduler: this.scheduler };
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.scheduler.until(promise);
  }

  open(directory: string = DIRECTORY): Promise<Engine> {
    return this.until(open(directory, SETTINGS, this.components));
  }

  /** Opens the store, does something, and closes it: all of it must succeed. */
  async withStore<T>(work: (engine: Engine) => Promise<T>, directory: string = DIRECTORY): Promise<T> {
    const engine = await this.open(directory);
    const result = await this.until(work(engine));
    await this.until(engine.close());
    return result;
  }

  /** What was done is on the disk, whatever becomes of the rest. */
  losePower(): void {
    this.disk.crash('none');
  }

  /** A directory that nobody has used. */
  fresh(): string {
    return `/fresh-${++this.#fresh}`;
  }

  // ---- what there is ----

  /** Whether there is a store there that counts; what is anything else is refused by every door. */
  async isWhole(directory: string): Promise<boolean> {
    try {
      const { sound } = await this.until(verify(directory, {}, this.components));
      if (!sound) await this.#expectRefused(directory);
      return sound;
    } catch (error) {
      if (!(error instanceof SparrowError) || !['NOT_A_STORE', 'INCOMPLETE'].includes(error.code)) throw error;
      if (error.code === 'INCOMPLETE') await this.#expectRefused(directory);
      return false;
    }
  }

  async #expectRefused(directory: string): Promise<void> {
    const opened = await this.open(directory).catch((error: unknown) => {
      if (error instanceof SparrowError && error.kind === 'corrupt') return undefined;
      throw error;
    });
    if (!opened) return;
    await this.until(opened.close());
    throw new Error(`${directory} is not whole, and opens`);
  }

  /** It opens, its files are sound, and it has the contents after `least` to `most` batches. Returns after how many. */
  async expectStore(directory: string, least: number, most: number): Promise<number> {
    const { problems } = await this.until(verify(directory, {}, this.components));
    expectSame(`problems of ${directory}`, problems.map(({ file, what }) => `${file} ${what}`).join(', '), '');
    return await this.withStore((engine) => Promise.resolve(expectContents(engine, least, most)), directory);
  }

  /** The backup can be restored and has the contents after `least` to `most` batches. */
  async expectBackup(backup: number, least: number, most: number): Promise<number> {
    const directory = this.fresh();
    await this.until(restore(BACKUPS, directory, { backup }, this.components));
    return await this.expectStore(directory, least, most);
  }
}

export function textsOf(values: KeyValues): Map<string, string> {
  return new Map([...values.scanSync()].map(([key, value]) => [text(key), text(value)]));
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** In order, to be compared. */
export function spelled(contents: ReadonlyMap<string, string>): string {
  return JSON.stringify([...contents].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The default keyspace has the contents after `least` to `most` batches. Returns after how many. */
export function expectContents(engine: Engine, least: number, most: number = least): number {
  const found = spelled(textsOf(engine));
  for (let batches = most; batches >= least; batches--) if (found === spelled(contentsAfter(batches))) return batches;
  throw new Error(`${engine.path} has not the contents after ${least} to ${most} batches: ${found.slice(0, 300)}`);
}

export function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what}: ${String(found)}, not ${String(expected)}`);
}

/** A disk on which all of that is durable. */
export function diskWith(files: DiskImage): SimFileSystem {
  const disk = new SimFileSystem({ traced: true });
  for (const [path, bytes] of files) {
    disk.makeDirectorySync(path.slice(0, path.lastIndexOf('/')));
    disk.replace(path, bytes);
  }
  return disk;
}

export function imageOfDisk(disk: SimFileSystem, ...directories: readonly string[]): DiskImage {
  const files = new Map<string, Uint8Array>();
  for (const directory of directories) {
    for (const name of disk.listSync(directory)) {
      const path = `${directory}/${name}`;
      if (name !== 'files') files.set(path, disk.contents(path));
    }
  }
  return files;
}
