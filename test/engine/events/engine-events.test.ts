/** What an engine tells, on a simulated disk: each kind of event is brought about and looked at. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Clock } from '../../../base/env.ts';
import {
  createTableWriter,
  type Engine,
  type EngineEvent,
  type EngineEventOf,
  type EngineSettingsInput,
  open,
} from '../../../engine/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';

const SMALL = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, tableBytes: 64 * 1024, level1Bytes: 256 * 1024, memoryBytes: 2 ** 28 };
const VALUE = 'v'.repeat(100);
const BUFFERED = { durability: 'buffered' } as const;
const code = (name: string): unknown => expect.objectContaining({ code: name });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Each look at it is a hundredth of a millisecond later. */
class CountingClock implements Clock {
  #ms = 0;
  wallMs(): number {
    return 1000;
  }
  monotonicMs(): number {
    return (this.#ms += 0.01);
  }
}

interface Listened {
  engine: Engine;
  told: EngineEvent[];
  of: <T extends EngineEvent['type']>(type: T) => EngineEventOf<T>[];
}

async function listen(fileSystem: SimFileSystem, settings: EngineSettingsInput = {}): Promise<Listened> {
  const engine = await open('/store', { ...SMALL, ...settings }, { fileSystem, clock: new CountingClock() });
  const told: EngineEvent[] = [];
  engine.events.onAny((event) => told.push(event));
  return { engine, told, of: (type) => told.filter((event) => event.type === type) as never };
}

const key = (i: number): string => `k${String(i).padStart(6, '0')}`;

test('a flush: what it wrote and how long it took, before its caller goes on', async () => {
  const { engine, told } = await listen(new SimFileSystem());
  for (let i = 0; i < 100; i++) await engine.put(key(i), VALUE);
  await engine.flush();
  const [begun, ended] = told;
  const bytesWritten = engine.metrics().tables.levels[0]!.bytes;
  expect(begun).toMatchObject({ type: 'flush-begun', records: 100, atMs: 1000 });
  expect(ended).toMatchObject({ ...begun, type: 'flush-ended', outcome: 'done', bytesWritten });
  expect((ended as EngineEventOf<'flush-ended'>).durationMs).toBeGreaterThan(0);
  await engine.close();
});

test('compactions: why, of what, into what; moves; and files whose space is back', async () => {
  const { engine, of } = await listen(new SimFileSystem());
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 600; i++) void engine.put(key(i), round === 4 || i % 6 > 0 ? VALUE : VALUE.repeat(20));
    await engine.flush();
  }
  await engine.settled();
  const begun = of('compaction-begun');
  const ended = of('compaction-ended');
  expect(ended.map(({ job }) => job)).toEqual(begun.map(({ job }) => job));
  expect(new Set(begun.map(({ reason }) => reason))).toContain('tables');
  for (const event of ended) {
    expect(event).toMatchObject({ outcome: 'done' });
    expect(event.inputBytes).toBe(event.inputs.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(event.bytesWritten).toBe(
      event.outputs.reduce((sum, { bytes }) => sum + bytes, 0) + event.blockFiles.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    expect(event.bytesRead).toBeGreaterThan(0);
  }
  // Of 3,000 that were written; some of them never left their memtable.
  expect(ended.reduce((sum, { versionsDropped }) => sum + versionsDropped, 0)).toBeGreaterThan(2000);
  // 100 keys with 2,000 bytes, four times, then short ones.
  expect(ended.reduce((sum, { valueBytesFreed }) => sum + valueBytesFreed, 0)).toBeGreaterThanOrEqual(800_000);
  const removed = of('files-removed');
  const tables = removed.flatMap((event) => event.tables);
  expect(tables.toSorted((a, b) => a - b)).toEqual(
    ended.flatMap((event) => event.inputs.map(({ table }) => table)).toSorted((a, b) => a - b),
  );
  expect(removed.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(800_000);
  await engine.close();
});

test('a table that overlaps nothing moves', async () => {
  const { engine, of } = await listen(new SimFileSystem(), { level0Compact: 1 });
  for (let i = 0; i < 100; i++) void engine.put(key(i), VALUE);
  await engine.flush();
  await engine.settled();
  expect(of('tables-moved')).toMatchObject([{ reason: 'tables', target: 1, tables: [expect.any(Number)] }]);
  expect(of('compaction-begun')).toEqual([]);
  await engine.close();
});

test('stalls: writers are asked to wait while level 0 has too many tables', async () => {
  const { engine, of } = await listen(new SimFileSystem(), { level0Compact: 2, level0Stop: 2 });
  for (let i = 0; i < 3000; i++) await engine.put(key(i % 1000), VALUE);
  await engine.settled();
  const begun = of('stall-begun');
  expect(begun.length).toBeGreaterThan(0);
  for (const event of begun) expect(event).toMatchObject({ reason: 'level0', blocking: false });
  expect(of('stall-ended')).toHaveLength(begun.length);
  for (const { durationMs } of of('stall-ended')) expect(durationMs).toBeGreaterThan(0);
  await engine.close();
});

test('stalls: a writer that never waits is held up, until the background thread has caught up', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-events-'));
  try {
    await using engine = await open(directory, SMALL);
    const told: EngineEvent[] = [];
    engine.events.onAny((event) => told.push(event));
    for (let i = 0; i < 10_000; i++) void engine.put(key(i), VALUE, BUFFERED);
    await engine.settled();
    const blocking = told.filter((event) => event.type === 'stall-ended').filter((event) => event.blocking);
    expect(blocking.length).toBeGreaterThan(0);
    for (const { reason, durationMs } of blocking) expect([reason, durationMs > 0]).toEqual(['memtables', true]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a full disk: for the log and for a flush, once each, until there was room', async () => {
  const fileSystem = new SimFileSystem();
  const { engine, of } = await listen(fileSystem);
  for (let i = 0; i < 100; i++) await engine.put(key(i), VALUE);
  fileSystem.capacityBytes = engine.metrics().space.diskBytes;
  await expect(engine.flush()).rejects.toThrow(code('DISK_FULL'));
  await expect(engine.flush()).rejects.toThrow(code('DISK_FULL'));
  for (let i = 0; i < 5; i++) await expect(engine.put('more', VALUE.repeat(100))).rejects.toThrow(code('DISK_FULL'));
  expect(of('disk-full-begun').map(({ work }) => work)).toEqual(['flush', 'log']);
  expect(of('disk-full-ended')).toEqual([]);
  expect(of('flush-ended').every(({ outcome, bytesWritten }) => outcome === 'disk-full' && bytesWritten === 0)).toBe(true);
  fileSystem.capacityBytes = Infinity;
  await engine.put('more', VALUE);
  await engine.flush();
  expect(new Set(of('disk-full-ended').map(({ work }) => work))).toEqual(new Set(['flush', 'log']));
  await engine.close();
});

test('corruption that a read meets: file and offset, and the caller gets the error', async () => {
  const fileSystem = new SimFileSystem();
  const { engine, of } = await listen(fileSystem, { valueCacheBytes: 0 });
  await engine.put('a', VALUE);
  await engine.put('b', VALUE.repeat(100));
  await engine.flush();
  const name = fileSystem.listSync('/store').find((each) => each.endsWith('.table'))!;
  fileSystem.flip(`/store/${name}`, 100);
  expect(() => engine.getSync('a')).toThrow(code('CORRUPT_TABLE'));
  await turn();
  expect(of('corruption')).toMatchObject([{ during: 'read', file: `/store/${name}`, offset: 0, code: 'CORRUPT_TABLE' }]);
  fileSystem.flip(`/store/${name}`, 100);
  const log = fileSystem.listSync('/store').find((each) => each.endsWith('.log'))!;
  const content = fileSystem.contents(`/store/${log}`);
  fileSystem.flip(`/store/${log}`, content.lastIndexOf(118));
  expect(() => [...engine.scanSync({ gte: 'b' })]).toThrow(code('CORRUPT_VALUE'));
  await turn();
  expect(of('corruption')[1]).toMatchObject({ file: `/store/${log}`, code: 'CORRUPT_VALUE', offset: expect.any(Number) });
  await engine.close();
});

test('corruption that a compaction meets, and the end of all writing', async () => {
  const fileSystem = new SimFileSystem();
  const { engine, of } = await listen(fileSystem);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) void engine.put(key(i), VALUE);
    await engine.flush();
  }
  const name = fileSystem.listSync('/store').find((each) => each.endsWith('.table'))!;
  fileSystem.flip(`/store/${name}`, 200);
  for (let i = 0; i < 100; i++) void engine.put(key(i), VALUE);
  await engine.flush();
  await expect(engine.settled()).rejects.toThrow(code('BACKGROUND_FAILED'));
  expect(of('compaction-ended')).toMatchObject([{ outcome: 'failed', outputs: [], bytesWritten: 0 }]);
  expect(of('corruption')).toMatchObject([{ during: 'compaction', file: `/store/${name}`, code: 'CORRUPT_TABLE' }]);
  expect(of('writing-failed')).toMatchObject([{ operation: 'compaction', code: 'CORRUPT_TABLE' }]);
  await engine.close();
});

test('a failed fsync: told once, whoever waits', async () => {
  const fileSystem = new SimFileSystem();
  const { engine, of } = await listen(fileSystem, { durability: 'synced', callerSyncMs: 0 });
  await engine.put('a', VALUE);
  fileSystem.failAt({ at: fileSystem.operations + 2, error: 'EIO' });
  const puts = ['b', 'c'].map((each) => expect(engine.put(each, VALUE)).rejects.toThrow(code('WRITER_FAILED')));
  await Promise.all(puts);
  await expect(engine.put('d', VALUE)).rejects.toThrow(code('WRITER_FAILED'));
  expect(of('writing-failed')).toMatchObject([{ operation: 'fsync', code: 'EIO' }]);
  await engine.close().catch(() => undefined);
});

test('a checkpoint: done, and given up', async () => {
  const { engine, told } = await listen(new SimFileSystem());
  await engine.put('a', VALUE);
  const { files, linkedBytes, copiedBytes } = await engine.checkpoint('/copy');
  await expect(engine.checkpoint('/copy')).rejects.toThrow(code('NOT_EMPTY'));
  await turn();
  expect(told).toMatchObject([
    { type: 'checkpoint-begun', directory: '/copy' },
    { type: 'checkpoint-ended', done: true, error: undefined, files, linkedBytes, copiedBytes },
    { type: 'checkpoint-begun' },
    { type: 'checkpoint-ended', done: false, error: { code: 'NOT_EMPTY', message: expect.stringContaining('/copy') as string }, files: 0 },
  ]);
  await engine.close();
});

test('a backup: done, and given up at a file that is not there', async () => {
  const fileSystem = new SimFileSystem();
  const { engine, told, of } = await listen(fileSystem);
  await engine.put('a', VALUE);
  await engine.flush();
  told.length = 0;
  const { files, bytes, copiedBytes } = await engine.backup('/backups');
  await turn();
  expect(told).toMatchObject([
    { type: 'backup-begun', target: '/backups' },
    { type: 'backup-ended', done: true, files, bytes, copiedBytes },
  ]);
  expect(engine.metrics().backups).toBe(1);
  for (let i = 0; i < 100; i++) void engine.put(key(i), VALUE);
  await engine.flush();
  const name = fileSystem.listSync('/store').findLast((each) => each.endsWith('.table'))!;
  fileSystem.unlinkSync(`/store/${name}`);
  await expect(engine.backup('/backups')).rejects.toThrow(name);
  await turn();
  expect(of('backup-ended').at(-1)).toMatchObject({
    done: false,
    error: { code: 'ENOENT', message: expect.stringContaining(name) as string },
    files: 0,
  });
  expect(engine.metrics().backups).toBe(1);
  await engine.close();
});

test('an ingest: done, and given up', async () => {
  const fileSystem = new SimFileSystem();
  const { engine, told } = await listen(fileSystem);
  const files = createTableWriter('/load', {}, { fileSystem });
  files.put('a', VALUE);
  files.finish();
  const { levels: _, ...result } = await engine.ingest('/load');
  await expect(engine.ingest('/nothing')).rejects.toThrow();
  await turn();
  expect(told.filter(({ type }) => type.startsWith('ingest'))).toMatchObject([
    { type: 'ingest-begun', directory: '/load' },
    { type: 'ingest-ended', directory: '/load', done: true, error: undefined, ...result },
    { type: 'ingest-begun', directory: '/nothing' },
    { type: 'ingest-ended', done: false, error: { code: expect.any(String) as string, message: expect.any(String) as string }, entries: 0 },
  ]);
  await engine.close();
});

test('what verify finds', async () => {
  const fileSystem = new SimFileSystem();
  const { engine, of } = await listen(fileSystem);
  for (let i = 0; i < 100; i++) void engine.put(key(i), VALUE);
  await engine.flush();
  await engine.verify();
  const name = fileSystem.listSync('/store').find((each) => each.endsWith('.table'))!;
  fileSystem.flip(`/store/${name}`, 100);
  expect((await engine.verify()).problemCount).toBe(1);
  await turn();
  expect(of('corruption')).toMatchObject([{ during: 'verify', file: `/store/${name}`, offset: 0, code: 'CORRUPT_STORE' }]);
  await engine.close();
});

test('a listener may call the engine, and one that throws does it no harm', async () => {
  const { engine, of } = await listen(new SimFileSystem());
  engine.events.on('flush-ended', async () => engine.put('flushed', 'yes'));
  engine.events.on('flush-ended', () => {
    throw new Error('a bug of the listener');
  });
  await engine.put('a', VALUE);
  await engine.flush();
  await turn();
  expect(engine.getSync('flushed')).toBeDefined();
  expect(of('listener-failed')).toMatchObject([{ event: 'flush-ended' }]);
  await engine.close();
});
