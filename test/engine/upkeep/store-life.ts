/**
 * A store with a bit of everything, on a simulated disk: tables of several levels, large values in log segments and block files, deletes,
 * a log with closed segments, and writes that only the memtable and the operating system have.
 */
import { open, type Engine, type EngineSettingsInput } from '../../../engine/index.ts';
import type { SimFileSystem } from '../../sim/sim-file-system.ts';

export const SETTINGS: EngineSettingsInput = {
  memoryBytes: 64 * 1024 * 1024,
  pageCacheBytes: 1024 * 1024,
  memtableBytes: 65536,
  segmentBytes: 65536,
  tableBytes: 65536,
  level0Compact: 2,
  level1Bytes: 262144,
  levelRatio: 2,
  inlineThreshold: 512,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};

export type Contents = ReadonlyMap<string, string>;

export function openStore(fileSystem: SimFileSystem, directory: string): Promise<Engine> {
  return open(directory, SETTINGS, { fileSystem });
}

export async function contentsOf(fileSystem: SimFileSystem, directory: string): Promise<Contents> {
  await using engine = await openStore(fileSystem, directory);
  return await contents(engine);
}

/** Keys of the default keyspace as they are, others behind the keyspace's name. */
export async function contents(engine: Engine): Promise<Contents> {
  const all = new Map([...engine.scanSync()].map(([key, value]) => [latin1(key), latin1(value)]));
  for (const name of engine.keyspaces()) {
    const keyspace = await engine.keyspace(name);
    for (const [key, value] of keyspace.scanSync()) all.set(`${name}:${latin1(key)}`, latin1(value));
  }
  return all;
}

/** Writes `rounds` rounds of puts, overwrites and deletes; flushes and compacts on the way; ends with writes that are in the log only. */
export async function live(engine: Engine, rounds = 3): Promise<void> {
  const birds = await engine.keyspace('birds');
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 60; i++) {
      await engine.put(`small/${String((i * 7) % 90).padStart(3, '0')}`, `${round}.${i}`.repeat(20), { durability: 'buffered' });
      if (i % 3 === 0) await engine.put(`large/${(i + round) % 20}`, value(round * 100 + i, 600 + i * 50), { durability: 'buffered' });
      if (i % 4 === 0) await birds.put(`small/${i}`, `bird ${round}.${i}`.repeat(10), { durability: 'buffered' });
      // Written once, beside what is overwritten: compaction moves it out of files that are mostly garbage.
      if (i % 12 === 0) await engine.put(`lasting/${round}.${i}`, value(round * 100 + i, 700), { durability: 'buffered' });
      if (i % 5 === 0) await engine.delete(`small/${String((i * 11) % 90).padStart(3, '0')}`, { durability: 'buffered' });
    }
    await engine.flush();
    await engine.settled();
  }
  await logOnly(engine);
}

async function logOnly(engine: Engine): Promise<void> {
  await engine.deleteRange({ gte: 'small/061', lt: 'small/075' }, { durability: 'buffered' });
  for (let i = 0; i < 30; i++) {
    await engine.put(`tail/${i}`, value(1000 + i, i % 4 === 0 ? 9000 : 50), { durability: 'os' });
    await engine.delete(`small/${String(i * 2).padStart(3, '0')}`, { durability: 'buffered' });
  }
}

export function value(stamp: number, bytes: number): Uint8Array {
  return Buffer.alloc(bytes, `<${stamp}>`, 'latin1');
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
