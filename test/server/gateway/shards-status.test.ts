import { expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import { shardsStatus } from '../../../server/gateway/shards-status.ts';
import type { NodeShards, Replica } from '../../../server/node/index.ts';

const broken = (message: string): SparrowError => new SparrowError('corrupt', 'BROKEN', message);

const NOBODY = { leader: 0, leads: false } as Replica['lead'];
const LEADS = { leader: 2, leads: true } as Replica['lead'];

function shards(replicas: Partial<Replica>[], failures: [number, SparrowError][] = [], waiting: [number, SparrowError][] = []): NodeShards {
  const whole = replicas.map((replica) => ({
    members: [1, 2, 3],
    lead: { leader: 2, leads: false },
    asleep: false,
    ...replica,
  })) as Replica[];
  return {
    first: whole[0]!,
    get: () => undefined,
    failures: new Map(failures),
    waiting: new Map(waiting),
    [Symbol.iterator]: () => whole[Symbol.iterator](),
  };
}

it('a node tells how many replicas it has, and which do not do well, the worst first', () => {
  const of = shards(
    [
      { group: 1, lead: LEADS },
      { group: 16, asleep: true },
      { group: 17, lead: NOBODY },
      { group: 18, damage: broken('a bit is another') },
      { group: 19, stopped: broken('a sync failed') },
    ],
    [[20, broken('the format is newer')]],
    [[21, broken('the log has lost what came last')]],
  );
  expect(shardsStatus(of)).toEqual({
    replicas: 5,
    leading: 1,
    asleep: 1,
    unwellCount: 5,
    unwell: [
      { shard: 20, state: 'cannot be opened', why: 'the format is newer' },
      { shard: 19, state: 'stopped', why: 'a sync failed' },
      { shard: 21, state: 'waits', why: 'the log has lost what came last' },
      { shard: 18, state: 'damaged', why: 'a bit is another' },
      { shard: 17, state: 'no leader', why: '' },
    ],
  });
});

it('of a thousand that do not do well a hundred are named, and a place for shard 1 is no replica', () => {
  const replicas = Array.from({ length: 1000 }, (_, i) => ({ group: 16 + i, lead: NOBODY }));
  const { unwell, ...counts } = shardsStatus(shards([{ group: 1, members: [], lead: NOBODY }, ...replicas]));
  expect(counts).toEqual({ replicas: 1000, leading: 0, asleep: 0, unwellCount: 1000 });
  expect(unwell.map(({ shard }) => shard)).toEqual(Array.from({ length: 100 }, (_, i) => 16 + i));
});
