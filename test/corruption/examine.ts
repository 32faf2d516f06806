/**
 * What becomes of a damaged store. It is opened, read whole in three ways, written to, flushed, compacted, and opened and read again. Each call
 * gives what is right or an error of kind `corrupt`; nothing else is let pass.
 *
 * A right store holds the first n batches. Damage may look like the torn end of a log that power loss leaves, so n may be smaller than what was
 * written; but never smaller than what something undamaged on disk vouches for (`floor`).
 */
import { isDeepStrictEqual } from 'node:util';
import { SparrowError } from '../../base/errors.ts';
import { type Engine, open } from '../../engine/index.ts';
import type { SimFileSystem } from '../sim/sim-file-system.ts';
import { ALL_KEYS, contentsAfter, DIRECTORY, diskOf, KEYSPACE, keyspaceContentsAfter, type StoreImage, wholeBatchOf } from './stores.ts';

/** `refused`: opening fails; `noticed`: some reads or background work fail; `harmless`: all is right; `cut`: the end of the log is gone. */
export type Outcome = 'refused' | 'noticed' | 'harmless' | 'cut';

/** So many times may a file be read for one store of a few kilobytes: an endless loop shows. */
const READS_MAX = 2000;
const BYTES_READ_MAX = 64 * 1024 * 1024;

export class WrongStore extends Error {}

export async function examine(image: StoreImage, files: ReadonlyMap<string, Uint8Array>, floor: number): Promise<Outcome> {
  const disk = diskOf(files);
  const first = await openOrRefuse(image, disk);
  if (!first) {
    // What was refused is refused again: no opening makes a damaged store look sound.
    const again = await openOrRefuse(image, disk);
    if (again) {
      await again.close();
      throw new WrongStore('it opens at the second attempt');
    }
    expectUntouched(disk, files);
    return 'refused';
  }
  const batches = first.sequence;
  if (batches < floor || batches > image.batches) {
    throw new WrongStore(`it is at batch ${batches}; vouched for are ${floor}, written were ${image.batches}`);
  }
  expectSettings(first, image);
  let noticed = await readAll(first, batches);
  noticed = (await goOn(first, batches + 1)) || noticed;
  noticed = (await readAll(first, first.sequence)) || noticed;
  const { sequence } = first;
  await first.close().catch(expectCorrupt);
  if (disk.openFiles.length > 0) throw new WrongStore(`files are left open: ${disk.openFiles.join(' ')}`);
  const second = await openOrRefuse(image, disk);
  if (second) {
    // A store that stopped writing may have kept its last batch to itself.
    const found = second.sequence;
    if (found !== sequence && !(noticed && found === batches))
      throw new WrongStore(`opened again it is at batch ${found}, not ${sequence}`);
    expectSettings(second, image);
    noticed = (await readAll(second, found)) || noticed;
    await second.close().catch(expectCorrupt);
  } else noticed = true;
  if (disk.reads > READS_MAX || disk.bytesRead > BYTES_READ_MAX)
    throw new WrongStore(`${disk.reads} reads of ${disk.bytesRead} bytes for a store this small`);
  if (noticed) return 'noticed';
  return batches < image.batches ? 'cut' : 'harmless';
}

/** The keyspace has settings that it was given. Which: an edit that damage takes from the manifest's end looks torn when nothing follows from it. */
function expectSettings(engine: Engine, { keyspaceSettings }: StoreImage): void {
  const found = engine.metrics().keyspaceSettings[KEYSPACE];
  const known = keyspaceSettings.some((settings) => isDeepStrictEqual(settings, found));
  if (!known && !(found === undefined && (keyspaceSettings.length === 0 || !engine.keyspaces().includes(KEYSPACE))))
    throw new WrongStore(`the keyspace has settings that it was never given: ${JSON.stringify(found)}`);
}

/** A repair wants everything that was there, what looked as if it belonged to nothing too. A torn manifest is succeeded by a new one. */
function expectUntouched(disk: SimFileSystem, files: ReadonlyMap<string, Uint8Array>): void {
  const listing = new Set(disk.listSync(DIRECTORY));
  for (const [name, bytes] of files) {
    if (name.startsWith('MANIFEST') || name.startsWith('CURRENT')) continue;
    if (!listing.has(name)) throw new WrongStore(`refused, it has lost ${name}`);
    if (Buffer.compare(disk.contents(`${DIRECTORY}/${name}`), bytes) !== 0) throw new WrongStore(`refused, it has changed ${name}`);
  }
}

async function openOrRefuse({ settings }: StoreImage, disk: SimFileSystem): Promise<Engine | undefined> {
  try {
    return await open(DIRECTORY, settings, { fileSystem: disk });
  } catch (error) {
    expectCorrupt(error);
    if (disk.openFiles.length > 0) throw new WrongStore(`refused, it leaves files open: ${disk.openFiles.join(' ')}`, { cause: error });
    return undefined;
  }
}

/** One more batch, then all background work. Returns whether damage was noticed. */
async function goOn(engine: Engine, number: number): Promise<boolean> {
  const expectStopped = (error: unknown): void => {
    // Background work that met damage stops the writer, and says why.
    for (let cause = error as Error; cause; cause = cause.cause as Error) if (isCorrupt(cause)) return;
    throw new WrongStore(`background work ends with ${String(error)}`, { cause: error });
  };
  try {
    await engine.write(await wholeBatchOf(engine, number));
    await engine.flush();
    await engine.settled();
    return false;
  } catch (error) {
    expectStopped(error);
    return true;
  }
}

/** Every read is right or says that the store is damaged; whether any did. */
async function readAll(engine: Engine, batches: number): Promise<boolean> {
  const expected = contentsAfter(batches);
  let noticed = false;
  const attempt = (read: () => void): void => {
    try {
      read();
    } catch (error) {
      expectCorrupt(error);
      noticed = true;
    }
  };
  for (const key of ALL_KEYS) {
    attempt(() => {
      const value = engine.getSync(key);
      const text = value && Buffer.from(value).toString('latin1');
      if (text !== expected.get(key)) throw new WrongStore(`${key} reads ${String(text)}, not ${String(expected.get(key))}, at ${batches}`);
    });
  }
  attempt(() => {
    const found = [...engine.scanSync()].map(([key, value]) => [latin1(key), latin1(value)] as const);
    expectSame(found, expected);
  });
  attempt(() => {
    const found = [...engine.scanSync({ reverse: true, keysOnly: true })].map(([key]) => latin1(key)).toReversed();
    expectSame(
      found.map((key) => [key, expected.get(key)!]),
      expected,
    );
  });
  if (batches === 0) return noticed;
  if (!engine.keyspaces().includes(KEYSPACE)) throw new WrongStore(`keyspace ${KEYSPACE} is gone`);
  const keyspace = await engine.keyspace(KEYSPACE);
  attempt(() => {
    const found = [...keyspace.scanSync()].map(([key, value]) => [latin1(key), latin1(value)] as const);
    expectSame(found, keyspaceContentsAfter(batches));
  });
  return noticed;
}

function expectSame(found: readonly (readonly [string, string])[], expected: ReadonlyMap<string, string>): void {
  const wanted = [...expected].sort(([a], [b]) => (a < b ? -1 : 1));
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    throw new WrongStore(`a scan gives ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
}

function expectCorrupt(error: unknown): void {
  if (!isCorrupt(error))
    throw error instanceof WrongStore ? error : new WrongStore(`not an error of kind corrupt: ${String(error)}`, { cause: error });
}

function isCorrupt(error: unknown): boolean {
  return error instanceof SparrowError && error.kind === 'corrupt';
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
