import { describe, expect, it } from 'vitest';
import { decodeShardNotes } from '../../../proto/index.ts';
import { ShardRouter } from '../../../server/gateway/shard-router.ts';
import { engineRange, type NodeShards, type Replica } from '../../../server/node/index.ts';
import { type ShardDescriptor, wholeTable } from '../../../server/shard/descriptor.ts';

const key = (text: string): Buffer => Buffer.from(text);
const range = (shard: number, start: string, end: string | undefined, epoch = 2): ShardDescriptor => ({
  ...wholeTable(shard, 1),
  epoch,
  keys: { kind: 'range', start: key(start), end: end === undefined ? undefined : key(end) },
});
const replicaOf = (descriptor: ShardDescriptor, applied = 10): Replica =>
  ({ group: descriptor.shard, shard: { descriptor }, applied }) as unknown as Replica;

function shards(...replicas: Replica[]): NodeShards {
  return {
    first: replicas.find(({ group }) => group === 1) ?? replicaOf(wholeTable(1, 1), 0),
    get: (shard) => replicas.find(({ group }) => group === shard),
    failures: new Map(),
    waiting: new Map(),
    [Symbol.iterator]: () => replicas[Symbol.iterator](),
  };
}

const failure = (call: () => unknown): { code: string; kind: string; details: Record<string, unknown> } => {
  try {
    call();
  } catch (error) {
    return error as ReturnType<typeof failure>;
  }
  throw new Error('nothing was refused');
};
const notes = (call: () => unknown): number[] => decodeShardNotes(failure(call).details['shards']).map(({ shard }) => shard);

describe('a call that names no shard', () => {
  it('is for shard 1 as long as it has all keys', () => {
    const router = new ShardRouter(shards(replicaOf(wholeTable(1, 1)), replicaOf(wholeTable(16, 2))));
    expect(router.forKey({}, key('x')).group).toBe(1);
    expect(router.forKey({ table: 'default' }, key('x')).group).toBe(1);
    expect(router.forKeys({}, () => [key('a'), key('z')]).group).toBe(1);
    expect(router.forRange({}, engineRange({})).group).toBe(1);
    expect(failure(() => router.forKey({ table: 'birds' }, key('x')))).toMatchObject({ kind: 'invalid', code: 'TABLE' });
  });

  it('is for the shard of table default that has all its keys', () => {
    const router = new ShardRouter(shards(replicaOf(range(1, '', 'm')), replicaOf(wholeTable(2, 0)), replicaOf(range(16, 'm', 't'))));
    expect(router.forKey({}, key('a')).group).toBe(1);
    expect(router.forKey({}, key('m')).group).toBe(16);
    expect(router.forRange({}, engineRange({ gte: key('n'), lt: key('o') })).group).toBe(16);
    expect(router.forKeys({}, () => [key('a'), key('b')]).group).toBe(1);
    for (const refused of [
      () => router.forKey({}, key('t')),
      () => router.forKeys({}, () => [key('a'), key('n')]),
      () => router.forRange({}, engineRange({ gte: key('a'), lt: key('n') })),
    ]) {
      expect(failure(refused)).toMatchObject({ kind: 'rerouted', code: 'WRONG_SHARD', details: { applied: false } });
      expect(notes(refused)).toEqual([1, 16]);
    }
  });

  it('and scans a range is refused when the shard has lost a part of it since it was found', () => {
    const router = new ShardRouter(shards(replicaOf(range(1, '', 'm')), replicaOf(range(16, 'm', undefined))));
    const first = replicaOf(range(1, '', 'm'));
    router.checkRange(first, {}, engineRange({ lt: key('m') }));
    router.checkRange(first, { shard: 1 }, engineRange({}));
    expect(notes(() => router.checkRange(first, {}, engineRange({})))).toEqual([1, 16]);
  });

  it('goes to another shard of the table where shard 1 has left', () => {
    const router = new ShardRouter(shards(replicaOf(wholeTable(1, 1), 0), replicaOf(range(16, '', undefined))));
    expect(router.forKey({}, key('a')).group).toBe(16);
    // Where nothing of it is, whoever leads shard 1 is to be found.
    expect(new ShardRouter(shards(replicaOf(wholeTable(1, 1), 0))).forKey({}, key('a')).group).toBe(1);
  });
});

describe('a call that names a shard', () => {
  const own = replicaOf(range(1, '', 'm', 3));
  const child = replicaOf(range(16, 'm', undefined, 3));
  const router = new ShardRouter(shards(own, child));

  it('is refused where there is no replica of it, or where it is none of a table', () => {
    expect(router.forKey({ shard: 16 }, key('a')).group).toBe(16);
    expect(failure(() => router.forKey({ shard: 17 }, key('a')))).toMatchObject({
      code: 'NO_REPLICA',
      details: { shard: 17, applied: false },
    });
    for (const shard of [0, 2, 15])
      expect(failure(() => router.forKey({ shard }, key('a')))).toMatchObject({ kind: 'invalid', code: 'SHARD' });
  });

  it('is refused while its table is dropped, whatever its epoch', () => {
    const dropped = replicaOf({ ...range(16, 'm', undefined, 3), dropped: true });
    const there = new ShardRouter(shards(own, dropped));
    for (const epoch of [undefined, 2, 3, 4]) {
      for (const refused of [
        () => there.checkRead(dropped, { epoch }, key('n')),
        () => there.checkRead(dropped, { epoch }, undefined),
        () => there.epochForWrite(dropped, { epoch }, () => [key('n')]),
      ])
        expect(failure(refused)).toMatchObject({ kind: 'invalid', code: 'TABLE_DROPPED', details: { shard: 16, applied: false } });
    }
  });

  it("is refused with what the node knows instead when its epoch is old, or the key is not the shard's", () => {
    expect(notes(() => router.checkRead(own, { epoch: 2 }, key('n')))).toEqual([16, 1]);
    expect(notes(() => router.checkRead(own, { epoch: 3 }, key('n')))).toEqual([16, 1]);
    expect(notes(() => router.epochForWrite(own, { epoch: 2 }, () => []))).toEqual([1, 16]);
    expect(notes(() => router.epochForWrite(own, {}, () => [key('a'), key('n')]))).toEqual([16, 1]);
    router.checkRead(own, { epoch: 3 }, key('a'));
    router.checkRead(own, {}, key('a'));
    expect(router.epochForWrite(own, {}, () => [key('a')])).toBe(3);
  });

  it('of an epoch that the replica has not come to: a read comes again, a write is looked at when it is applied', () => {
    expect(failure(() => router.checkRead(own, { epoch: 4 }, key('a')))).toMatchObject({ kind: 'unavailable', code: 'SHARD_BEHIND' });
    expect(router.epochForWrite(own, { epoch: 4 }, () => [key('n')])).toBe(4);
  });

  it('that is being merged into another is read, and not written; then it is neither', () => {
    const sealed = replicaOf({ ...own.shard.descriptor, state: 'sealed' });
    router.checkRead(sealed, {}, key('a'));
    expect(failure(() => router.epochForWrite(sealed, {}, () => [key('a')]))).toMatchObject({ kind: 'unavailable', code: 'SHARD_SEALED' });
    const retired = replicaOf({ ...own.shard.descriptor, state: 'retired' });
    const other = new ShardRouter(shards(retired, child));
    expect(notes(() => other.checkRead(retired, {}, key('a')))).toEqual([16]);
    expect(notes(() => other.epochForWrite(retired, {}, () => [key('a')]))).toEqual([16]);
  });
});
