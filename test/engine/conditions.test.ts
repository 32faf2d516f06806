/** Conditions of a batch: all hold or nothing is written. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type BatchOperation, type Condition, ConditionFailedError, type Engine, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const PUT: BatchOperation = { type: 'put', key: 'written', value: '1' };
const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

let engine: Engine;

beforeEach(async () => {
  engine = await open('/data', { memoryBytes: 2 ** 28, pageCacheBytes: 2 ** 20 }, { fileSystem: new SimFileSystem() });
  await engine.put('a', 'first');
  await engine.put('b', 'x'.repeat(5000));
});
afterEach(() => engine.close());

async function failure(conditions: Condition[]): Promise<ConditionFailedError> {
  const error: unknown = await engine.write([PUT], { conditions }).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ConditionFailedError);
  expect(engine.hasSync('written')).toBe(false);
  expect(engine.sequence).toBe(2);
  return error as ConditionFailedError;
}

describe('conditions', () => {
  test('that hold let the batch through', async () => {
    const conditions: Condition[] = [
      { key: 'missing', absent: true },
      { key: 'a', value: 'first' },
      { key: 'b', value: 'x'.repeat(5000) },
      { key: 'a', version: 1 },
    ];
    await engine.write([PUT], { conditions, durability: 'synced' });
    expect(text(engine.getSync('written'))).toBe('1');
    await engine.flush();
    await engine.write([{ type: 'delete', key: 'a' }], { conditions: [{ key: 'written', version: 3 }] });
    expect(engine.hasSync('a')).toBe(false);
  });

  test('the first that does not hold is told, with what is there', async () => {
    const absent = await failure([
      { key: 'missing', absent: true },
      { key: 'a', absent: true },
      { key: 'b', absent: true },
    ]);
    expect(absent).toMatchObject({ kind: 'conflict', code: 'CONDITION_FAILED', index: 1, details: { index: 1, found: true, version: 1 } });
    expect([text(absent.key), text(absent.current?.value), absent.current?.version]).toEqual(['a', 'first', 1]);
    expect(await failure([{ key: 'missing', value: '' }])).toMatchObject({ index: 0, current: undefined, details: { found: false } });
    expect((await failure([{ key: 'a', value: 'firs' }])).current?.version).toBe(1);
    expect((await failure([{ key: 'a', version: 2 }])).current?.version).toBe(1);
    expect((await failure([{ key: 'missing', version: 0 }])).current).toBeUndefined();
  });

  test('see what was written before, not what is in the batch, and not what has expired', async () => {
    void engine.put('c', 'pending', { durability: 'buffered' });
    await engine.write([{ type: 'delete', key: 'c' }, PUT], { conditions: [{ key: 'c', value: 'pending' }] });
    expect(engine.hasSync('c')).toBe(false);
    await engine.put('brief', '1', { expiresAtMs: 1 });
    await engine.write([PUT], { conditions: [{ key: 'brief', absent: true }] });
  });

  test('of several callers in one turn exactly one wins', async () => {
    const attempts = Array.from({ length: 20 }, (_, i) =>
      engine.write([{ type: 'put', key: 'lock', value: `${i}` }], { conditions: [{ key: 'lock', absent: true }] }).then(
        () => i,
        () => -1,
      ),
    );
    const winners = (await Promise.all(attempts)).filter((i) => i >= 0);
    expect(winners).toEqual([0]);
    expect(text(engine.getSync('lock'))).toBe('0');
  });

  test('in a keyspace', async () => {
    const birds = await engine.keyspace('birds');
    await engine.write([{ ...PUT, keyspace: birds }], { conditions: [{ key: 'a', absent: true, keyspace: birds }] });
    await expect(engine.write([PUT], { conditions: [{ key: 'written', absent: true, keyspace: birds }] })).rejects.toMatchObject({
      index: 0,
    });
    expect([engine.hasSync('written'), birds.hasSync('written')]).toEqual([false, true]);
  });

  test.each<[string, unknown, object]>([
    ['nothing', { key: 'a' }, { code: 'CONDITION', details: { field: 'conditions[1]' } }],
    ['two things', { key: 'a', absent: true, version: 1 }, { code: 'CONDITION' }],
    ['absent: false', { key: 'a', absent: false }, { code: 'CONDITION' }],
    ['half a version', { key: 'a', version: 0.5 }, { code: 'CONDITION' }],
    ['a value of another type', { key: 'a', value: 7 }, { code: 'TYPE', details: { field: 'conditions[1].value' } }],
    ['none', null, { code: 'TYPE', details: { field: 'conditions[1]' } }],
    ['an empty key', { key: '', absent: true }, { code: 'KEY_EMPTY' }],
    ['a field that is not known', { key: 'a', missing: true }, { code: 'OPTION_UNKNOWN', details: { field: 'missing' } }],
    ['a keyspace of no engine', { key: 'a', absent: true, keyspace: {} }, { code: 'KEYSPACE_FOREIGN' }],
  ])('one that asks for %s is refused, though one before it does not hold', async (_, condition, error) => {
    const conditions = [{ key: 'a', absent: true }, condition] as Condition[];
    await expect(engine.write([PUT], { conditions })).rejects.toMatchObject({ kind: 'invalid', ...error });
  });
});
