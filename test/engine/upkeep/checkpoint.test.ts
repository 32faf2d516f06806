import { describe, expect, it } from 'vitest';
import type { Engine } from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { contents, contentsOf, live, openStore, value } from './store-life.ts';

async function lived(fileSystem = new SimFileSystem()): Promise<{ fileSystem: SimFileSystem; engine: Engine }> {
  const engine = await openStore(fileSystem, '/data');
  await live(engine);
  return { fileSystem, engine };
}

/** A disk whose directories are file systems of their own. */
class Mounts extends SimFileSystem {
  override linkSync(existing: string, path: string): void {
    throw Object.assign(new Error(`EXDEV: link ${existing} -> ${path}`), { code: 'EXDEV' });
  }
}

describe('a checkpoint', () => {
  it('holds what the engine held at the call and nothing later, and lives on by itself', async () => {
    const { fileSystem, engine } = await lived();
    const before = await contents(engine);
    const { tables, values, log } = engine.metrics();
    expect([tables.levels.length > 1, values.fileBytes > 0, log.segments > 1]).toEqual([true, true, true]);
    const making = engine.checkpoint('/copy');
    await engine.put('later', 'x', { durability: 'os' });
    await engine.delete('large/1');
    const made = await making;
    expect(made).toMatchObject({
      directory: '/copy',
      files: fileSystem.listSync('/copy').filter((name) => /\d\.(log|table|block)$/.test(name)).length,
    });
    expect(made.linkedBytes).toBeGreaterThan(made.copiedBytes);
    await live(engine, 4);
    const after = await contents(engine);
    await engine.close();

    expect(await contentsOf(fileSystem, '/copy')).toEqual(before);
    const copy = await openStore(fileSystem, '/copy');
    await live(copy, 5);
    await copy.settled();
    await copy.close();
    expect(await contentsOf(fileSystem, '/data')).toEqual(after);
    expect(fileSystem.openFiles).toEqual([]);
  });

  it('has what was written just before, whatever its durability', async () => {
    const fileSystem = new SimFileSystem();
    await using engine = await openStore(fileSystem, '/data');
    await engine.checkpoint('/empty');
    void engine.put('a', '1', { durability: 'buffered' });
    void engine.put('b', value(1, 40_000), { durability: 'buffered' });
    await engine.checkpoint('/copy');
    fileSystem.crash('none');
    expect([...(await contentsOf(fileSystem, '/copy')).keys()]).toEqual(['a', 'b']);
    expect((await contentsOf(fileSystem, '/empty')).size).toBe(0);
  });

  it('keeps files that compaction is done with until it has linked them, then lets them go', async () => {
    const { fileSystem, engine } = await lived();
    const before = await contents(engine);
    const making = engine.checkpoint('/copy');
    for (let i = 0; i < 400; i++) await engine.put(`small/${i % 90}`, value(i, 900), { durability: 'buffered' });
    await engine.flush();
    await engine.settled();
    await making;
    await engine.settled();
    const tables = engine.metrics().tables.count;
    expect(fileSystem.listSync('/data').filter((name) => name.endsWith('.table'))).toHaveLength(tables);
    await engine.close();
    expect(await contentsOf(fileSystem, '/copy')).toEqual(before);
  });

  it('refuses a directory in use or with something in it, and changes nothing there', async () => {
    const { fileSystem, engine } = await lived();
    await using other = await openStore(fileSystem, '/other');
    await other.put('a', '1');
    await expect(engine.checkpoint('/other')).rejects.toMatchObject({ kind: 'conflict', code: 'NOT_EMPTY' });
    await expect(engine.checkpoint('/data')).rejects.toMatchObject({ code: 'NOT_EMPTY' });
    fileSystem.makeDirectorySync('/mine');
    fileSystem.replace('/mine/notes.txt', Buffer.from('mine'));
    await expect(engine.checkpoint('/mine')).rejects.toMatchObject({ code: 'NOT_EMPTY' });
    expect(fileSystem.listSync('/mine')).toEqual(['notes.txt']);
    await expect(engine.checkpoint('')).rejects.toMatchObject({ code: 'TYPE' });
    await expect(engine.checkpoint('/x', { links: true } as never)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
    await engine.close();
    await expect(engine.checkpoint('/x')).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });

  it('copies to another file system only when it may', async () => {
    const { fileSystem, engine } = await lived(new Mounts());
    await expect(engine.checkpoint('/copy')).rejects.toMatchObject({ kind: 'invalid', code: 'CANNOT_LINK' });
    expect(fileSystem.listSync('/copy')).toEqual([]);
    const { linkedBytes, copiedBytes } = await engine.checkpoint('/copy', { copy: true });
    expect([linkedBytes, copiedBytes > 10_000]).toEqual([0, true]);
    const before = await contents(engine);
    await engine.close();
    expect(await contentsOf(fileSystem, '/copy')).toEqual(before);
  });

  it('fails with the disk, gives back what it took, and can be made again', async () => {
    const { fileSystem, engine } = await lived();
    for (let at = 1; at < 25; at += 3) {
      fileSystem.failAt({ at: fileSystem.operations + at, error: 'ENOSPC', forGood: false });
      const failed = await engine.checkpoint('/copy').then(
        () => false,
        () => true,
      );
      fileSystem.failAt();
      if (failed) await engine.checkpoint('/copy');
      expect(await contentsOf(fileSystem, '/copy')).toEqual(await contents(engine));
      for (const name of fileSystem.listSync('/copy')) fileSystem.unlinkSync(`/copy/${name}`);
    }
    await engine.close();
    expect(fileSystem.openFiles).toEqual([]);
  });

  it('is given up when the engine closes', async () => {
    const { fileSystem, engine } = await lived();
    const making = engine.checkpoint('/copy');
    const closing = engine.close();
    await expect(making).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
    await closing;
    expect(fileSystem.listSync('/copy')).toEqual([]);
    expect(fileSystem.openFiles).toEqual([]);
  });
});
