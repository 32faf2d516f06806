/** Power loss at every operation of a second backup, of pruning and of a restore. */
import { describe, expect, it } from 'vitest';
import { listBackups, pruneBackups, restore, verifyBackup } from '../../engine/index.ts';
import { type Contents, contents, contentsOf, live, openStore } from '../engine/upkeep/store-life.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';

const MODES: readonly CrashMode[] = ['none', 'all', 'random', 'torn'];

interface Life {
  readonly fs: SimFileSystem;
  readonly first: Contents;
  readonly second: Contents;
  readonly backup: () => Promise<unknown>;
}

/** A store with one backup, and with more in it since. */
async function lived(seed: number): Promise<Life> {
  const fs = new SimFileSystem({ seed });
  const engine = await openStore(fs, '/data');
  await live(engine, 1);
  await engine.backup('/backups');
  const first = await contents(engine);
  await live(engine, 1);
  await engine.sync();
  return { fs, first, second: await contents(engine), backup: () => engine.backup('/backups') };
}

async function restored(fs: SimFileSystem, backup: number, directory: string): Promise<Contents> {
  await restore('/backups', directory, { backup }, { fileSystem: fs });
  return contentsOf(fs, directory);
}

describe('power loss', () => {
  it('in a backup leaves the older ones whole, and this one whole or not there', { timeout: 120_000 }, async () => {
    const dry = await lived(1);
    const begin = dry.fs.operations;
    await dry.backup();
    const operations = dry.fs.operations - begin;
    expect(operations).toBeGreaterThan(10);
    const counts = [0, 0];
    for (let k = 1; k <= operations; k++) {
      const { fs, first, second, backup } = await lived(k);
      fs.killAt(fs.operations + k);
      await backup().catch(() => undefined);
      fs.crash(MODES[k % MODES.length]!);
      const found = listBackups('/backups', { fileSystem: fs });
      expect(await verifyBackup('/backups', {}, { fileSystem: fs }), `operation ${k}`).toMatchObject({ sound: true });
      expect(await restored(fs, 1, '/one')).toEqual(first);
      if (found.length > 1) expect(await restored(fs, 2, '/two')).toEqual(second);
      counts[found.length - 1]!++;
      const engine = await openStore(fs, '/data');
      await engine.backup('/backups');
      await engine.close();
      fs.crash('none');
      expect(await verifyBackup('/backups', {}, { fileSystem: fs })).toMatchObject({ sound: true, backups: found.length + 1 });
      expect(await restored(fs, found.length + 1, '/three')).toEqual(second);
    }
    expect(counts.every((count) => count > 0)).toBe(true);
  });

  it('in pruning leaves every backup that is still listed whole', { timeout: 60_000 }, async () => {
    for (let k = 1, more = true; more; k++) {
      const { fs, second, backup } = await lived(k);
      await backup();
      fs.endProcess();
      fs.killAt(fs.operations + k);
      try {
        pruneBackups('/backups', 1, { fileSystem: fs });
        more = false;
      } catch {
        expect(fs.dead).toBe(true);
      }
      fs.crash(MODES[k % MODES.length]!);
      expect(await verifyBackup('/backups', {}, { fileSystem: fs }), `operation ${k}`).toMatchObject({ sound: true });
      pruneBackups('/backups', 1, { fileSystem: fs });
      expect(listBackups('/backups', { fileSystem: fs })).toHaveLength(1);
      expect(await restored(fs, 2, '/two')).toEqual(second);
    }
  });

  it('in a restore leaves a directory that is refused, and can be restored into again', { timeout: 60_000 }, async () => {
    const { fs, first } = await lived(1);
    fs.endProcess();
    fs.crash('all');
    const ends = { whole: 0, refused: 0 };
    for (let k = 1, more = true; more; k++) {
      const directory = `/restored-${k}`;
      fs.killAt(fs.operations + k);
      try {
        await restore('/backups', directory, {}, { fileSystem: fs });
        more = false;
      } catch {
        expect(fs.dead).toBe(true);
      }
      fs.crash(MODES[k % MODES.length]!);
      const names = fs.existsSync(directory) ? fs.listSync(directory).filter((name) => !name.startsWith('LOCK')) : [];
      if (names.length > 0) {
        const held = await contentsOf(fs, directory).catch((error: unknown) => error);
        if (held instanceof Map) {
          expect(held).toEqual(first);
          ends.whole++;
          continue;
        }
        expect(held).toMatchObject({ code: 'INCOMPLETE' });
        ends.refused++;
      }
      await restore('/backups', directory, {}, { fileSystem: fs });
      fs.crash('none');
      expect(await contentsOf(fs, directory)).toEqual(first);
    }
    expect([ends.whole > 0, ends.refused > 3]).toEqual([true, true]);
  });
});
