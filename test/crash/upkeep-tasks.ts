/**
 * Upkeep, task by task: what makes or remakes whole directories (checkpoint, backup, restore, repair, tables made outside, ingest) and what changes a
 * whole keyspace. Each is three parts: a disk to begin with; the work; and what must hold on whatever disk is left, whether the work had ended or
 * not, which does the work again to its end. upkeep-life.ts has them meet power loss, test/faults/upkeep-errors.ts a failing disk.
 *
 * A check may itself be cut off: it is then made again, and must take what the first one has left.
 */
import {
  createTableWriter,
  type Engine,
  type IngestOptions,
  type KeyspaceSettings,
  listBackups,
  pruneBackups,
  repair,
  restore,
  SparrowError,
  verify,
  verifyBackup,
} from '../../engine/index.ts';
import { batchOf, contentsAfter, DIRECTORY, KEYSPACE, keyspaceContentsAfter, type StoreImage } from '../corruption/stores.ts';
import { SimRandom } from '../sim/sim-random.ts';
import {
  BACKUPS,
  COPY,
  type DiskImage,
  diskWith,
  expectContents,
  expectSame,
  imageOfDisk,
  MADE,
  spelled,
  text,
  textsOf,
  World,
} from './upkeep-world.ts';

/** What became of work that did not end: nothing, something that is refused, all of it. */
export type Outcome = 'nothing' | 'refused' | 'whole';

export interface UpkeepTask {
  readonly name: string;
  /** Works on a store that nobody has open. */
  readonly offline?: boolean;
  begin(image: StoreImage): Promise<DiskImage>;
  /** Can be done again when it has failed. `engine` is there unless it is offline. */
  work(world: World, engine: Engine): Promise<void>;
  /** `ended`: the work had. Throws when something is not as it must be. */
  check(world: World, ended: boolean): Promise<Outcome>;
}

/** So many batches come before a copy is made. */
const MORE = 2;
const RULE = { gte: 'key/2' };

/** In the form in which they are shown. */
const ALTERED: KeyspaceSettings = { filterBitsPerKey: 0, compression: 'lz4' };

export const UPKEEP_TASKS: readonly UpkeepTask[] = [
  {
    name: 'a checkpoint',
    begin: (image) => Promise.resolve(storeOf(image)),
    async work({ image }, engine) {
      // Nothing else is under way that would sync the log.
      await engine.settled();
      await writeMore(image, engine);
      await engine.checkpoint(COPY);
    },
    async check(world, ended) {
      const { batches } = world.image;
      await world.expectStore(DIRECTORY, ended ? batches + MORE : batches, batches + MORE);
      const outcome = await outcomeOf(world, COPY);
      if (ended) expectSame('a checkpoint that was made', outcome, 'whole');
      if (outcome !== 'whole') await world.withStore((engine) => engine.checkpoint(COPY));
      else if (!ended) await relyOn(world, COPY);
      world.losePower();
      await world.expectStore(COPY, ended ? batches + MORE : batches, batches + MORE);
      return outcome;
    },
  },
  backupTask('a first backup', 0),
  backupTask('a backup beside others', 2),
  {
    name: 'pruning',
    offline: true,
    begin: (image) => backedUp(image, 3),
    work: ({ disk }) => Promise.resolve(void pruneBackups(BACKUPS, 1, { fileSystem: disk })),
    async check(world, ended) {
      const { batches } = world.image;
      const found = await expectSoundBackups(world);
      const outcome = found.length === 3 ? 'nothing' : 'whole';
      if (ended) expectSame('backups that are left', found.join(), '3');
      for (const backup of found) await world.expectBackup(backup, batches, batches);
      pruneBackups(BACKUPS, 1, { fileSystem: world.disk });
      world.losePower();
      expectSame('backups that are left', (await expectSoundBackups(world)).join(), '3');
      await world.expectBackup(3, batches, batches);
      return outcome;
    },
  },
  {
    name: 'a restore',
    offline: true,
    begin: (image) => backedUp(image, 1),
    async work({ components }) {
      await restore(BACKUPS, COPY, {}, components);
    },
    async check(world, ended) {
      const { batches } = world.image;
      const outcome = await outcomeOf(world, COPY);
      if (ended) expectSame('what was restored', outcome, 'whole');
      if (outcome !== 'whole') await world.until(restore(BACKUPS, COPY, {}, world.components));
      else if (!ended) await relyOn(world, COPY);
      world.losePower();
      await world.expectStore(COPY, batches, batches);
      await expectSoundBackups(world);
      return outcome;
    },
  },
  {
    name: 'a repair',
    offline: true,
    begin(image) {
      const disk = diskWith(storeOf(image));
      for (const name of image.files.keys()) if (name.endsWith('.table') || name.endsWith('.block')) disk.flip(`${DIRECTORY}/${name}`, 300);
      return Promise.resolve(imageOfDisk(disk, DIRECTORY));
    },
    async work({ components }) {
      await repair(DIRECTORY, {}, components);
    },
    async check(world, ended) {
      const { image, components } = world;
      const { sound, problems } = await world.until(verify(DIRECTORY, {}, components));
      if (ended && !sound) throw new Error(`a repaired store has damage: ${JSON.stringify(problems[0])}`);
      await world.until(repair(DIRECTORY, {}, components));
      world.losePower();
      const again = await world.until(verify(DIRECTORY, {}, components));
      if (!again.sound) throw new Error(`a store that is repaired anew has damage: ${JSON.stringify(again.problems[0])}`);
      await world.withStore((engine) => Promise.resolve(expectSalvaged(engine, image)));
      return sound ? 'whole' : 'nothing';
    },
  },
  {
    name: 'the making of tables',
    offline: true,
    begin: (image) => Promise.resolve(storeOf(image)),
    work(world) {
      // Who fails with it discards it, and begins anew in the same directory.
      makeTables(world, MADE);
      return Promise.resolve();
    },
    async check(world, ended) {
      const outcome = await ingestable(world, MADE);
      if (ended) expectSame('tables that were made', outcome, 'whole');
      const directory = outcome === 'whole' ? MADE : world.fresh();
      if (outcome !== 'whole') makeTables(world, directory);
      world.losePower();
      await world.withStore(async (engine) => {
        if (!(await bulkOf(engine)).all) await engine.ingest(directory, { mode: 'copy' });
        expectSame('tables that were made and ingested', (await bulkOf(engine)).all, true);
      });
      return outcome;
    },
  },
  ingestTask('link'),
  ingestTask('move'),
  ingestTask('copy'),
  {
    name: 'a keyspace',
    begin: (image) => Promise.resolve(storeOf(image)),
    async work(_, engine) {
      const keyspace = await engine.keyspace('aerie', { inlineThreshold: 128 });
      await keyspace.put('eagle', 'in its own', { durability: 'synced' });
    },
    async check(world, ended) {
      const there = await world.withStore(async (engine) => {
        expectContents(engine, world.image.batches);
        const known = engine.keyspaces().includes('aerie');
        if (ended) expectSame('a keyspace that was made', known, true);
        const keyspace = await engine.keyspace('aerie');
        const found = keyspace.getSync('eagle');
        if (ended || found) expectSame('its own key', found && text(found), 'in its own');
        const other = await engine.keyspace('other');
        expectSame('a key of another keyspace', other.getSync('eagle'), undefined);
        await keyspace.put('eagle', 'in its own', { durability: 'synced' });
        return known;
      });
      world.losePower();
      await world.withStore(async (engine) => expectSame('its keys', [...textsOf(await engine.keyspace('aerie')).keys()].join(), 'eagle'));
      await world.expectStore(DIRECTORY, world.image.batches, world.image.batches);
      return there ? 'whole' : 'nothing';
    },
  },
  {
    name: 'the end of a keyspace',
    begin: (image) => Promise.resolve(storeOf(image)),
    async work(_, engine) {
      if (engine.keyspaces().includes(KEYSPACE)) await (await engine.keyspace(KEYSPACE)).drop();
    },
    async check(world, ended) {
      const { batches } = world.image;
      const outcome = await world.withStore(async (engine) => {
        const keyspace = await engine.keyspace(KEYSPACE);
        const found = textsOf(keyspace);
        if (found.size > 0 && !found.has('new')) {
          expectSame('a keyspace that is half gone', spelled(found), spelled(keyspaceContentsAfter(batches)));
          if (ended) throw new Error('a keyspace that was dropped is there');
          await keyspace.drop();
          await (await engine.keyspace(KEYSPACE)).put('new', '1', { durability: 'synced' });
          return 'nothing';
        }
        await keyspace.put('new', '1', { durability: 'synced' });
        return 'whole';
      });
      world.losePower();
      await world.withStore(async (engine) => {
        expectSame('keys of the new one', [...textsOf(await engine.keyspace(KEYSPACE)).keys()].join(), 'new');
        await engine.compact();
        expectSame('keys of the new one, compacted', [...textsOf(await engine.keyspace(KEYSPACE)).keys()].join(), 'new');
      });
      await world.expectStore(DIRECTORY, batches, batches);
      return outcome;
    },
  },
  {
    name: 'settings of a keyspace',
    begin: (image) => Promise.resolve(storeOf(image)),
    async work(_, engine) {
      const keyspace = await engine.keyspace(KEYSPACE, ALTERED);
      await keyspace.put('packed', 'by lz4', { durability: 'synced' });
      await engine.flush();
    },
    async check(world, ended) {
      const { batches } = world.image;
      const outcome = await world.withStore(async (engine) => {
        const keyspace = await engine.keyspace(KEYSPACE);
        const altered = Object.keys(keyspace.settings).length > 0;
        // The edit is on disk before anything is written by it.
        if (ended || keyspace.hasSync('packed')) expectSame('settings that were altered', altered, true);
        await engine.keyspace(KEYSPACE, ALTERED);
        await keyspace.delete('packed', { durability: 'synced' });
        return altered ? 'whole' : 'nothing';
      });
      world.losePower();
      await world.withStore(async (engine) => {
        const keyspace = await engine.keyspace(KEYSPACE);
        expectSame('its settings', JSON.stringify(keyspace.settings), JSON.stringify(ALTERED));
        await engine.compact();
        expectSame('its entries', spelled(textsOf(keyspace)), spelled(keyspaceContentsAfter(batches)));
      });
      return outcome;
    },
  },
  {
    name: 'a rule of what to keep',
    begin: (image) => Promise.resolve(storeOf(image)),
    async work(_, engine) {
      await (await engine.keyspace(KEYSPACE)).keepOnly(RULE);
      await engine.compact();
    },
    async check(world, ended) {
      const { batches } = world.image;
      const outcome = await world.withStore(async (engine) => {
        const keyspace = await engine.keyspace(KEYSPACE);
        const ruled = keyspace.kept !== undefined;
        if (ended) expectSame('a rule that was set', ruled, true);
        expectKept(textsOf(keyspace), batches, ended ? 'none' : ruled ? 'some' : 'all');
        await keyspace.keepOnly(RULE);
        await engine.compact();
        return ruled ? 'whole' : 'nothing';
      });
      world.losePower();
      await world.withStore(async (engine) => expectKept(textsOf(await engine.keyspace(KEYSPACE)), batches, 'none'));
      await world.expectStore(DIRECTORY, batches, batches);
      return outcome;
    },
  },
];

/** A backup where there are so many already. */
function backupTask(name: string, older: number): UpkeepTask {
  return {
    name,
    begin: (image) => backedUp(image, older),
    async work({ image }, engine) {
      await writeMore(image, engine);
      await engine.backup(BACKUPS);
    },
    async check(world, ended) {
      const { batches } = world.image;
      await world.expectStore(DIRECTORY, ended ? batches + MORE : batches, batches + MORE);
      const found = await expectSoundBackups(world);
      expectSame('older backups', found.slice(0, older).join(), [1, 2].slice(0, older).join());
      if (ended && found.length <= older) throw new Error('a backup that was made is not there');
      for (const backup of found) {
        const exactly = backup <= older ? batches : ended ? batches + MORE : undefined;
        await world.expectBackup(backup, exactly ?? batches, exactly ?? batches + MORE);
      }
      const now = await world.withStore(async (engine) => {
        await engine.backup(BACKUPS);
        return expectContents(engine, batches, batches + MORE);
      });
      world.losePower();
      const after = await expectSoundBackups(world);
      expectSame('backups', after.length, found.length + 1);
      await world.expectBackup(after.at(-1)!, now, now);
      return found.length > older ? 'whole' : 'nothing';
    },
  };
}

function ingestTask(mode: NonNullable<IngestOptions['mode']>): UpkeepTask {
  return {
    name: `an ingest by ${mode}`,
    async begin(image) {
      const world = new World(diskWith(storeOf(image)), image);
      makeTables(world, MADE);
      await world.withStore(async (engine) => (await engine.keyspace(BULK)).put(OVERWRITTEN, OLDER));
      return imageOfDisk(world.disk, DIRECTORY, MADE);
    },
    async work(_, engine) {
      // With all in tables the ingest flushes nothing, which would sync its names on the way.
      if (mode !== 'move') await engine.flush();
      await engine.ingest(MADE, { mode });
    },
    async check(world, ended) {
      const { batches } = world.image;
      const outcome = await world.withStore(async (engine) => {
        expectContents(engine, batches);
        const { all, none } = await bulkOf(engine);
        if (!all && !none) throw new Error('half an ingest is there');
        if (ended) expectSame('what was ingested', all, true);
        if (none) await engine.ingest(MADE, { mode });
        expectSame('what is ingested anew', (await bulkOf(engine)).all, true);
        const bulk = await engine.keyspace(BULK);
        await bulk.put('newer', '1', { durability: 'synced' });
        if (text(bulk.getSync('newer')!) !== '1') throw new Error('a write is hidden by what was ingested before it');
        await bulk.delete('newer', { durability: 'synced' });
        return all ? 'whole' : 'nothing';
      });
      world.losePower();
      await world.withStore(async (engine) => expectSame('what was ingested anew', (await bulkOf(engine)).all, true));
      await world.expectStore(DIRECTORY, batches, batches);
      return outcome;
    },
  };
}

// ---- parts of tasks ----

function storeOf({ files }: StoreImage): DiskImage {
  return new Map([...files].map(([name, bytes]) => [`${DIRECTORY}/${name}`, bytes]));
}

async function backedUp(image: StoreImage, count: number): Promise<DiskImage> {
  if (count === 0) return storeOf(image);
  const world = new World(diskWith(storeOf(image)), image);
  for (let i = 0; i < count; i++) {
    await world.withStore(async (engine) => {
      // Something of its own in each, beside what is compared.
      await (await engine.keyspace('backups')).put(String(i), Buffer.alloc(300, String(i)));
      await engine.backup(BACKUPS);
    });
  }
  return imageOfDisk(world.disk, DIRECTORY, BACKUPS, `${BACKUPS}/files`);
}

/** At once, so that doing it again changes nothing; and not synced, which the copy must see to. */
async function writeMore({ batches }: StoreImage, engine: Engine): Promise<void> {
  await engine.write([...batchOf(batches + 1), ...batchOf(batches + MORE)], { durability: 'os' });
}

async function outcomeOf(world: World, directory: string): Promise<Outcome> {
  if (!world.disk.existsSync(directory) || world.disk.listSync(directory).length === 0) return 'nothing';
  return (await world.isWhole(directory)) ? 'whole' : 'refused';
}

/** Whoever finds a store, whatever it is owed to, and has something synced there, finds it again. */
async function relyOn(world: World, directory: string): Promise<void> {
  await world.withStore(async (engine) => (await engine.keyspace('relied on')).put('key', '1', { durability: 'synced' }), directory);
}

/** Numbers of the backups that are listed: each can be restored. */
async function expectSoundBackups(world: World): Promise<number[]> {
  try {
    const found = listBackups(BACKUPS, { fileSystem: world.disk });
    const { problems } = await world.until(verifyBackup(BACKUPS, {}, { fileSystem: world.disk }));
    expectSame('problems of the backups', problems.map(({ file, what }) => `${file} ${what}`).join(', '), '');
    return found.map(({ backup }) => backup);
  } catch (error) {
    if (error instanceof SparrowError && error.code === 'NO_BACKUPS') return [];
    throw error;
  }
}

/** The log was sound: what only it has is all there. What damage took may let an older value show; never a key that nobody wrote. */
function expectSalvaged(engine: Engine, { batches }: StoreImage): void {
  expectSame('sequence', engine.sequence, batches);
  const kept = contentsAfter(batches);
  const found = textsOf(engine);
  for (let number = 29; number <= batches; number++) {
    for (const operation of batchOf(number)) {
      if ('key' in operation) expectSame(String(operation.key), found.get(String(operation.key)), kept.get(String(operation.key)));
    }
  }
  for (const key of found.keys()) if (!/^(?:key|lasting)\/\d+$/.test(key)) throw new Error(`${key} was never written`);
}

// ---- tables from outside ----

const BULK = 'bulk';
const BULK_KEYS = 60;
/** A key that is there before. */
const OVERWRITTEN = 'bulk/005';
const OLDER = 'older';

function bulkValue(i: number): string {
  return `<${i}>`.repeat(i % 7 === 0 ? 300 : 20);
}

function makeTables({ disk }: World, directory: string): void {
  const settings = { inlineThreshold: 512, tableBytes: 65_536 };
  const writer = createTableWriter(directory, settings, { fileSystem: disk, random: new SimRandom(directory.length) });
  try {
    for (const keyspace of [BULK, 'bulk too']) {
      for (let i = 0; i < BULK_KEYS; i++) writer.put(`bulk/${String(i).padStart(3, '0')}`, bulkValue(i), { keyspace });
    }
    writer.finish();
  } catch (error) {
    if (!disk.dead) writer.discard();
    throw error;
  }
}

async function bulkOf(engine: Engine): Promise<{ all: boolean; none: boolean }> {
  let entries = 0;
  for (const name of [BULK, 'bulk too']) {
    if (!engine.keyspaces().includes(name)) continue;
    for (const [key, value] of textsOf(await engine.keyspace(name))) {
      if (value === OLDER || key === 'newer') continue;
      expectSame(key, value, bulkValue(Number(key.slice(5))));
      entries++;
    }
  }
  return { all: entries === 2 * BULK_KEYS, none: entries === 0 };
}

/** Whether an engine takes what is there. */
async function ingestable(world: World, directory: string): Promise<Outcome> {
  if (!world.disk.existsSync(directory) || world.disk.listSync(directory).length === 0) return 'nothing';
  return await world.withStore(async (engine) => {
    try {
      await engine.ingest(directory, { mode: 'copy' });
      return 'whole';
    } catch (error) {
      if (error instanceof SparrowError && error.code === 'INGESTED_BEFORE') return 'whole';
      if (!(error instanceof SparrowError) || !['NOT_INGESTABLE', 'CORRUPT_INGEST'].includes(error.code)) throw error;
      expectSame('of what was refused', (await bulkOf(engine)).none, true);
      return 'refused';
    }
  });
}

/** What the rule keeps is there; of what it leaves out all, some or none. */
function expectKept(found: ReadonlyMap<string, string>, batches: number, others: 'all' | 'some' | 'none'): void {
  const expected = keyspaceContentsAfter(batches);
  for (const [key, value] of found) expectSame(key, value, expected.get(key));
  for (const [key, value] of expected) if (key >= RULE.gte || others === 'all') expectSame(key, found.get(key), value);
  if (others === 'none') expectSame('keys left out', [...found.keys()].filter((key) => key < RULE.gte).join(), '');
}
