import { describe, expect, it } from 'vitest';
import { dump, open, repair, type RepairReport, verify } from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { damaged, describeDamage, everyDamage } from '../../corruption/damage.ts';
import {
  batchOf,
  DIRECTORY,
  diskOf,
  keyspaceContentsAfter,
  keyspacesStore,
  layeredStore,
  loggedStore,
  SETTINGS,
} from '../../corruption/stores.ts';
import { type Contents, contents, contentsOf, live, openStore, value } from '../upkeep/store-life.ts';

const WAS_SOUND: Partial<RepairReport> = { wasSound: true, lost: [], problems: [], quarantine: undefined };

async function lived(seed = 1): Promise<{ fs: SimFileSystem; before: Contents }> {
  const fs = new SimFileSystem({ seed });
  const engine = await openStore(fs, '/data');
  await live(engine);
  const before = await contents(engine);
  await engine.close();
  return { fs, before };
}

function files(fs: SimFileSystem, pattern: RegExp): string[] {
  return fs.listSync('/data').filter((name) => pattern.test(name));
}

/** Repairs, and sees to it that the result is sound, opens, and is left alone by a second repair. */
async function repaired(fs: SimFileSystem): Promise<{ report: RepairReport; after: Contents }> {
  const listing = fs.listSync('/data');
  const dry = await repair('/data', { dryRun: true }, { fileSystem: fs });
  expect(fs.listSync('/data').filter((name) => name !== 'LOCK')).toEqual(listing.filter((name) => name !== 'LOCK'));
  const report = await repair('/data', {}, { fileSystem: fs });
  expect({ ...dry, dryRun: false, tablesMade: report.tablesMade, quarantine: report.quarantine }).toEqual(report);
  expect(await verify('/data', {}, { fileSystem: fs })).toMatchObject({ sound: true, problems: [] });
  expect(await repair('/data', {}, { fileSystem: fs })).toMatchObject(WAS_SOUND);
  const after = await contentsOf(fs, '/data');
  const engine = await openStore(fs, '/data');
  await engine.put('after', value(1, 3000));
  await engine.flush();
  await engine.settled();
  await engine.close();
  expect(sorted(await contentsOf(fs, '/data'))).toEqual(
    sorted(new Map(after).set('after', Buffer.from(value(1, 3000)).toString('latin1'))),
  );
  expect(fs.openFiles).toEqual([]);
  return { report, after };
}

function sorted(contents: Contents): Contents {
  return new Map([...contents].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Keys whose value differs, or that are in one only. */
function differences(before: Contents, after: Contents): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));
}

describe('repair', () => {
  it('leaves a sound store as it is', async () => {
    const { fs } = await lived();
    const listing = fs.listSync('/data').map((name) => [name, fs.contents(`/data/${name}`)]);
    expect(await repair('/data', {}, { fileSystem: fs })).toMatchObject(WAS_SOUND);
    expect(fs.listSync('/data').map((name) => [name, fs.contents(`/data/${name}`)])).toEqual(listing);
  });

  it.each([/^CURRENT$/, /^MANIFEST/, /^(CURRENT|MANIFEST.*)$/])('loses nothing with %s', async (pattern) => {
    const { fs, before } = await lived();
    for (const name of files(fs, pattern)) fs.unlinkSync(`/data/${name}`);
    const { report, after } = await repaired(fs);
    expect(report.lost).toEqual([]);
    // Without any manifest a keyspace has lost its name.
    const named = new Map([...after].map(([key, text]) => [key.replace(/^recovered-1:/, 'birds:'), text]));
    expect(sorted(named)).toEqual(sorted(before));
    expect(report.keyspacesNamed).toEqual(report.manifest === 'lost' ? ['recovered-1'] : []);
  });

  it.each([0.05, 0.2, 0.5, 0.8])('with a byte at %f of the manifest damaged keeps every key', async (share) => {
    const { fs, before } = await lived();
    const manifest = `/data/${files(fs, /^MANIFEST/)[0]!}`;
    fs.flip(manifest, Math.floor(fs.contents(manifest).length * share));
    const { report, after } = await repaired(fs);
    expect(report).toMatchObject({ wasSound: false, manifest: 'lost', lost: [] });
    expect(sorted(new Map([...after].map(([key, text]) => [key.replace(/^recovered-1:/, 'birds:'), text])))).toEqual(sorted(before));
    expect(files(fs, /^repair-/)).toEqual(['repair-001']);
  });

  it('done again, has on disk what one that failed at its last step had left in the cache of the system', async () => {
    const damagedStore = async (): Promise<SimFileSystem> => {
      const { fs } = await lived();
      fs.flip(`/data/${files(fs, /\.table$/)[0]!}`, 100);
      return fs;
    };
    const dry = await damagedStore();
    const begun = dry.operations;
    await repair('/data', {}, { fileSystem: dry });
    const operations = dry.operations - begun;
    let sound = 0;
    for (let at = 1; at <= operations; at++) {
      const fs = await damagedStore();
      fs.failAt({ at: fs.operations + at, error: 'EIO' });
      const failure = await repair('/data', {}, { fileSystem: fs }).catch((error: unknown) => error);
      // What cannot be linked is copied.
      if (!(failure instanceof Error)) continue;
      expect(failure, `operation ${at}`).toMatchObject({ code: 'EIO' });
      fs.failAt();
      if ((await repair('/data', {}, { fileSystem: fs })).wasSound) sound++;
      fs.crash('none');
      expect(await verify('/data', {}, { fileSystem: fs }), `operation ${at}`).toMatchObject({ sound: true });
    }
    expect(sound).toBeGreaterThan(0);
  });

  it('loses the keys of a damaged page and says which, and keeps the rest of the table', async () => {
    const { fs, before } = await lived();
    const tables = files(fs, /table$/);
    for (const [i, table] of tables.entries()) if (i % 2 === 0) fs.flip(`/data/${table}`, 8192 * (i % 3) + 500);
    const { report, after } = await repaired(fs);
    const lost = report.lost.filter(({ what }) => what === 'pages');
    expect(lost.length).toBeGreaterThan(0);
    const inRange = (text: string): boolean => {
      const [keyspace, key] = text.startsWith('birds:') ? [1, text.slice('birds:'.length)] : [0, text];
      const internal = Buffer.concat([Buffer.of(keyspace), Buffer.from(key, 'latin1')]);
      const bound = (at: { keyspace: number; key: Uint8Array } | undefined): Buffer => Buffer.concat([Buffer.of(at!.keyspace), at!.key]);
      return lost.some(({ from, to }) => Buffer.compare(bound(from), internal) <= 0 && Buffer.compare(internal, bound(to)) <= 0);
    };
    const changed = differences(before, after);
    expect(changed.filter((key) => !inRange(key))).toEqual([]);
    expect(report.lostEntries).toBeGreaterThanOrEqual(changed.length > 0 ? 1 : 0);
    // The originals are where the report says.
    for (const { file } of lost) expect(fs.existsSync(`${report.quarantine!}/${file.slice('/data/'.length)}`)).toBe(true);
  });

  it('turns a key whose large value is lost into one that is not there, never into an older one', async () => {
    const { fs, before } = await lived();
    const damagedKeys: string[] = [];
    for (const table of files(fs, /table$/)) {
      for (const item of dump(`/data/${table}`, { entries: true }, { fileSystem: fs })) {
        if (item.item !== 'entry' || item.pointer === undefined || damagedKeys.length > 3) continue;
        const { segment, offset } = item.pointer;
        const name = files(fs, new RegExp(`^0*${segment}\\.(log|block)$`))[0]!;
        fs.flip(`/data/${name}`, offset + 10);
        damagedKeys.push(Buffer.from(item.key).toString('latin1'));
      }
    }
    const { report, after } = await repaired(fs);
    expect(
      report.lost
        .filter(({ what }) => what === 'value')
        .map(({ from }) => Buffer.from(from!.key).toString('latin1'))
        .toSorted(),
    ).toEqual(damagedKeys.toSorted());
    for (const key of differences(before, after)) {
      expect(damagedKeys).toContain(key);
      expect(after.has(key)).toBe(false);
    }
  });

  it('loses one batch of the log with one damaged byte, and keeps those behind it', async () => {
    const { fs, before } = await lived();
    const log = files(fs, /log$/).findLast((name) => fs.contents(`/data/${name}`).length > 20_000)!;
    const batches = [...dump(`/data/${log}`, { entries: true }, { fileSystem: fs })];
    const at = batches.findIndex((item) => item.item === 'record' && item.operation === 'put' && item.pointer === undefined);
    const batch = batches.slice(0, at).findLast((item) => item.item === 'batch')!;
    fs.flip(`/data/${log}`, (batch as { offset: number }).offset + 50);
    const { report, after } = await repaired(fs);
    expect(report.lost).toMatchObject([{ what: 'batches', file: `/data/${log}`, offset: (batch as { offset: number }).offset }]);
    const record = batches[at] as { key: Uint8Array };
    expect(differences(before, after)).toEqual([Buffer.from(record.key).toString('latin1')]);
  });

  it('keeps what remains when files are gone', async () => {
    const { before, fs: whole } = await lived();
    for (const name of files(whole, /^\d+\./)) {
      const { fs } = await lived();
      fs.unlinkSync(`/data/${name}`);
      const { report, after } = await repaired(fs);
      expect(report.wasSound && differences(before, after).length > 0 && !name.endsWith('.log'), name).toBe(false);
      if (report.wasSound) continue;
      // Nothing is there that never was.
      for (const key of after.keys()) if (!before.has(key)) expect(key).toMatch(/^(small|large|lasting|tail|birds:small)\//);
    }
  });

  it('gives a keyspace that only the log knows any more a name', async () => {
    const image = await loggedStore();
    const file = [...image.files.keys()].find((name) => name.startsWith('MANIFEST'))!;
    const fs = diskOf(damaged(image, { file, length: 56 }));
    await expect(open(DIRECTORY, SETTINGS, { fileSystem: fs })).rejects.toMatchObject({ kind: 'corrupt', code: 'CORRUPT_MANIFEST' });
    const { problems } = await verify(DIRECTORY, {}, { fileSystem: fs });
    expect(problems.map(({ what }) => what)).toEqual(['it has keys of keyspace 1, which the manifest does not know']);
    expect(await repair(DIRECTORY, {}, { fileSystem: fs })).toMatchObject({ keyspacesNamed: ['recovered-1'], lost: [] });
    await using engine = await open(DIRECTORY, SETTINGS, { fileSystem: fs });
    const recovered = await engine.keyspace('recovered-1');
    expect([...recovered.scanSync()].map(([key, value]) => [Buffer.from(key).toString(), Buffer.from(value).toString()])).toEqual(
      [...keyspaceContentsAfter(9)].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
  });

  it('does not bring back what was deleted, when the manifest is gone', async () => {
    const fs = new SimFileSystem();
    const engine = await openStore(fs, '/data');
    for (let i = 0; i < 200; i++) await engine.put(`key/${i}`, value(i, i % 5 === 0 ? 2000 : 100), { durability: 'buffered' });
    await engine.flush();
    await engine.settled();
    for (let i = 0; i < 200; i += 2) await engine.delete(`key/${i}`, { durability: 'buffered' });
    await engine.flush();
    await engine.close();
    for (const name of files(fs, /^(CURRENT|MANIFEST.*)$/)) fs.unlinkSync(`/data/${name}`);
    const { after } = await repaired(fs);
    expect([...after.keys()].toSorted()).toEqual(Array.from({ length: 100 }, (_, i) => `key/${2 * i + 1}`).toSorted());
  });

  it('leaves hidden what range deletes hide, those of the manifest and those of a damaged log', async () => {
    const fs = new SimFileSystem();
    let engine = await openStore(fs, '/data');
    for (let i = 0; i < 300; i++) await engine.put(`key/${String(i).padStart(3, '0')}`, value(i, 100), { durability: 'buffered' });
    await engine.flush();
    const snapshot = engine.snapshot();
    await engine.deleteRange({ gte: 'key/010', lt: 'key/290' });
    await engine.flush();
    await engine.deleteRange({ gte: 'key/000', lt: 'key/005' });
    await engine.put('key/003', 'again');
    await engine.put('lost', 'x'.repeat(100), { durability: 'synced' });
    snapshot.release();
    const { sequence } = engine;
    await engine.close();
    const log = files(fs, /\.log$/).at(-1)!;
    const bytes = fs.contents(`/data/${log}`);
    bytes[Buffer.from(bytes).indexOf('lost') + 3]! ^= 1;
    fs.replace(`/data/${log}`, bytes);
    const { after } = await repaired(fs);
    expect([...after.keys()]).toEqual([
      'key/003',
      ...Array.from({ length: 5 }, (_, i) => `key/00${5 + i}`),
      ...Array.from({ length: 10 }, (_, i) => `key/29${i}`),
    ]);
    engine = await openStore(fs, '/data');
    expect(engine.sequence).toBeGreaterThanOrEqual(sequence - 1);
    await engine.close();
  });

  it('does not take a table that a crash has cut short for the whole of its memtable', async () => {
    const fs = new SimFileSystem();
    const engine = await openStore(fs, '/data');
    for (let i = 0; i < 300; i++) await engine.put(`key/${i}`, value(i, 150), { durability: 'os' });
    await engine.deleteRange({ gte: 'key/100', lt: 'key/200' }, { durability: 'os' });
    const before = await contents(engine);
    const logs = new Map(files(fs, /log$/).map((name) => [name, fs.contents(`/data/${name}`)]));
    await engine.flush();
    await engine.close();
    const [table] = files(fs, /table$/);
    // What the flush had written when the power went: a page of the table, and no edit.
    fs.replace(`/data/${table!}`, fs.contents(`/data/${table!}`).subarray(0, 8192));
    for (const [name, bytes] of logs) fs.replace(`/data/${name}`, bytes);
    for (const name of files(fs, /^(CURRENT|MANIFEST.*)$/)) fs.unlinkSync(`/data/${name}`);
    const { report, after } = await repaired(fs);
    expect(report.batches).toBe(301);
    expect(sorted(after)).toEqual(sorted(before));
  });

  it('is refused for a store in use, for what is none, and for a copy that never was whole', async () => {
    const { fs } = await lived();
    await expect(repair('/nowhere', {}, { fileSystem: fs })).rejects.toMatchObject({ code: 'NOT_A_STORE' });
    await using engine = await openStore(fs, '/data');
    await expect(repair('/data', {}, { fileSystem: fs })).rejects.toMatchObject({ code: 'LOCKED' });
    await engine.checkpoint('/copy');
    fs.openSync('/copy/INCOMPLETE', 'create').closeSync();
    await expect(repair('/copy', {}, { fileSystem: fs })).rejects.toMatchObject({ code: 'INCOMPLETE' });
  });

  it.each([
    ['layers', layeredStore, 173],
    ['keyspaces', keyspacesStore, 431],
  ] as const)(
    'makes a sound store of any damage, with nothing in it that was never written (%s)',
    { timeout: 120_000 },
    async (_, store, stride) => {
      const image = await store();
      const written = new Set<string>();
      for (let number = 1; number <= image.batches; number++) {
        for (const operation of batchOf(number)) {
          if (operation.type === 'put')
            written.add(`${String(operation.key)}=${Buffer.from(operation.value as Uint8Array).toString('latin1')}`);
        }
      }
      let number = 0;
      let kept = 0;
      for (const damage of everyDamage(image, (position) => [1 << (position % 8)])) {
        if (number++ % stride !== 0) continue;
        const fileSystem = diskOf(damaged(image, damage));
        await repair(DIRECTORY, {}, { fileSystem });
        const { problems } = await verify(DIRECTORY, {}, { fileSystem });
        expect(problems, describeDamage(damage)).toEqual([]);
        await using engine = await open(DIRECTORY, image.settings, { fileSystem });
        for (const [key, bytes] of engine.scanSync()) {
          expect(written, describeDamage(damage)).toContain(
            `${Buffer.from(key).toString('latin1')}=${Buffer.from(bytes).toString('latin1')}`,
          );
          kept++;
        }
      }
      expect(kept).toBeGreaterThan(500);
    },
  );
});
