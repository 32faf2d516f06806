/**
 * Upkeep that makes or remakes whole directories, cut off by power loss at any of its operations: checkpoint, repair, and the making of a
 * keyspace. Each is a task of three parts: a disk to begin with, the work, and what must hold on the disk that is left; the work is then
 * done again to its end.
 */
import { type Engine, open, repair, SparrowError, verify } from '../../engine/index.ts';
import { batchOf, contentsAfter, DIRECTORY, diskOf, SETTINGS, type StoreImage } from '../corruption/stores.ts';
import type { SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { drain } from '../sim/sim-scheduler.ts';

const COPY = '/copy';

export interface UpkeepTask {
  readonly name: string;
  begin(image: StoreImage): SimFileSystem;
  work(disk: SimFileSystem, image: StoreImage): Promise<void>;
  /** After a crash in the midst of the work (`ended`: after its end). Throws when something is not as it must be. */
  check(disk: SimFileSystem, image: StoreImage, ended: boolean): Promise<void>;
}

export const UPKEEP_TASKS: readonly UpkeepTask[] = [
  {
    name: 'a checkpoint',
    begin: (image) => diskOf(image.files),
    async work(disk, image) {
      const engine = await open(DIRECTORY, SETTINGS, { fileSystem: disk });
      await engine.write(batchOf(image.batches + 1), { durability: 'synced' });
      await engine.write(batchOf(image.batches + 2), { durability: 'os' });
      await engine.checkpoint(COPY);
      await engine.close();
    },
    async check(disk, image, ended) {
      await expectStore(disk, DIRECTORY, ended ? image.batches + 2 : image.batches, image.batches + 2);
      const whole = await isWhole(disk, COPY);
      if (ended && !whole) throw new Error('a checkpoint that was made is not there');
      if (whole) await expectStore(disk, COPY, image.batches + 2, image.batches + 2);
      else await againUntil(disk, DIRECTORY, (engine) => engine.checkpoint(COPY).then(() => undefined));
      if (!(await isWhole(disk, COPY))) throw new Error('a checkpoint made again is not whole');
    },
  },
  {
    name: 'a keyspace',
    begin: (image) => diskOf(image.files),
    async work(disk, image) {
      const engine = await open(DIRECTORY, SETTINGS, { fileSystem: disk });
      const keyspace = await engine.keyspace('nests', { inlineThreshold: 128 });
      await keyspace.put('key/000', `in its own ${image.name}`, { durability: 'synced' });
      await engine.close();
    },
    async check(disk, image, ended) {
      // One batch more is in another keyspace: the default one is as it was.
      const engine = await open(DIRECTORY, SETTINGS, { fileSystem: disk });
      expectContents(engine, image.batches);
      if (ended && !engine.keyspaces().includes('nests')) throw new Error('a keyspace that was made is gone');
      const keyspace = await engine.keyspace('nests');
      const found = keyspace.getSync('key/000');
      if (ended || found) expectSame('its own key', found && Buffer.from(found).toString(), `in its own ${image.name}`);
      const other = await engine.keyspace('other');
      expectSame('a key of another keyspace', other.getSync('key/000'), undefined);
      await engine.close();
    },
  },
  {
    name: 'a repair',
    begin(image) {
      const disk = diskOf(image.files);
      for (const name of image.files.keys()) if (name.endsWith('.table') || name.endsWith('.block')) disk.flip(`${DIRECTORY}/${name}`, 300);
      return disk;
    },
    async work(disk) {
      await repair(DIRECTORY, {}, { fileSystem: disk });
    },
    async check(disk, image, ended) {
      if (ended) {
        const report = await verify(DIRECTORY, {}, { fileSystem: disk });
        if (!report.sound) throw new Error(`a repaired store has damage: ${JSON.stringify(report.problems[0])}`);
      }
      await repair(DIRECTORY, {}, { fileSystem: disk });
      const report = await verify(DIRECTORY, {}, { fileSystem: disk });
      if (!report.sound) throw new Error(`a store that is repaired anew has damage: ${JSON.stringify(report.problems[0])}`);
      const engine = await open(DIRECTORY, SETTINGS, { fileSystem: disk });
      expectSame('sequence', engine.sequence, image.batches);
      // The log was sound: what only it has is all there.
      const kept = contentsAfter(image.batches);
      const written = new Set<string>();
      for (let number = 29; number <= image.batches; number++)
        for (const operation of batchOf(number)) if ('key' in operation) written.add(String(operation.key));
      for (const key of written) expectSame(key, text(engine.getSync(key)), kept.get(key));
      for (const [key] of engine.scanSync()) if (!kept.has(text(key)!)) mayBeOld(text(key)!);
      await engine.close();
    },
  },
];

/** The work, with power lost at its operation `at` (0: never) and checked. Returns the operations that it took. */
export async function runTask(task: UpkeepTask, image: StoreImage, at: number, mode: CrashMode): Promise<number> {
  const disk = task.begin(image);
  const before = disk.operations;
  if (at > 0) disk.killAt(before + at);
  let ended = false;
  try {
    await task.work(disk, image);
    ended = !disk.dead;
  } catch (error) {
    if (!disk.dead) throw error;
  }
  const operations = disk.operations - before;
  if (at > 0) {
    disk.crash(mode);
    await drain();
  } else disk.endProcess();
  await task.check(disk, image, ended);
  return operations;
}

/** Opens the store and does something that must succeed. */
async function againUntil(disk: SimFileSystem, directory: string, work: (engine: Engine) => Promise<void>): Promise<void> {
  const engine = await open(directory, SETTINGS, { fileSystem: disk });
  await work(engine);
  await engine.close();
}

/** Whether there is a store there that counts; refused by every door otherwise. */
async function isWhole(disk: SimFileSystem, directory: string): Promise<boolean> {
  try {
    const { sound } = await verify(directory, {}, { fileSystem: disk });
    if (!sound) await expectRefused(disk, directory);
    return sound;
  } catch (error) {
    if (!(error instanceof SparrowError) || !['NOT_A_STORE', 'INCOMPLETE'].includes(error.code)) throw error;
    if (error.code === 'INCOMPLETE') await expectRefused(disk, directory);
    return false;
  }
}

async function expectRefused(disk: SimFileSystem, directory: string): Promise<void> {
  const opened = await open(directory, SETTINGS, { fileSystem: disk }).catch((error: unknown) => {
    if (error instanceof SparrowError && error.kind === 'corrupt') return undefined;
    throw error;
  });
  if (!opened) return;
  await opened.close();
  throw new Error(`${directory} is not whole, and opens`);
}

async function expectStore(disk: SimFileSystem, directory: string, least: number, most: number): Promise<void> {
  const engine = await open(directory, SETTINGS, { fileSystem: disk });
  if (engine.sequence < least || engine.sequence > most)
    throw new Error(`${directory} is at batch ${engine.sequence}, not at ${least} to ${most}`);
  expectContents(engine, engine.sequence);
  await engine.close();
}

function expectContents(engine: Engine, batches: number): void {
  const expected = [...contentsAfter(batches)].sort(([a], [b]) => (a < b ? -1 : 1));
  const found = [...engine.scanSync()].map(([key, value]) => [text(key)!, text(value)!]);
  expectSame(`contents at ${batches}`, JSON.stringify(found), JSON.stringify(expected));
}

/** What damage took may let an older value show; never a key that nobody wrote. */
function mayBeOld(key: string): void {
  if (!/^(?:key|lasting)\/\d+$/.test(key)) throw new Error(`${key} was never written`);
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString('latin1');
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what}: ${String(found)}, not ${String(expected)}`);
}
