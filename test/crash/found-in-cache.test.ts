/**
 * A process dies with an edit of the manifest written but not synced; the next one finds it in the system's cache and goes on from there; then
 * power is lost, and the edit with it. What the second process acknowledged as synced must not depend on it.
 */
import { describe, expect, it } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SETTINGS } from '../corruption/stores.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const LARGE = 'in the log'.repeat(20);
const SYNCED = { durability: 'synced' } as const;
const at = (fileSystem: SimFileSystem): Promise<Engine> => open('/store', SETTINGS, { fileSystem });
const text = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString();

/** Dies at operation `operation` of `work`, then power is lost after `then`. Undefined when the work takes fewer. */
async function liveTwice(operation: number, work: (engine: Engine) => Promise<unknown>, then: (engine: Engine) => Promise<unknown>) {
  const fileSystem = new SimFileSystem();
  const first = await at(fileSystem);
  await first.put('before', LARGE, SYNCED);
  fileSystem.killAt(fileSystem.operations + operation);
  await work(first).catch(() => undefined);
  const reached = fileSystem.dead;
  fileSystem.endProcess();
  const second = await at(fileSystem);
  await then(second);
  fileSystem.crash('none');
  return reached ? await at(fileSystem) : undefined;
}

describe('what an opening found in the cache of the system only', () => {
  it('a flush: is on disk before a synced write is acknowledged', async () => {
    for (let operation = 1; ; operation++) {
      const engine = await liveTwice(
        operation,
        (first) => first.flush(),
        (second) => second.put('after', 'synced', SYNCED),
      );
      if (!engine) break;
      expect(text(engine.getSync('before')), `operation ${operation}`).toBe(LARGE);
      expect(text(engine.getSync('after')), `operation ${operation}`).toBe('synced');
      await engine.close();
    }
  });

  it('a keyspace: is on disk before a synced write to it is acknowledged, and its number is not given again', async () => {
    for (let operation = 1; ; operation++) {
      const engine = await liveTwice(
        operation,
        (first) => first.keyspace('birds'),
        async (second) => (await second.keyspace('birds')).put('wren', 'sings', SYNCED),
      );
      if (!engine) break;
      expect(text((await engine.keyspace('birds')).getSync('wren')), `operation ${operation}`).toBe('sings');
      expect((await engine.keyspace('fish')).getSync('wren'), `operation ${operation}`).toBeUndefined();
      await engine.close();
    }
  });

  it('a log segment: its name is on disk when a sync of what it holds is acknowledged', async () => {
    const fileSystem = new SimFileSystem();
    const first = await at(fileSystem);
    await first.put('wren', 'sings', { durability: 'buffered' });
    await first.close();
    const second = await at(fileSystem);
    await second.sync();
    fileSystem.crash('none');
    const engine = await at(fileSystem);
    expect(text(engine.getSync('wren'))).toBe('sings');
    await engine.close();
  });
});
