/** SparrowLevel on a disk that fails: what `sync` is good for, the codes that Level has for a bad disk, and how it is closed after that. */
import { describe, expect, it } from 'vitest';
import { SparrowLevel } from '../../level/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const DIRECTORY = '/level';

function levelOn(fileSystem: SimFileSystem): SparrowLevel {
  return new SparrowLevel(DIRECTORY, { components: { fileSystem } });
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => error,
  );
}

describe('sync', () => {
  it('is what survives a loss of power, batches included', async () => {
    const fileSystem = new SimFileSystem();
    const level = levelOn(fileSystem);
    await level.put('a', '1', { sync: true });
    await level.batch([{ type: 'put', key: 'b', value: '2' }], { sync: true });
    await level.batch().put('c', '3').write({ sync: true });
    await level.put('d', '4', { sync: true });
    await level.del('d', { sync: true });
    const { syncs } = fileSystem;
    await level.put('e', '5');
    await level.del('a');
    await level.put('f', '6', { sync: false });
    expect(fileSystem.syncs).toBe(syncs);
    fileSystem.crash('none');

    await using again = levelOn(fileSystem);
    expect(await again.iterator().all()).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ]);
  });
});

describe('a bad disk', () => {
  it('that is full refuses writes and takes them again when there is room', async () => {
    const fileSystem = new SimFileSystem();
    await using level = levelOn(fileSystem);
    await level.put('a', '1');
    fileSystem.capacityBytes = 0;
    expect(await failure(level.put('b', 'x'.repeat(10_000)))).toMatchObject({
      code: 'LEVEL_IO_ERROR',
      kind: 'exhausted',
      cause: { code: 'DISK_FULL' },
    });
    expect(await level.get('a')).toBe('1');
    fileSystem.capacityBytes = Infinity;
    await level.put('c', '3', { sync: true });
    expect(await level.get('c')).toBe('3');
  });

  it('that cannot sync ends writing, and the database can be closed and opened again', async () => {
    const fileSystem = new SimFileSystem();
    const level = levelOn(fileSystem);
    await level.put('a', '1', { sync: true });
    fileSystem.failAt({ at: fileSystem.operations + 1, error: 'EIO', forGood: true });
    expect(await failure(level.put('b', '2', { sync: true }))).toMatchObject({ code: 'LEVEL_IO_ERROR', kind: 'closed' });
    expect(await failure(level.put('c', '3'))).toMatchObject({ code: 'LEVEL_IO_ERROR', cause: { code: 'WRITER_FAILED' } });
    expect(await level.get('a')).toBe('1');
    fileSystem.failAt();
    await level.close().catch(() => level.close());
    expect(level.status).toBe('closed');
    expect(fileSystem.openFiles).toEqual([]);
    await level.open();
    expect(await level.get('a')).toBe('1');
    await level.put('d', '4');
    await level.close();
  });

  it('that cannot be read says so by the name of the operating system', async () => {
    const fileSystem = new SimFileSystem();
    const level = levelOn(fileSystem);
    await level.put('a', 'x'.repeat(10_000), { sync: true });
    await level.close();
    await level.open();
    fileSystem.failAt({ at: fileSystem.reads + 1, error: 'EIO', forGood: true, on: 'read' });
    expect(await failure(level.get('a'))).toMatchObject({ code: 'LEVEL_IO_ERROR', details: { errno: 'EIO' } });
    expect(await failure(level.values().all())).toMatchObject({ code: 'LEVEL_IO_ERROR' });
    expect(await level.has('a')).toBe(true);
    fileSystem.failAt();
    expect(await level.get('a')).toBe('x'.repeat(10_000));
    await level.close();
  });

  it('that changed a bit is corruption, never another value', async () => {
    const fileSystem = new SimFileSystem();
    const level = levelOn(fileSystem);
    await level.put('a', 'x'.repeat(10_000), { sync: true });
    await level.close();
    await level.open();
    const log = fileSystem.listSync(DIRECTORY).find((name) => name.endsWith('.log'))!;
    const at = Buffer.from(fileSystem.contents(`${DIRECTORY}/${log}`)).indexOf('xxxx');
    fileSystem.flip(`${DIRECTORY}/${log}`, at);
    expect(await failure(level.get('a'))).toMatchObject({ code: 'LEVEL_CORRUPTION', kind: 'corrupt', cause: { code: 'CORRUPT_VALUE' } });
    expect(() => level.getSync('a')).toThrow(expect.objectContaining({ code: 'LEVEL_CORRUPTION' }));
    await level.close();
  });
});
