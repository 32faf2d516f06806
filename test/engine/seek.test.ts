/** Iterators that are moved: forward and backward, within bounds, over memtables and tables, at one point in time. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Engine, type EngineIterator, type Entry, open, type ScanOptions } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SMALL = {
  memtableBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  pageCacheBytes: 2 ** 20,
  memoryBytes: 2 ** 26,
  maxBatchBytes: 2 ** 20,
  maxKeyBytes: 8,
};
const text = (entry: Entry | undefined): string | undefined => entry && Buffer.from(entry[0]).toString('latin1');

let fileSystem: SimFileSystem;
let engine: Engine;

beforeEach(async () => {
  fileSystem = new SimFileSystem();
  engine = await open('/data', SMALL, { fileSystem });
});
afterEach(() => engine.close());

async function birds(): Promise<void> {
  for (const key of ['crow', 'finch', 'gull', 'robin', 'wren']) await engine.put(key, key.toUpperCase());
}

describe('an iterator', () => {
  test('goes on from where it is sent, either way from where it was', async () => {
    await birds();
    using forward = engine.iterator();
    const after = (key: string): string | undefined => {
      forward.seek(key);
      return text(forward.next());
    };
    expect(text(forward.next())).toBe('crow');
    expect([after('gull'), text(forward.next()), after('d'), after(''), after('wrena'), after('crow')]).toEqual([
      'gull',
      'robin',
      'finch',
      'crow',
      undefined,
      'crow',
    ]);
    using backward = engine.iterator({ reverse: true });
    const before = (key: string): string | undefined => {
      backward.seek(key);
      return text(backward.next());
    };
    expect([before('gull'), text(backward.next()), before('z'), before(''), before('robinaa'), before('h')]).toEqual([
      'gull',
      'finch',
      'wren',
      undefined,
      'robin',
      'gull',
    ]);
  });

  test('gives entries a run at a time', async () => {
    await birds();
    using iterator = engine.iterator({ gt: 'crow' });
    expect(iterator.nextMany(2).map(text)).toEqual(['finch', 'gull']);
    expect(iterator.nextMany(1)[0]!.map((bytes) => Buffer.from(bytes).toString())).toEqual(['robin', 'ROBIN']);
    expect([iterator.nextMany(5).map(text), iterator.nextMany(5)]).toEqual([['wren'], []]);
    iterator.seek('r');
    expect(iterator.nextMany(5).map(text)).toEqual(['robin', 'wren']);
  });

  test('stays within its bounds, prefix and limit, and gives keys alone when asked to', async () => {
    await birds();
    const from = (options: ScanOptions, key: string): (string | undefined)[] => {
      using iterator = engine.iterator(options);
      iterator.seek(key);
      return iterator.nextMany(10).map(text);
    };
    expect(from({ gte: 'finch', lt: 'robin' }, 'a')).toEqual(['finch', 'gull']);
    expect(from({ gt: 'finch', lte: 'robin' }, 'finch')).toEqual(['gull', 'robin']);
    expect(from({ gt: 'finch', lte: 'robin', reverse: true }, 'z')).toEqual(['robin', 'gull']);
    expect(from({ lt: 'robin', reverse: true }, 'robin')).toEqual(['gull', 'finch', 'crow']);
    expect(from({ lt: 'robin' }, 'sparrow')).toEqual([]);
    expect(from({ prefix: 'g' }, 'a')).toEqual(['gull']);
    expect(from({ limit: 2 }, 'g')).toEqual(['gull', 'robin']);
    using keys = engine.iterator({ keysOnly: true });
    expect(keys.next()![1]).toHaveLength(0);
  });

  test('takes a key that is too long for what lies around it', async () => {
    const longest = 'x'.repeat(8);
    for (const key of ['x', longest, 'y']) await engine.put(key, '1');
    using forward = engine.iterator();
    using backward = engine.iterator({ reverse: true });
    for (const iterator of [forward, backward]) iterator.seek(`${longest}x`);
    expect([text(forward.next()), text(backward.next())]).toEqual(['y', longest]);
  });

  test('stays in its keyspace', async () => {
    await birds();
    const fish = await engine.keyspace('fish');
    await fish.put('carp', '1');
    await fish.put('pike', '1');
    for (const [reverse, key, found] of [
      [false, '', ['carp', 'pike']],
      [true, '\xff\xff', ['pike', 'carp']],
    ] as const) {
      using iterator = fish.iterator({ reverse });
      iterator.seek(key);
      expect(iterator.nextMany(9).map(text)).toEqual(found);
    }
  });

  test('sees one point in time, its own or that of a snapshot that is released meanwhile', async () => {
    await birds();
    const snapshot = engine.snapshot();
    await engine.delete('gull');
    using now = engine.iterator();
    using before = engine.iterator({ snapshot });
    snapshot.release();
    await engine.put('hawk', '1');
    await engine.flush();
    const all = (iterator: EngineIterator): (string | undefined)[] => {
      iterator.seek('');
      return iterator.nextMany(9).map(text);
    };
    for (let i = 0; i < 2; i++) {
      expect(all(now)).toEqual(['crow', 'finch', 'robin', 'wren']);
      expect(all(before)).toEqual(['crow', 'finch', 'gull', 'robin', 'wren']);
    }
  });

  test('that is not closed is counted, with the sequence that it holds', async () => {
    await birds();
    const held = (): object => engine.metrics().snapshots;
    expect(held()).toMatchObject({ count: 0, iterators: 0, oldestSequence: undefined });
    const left = engine.iterator();
    left.nextMany(9);
    await engine.put('a', '1');
    const snapshot = engine.snapshot();
    const scan = engine.scanSync();
    scan.next();
    expect(held()).toMatchObject({ count: 3, iterators: 2, oldestSequence: 5 });
    left.close();
    left.close();
    expect(held()).toMatchObject({ count: 2, iterators: 1, oldestSequence: 6 });
    expect([...scan]).toHaveLength(5);
    snapshot.release();
    expect(held()).toMatchObject({ count: 0, iterators: 0, oldestSequence: undefined });
  });

  test('refusals', async () => {
    await birds();
    const iterator = engine.iterator();
    for (const count of [0, -1, 0.5, NaN, '1' as never]) {
      expect(() => iterator.nextMany(count)).toThrow(
        expect.objectContaining({ code: 'OPTION_RANGE', details: { field: 'count', min: 1 } }),
      );
    }
    expect(() => iterator.seek(7 as never)).toThrow(expect.objectContaining({ code: 'TYPE', details: { field: 'key' } }));
    expect(() => engine.iterator({ gt: 'a', gte: 'a' })).toThrow(expect.objectContaining({ code: 'SCAN_BOUNDS' }));
    expect(text(iterator.next())).toBe('crow');
    iterator.close();
    for (const call of [() => iterator.next(), () => iterator.seek('a'), () => iterator.nextMany(1)]) {
      expect(call).toThrow(expect.objectContaining({ kind: 'closed', code: 'ITERATOR_CLOSED' }));
    }
    const late = engine.iterator();
    await engine.close();
    expect(() => late.next()).toThrow(expect.objectContaining({ code: 'ENGINE_CLOSED' }));
    expect(() => engine.iterator()).toThrow(expect.objectContaining({ code: 'ENGINE_CLOSED' }));
    late.close();
  });

  test('agrees with a sorted list, wherever it is sent', { timeout: 60_000 }, async () => {
    const keys = Array.from({ length: 1500 }, (_, i) => String((i * 7919) % 3000).padStart(4, '0')).toSorted();
    // In tables of two levels, a sealed and an active memtable; large values among them; and what is deleted stays out.
    for (const [i, key] of keys.entries()) {
      void engine.put(key, Buffer.alloc(i % 40 === 0 ? 2000 : 50, key), { durability: 'buffered' });
      void engine.put(`${key}x`, 'deleted', { durability: 'buffered' });
      void engine.delete(`${key}x`, { durability: 'buffered' });
      if (i === 700) await engine.flush();
    }
    const key = fc.nat(3100).map((n) => String(n).padStart(4, '0'));
    const move = fc.oneof(
      key.map((to) => ({ to })),
      fc.nat({ max: 200 }).map((count) => ({ count: count + 1 })),
    );
    fc.assert(
      fc.property(fc.array(move, { maxLength: 12 }), fc.boolean(), fc.option(key), fc.option(key), (moves, reverse, gt, lte) => {
        const within = keys.filter((each) => (gt === null || each > gt) && (lte === null || each <= lte));
        if (reverse) within.reverse();
        using iterator = engine.iterator({ reverse, ...(gt !== null && { gt }), ...(lte !== null && { lte }) });
        let at = 0;
        for (const step of moves) {
          if ('to' in step) {
            iterator.seek(step.to);
            at = within.findIndex((each) => (reverse ? each <= step.to : each >= step.to));
            if (at < 0) at = within.length;
          } else {
            const run = step.count === 1 ? [iterator.next()].filter((entry) => entry !== undefined) : iterator.nextMany(step.count);
            const expected = within.slice(at, at + step.count);
            expect(run.map(text)).toEqual(expected);
            for (const [found, value] of run) expect(Buffer.from(value.subarray(0, 4)).equals(found)).toBe(true);
            at += expected.length;
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});
