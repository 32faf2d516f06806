import { expect, it } from 'vitest';
import { replicaFamilies, type ShardStats } from '../../../server/metrics/replica-families.ts';
import type { ReplicaStats } from '../../../server/node/index.ts';

function shard(id: number, stats: Partial<ReplicaStats> = {}): ShardStats {
  const configuration = { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false };
  const log = { segments: 1, bytes: 10, syncs: 2, bytesWritten: 3, groups: 1, indexBytes: 4, cacheBytes: 5 };
  const given = { role: 'follower', leader: 2, term: 3, configuration, lastIndex: id, log, writesInFlight: 1, ...stats };
  return { shard: id, stats: given as unknown as ReplicaStats };
}

const samplesOf = (all: readonly ShardStats[], name: string): { shard: string | undefined; value: number }[] =>
  replicaFamilies(all)
    .find((each) => each.name === `sparrowkv_raft_${name}`)!
    .samples.map(({ labels, value }) => ({ shard: labels?.['shard'], value }));

it('what is of one shard has its label, sums are over all, and the log is there once', () => {
  const all = [shard(1), shard(16, { role: 'leader', leader: 1 }), shard(17, { leader: 0 })];
  expect(samplesOf(all, 'leader')).toEqual([
    { shard: '1', value: 0 },
    { shard: '16', value: 1 },
    { shard: '17', value: 0 },
  ]);
  expect(samplesOf(all, 'writes_in_flight')).toEqual([{ shard: undefined, value: 3 }]);
  expect(samplesOf(all, 'log_bytes')).toEqual([{ shard: undefined, value: 10 }]);
  expect(samplesOf(all, 'replicas_without_leader')).toEqual([{ shard: undefined, value: 1 }]);
  expect(samplesOf(all, 'replicas').map(({ value }) => value)).toEqual([1, 2, 0]);
});

it('two hundred shards are listed at most: the first ones, those that this node leads, those with the longest logs', () => {
  const all = Array.from({ length: 1000 }, (_, i) => shard(16 + i, i % 10 === 0 ? { role: 'leader' } : {}));
  const listed = samplesOf([shard(1), shard(2), ...all], 'term').map((each) => Number(each.shard));
  expect(listed).toHaveLength(200);
  expect(listed.slice(0, 3)).toEqual([1, 2, 16]);
  expect(listed).toEqual([...listed].sort((a, b) => a - b));
  expect(all.filter(({ stats }) => stats.role === 'leader').every((each) => listed.includes(each.shard))).toBe(true);
  expect(listed).toContain(1015);
  expect(listed).not.toContain(17);
  expect(samplesOf([shard(1), shard(2), ...all], 'writes_in_flight')).toEqual([{ shard: undefined, value: 1002 }]);
});
