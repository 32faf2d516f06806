/**
 * Small stores that hold every kind of file, to be damaged byte by byte: CURRENT, a manifest of several edits, tables of two levels, a log
 * segment that lives on as a block file, a block file that compaction made, and a log of two segments. Batch n is a function of n alone, so that
 * what a store must hold follows from how many batches are in it.
 *
 *   layers      all of that             log          a log alone
 *   lz4, zstd   as layers, packed       keyspaces    as layers, and a keyspace with settings of its own that are altered in its life
 */
import {
  type BatchOperation,
  type Engine,
  type EngineSettingsInput,
  type KeyspaceSettings,
  open,
  type ResourceSettingsInput,
} from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

export const DIRECTORY = '/store';

/** What stores may share: memory, and the caches in it. */
export const SHARED_SETTINGS: ResourceSettingsInput = {
  pageCacheBytes: 1024 * 1024,
  memoryBytes: 64 * 1024 * 1024,
};

export const OWN_SETTINGS: EngineSettingsInput = {
  inlineThreshold: 64,
  memtableBytes: 64 * 1024,
  segmentBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  level0Compact: 2,
  level1Bytes: 256 * 1024,
  garbageRatio: 0.05,
  maxBatchBytes: 1024 * 1024,
  maxValueBytes: 256 * 1024,
};

export const SETTINGS: EngineSettingsInput = { ...OWN_SETTINGS, ...SHARED_SETTINGS };

export interface StoreImage {
  readonly name: string;
  /** What it was written with, and is opened with. */
  readonly settings: EngineSettingsInput;
  /** What its keyspace has had, in the form in which it is shown, one after another. */
  readonly keyspaceSettings: readonly KeyspaceSettings[];
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Batches that it holds. */
  readonly batches: number;
}

const KEYS = 24;
/** Inline values and large ones. */
const SIZES = [0, 5, 40, 63, 64, 100, 300, 17];

export function keyOf(number: number): string {
  return `key/${String(number % KEYS).padStart(3, '0')}`;
}

/** So late that it never comes while a test runs: the value carries its expiry all the same. */
const NEVER_MS = 4_000_000_000_000;

/** A keyspace of its own, to which every batch writes one key more; now and then it deletes a range first. */
export const KEYSPACE = 'nests';
const KEYSPACE_KEYS = 5;
const DELETES_RANGE = 9;
const RANGE = { gte: 'key/1', lt: 'key/3' };

export function keyspaceContentsAfter(batches: number): ReadonlyMap<string, string> {
  const contents = new Map<string, string>();
  for (let number = 1; number <= batches; number++) {
    if (number % DELETES_RANGE === 0) for (const key of [...contents.keys()]) if (key >= RANGE.gte && key < RANGE.lt) contents.delete(key);
    contents.set(`key/${number % KEYSPACE_KEYS}`, `nest ${number}`);
  }
  return contents;
}

/** Batches whose first key nobody writes again: their values stay where compaction put them. */
const LASTING = [2, 6, 10, 18, 26, 33, 37];

/** Every key that any batch writes. */
export const ALL_KEYS: readonly string[] = [...Array.from({ length: KEYS }, (_, i) => keyOf(i)), ...LASTING.map(lastingKeyOf)];

function lastingKeyOf(number: number): string {
  return `lasting/${number}`;
}

/** Three writes: two puts, and by turns a put or a delete. */
export function batchOf(number: number): BatchOperation[] {
  const put = (step: number): BatchOperation => {
    const bytes = SIZES[(number * step) % SIZES.length]!;
    return { type: 'put', key: keyOf(number * step), value: Buffer.alloc(bytes, `${number}.${step};`) };
  };
  const last: BatchOperation = number % 4 === 0 ? { type: 'delete', key: keyOf(number * 11) } : put(11);
  const value = Buffer.alloc(90 + number, `${number};`);
  const lasting: BatchOperation = { type: 'put', key: lastingKeyOf(number), value, ...(number % 4 === 2 && { expiresAtMs: NEVER_MS }) };
  return [LASTING.includes(number) ? lasting : put(5), put(7), last];
}

/** Key to value in latin1, after the first `batches`. */
export function contentsAfter(batches: number): ReadonlyMap<string, string> {
  let contents = known.get(batches);
  if (contents) return contents;
  contents = new Map<string, string>();
  for (let number = 1; number <= batches; number++) {
    for (const operation of batchOf(number)) {
      if (operation.type === 'put') contents.set(String(operation.key), Buffer.from(operation.value).toString('latin1'));
      else if (operation.type === 'delete') contents.delete(String(operation.key));
    }
  }
  known.set(batches, contents);
  return contents;
}
const known = new Map<number, Map<string, string>>();

export function diskOf(files: ReadonlyMap<string, Uint8Array>): SimFileSystem {
  const disk = new SimFileSystem();
  disk.makeDirectorySync(DIRECTORY);
  for (const [name, bytes] of files) disk.replace(`${DIRECTORY}/${name}`, bytes);
  return disk;
}

function filesOf(disk: SimFileSystem): StoreImage['files'] {
  return new Map(disk.listSync(DIRECTORY).map((file) => [file, disk.contents(`${DIRECTORY}/${file}`)]));
}

/** Writes batches up to `to`, each by itself. */
async function writeTo(engine: Engine, to: number): Promise<void> {
  for (let number = engine.sequence + 1; number <= to; number++) await engine.write(await wholeBatchOf(engine, number));
}

/** `batchOf` with what it writes to the keyspace. */
export async function wholeBatchOf(engine: Engine, number: number): Promise<BatchOperation[]> {
  const keyspace = await engine.keyspace(KEYSPACE);
  const range: BatchOperation[] = number % DELETES_RANGE === 0 ? [{ type: 'deleteRange', ...RANGE, keyspace }] : [];
  return [...batchOf(number), ...range, { type: 'put', key: `key/${number % KEYSPACE_KEYS}`, value: `nest ${number}`, keyspace }];
}

/** Everything that a store can consist of. */
export function layeredStore(): Promise<StoreImage> {
  return layers('layers', {}, []);
}

/** Every store that is to be damaged. */
export async function allStores(): Promise<StoreImage[]> {
  return [await layeredStore(), await loggedStore(), ...(await packedStores()), await keyspacesStore()];
}

export function packedStores(): Promise<StoreImage[]> {
  return Promise.all([layers('lz4', { compression: 'lz4' }, []), layers('zstd', { compression: 'zstd', filterBitsPerKey: 0 }, [])]);
}

/** Tables of a keyspace beside those of the default one, each packed in its own way, and pages of both in one table of level 0. */
export function keyspacesStore(): Promise<StoreImage> {
  const ofKeyspace: KeyspaceSettings[] = [
    { compression: 'zstd', filterBitsPerKey: 0 },
    { compression: { upper: 'none', bottom: 'zstd' }, inlineThreshold: 64 },
    { compression: 'lz4', filterBitsPerKey: 20 },
  ];
  return layers('keyspaces', { compression: { upper: 'lz4', bottom: 'none' } }, ofKeyspace);
}

/** `altered`: settings of the keyspace, from the start, from batch 21 and from batch 35 on. */
async function layers(name: string, own: EngineSettingsInput, altered: readonly KeyspaceSettings[]): Promise<StoreImage> {
  const settings = { ...SETTINGS, ...own };
  const disk = new SimFileSystem();
  const alter = async (step: number): Promise<void> => {
    if (altered[step] !== undefined) await engine.keyspace(KEYSPACE, altered[step]);
  };
  let engine = await open(DIRECTORY, settings, { fileSystem: disk });
  await alter(0);
  await writeTo(engine, 12);
  await engine.flush();
  await writeTo(engine, 20);
  await engine.flush();
  await engine.settled();
  await alter(1);
  await writeTo(engine, 28);
  await engine.flush();
  // The first frame that is synced tells the next one, which vouches for it.
  await writeTo(engine, 31);
  await engine.sync();
  await writeTo(engine, 34);
  await engine.close();
  engine = await open(DIRECTORY, settings, { fileSystem: disk });
  await alter(2);
  await writeTo(engine, 36);
  await engine.sync();
  await writeTo(engine, 38);
  await engine.sync();
  await writeTo(engine, 39);
  await engine.close();
  return { name, settings, keyspaceSettings: altered, files: filesOf(disk), batches: 39 };
}

/** A log alone, with zeros ahead of small synced writes, as a process leaves it that dies. */
export async function loggedStore(): Promise<StoreImage> {
  const disk = new SimFileSystem();
  const engine = await open(DIRECTORY, SETTINGS, { fileSystem: disk });
  for (let number = 1; number <= 9; number++) {
    await engine.write(await wholeBatchOf(engine, number), { durability: number % 2 === 0 ? 'synced' : 'os' });
  }
  await new Promise((resolve) => setImmediate(resolve));
  disk.endProcess();
  return { name: 'log', settings: SETTINGS, keyspaceSettings: [], files: filesOf(disk), batches: 9 };
}
