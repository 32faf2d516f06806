import { describe, expect, it } from 'vitest';
import { backup, type BackupResult, listBackups, pruneBackups, restore, verify, verifyBackup } from '../../../engine/index.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';
import { type Contents, contents, contentsOf, live, openStore, SETTINGS, value } from './store-life.ts';
import { open, type Engine } from '../../../engine/index.ts';

const clock = new SimClock(new SimScheduler());

/** A store with an id, as one on a real disk has. */
function openWithId(fileSystem: SimFileSystem): Promise<Engine> {
  return open('/data', SETTINGS, { fileSystem, random: new SimRandom(7) });
}

function newDisk(): SimFileSystem {
  return new SimFileSystem();
}

/** The names and contents of a directory tree. */
function filesIn(fs: SimFileSystem, directory: string): Map<string, Uint8Array> {
  const names = fs.listSync(directory).filter((name) => !name.startsWith('LOCK') && name !== 'files');
  return new Map(names.map((name) => [`${directory}/${name}`, fs.contents(`${directory}/${name}`)]));
}

async function restored(fs: SimFileSystem, number: number, directory = `/restored-${number}`): Promise<Contents> {
  await restore('/backups', directory, { backup: number }, { fileSystem: fs });
  expect(await verify(directory, {}, { fileSystem: fs })).toMatchObject({ problems: [] });
  return contentsOf(fs, directory);
}

describe('work on backups that is given up', () => {
  it('is cancelled, leaves the older backups whole, and can be done again', async () => {
    const fs = newDisk();
    const engine = await openWithId(fs);
    await live(engine, 2);
    await engine.backup('/backups');
    await live(engine, 3);
    const giveUp = new AbortController();
    const options = { signal: giveUp.signal, onProgress: () => giveUp.abort() };
    const refusal = { kind: 'cancelled', code: 'ABORTED' };
    await expect(engine.backup('/backups', options)).rejects.toMatchObject(refusal);
    await engine.close();
    await expect(backup('/data', '/backups', options, { fileSystem: fs, clock })).rejects.toMatchObject(refusal);
    expect(listBackups('/backups', { fileSystem: fs })).toHaveLength(1);
    await expect(verifyBackup('/backups', options, { fileSystem: fs })).rejects.toMatchObject(refusal);
    await expect(restore('/backups', '/restored', options, { fileSystem: fs })).rejects.toMatchObject(refusal);
    expect(await verifyBackup('/backups', {}, { fileSystem: fs })).toMatchObject({ sound: true });
    await restore('/backups', '/restored', {}, { fileSystem: fs });
    expect(await verify('/restored', {}, { fileSystem: fs })).toMatchObject({ problems: [] });
    expect(fs.openFiles).toEqual([]);
  });
});

describe('a backup', () => {
  it('of an engine in use holds that moment, and later ones copy what is new', async () => {
    const fs = newDisk();
    const engine = await openWithId(fs);
    await live(engine, 2);
    const first = await contents(engine);
    const making = engine.backup('/backups');
    await engine.put('later', value(1, 5000));
    expect(await making).toMatchObject({ backup: 1, target: '/backups' });
    await engine.put('second', 'x');
    const second = await contents(engine);
    const again: BackupResult = await backup(engine, '/backups');
    expect(again.backup).toBe(2);
    // The tail of the log, and what the flush in between has made of it.
    expect(again.copiedFiles).toBeLessThan(again.files);
    expect(again.copiedBytes).toBeLessThan(again.bytes);
    await live(engine, 3);
    await engine.backup('/backups');
    const third = await contents(engine);
    await engine.close();
    const all = listBackups('/backups', { fileSystem: fs });
    expect(all.map(({ backup: number }) => number)).toEqual([1, 2, 3]);
    expect(all.every((each) => each.problem === undefined && each.sequence! > 0 && each.createdMs > 0)).toBe(true);
    expect(await verifyBackup('/backups', {}, { fileSystem: fs })).toMatchObject({ sound: true, problems: [], backups: 3, unsound: [] });
    for (const [i, expected] of [first, second, third].entries()) expect(await restored(fs, i + 1)).toEqual(expected);
    expect(fs.openFiles).toEqual([]);
  });

  it('does not read again what an earlier one has, by the id of the store', async () => {
    const fs = newDisk();
    const engine = await openWithId(fs);
    await live(engine);
    await engine.backup('/backups');
    const reads = fs.reads;
    const { files, copiedFiles, copiedBytes } = await engine.backup('/backups');
    expect([copiedFiles, copiedBytes]).toEqual([0, 0]);
    // The manifests, and the segment that the log writes to.
    expect(fs.reads - reads).toBeLessThan(files);
    await engine.close();
  });

  it('of a store that nobody has open, without an id, compares contents and copies only what differs', async () => {
    const fs = newDisk();
    const engine = await openStore(fs, '/data');
    await live(engine);
    await engine.close();
    const before = await contentsOf(fs, '/data');
    const components = { fileSystem: fs, clock };
    expect(await backup('/data', '/backups', {}, components)).toMatchObject({ backup: 1 });
    expect(await backup('/data', '/backups', {}, components)).toMatchObject({ backup: 2, copiedFiles: 0, copiedBytes: 0 });
    expect(listBackups('/backups', components)[1]).toMatchObject({ addedBytes: 0, createdMs: clock.wallMs(), sequence: undefined });
    expect(await restored(fs, 2)).toEqual(before);
  });

  it('of a restored store never takes a file of the other for its own', async () => {
    const fs = newDisk();
    const engine = await openWithId(fs);
    await live(engine, 1);
    await engine.flush();
    await engine.backup('/backups');
    // From here on the two make different files with the same names and, often, the same lengths.
    await restore('/backups', '/twin', {}, { fileSystem: fs, random: new SimRandom(8) });
    const twin = await openStore(fs, '/twin');
    for (const [which, store] of [engine, twin].entries()) {
      for (let i = 0; i < 40; i++) await store.put(`small/${i}`, `${which}`.repeat(600 + i), { durability: 'buffered' });
      await store.flush();
    }
    const [one, other] = [await contents(engine), await contents(twin)];
    await engine.backup('/backups');
    await twin.backup('/backups');
    await engine.close();
    await twin.close();
    expect(await restored(fs, 2)).toEqual(one);
    expect(await restored(fs, 3)).toEqual(other);
    expect(one).not.toEqual(other);
  });

  it.each([
    ['a table', '.table'],
    ['values that compaction moved', '.block'],
    ['the log', '.log'],
  ])('is not made of damage in %s, and the next one has nothing of it', async (_, suffix) => {
    const fs = newDisk();
    const engine = await openWithId(fs);
    await live(engine, 3);
    await engine.settled();
    for (let i = 0; i < 20; i++) await engine.put(`tail/${i}`, value(i, 300));
    await engine.sync();
    const expected = await contents(engine);
    const names = fs.listSync('/data').filter((name) => name.endsWith(suffix));
    const name = `/data/${suffix === '.log' ? names.at(-1)! : names[0]!}`;
    const sound = fs.contents(name);
    const bad = Uint8Array.from(sound);
    // A log: within its first batch. Others: anywhere in pages and values.
    bad[suffix === '.log' ? 1060 : Math.floor(bad.length / 3)]! ^= 4;
    fs.replace(name, bad);
    const refusal = { kind: 'corrupt', code: 'CORRUPT_STORE', details: { file: name } };
    await expect(engine.backup('/backups')).rejects.toMatchObject(refusal);
    expect(listBackups('/backups', { fileSystem: fs })).toEqual([]);
    fs.replace(name, sound);
    expect(await engine.backup('/backups')).toMatchObject({ backup: 1 });
    await engine.close();
    expect(await restored(fs, 1)).toEqual(expected);
  });

  it("with the store's own checksums looks at no more than what is new", async () => {
    const fs = newDisk();
    const engine = await openWithId(fs);
    await live(engine, 2);
    await engine.settled();
    await engine.backup('/backups');
    const [table] = fs.listSync('/data').filter((name) => name.endsWith('.table'));
    const damaged = Uint8Array.from(fs.contents(`/data/${table}`));
    damaged[100]! ^= 1;
    fs.replace(`/data/${table}`, damaged);
    await engine.put('new', 'value');
    expect(await engine.backup('/backups')).toMatchObject({ backup: 2, copiedFiles: 1 });
    const expected = await contentsOf(fs, '/data').catch(() => undefined);
    expect(expected).toBeUndefined();
    await engine.close();
    // The sound table is in both.
    expect((await restored(fs, 2)).size).toBeGreaterThan(0);
  });

  it('is refused where something else is, in use, or not there', async () => {
    const fs = newDisk();
    const engine = await openStore(fs, '/data');
    await live(engine, 1);
    fs.makeDirectorySync('/mine');
    fs.replace('/mine/notes.txt', Buffer.from('mine'));
    await expect(engine.backup('/mine')).rejects.toMatchObject({ code: 'NOT_EMPTY' });
    await expect(engine.backup('/data')).rejects.toMatchObject({ code: 'NOT_EMPTY' });
    await expect(engine.backup('/backups', { keep: 3 } as never)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await expect(backup('/data', '/backups', {}, { fileSystem: fs })).rejects.toMatchObject({ code: 'LOCKED' });
    expect(() => listBackups('/nowhere', { fileSystem: fs })).toThrow(expect.objectContaining({ code: 'NO_BACKUPS' }));
    await engine.backup('/backups');
    await expect(restore('/backups', '/x', { backup: 9 }, { fileSystem: fs })).rejects.toMatchObject({ code: 'NO_BACKUP' });
    await expect(restore('/backups', '/mine', {}, { fileSystem: fs })).rejects.toMatchObject({ code: 'NOT_EMPTY' });
    expect(() => pruneBackups('/backups', 0, { fileSystem: fs })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }));
    await engine.close();
    await expect(engine.backup('/backups')).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });

  it('is given up when the engine closes, and when the disk fails; the others stay whole', async () => {
    const fs = newDisk();
    const engine = await openStore(fs, '/data');
    await live(engine, 2);
    await engine.backup('/backups');
    const before = await contents(engine);
    await live(engine, 1);
    for (let at = 2; at < 30; at += 5) {
      fs.failAt({ at: fs.operations + at, error: 'ENOSPC' });
      await engine.backup('/backups').catch(() => undefined);
      fs.failAt();
      expect(await verifyBackup('/backups', {}, { fileSystem: fs })).toMatchObject({ sound: true });
    }
    const making = engine.backup('/backups');
    const closing = engine.close();
    await expect(making).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    await closing;
    expect(await restored(fs, 1)).toEqual(before);
    expect(fs.openFiles).toEqual([]);
  });

  it('is pruned with what only it had', async () => {
    const fs = newDisk();
    const engine = await openStore(fs, '/data');
    const moments: Contents[] = [];
    for (let i = 0; i < 4; i++) {
      await live(engine, 1);
      await engine.flush();
      moments.push(await contents(engine));
      await engine.backup('/backups');
    }
    await engine.close();
    expect(pruneBackups('/backups', 2, { fileSystem: fs })).toEqual([1, 2]);
    const kept = listBackups('/backups', { fileSystem: fs });
    expect(kept.map(({ backup: number }) => number)).toEqual([3, 4]);
    const stored = fs.listSync('/backups/files');
    expect(stored.reduce((sum, name) => sum + fs.contents(`/backups/files/${name}`).length, 0)).toBe(
      kept.reduce((sum, each) => sum + (each.problem === undefined ? each.addedBytes : 0), 0),
    );
    expect(await restored(fs, 3)).toEqual(moments[2]);
    expect(await restored(fs, 4)).toEqual(moments[3]);
    expect(pruneBackups('/backups', 5, { fileSystem: fs })).toEqual([]);
  });
});

describe('a damaged backup', () => {
  async function backedUp(): Promise<SimFileSystem> {
    const fs = newDisk();
    const engine = await openStore(fs, '/data');
    await live(engine, 1);
    await engine.backup('/backups');
    await live(engine, 1);
    await engine.backup('/backups');
    await engine.close();
    return fs;
  }

  it('is found by verifying, and never restored', async () => {
    const fs = await backedUp();
    for (const name of fs.listSync('/backups/files')) {
      const path = `/backups/files/${name}`;
      fs.flip(path, Math.floor(fs.contents(path).length / 2));
      const report = await verifyBackup('/backups', {}, { fileSystem: fs });
      expect(report.problems.map(({ file }) => file)).toEqual([path]);
      expect(report.unsound.length).toBeGreaterThan(0);
      for (const number of report.unsound) {
        await expect(restore('/backups', '/restored', { backup: number }, { fileSystem: fs })).rejects.toMatchObject({
          code: 'CORRUPT_BACKUP',
        });
        expect(fs.listSync('/restored')).toEqual([]);
      }
      fs.flip(path, Math.floor(fs.contents(path).length / 2));
    }
    fs.unlinkSync(`/backups/files/${fs.listSync('/backups/files')[0]!}`);
    expect(await verifyBackup('/backups', {}, { fileSystem: fs })).toMatchObject({ sound: false });
  });

  it('of which no byte of the manifest may differ, keeps others from removing anything', async () => {
    const fs = await backedUp();
    const path = '/backups/BACKUP-000001';
    for (let at = 0; at < fs.contents(path).length; at += 7) {
      fs.flip(path, at);
      expect(listBackups('/backups', { fileSystem: fs })[0]).toMatchObject({ backup: 1, problem: expect.stringContaining(path) });
      fs.flip(path, at);
    }
    fs.flip(path, 40);
    const stored = fs.listSync('/backups/files');
    expect(pruneBackups('/backups', 1, { fileSystem: fs })).toEqual([]);
    expect(fs.listSync('/backups/files')).toEqual(stored);
    expect(await verifyBackup('/backups', {}, { fileSystem: fs })).toMatchObject({ sound: false, unsound: [1] });
    expect(await verifyBackup('/backups', { backup: 2 }, { fileSystem: fs })).toMatchObject({ sound: true });
    await restored(fs, 2);
    expect(filesIn(fs, '/backups').size).toBe(2);
  });
});
