import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { open } from '../../../engine/index.ts';
import { checkSnapshot } from '../../../server/node/snapshot-check.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const SNAPSHOT = '/snapshot';

describe('a snapshot that has arrived', () => {
  let fileSystem: SimFileSystem;
  let scheduler: SimScheduler;
  let index: number;

  beforeEach(async () => {
    fileSystem = new SimFileSystem();
    scheduler = new SimScheduler();
    const engine = await scheduler.until(open('/engine', { inlineThreshold: 64 }, { fileSystem, scheduler }));
    const key = Buffer.from('key');
    for (let i = 0; i < 20; i++) await scheduler.until(engine.put(Buffer.concat([key, Uint8Array.of(i)]), Buffer.alloc(200, i)));
    await scheduler.until(engine.flush());
    index = engine.sequence;
    await scheduler.until(engine.checkpoint(SNAPSHOT));
    await scheduler.until(engine.close());
  });

  afterEach(() => expect(fileSystem.openFiles).toEqual([]));

  const check = (of = index): Promise<void> => scheduler.until(checkSnapshot(SNAPSHOT, of, { fileSystem, scheduler }));

  it('is taken when it is sound and of the entry that it is called after', async () => {
    await expect(check()).resolves.toBeUndefined();
  });

  it('is refused when it has the state of another entry', async () => {
    await expect(check(index + 1)).rejects.toMatchObject({ kind: 'corrupt', code: 'SNAPSHOT_DAMAGED', details: { index: index + 1 } });
  });

  it('is refused when a byte of any table is not what it was', async () => {
    const tables = fileSystem.listSync(SNAPSHOT).filter((name) => name.endsWith('.table'));
    expect(tables.length).toBeGreaterThan(0);
    for (const name of tables) {
      const path = `${SNAPSHOT}/${name}`;
      fileSystem.flip(path, 100);
      await expect(check(), path).rejects.toMatchObject({ kind: 'corrupt', code: 'SNAPSHOT_DAMAGED' });
      fileSystem.flip(path, 100);
    }
    await expect(check()).resolves.toBeUndefined();
  });
});
