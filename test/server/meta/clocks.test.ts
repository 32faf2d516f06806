/** What a leader of the metaserver wrote whose clock was ahead: the next one goes by its own. */
import { expect, it } from 'vitest';
import { dropTable, setHealth } from '../../../server/meta/changes/index.ts';
import { notAhead } from '../../../server/meta/clocks.ts';
import type { MetaWrite } from '../../../server/meta/state.ts';
import { World } from './world.ts';

const AHEAD_MS = 3_600_000;

it('what begun later than now began now, and all else stays as it is', () => {
  const world = new World();
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  const { cluster, nowMs } = world;
  world.createTable({ name: 'orders', partitioning: { kind: 'hash', shards: 1 } });
  const later = nowMs + AHEAD_MS;
  world.commit(setHealth(cluster, 1, 'suspect', later));
  world.commit(dropTable(cluster, 'orders', later, 5000));
  const node = (): MetaWrite => ({ kind: 'node', id: 1, record: cluster.nodes.get(1)!.record });
  const [shard] = cluster.shards.values();
  const [operator] = cluster.operators.values();
  const [table] = cluster.tables.values();
  const records: MetaWrite[] = [
    node(),
    { kind: 'shard', id: shard!.id, record: { ...shard!.record, splitAtMs: later } },
    { kind: 'operator', id: operator!.id, record: { ...operator!, stepAtMs: later } },
    { kind: 'table', id: table!.id, record: table! },
    { kind: 'counters', id: 0, record: cluster.counters },
  ];
  expect(records.map((record) => notAhead(record, later))).toEqual(records);
  const now = nowMs + 10;
  const [, ofShard, ofOperator] = records as [MetaWrite, MetaWrite, MetaWrite];
  expect(records.map((record) => notAhead(record, now))).toEqual([
    { kind: 'node', id: 1, record: { ...cluster.nodes.get(1)!.record, healthSinceMs: now } },
    { ...ofShard, record: { ...shard!.record, splitAtMs: now } },
    { ...ofOperator, record: { ...operator!, stepAtMs: now } },
    { kind: 'table', id: table!.id, record: { ...table!, droppedAtMs: now, undeleteUntilMs: now + 5000 } },
    records[4],
  ]);
});

it('a table of which the first shard was destroyed is not had back for that', () => {
  const world = new World();
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(15);
  const id = world.createTable({ name: 'orders' });
  const record = { ...world.cluster.tables.get(id)!, droppedAtMs: world.nowMs + AHEAD_MS, undeleteUntilMs: 0 };
  expect(notAhead({ kind: 'table', id, record }, world.nowMs)).toEqual({
    kind: 'table',
    id,
    record: { ...record, droppedAtMs: world.nowMs },
  });
});
