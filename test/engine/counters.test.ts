/** Counters: increments add up, by themselves and in batches. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const MAX = 2n ** 63n - 1n;
const LATER = 2 ** 45;

let fileSystem: SimFileSystem;
let engine: Engine;

beforeEach(async () => {
  fileSystem = new SimFileSystem();
  engine = await started();
});
afterEach(() => engine.close());

function started(): Promise<Engine> {
  return open('/data', { memoryBytes: 2 ** 28, pageCacheBytes: 2 ** 20 }, { fileSystem });
}

describe('increment', () => {
  test('begins at 0 and adds, callers of one turn too, and its value is a little-endian i64', async () => {
    expect(await engine.increment('n')).toBe(1n);
    expect(await engine.increment('n', 41)).toBe(42n);
    expect(
      await Promise.all(Array.from({ length: 50 }, (_, i) => engine.increment('n', -1, { durability: i % 2 ? 'synced' : 'buffered' }))),
    ).toEqual(Array.from({ length: 50 }, (_, i) => BigInt(41 - i)));
    expect(Buffer.from(engine.getSync('n')!).toString('hex')).toBe('f8ffffffffffffff');
    await engine.flush();
    expect(await engine.increment('n', MAX)).toBe(MAX - 8n);
    await engine.close();
    engine = await started();
    expect(await engine.increment('n', 8n)).toBe(MAX);
  });

  test('keeps the expiry of its key, or sets the one that is given', async () => {
    const birds = await engine.keyspace('birds', { ttlMs: 1000 });
    await engine.put('n', Buffer.alloc(8), { expiresAtMs: LATER });
    await engine.increment('n');
    expect(engine.getEntrySync('n')).toMatchObject({ expiresAtMs: LATER });
    await engine.increment('n', 1, { expiresAtMs: LATER + 1 });
    expect(engine.getEntrySync('n')).toMatchObject({ expiresAtMs: LATER + 1 });
    await engine.increment('n', 1, { ttlMs: Infinity });
    expect(engine.getEntrySync('n')).not.toHaveProperty('expiresAtMs');
    await birds.increment('n', 1, { ttlMs: Infinity });
    await birds.increment('n');
    expect(birds.getEntrySync('n')).not.toHaveProperty('expiresAtMs');
    await birds.increment('m');
    expect(birds.getEntrySync('m')!.expiresAtMs).toBeLessThanOrEqual(Date.now() + 1000);
    await engine.put('gone', Buffer.alloc(8, 1), { expiresAtMs: 1 });
    expect(await engine.increment('gone')).toBe(1n);
  });

  test('in a batch sees what comes before it there, and the result tells what each came to', async () => {
    const birds = await engine.keyspace('birds');
    await engine.increment('n', 10);
    const { counters, sequence } = await engine.write([
      { type: 'increment', key: 'n' },
      { type: 'increment', key: 'n', by: 5n, keyspace: birds },
      { type: 'increment', key: 'n', by: 2 },
      { type: 'delete', key: 'n' },
      { type: 'increment', key: 'n', by: -3 },
      { type: 'put', key: 'm', value: Buffer.alloc(8), expiresAtMs: LATER },
      { type: 'increment', key: 'm', by: 7 },
    ]);
    expect(counters).toEqual([11n, 5n, 13n, -3n, 7n]);
    expect([engine.getSync('n')![0], birds.getSync('n')![0], engine.getSync('m')![0]]).toEqual([0xfd, 5, 7]);
    expect(engine.getEntrySync('m')).toMatchObject({ version: sequence, expiresAtMs: LATER });
  });

  test('in a batch begins anew behind what has expired there', async () => {
    const { counters } = await engine.write([
      { type: 'increment', key: 'n', by: 5, expiresAtMs: 1 },
      { type: 'increment', key: 'n' },
    ]);
    expect(counters).toEqual([5n, 1n]);
    expect(engine.getEntrySync('n')).not.toHaveProperty('expiresAtMs');
  });

  test.each<[string, () => Promise<unknown>, object]>([
    ['a value that is no counter', () => engine.increment('text'), { code: 'NOT_A_COUNTER', details: { bytes: 4, limit: 8 } }],
    ['more than 64 bits', () => engine.increment('max'), { code: 'COUNTER_OVERFLOW', details: { counter: String(MAX) } }],
    [
      'less than 64 bits',
      () => engine.increment('new', -(2n ** 63n)).then(() => engine.increment('new', -1)),
      { code: 'COUNTER_OVERFLOW' },
    ],
    ['half a step', () => engine.increment('new', 0.5), { code: 'OPTION_RANGE', details: { field: 'by' } }],
    ['a step past exact numbers', () => engine.increment('new', 2 ** 53), { code: 'OPTION_RANGE' }],
    ['a step past 64 bits', () => engine.increment('new', 2n ** 63n), { code: 'OPTION_RANGE' }],
    ['a step of another type', () => engine.increment('new', '1' as never), { code: 'TYPE', details: { field: 'by' } }],
    ['an empty key', () => engine.increment(''), { code: 'KEY_EMPTY' }],
    [
      'an unknown option',
      () => engine.increment('new', 1, { value: 1 } as object),
      { code: 'OPTION_UNKNOWN', details: { field: 'value' } },
    ],
    [
      'one in a batch that fails',
      () =>
        engine.write([
          { type: 'put', key: 'k', value: '' },
          { type: 'increment', key: 'k' },
        ]),
      { code: 'NOT_A_COUNTER' },
    ],
  ])('refuses %s, and nothing has changed', async (_, call, error) => {
    await engine.put('text', 'text');
    await engine.increment('max', MAX);
    await expect(call()).rejects.toMatchObject({ kind: 'invalid', ...error });
    expect(engine.hasSync('k')).toBe(false);
    expect(await engine.increment('max', -1)).toBe(MAX - 1n);
  });
});
