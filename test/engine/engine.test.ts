/** The embedded interface as a user meets it: verbs, limits, errors, snapshots, reopening. On the real file system, with the real worker. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Engine, open } from '../../engine/index.ts';

const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString());
const SMALL = {
  memtableBytes: 128 * 1024,
  segmentBytes: 512 * 1024,
  pageCacheBytes: 2 ** 20,
  tableBytes: 128 * 1024,
  level1Bytes: 512 * 1024,
  memoryBytes: 2 ** 28,
};

let directory: string;
let engine: Engine;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-engine-'));
  engine = await open(directory);
});

afterEach(async () => {
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('verbs', () => {
  test('put, get, delete', async () => {
    await engine.put('bird', 'sparrow');
    expect(text(await engine.get('bird'))).toBe('sparrow');
    expect(text(engine.getSync(Buffer.from('bird')))).toBe('sparrow');
    expect(engine.getEntrySync('bird')).toMatchObject({ version: 1 });
    await engine.delete('bird');
    expect(await engine.get('bird')).toBeUndefined();
    expect(await engine.get('never')).toBeUndefined();
  });

  test.each([0, 1, 1023, 1024, 1025, 131072, 16 * 1024 * 1024])(
    'a value of %i bytes comes back, from the log, from a table and after reopening',
    async (bytes) => {
      const value = Buffer.alloc(bytes, 'sparrow');
      await engine.put('k', value);
      expect(Buffer.compare(engine.getSync('k')!, value)).toBe(0);
      await engine.flush();
      expect(Buffer.compare(engine.getSync('k')!, value)).toBe(0);
      await engine.close();
      engine = await open(directory);
      expect(Buffer.compare(engine.getSync('k')!, value)).toBe(0);
    },
  );

  test('a batch is one version, and for one key the last operation wins', async () => {
    const { sequence } = await engine.write([
      { type: 'put', key: 'a', value: '1' },
      { type: 'put', key: 'b', value: 'x'.repeat(2000) },
      { type: 'put', key: 'a', value: '2' },
      { type: 'put', key: 'c', value: '3' },
      { type: 'delete', key: 'c' },
    ]);
    expect(engine.getManySync(['a', 'b', 'c']).map(text)).toEqual(['2', 'x'.repeat(2000), undefined]);
    expect(engine.getEntrySync('b')!.version).toBe(sequence);
    await engine.close();
    engine = await open(directory);
    expect(engine.getManySync(['a', 'b', 'c']).map(text)).toEqual(['2', 'x'.repeat(2000), undefined]);
  });

  test('what a caller passed in may be changed at once, and what it got stays as it is', async () => {
    const key = Buffer.from('key');
    for (const bytes of [10, 5000]) {
      const value = Buffer.alloc(bytes, 1);
      const put = engine.put(key, value);
      value.fill(2);
      await put;
      const got = engine.getSync(key)!;
      expect(got.every((byte) => byte === 1)).toBe(true);
      await engine.put(key, Buffer.alloc(bytes, 3));
      expect(got.every((byte) => byte === 1)).toBe(true);
    }
  });

  test('scans with every kind of bound, both ways', async () => {
    for (const key of ['a', 'ab', 'b', 'ba', 'c', 'd']) await engine.put(key, `v${key}`);
    await engine.delete('ba');
    const keys = (options: Parameters<Engine['scanSync']>[0]): string[] => [...engine.scanSync(options)].map(([key]) => text(key)!);
    expect(keys({})).toEqual(['a', 'ab', 'b', 'c', 'd']);
    expect(keys({ gte: 'ab', lt: 'c' })).toEqual(['ab', 'b']);
    expect(keys({ gt: 'ab', lte: 'c' })).toEqual(['b', 'c']);
    expect(keys({ prefix: 'a' })).toEqual(['a', 'ab']);
    expect(keys({ reverse: true, limit: 2 })).toEqual(['d', 'c']);
    expect(keys({ reverse: true, gt: 'a', lt: 'c' })).toEqual(['b', 'ab']);
    expect(keys({ gt: 'x' })).toEqual([]);
    expect([...engine.scanSync({ prefix: 'd', keysOnly: true })].map(([key, value]) => [text(key), value.length])).toEqual([['d', 0]]);
    const seen: string[] = [];
    for await (const [key, value] of engine.scan({ limit: 2 })) seen.push(`${text(key)}=${text(value)}`);
    expect(seen).toEqual(['a=va', 'ab=vab']);
  });

  test('a snapshot stays as it was, through flush and compaction', async () => {
    await engine.close();
    engine = await open(directory, SMALL);
    for (let i = 0; i < 2000; i++) void engine.put(`k${i}`, `old${i}`.repeat(i % 10 === 0 ? 500 : 1), { durability: 'buffered' });
    using snapshot = engine.snapshot();
    for (let i = 0; i < 2000; i++) {
      if (i % 3 === 0) void engine.delete(`k${i}`, { durability: 'buffered' });
      else void engine.put(`k${i}`, `new${i}`, { durability: 'buffered' });
    }
    await engine.flush();
    await engine.settled();
    for (let i = 0; i < 2000; i += 7) expect(text(engine.getSync(`k${i}`, { snapshot }))).toBe(`old${i}`.repeat(i % 10 === 0 ? 500 : 1));
    expect([...engine.scanSync({ snapshot })]).toHaveLength(2000);
    expect([...engine.scanSync()]).toHaveLength(2000 - 667);
    snapshot.release();
    expect(() => engine.getSync('k0', { snapshot })).toThrow(expect.objectContaining({ code: 'SNAPSHOT_RELEASED', kind: 'closed' }));
  });

  test('a caller that never awaits is bounded, not refused', async () => {
    await engine.close();
    engine = await open(directory, SMALL);
    const value = Buffer.alloc(500, 1);
    const { linearBytes } = engine.metrics().memory;
    for (let i = 0; i < 20_000; i++) void engine.put(`k${i}`, value, { durability: 'buffered' });
    expect(engine.metrics().memory.linearBytes - linearBytes).toBeLessThan(22 * 1024 * 1024);
    expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(20_000);
    await engine.settled();
    expect(engine.metrics().compactions.count).toBeGreaterThan(0);
    expect([...engine.scanSync({ keysOnly: true })]).toHaveLength(20_000);
  });

  test('overwritten large values are given back', async () => {
    await engine.close();
    engine = await open(directory, SMALL);
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 50; i++) await engine.put(`k${i}`, Buffer.alloc(10_000, round));
    }
    await engine.flush();
    await engine.settled();
    const { values, log } = engine.metrics();
    // 10 MB were written, 0.5 MB are current.
    expect(values.fileBytes + log.bytes).toBeLessThan(1.3 * 50 * 10_000);
    for (let i = 0; i < 50; i++) expect(engine.getSync(`k${i}`)![9_999]).toBe(19);
  });
});

describe('refusals', () => {
  test.each([
    ['an empty key', () => engine.put('', 'v'), { kind: 'invalid', code: 'KEY_EMPTY', details: { field: 'key', limit: 1 } }],
    [
      'a long key',
      () => engine.put('k'.repeat(4097), 'v'),
      { kind: 'invalid', code: 'KEY_TOO_LARGE', details: { field: 'key', limit: 4096, bytes: 4097 } },
    ],
    [
      'a long value',
      () => engine.put('k', Buffer.alloc(2 ** 24 + 1)),
      { kind: 'invalid', code: 'VALUE_TOO_LARGE', details: { field: 'value', limit: 2 ** 24 } },
    ],
    ['a key of another type', () => engine.get(7 as unknown as string), { kind: 'invalid', code: 'TYPE', details: { field: 'key' } }],
    [
      'a value of another type',
      () => engine.put('k', null as unknown as string),
      { kind: 'invalid', code: 'TYPE', details: { field: 'value' } },
    ],
    [
      'an unknown option',
      () => engine.put('k', 'v', { sync: true } as object),
      { kind: 'invalid', code: 'OPTION_UNKNOWN', details: { field: 'sync' } },
    ],
    [
      'an unknown durability',
      () => engine.put('k', 'v', { durability: 'fast' as 'os' }),
      { kind: 'invalid', code: 'OPTION_RANGE', details: { field: 'durability' } },
    ],
    [
      'an unknown read option',
      () => engine.get('k', { at: 1 } as object),
      { kind: 'invalid', code: 'OPTION_UNKNOWN', details: { field: 'at' } },
    ],
    [
      'an unknown batch operation',
      () => engine.write([{ type: 'merge', key: 'k' } as never]),
      { kind: 'invalid', code: 'TYPE', details: { field: 'type' } },
    ],
    ['no batch', () => engine.write(undefined as never), { kind: 'invalid', code: 'TYPE', details: { field: 'batch' } }],
    ['no operation', () => engine.write([null as never]), { kind: 'invalid', code: 'TYPE', details: { field: 'operation' } }],
    ['no range', () => engine.deleteRange(undefined as never), { kind: 'invalid', code: 'TYPE', details: { field: 'range' } }],
    ['no keys', () => engine.getMany('key' as never), { kind: 'invalid', code: 'TYPE', details: { field: 'keys' } }],
    ['options that are none', () => engine.put('k', 'v', null as never), { kind: 'invalid', code: 'TYPE', details: { field: 'options' } }],
    ['read options that are none', () => engine.get('k', null as never), { kind: 'invalid', code: 'TYPE', details: { field: 'options' } }],
    ['an old sequence', () => engine.put('k', 'v', { sequence: 0 }), { kind: 'invalid', code: 'SEQUENCE', details: { field: 'sequence' } }],
    ['a foreign snapshot', () => engine.get('k', { snapshot: {} as never }), { kind: 'invalid', code: 'SNAPSHOT_FOREIGN' }],
  ])('%s', async (_, call, error) => {
    await expect(call()).rejects.toMatchObject(error);
    // Nothing was lost by it.
    await engine.put('after', 'ok');
    expect(text(engine.getSync('after'))).toBe('ok');
  });

  test('a batch with one bad operation changes nothing', async () => {
    await expect(
      engine.write([
        { type: 'put', key: 'a', value: '1' },
        { type: 'put', key: '', value: '2' },
      ]),
    ).rejects.toMatchObject({ code: 'KEY_EMPTY' });
    expect(engine.getSync('a')).toBeUndefined();
    expect(engine.sequence).toBe(0);
  });

  test('a batch of more operations than a frame counts', async () => {
    const operation = { type: 'delete', key: 'a' } as const;
    await expect(engine.write(Array<typeof operation>(2 ** 24).fill(operation))).rejects.toMatchObject({
      code: 'BATCH_TOO_LARGE',
      details: { limit: 2 ** 24 - 1, operations: 2 ** 24 },
    });
    await engine.put('a', '1');
    await engine.close();
    engine = await open(directory);
    expect(text(engine.getSync('a'))).toBe('1');
  });

  test('a write after the last sequence number', async () => {
    await engine.put('k', 'last', { sequence: 2 ** 53 - 2 });
    for (let i = 0; i < 3; i++) await expect(engine.put('k', 'beyond')).rejects.toMatchObject({ kind: 'invalid', code: 'SEQUENCE' });
    expect(text(engine.getSync('k'))).toBe('last');
    await engine.close();
    engine = await open(directory);
    expect(text(engine.getSync('k'))).toBe('last');
  });

  test('scan options', () => {
    expect(() => engine.scanSync({ gt: 'a', gte: 'b' })).toThrow(expect.objectContaining({ code: 'SCAN_BOUNDS' }));
    expect(() => engine.scanSync({ prefix: 'a', lt: 'b' })).toThrow(expect.objectContaining({ code: 'SCAN_BOUNDS' }));
    expect(() => engine.scanSync({ limit: -1 })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }));
    expect(() => engine.scanSync({ limits: 1 } as object)).toThrow(
      expect.objectContaining({ code: 'OPTION_UNKNOWN', details: { field: 'limits' } }),
    );
  });

  test('settings', async () => {
    const other = `${directory}/other`;
    await expect(open(other, { memtableByte: 1 } as object)).rejects.toMatchObject({
      code: 'OPTION_UNKNOWN',
      details: { field: 'memtableByte' },
    });
    await expect(open(other, { memtableBytes: 1 })).rejects.toMatchObject({
      code: 'OPTION_RANGE',
      details: { field: 'memtableBytes', min: 65536 },
    });
    await expect(open(other, { durability: 'never' as 'os' })).rejects.toMatchObject({
      code: 'OPTION_RANGE',
      details: { field: 'durability' },
    });
    // Writes would wait for a compaction that never starts.
    await expect(open(other, { level0Stop: 4, level0Compact: 8 })).rejects.toMatchObject({
      code: 'OPTION_RANGE',
      details: { field: 'level0Stop', min: 8 },
    });
    await expect(open('')).rejects.toMatchObject({ code: 'TYPE', details: { field: 'path' } });
    expect(readdirSync(directory)).not.toContain('other');
  });

  test('a second holder of the directory', async () => {
    await expect(open(directory)).rejects.toMatchObject({ kind: 'unavailable', code: 'LOCKED' });
    await engine.close();
    engine = await open(directory);
  });

  test('a closed engine', async () => {
    const rest = engine.scan();
    await engine.put('a', '1');
    await Promise.all([engine.close(), engine.close()]);
    for (const call of [
      () => engine.put('k', 'v'),
      () => engine.get('k'),
      () => engine.delete('k'),
      () => engine.write([]),
      () => engine.getMany(['k']),
      () => engine.flush(),
      () => engine.sync(),
    ]) {
      await expect(call()).rejects.toMatchObject({ kind: 'closed', code: 'ENGINE_CLOSED' });
    }
    expect(() => engine.getSync('k')).toThrow(expect.objectContaining({ code: 'ENGINE_CLOSED' }));
    expect(() => engine.scanSync()).toThrow(expect.objectContaining({ code: 'ENGINE_CLOSED' }));
    await expect(rest.next()).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
  });
});
