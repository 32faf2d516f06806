/** Each engine's adapter, in each of its variants, keeps the contract that the workloads rely on: otherwise a figure means nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Keys, Values } from '../../bench/engine/data.ts';
import { adapterOf, chooseVariants, FAMILIES } from '../../bench/engine/engines.ts';
import type { Bytes, Store } from '../../bench/engine/store.ts';

const COUNT = 2500;
const VALUE_BYTES = 100;

/** By `length`, which is all that lmdb's reused buffer overrides: its bytes go on behind the value. */
function hex(value: Bytes | undefined): string | undefined {
  return value && Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex');
}

describe.each(await chooseVariants(FAMILIES))('$name', ({ family, variant }) => {
  let directory = '';
  let store: Store;
  const keys = new Keys('sequential', COUNT);
  const values = new Values(VALUE_BYTES);
  const key = (i: number): string => keys.at(i).toString('latin1');

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'sparrowkv-test-'));
    store = await (await adapterOf(family)).open({ directory, variant, synced: false, valueBytes: VALUE_BYTES });
    await store.batch(keys.range(0, COUNT), values.range(0, COUNT));
  });

  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test('reads back what was written, one by one and together', async () => {
    await store.put(keys.at(7), values.of(7, 1));
    await store.putSynced(keys.at(8), values.of(8, 1));
    await store.batchSynced([keys.at(9)], [values.of(9, 1)]);
    for (const i of [0, 1, COUNT - 1]) expect(hex(await store.get(keys.at(i)))).toBe(hex(values.of(i)));
    for (const i of [7, 8, 9]) expect(hex(await store.get(keys.at(i)))).toBe(hex(values.of(i, 1)));
    expect(await store.get(Buffer.from('missing'))).toBeUndefined();
    if (variant === 'fast') return;
    const many = await store.multiGet([keys.at(5), Buffer.from('missing'), keys.at(6)]);
    expect(many.map(hex)).toEqual([hex(values.of(5)), undefined, hex(values.of(6))]);
  });

  test('scans all entries in order both ways, and within a limit', async () => {
    for (const reverse of [false, true]) {
      const seen: string[] = [];
      let steps = 0;
      const count = await store.scan(
        reverse,
        Infinity,
        (found, value) => {
          expect(value).toHaveLength(VALUE_BYTES);
          seen.push(Buffer.from(found).toString('latin1'));
        },
        () => steps++,
      );
      expect(count).toBe(COUNT);
      expect(steps).toBeGreaterThanOrEqual(Math.floor(COUNT / 1000));
      const order = Array.from({ length: COUNT }, (_, i) => key(reverse ? COUNT - 1 - i : i));
      expect(seen).toEqual(order);
    }
    const first: string[] = [];
    const count = await store.scan(
      false,
      1,
      (found) => first.push(Buffer.from(found).toString('latin1')),
      () => undefined,
    );
    expect([count, first]).toEqual([1, [key(0)]]);
  });

  test('seeks to a key and returns the next ones, again and again', async () => {
    for (const [start, wanted] of [
      [100, 10],
      [50, 3],
      [COUNT - 2, 10],
    ] as const) {
      const seen: string[] = [];
      const count = await store.seekNext(keys.at(start), wanted, (found, value) => {
        expect(hex(value)).toBe(hex(values.of(start + seen.length)));
        seen.push(Buffer.from(found).toString('latin1'));
      });
      const expected = Math.min(wanted, COUNT - start);
      expect(count).toBe(expected);
      expect(seen).toEqual(Array.from({ length: expected }, (_, i) => key(start + i)));
    }
  });

  test('a removed head is gone', async () => {
    await store.deleteMany(keys.range(0, 1000));
    expect(await store.get(keys.at(999))).toBeUndefined();
    const seen: string[] = [];
    await store.scan(
      false,
      1,
      (found) => seen.push(Buffer.from(found).toString('latin1')),
      () => undefined,
    );
    expect(seen).toEqual([key(1000)]);
  });

  test('keeps what was written over closing and opening', async () => {
    await store.settle?.();
    await store.close();
    store = await (await adapterOf(family)).open({ directory, variant, synced: true, valueBytes: VALUE_BYTES });
    expect(hex(await store.get(keys.at(1234)))).toBe(hex(values.of(1234)));
  });
});
