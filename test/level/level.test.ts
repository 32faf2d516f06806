/** What SparrowLevel adds to Level's contract: a directory that keeps what it was given, one holder at a time, codes of errors, limits. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterAll, describe, expect, it } from 'vitest';
import { open } from '../../engine/index.ts';
import { SparrowError, SparrowLevel, type SparrowLevelOptions } from '../../level/index.ts';

const root = mkdtempSync(join(tmpdir(), 'sparrowkv-level-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
const fresh = (): string => join(root, String(++count));

function levelAt<K = string, V = string>(location: string, options: SparrowLevelOptions<K, V> = {}): SparrowLevel<K, V> {
  return new SparrowLevel<K, V>(location, { components: { background: 'inline' }, ...options });
}

/** The error that `work` ends with. */
async function failure(work: Promise<unknown>): Promise<SparrowError & { cause: SparrowError | undefined }> {
  return work.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => error as SparrowError & { cause: SparrowError | undefined },
  );
}

describe('a directory', () => {
  it('keeps what it was given, over closing and opening', async () => {
    const level = levelAt(fresh());
    await level.put('a', '1');
    await level.sublevel('birds').put('a', 'wren', { sync: true } as object);
    await level.batch().put('b', 'x'.repeat(100_000)).del('a').write({ sync: true });
    await level.close();
    await level.open();
    expect(await level.keys().all()).toEqual(['!birds!a', 'b']);
    await level.close();

    await using other = levelAt(level.location, { createIfMissing: false });
    expect(await other.getMany(['a', 'b'])).toEqual([undefined, 'x'.repeat(100_000)]);
    expect(await other.sublevel('birds').iterator().all()).toEqual([['a', 'wren']]);
  });

  it('is the one that the engine itself opens', async () => {
    const location = fresh();
    const level = levelAt(location);
    await level.put('sparrow', 'Passer');
    await level.close();
    await using engine = await open(location, {}, { background: 'inline' });
    expect(new TextDecoder().decode(engine.getSync('sparrow'))).toBe('Passer');
  });

  it('has one holder at a time', async () => {
    await using first = levelAt(fresh());
    await first.open();
    const second = levelAt(first.location);
    const error = await failure(second.open());
    expect(error.code).toBe('LEVEL_DATABASE_NOT_OPEN');
    expect(error.cause).toMatchObject({ code: 'LEVEL_LOCKED', kind: 'unavailable', cause: { code: 'LOCKED' } });
    await first.close();
    await second.open();
    await second.close();
  });

  it('is not made unless it may be', async () => {
    const location = fresh();
    expect((await failure(levelAt(location, { createIfMissing: false }).open())).cause?.message).toMatch(/does not exist/);
    await using level = levelAt(location, { errorIfExists: true });
    await level.put('a', '1');
    await level.close();
    expect((await failure(level.open({ errorIfExists: true }))).cause?.message).toMatch(/exists/);
  });

  it('of LevelDB is refused and left as it was', async () => {
    const location = fresh();
    const classic = new ClassicLevel(location);
    await classic.put('a', '1');
    await classic.close();
    expect((await failure(levelAt(location).open())).cause).toMatchObject({ code: 'LEVEL_CORRUPTION', kind: 'corrupt' });
    await using again = new ClassicLevel(location);
    expect(await again.get('a')).toBe('1');
  });

  it('that is damaged is told from one that is not there', async () => {
    const level = levelAt(fresh());
    await level.put('a', '1');
    await level.close();
    const current = join(level.location, 'CURRENT');
    writeFileSync(current, readFileSync(current, 'utf8').replace(/.\n$/, '!\n'));
    expect((await failure(level.open())).cause).toMatchObject({ code: 'LEVEL_CORRUPTION', cause: { code: 'CORRUPT_MANIFEST' } });
  });
});

describe('a batch', () => {
  it('is one write, whole or not at all', async () => {
    await using level = levelAt(fresh());
    await level.put('a', 'before');
    const operations = [
      { type: 'put' as const, key: 'a', value: 'after' },
      { type: 'put' as const, key: 'k'.repeat(5000), value: '' },
    ];
    expect((await failure(level.batch(operations))).code).toBe('LEVEL_INVALID_KEY');
    expect(await level.iterator().all()).toEqual([['a', 'before']]);
  });

  it('reaches across sublevels, and the last operation on a key wins', async () => {
    await using level = levelAt(fresh());
    const one = level.sublevel('one');
    const other = level.sublevel<string, number>('other', { valueEncoding: 'json' });
    await level.batch([
      { type: 'put', key: 'k', value: 'first', sublevel: one },
      { type: 'put', key: 'k', value: 7, sublevel: other, valueEncoding: 'json' } as never,
      { type: 'put', key: 'k', value: 'second', sublevel: one },
    ]);
    expect(await level.iterator().all()).toEqual([
      ['!one!k', 'second'],
      ['!other!k', '7'],
    ]);
    expect(await other.get('k')).toBe(7);
  });
});

describe('a snapshot', () => {
  it('sees neither later writes nor deletions, and serves reads of all kinds', async () => {
    await using level = levelAt(fresh());
    await level.batch([
      { type: 'put', key: 'a', value: '1' },
      { type: 'put', key: 'b', value: '2' },
    ]);
    await using snapshot = level.snapshot();
    await level.batch([
      { type: 'del', key: 'a' },
      { type: 'put', key: 'b', value: '3' },
      { type: 'put', key: 'c', value: '4' },
    ]);
    expect(level.getSync('a', { snapshot })).toBe('1');
    expect(await level.getMany(['a', 'b', 'c'], { snapshot })).toEqual(['1', '2', undefined]);
    expect(await level.hasMany(['a', 'b', 'c'], { snapshot })).toEqual([true, true, false]);
    expect(await level.iterator({ snapshot, reverse: true }).all()).toEqual([
      ['b', '2'],
      ['a', '1'],
    ]);
    expect(await level.iterator().all()).toEqual([
      ['b', '3'],
      ['c', '4'],
    ]);
    await level.clear({ snapshot });
    expect(await level.keys().all()).toEqual(['c']);
  });

  it('of another database is refused', async () => {
    await using one = levelAt(fresh());
    await using other = levelAt(fresh());
    await Promise.all([one.open(), other.open()]);
    await using snapshot = other.snapshot();
    expect((await failure(one.get('a', { snapshot }))).code).toBe('SNAPSHOT_FOREIGN');
    expect(() => one.iterator({ snapshot: { ref() {}, unref() {} } as never })).toThrow(/another database/);
  });

  it('is held as long as it is needed, and no longer', async () => {
    await using level = levelAt(fresh());
    await level.batch(many(50));
    const snapshot = level.snapshot();
    const implicit = level.iterator();
    const explicit = level.values({ snapshot });
    await Promise.all([implicit.next(), explicit.next(), level.has('k0001'), level.hasMany(['k0001', 'none'])]);
    expect(level.metrics().snapshots).toMatchObject({ count: 3, iterators: 2 });
    await explicit.close();
    expect(level.metrics().snapshots).toMatchObject({ count: 2, iterators: 1 });
    await implicit.close();
    expect(level.metrics().snapshots).toMatchObject({ count: 1, iterators: 0 });
    await snapshot.close();
    for await (const key of level.keys()) if (key === 'k0003') break;
    await level.sublevel('birds').clear();
    await level.clear({ limit: 3 });
    expect(level.metrics().snapshots.count).toBe(0);
  });

  it('and iterators that are still open are let go of when the database closes', async () => {
    const level = levelAt(fresh());
    await level.batch(many(3000));
    level.snapshot();
    const iterator = level.iterator();
    await iterator.next();
    const reading = level.values().all();
    await level.close();
    expect(await reading).toHaveLength(3000);
    expect((await failure(iterator.next())).code).toBe('LEVEL_ITERATOR_NOT_OPEN');
    await level.open();
    expect(await level.get('k0001')).toBe('v1');
    await level.close();
  });
});

describe('an iterator', () => {
  it('keeps to its range, its limit and its point in time over seeks', async () => {
    await using level = levelAt(fresh());
    await level.batch(many(10));
    const iterator = level.keys({ gt: 'k0002', lte: 'k0008', limit: 5 });
    await level.clear();
    expect(await iterator.nextv(2)).toEqual(['k0003', 'k0004']);
    iterator.seek('k0008');
    expect(await iterator.nextv(5)).toEqual(['k0008']);
    iterator.seek('k0002');
    expect(await iterator.next()).toBeUndefined();
    iterator.seek('k0003');
    expect(await iterator.all()).toEqual(['k0003', 'k0004']);
  });

  it('keeps to the bounds that it was made with', async () => {
    await using level = levelAt<Uint8Array>(fresh(), { keyEncoding: 'view' });
    await level.batch([1, 2, 3, 4].map((byte) => ({ type: 'put', key: Uint8Array.of(byte), value: '' })));
    const [gte, lt] = [Uint8Array.of(2), Uint8Array.of(4)];
    await using iterator = level.keys({ gte, lt });
    gte[0] = 1;
    lt[0] = 2;
    expect(await iterator.nextv(9)).toEqual([Uint8Array.of(2), Uint8Array.of(3)]);
    iterator.seek(Uint8Array.of(1));
    expect(await iterator.next()).toBeUndefined();
  });

  it('lets the event loop turn in a long range', async () => {
    await using level = levelAt(fresh());
    await level.batch(many(5000));
    for (const read of [() => level.iterator().all(), async () => Array.fromAsync(level.iterator())]) {
      let turns = 0;
      let reading = true;
      const turn = (): void => {
        turns++;
        if (reading) setImmediate(turn);
      };
      setImmediate(turn);
      expect(await read()).toHaveLength(5000);
      reading = false;
      expect(turns).toBeGreaterThan(3);
    }
  });

  it('is aborted in the middle of a read', async () => {
    await using level = levelAt(fresh());
    await level.batch(many(5000));
    const abort = new AbortController();
    const reading = level.values({ signal: abort.signal }).all();
    setImmediate(() => abort.abort('enough'));
    expect(await failure(reading)).toMatchObject({ code: 'LEVEL_ABORTED', name: 'AbortError', kind: 'cancelled', cause: 'enough' });
  });

  it('hands out bytes that nothing writes to again', async () => {
    await using level = levelAt<Uint8Array, Buffer>(fresh(), { keyEncoding: 'view', valueEncoding: 'buffer' });
    await level.put(Uint8Array.of(0), Buffer.from('zero'));
    await level.put(Uint8Array.of(), Buffer.from('empty'));
    const entries = await level.iterator().all();
    for (const [key, value] of entries) {
      key.fill(9);
      value.fill(9);
    }
    expect(await level.iterator().all()).toEqual([
      [Uint8Array.of(), Buffer.from('empty')],
      [Uint8Array.of(0), Buffer.from('zero')],
    ]);
    expect(Buffer.isBuffer(await level.get(Uint8Array.of()))).toBe(true);
  });
});

describe('clear', () => {
  it('deletes more than one batch, from either end, and is waited for by close', async () => {
    const level = levelAt(fresh());
    await level.batch(many(3500));
    await level.clear({ limit: 1, reverse: true });
    expect(await level.keys({ reverse: true, limit: 1 }).all()).toEqual(['k3498']);
    const clearing = level.clear({ lt: 'k3400' });
    await level.close();
    await clearing;
    await level.open();
    expect((await level.keys().all()).length).toBe(99);
    await level.close();
  });
});

describe('limits', () => {
  it('refuse what is too large by the codes of Level', async () => {
    await using level = levelAt(fresh(), { settings: { maxKeyBytes: 16, maxValueBytes: 100 } });
    await level.open();
    const long = await failure(level.put('k'.repeat(17), ''));
    expect(long).toMatchObject({ code: 'LEVEL_INVALID_KEY', kind: 'invalid', details: { limit: 16, bytes: 17 } });
    expect(() => level.getSync('k'.repeat(17))).toThrow(SparrowError);
    expect(await level.has('k'.repeat(17))).toBe(false);
    expect((await failure(level.put('k', 'v'.repeat(101)))).code).toBe('LEVEL_INVALID_VALUE');
    expect((await failure(level.put('k', (() => 'not for JSON') as never, { valueEncoding: 'json' }))).code).toBe('LEVEL_INVALID_VALUE');
  });

  it('count the prefix of a sublevel', async () => {
    await using level = levelAt(fresh());
    const birds = level.sublevel('birds');
    await birds.put('k'.repeat(4096 - '!birds!'.length), 'v');
    expect((await failure(birds.put('k'.repeat(4096 - '!birds!'.length + 1), 'v'))).code).toBe('LEVEL_INVALID_KEY');
    expect(await birds.keys({ gte: 'k'.repeat(9000) }).all()).toEqual([]);
    expect(await birds.keys({ lt: 'k'.repeat(9000) }).all()).toHaveLength(1);
  });
});

/** `k0000` with `v0` and so on. */
function many(entries: number): { type: 'put'; key: string; value: string }[] {
  return Array.from({ length: entries }, (_, i) => ({ type: 'put', key: `k${String(i).padStart(4, '0')}`, value: `v${i}` }));
}
