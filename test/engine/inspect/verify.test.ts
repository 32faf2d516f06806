import { describe, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../../assembly/memory-map.ts';
import { stats, type Engine, type VerifyReport, verify } from '../../../engine/index.ts';
import { damaged, describeDamage, everyDamage, vouchedFor } from '../../corruption/damage.ts';
import { examine } from '../../corruption/examine.ts';
import { DIRECTORY, diskOf, keyspacesStore, layeredStore, loggedStore, type StoreImage } from '../../corruption/stores.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { live, openStore } from '../upkeep/store-life.ts';

async function lived(fileSystem: SimFileSystem): Promise<Engine> {
  const engine = await openStore(fileSystem, '/data');
  await live(engine);
  return engine;
}

function verifyFiles(files: ReadonlyMap<string, Uint8Array>): Promise<VerifyReport> {
  return verify(DIRECTORY, {}, { fileSystem: diskOf(files) });
}

describe('verify', () => {
  it('finds nothing wrong with a sound store, and says what it read', async () => {
    const fileSystem = new SimFileSystem();
    await (await lived(fileSystem)).close();
    const before = new Map(fileSystem.listSync('/data').map((name) => [name, fileSystem.contents(`/data/${name}`)]));
    let progress = 0;
    const report = await verify('/data', { onProgress: (bytes) => (progress = bytes) }, { fileSystem });
    expect(report).toMatchObject({ directory: '/data', sound: true, problems: [], problemCount: 0, notices: [] });
    const figures = await stats('/data', { fileSystem });
    expect(report).toMatchObject({ tables: figures.tables, logSegments: figures.logSegments });
    expect(report.entries).toBe(figures.levels.reduce((sum, level) => sum + level.entries, 0));
    expect([report.values > 10, report.valueBytes > 10_000, report.batches > 20, report.bytes > figures.diskBytes / 2]).toEqual(
      Array(4).fill(true),
    );
    expect(progress).toBe(report.bytes);
    expect(report.lastSequence).toBeGreaterThan(figures.lastSequence);
    for (const [name, bytes] of before) expect(fileSystem.contents(`/data/${name}`), name).toEqual(bytes);
    expect(fileSystem.openFiles).toEqual([]);
  });

  it('runs beside an engine in use, and gives up when that closes', async () => {
    const fileSystem = new SimFileSystem();
    const engine = await lived(fileSystem);
    const verifying = engine.verify();
    await engine.put('meanwhile', 'x'.repeat(2000), { durability: 'os' });
    await engine.flush();
    await engine.settled();
    const report = await verifying;
    expect(report).toMatchObject({ sound: true, problems: [] });
    expect(report.batches).toBeGreaterThan(20);
    const second = engine.verify();
    const closing = engine.close();
    await expect(second).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    await closing;
    expect(fileSystem.openFiles).toEqual([]);
  });

  it('is refused for a store in use, and where there is none', async () => {
    const fileSystem = new SimFileSystem();
    await using _engine = await lived(fileSystem);
    await expect(verify('/data', {}, { fileSystem })).rejects.toMatchObject({ code: 'LOCKED' });
    await expect(verify('/nowhere', {}, { fileSystem })).rejects.toMatchObject({ code: 'NOT_A_STORE' });
    fileSystem.makeDirectorySync('/empty');
    await expect(verify('/empty', {}, { fileSystem })).rejects.toMatchObject({ code: 'NOT_A_STORE' });
    expect(fileSystem.listSync('/empty')).toEqual([]);
    await expect(verify('/data', { deep: true } as never, { fileSystem })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
  });

  it('can be given up', async () => {
    const fileSystem = new SimFileSystem();
    await (await lived(fileSystem)).close();
    await expect(verify('/data', { signal: AbortSignal.abort() }, { fileSystem })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(fileSystem.openFiles).toEqual([]);
  });
});

describe('verify of a damaged store', () => {
  /** Every `stride`-th damage: what opening or reading notices, verify has found, and with what is sound the engine agrees. */
  async function compare(image: StoreImage, stride: number): Promise<{ found: number; sound: number }> {
    const counts = { found: 0, sound: 0 };
    let number = 0;
    for (const damage of everyDamage(image, (position) => [1 << (position % 8)])) {
      if (number++ % stride !== 0) continue;
      const files = damaged(image, damage);
      const report = await verifyFiles(files);
      if (!report.sound) counts.found++;
      else {
        const outcome = await examine(image, files, vouchedFor(image, damage));
        expect(['harmless', 'cut'], describeDamage(damage)).toContain(outcome);
        counts.sound++;
      }
    }
    return counts;
  }

  it('finds whatever opening, reading or compaction would find', { timeout: 120_000 }, async () => {
    const { found, sound } = await compare(await layeredStore(), 89);
    expect(found).toBeGreaterThan(sound);
    const log = await compare(await loggedStore(), 307);
    expect([log.found > 5, log.sound > 5]).toEqual([true, true]);
    const packed = await compare(await keyspacesStore(), 389);
    expect(packed.found).toBeGreaterThan(packed.sound);
  });

  it('finds every byte of a table, with the place', { timeout: 120_000 }, async () => {
    const image = await layeredStore();
    const [name, bytes] = [...image.files].find(([file]) => file.endsWith('.table'))!;
    for (let flip = 0; flip < bytes.length; flip += 37) {
      const { problems } = await verifyFiles(damaged(image, { file: name, flip, mask: 4 }));
      expect(problems, `byte ${flip}`).not.toEqual([]);
      expect(problems[0]!.file).toBe(`${DIRECTORY}/${name}`);
      if (flip < PAGE_BYTES) expect(problems[0]!.offset).toBe(0);
    }
  });

  it('finds every byte of a large value that counts, in log segments and block files', async () => {
    const image = await layeredStore();
    const { values } = await verifyFiles(image.files);
    expect(values).toBeGreaterThan(0);
    const [name, bytes] = [...image.files].find(([file]) => file.endsWith('.block'))!;
    let found = 0;
    for (let flip = 0; flip < bytes.length; flip++) if (!(await verifyFiles(damaged(image, { file: name, flip, mask: 1 }))).sound) found++;
    // All of it: a file that was just made has no garbage.
    expect(found).toBe(bytes.length);
  });

  it('names every file that is missing', async () => {
    const image = await layeredStore();
    for (const file of image.files.keys()) {
      const { sound, problems, notices } = await verifyFiles(damaged(image, { file, gone: true }));
      const newestLog = [...image.files.keys()].findLast((name) => name.endsWith('.log'));
      expect(sound, file).toBe(file === newestLog);
      if (!sound) expect(JSON.stringify([...problems, ...notices])).toContain(file.replace('.block', ''));
    }
  });
});
