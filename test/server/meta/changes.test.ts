import { describe, expect, it } from 'vitest';
import type { Registration, ShardReport } from '../../../server/meta/attending.ts';
import {
  alterTable,
  createTable,
  dropTable,
  registerNode,
  setDuty,
  setHealth,
  setPolicy,
  takeReport,
  type TableSpec,
} from '../../../server/meta/changes/index.ts';
import { Cluster } from '../../../server/meta/cluster.ts';
import type { OperatorRecord } from '../../../server/meta/operator.ts';
import { plan } from '../../../server/meta/placement/index.ts';
import { isSuperseded } from '../../../server/meta/lineage.ts';
import { votersOnly } from '../../../server/raft/index.ts';
import { FIRST_SHARD } from '../../../server/shard/descriptor.ts';
import { World } from './world.ts';
import { boundsOf, DEFAULT_POLICY, fieldsOf, resolvePolicy } from '../../../server/meta/policy.ts';

const NOW = 1_000_000;

function threeNodes(): World {
  const world = new World();
  for (const [i, zone] of ['a', 'b', 'c'].entries()) world.addNode({ id: i + 1, zone });
  world.ticks(2);
  return world;
}

function registration(node: number, fields: Partial<Registration> = {}): Registration {
  return {
    node,
    address: '',
    peerAddress: `p:${node}`,
    zone: 'a',
    pool: 'default',
    role: 'all',
    clusterId: '0123456789abcdef',
    labels: {},
    version: '1',
    incarnation: '1',
    directoryId: '',
    diskBytes: 2 ** 40,
    cores: 4,
    ...fields,
  };
}

describe('tables', () => {
  const cases: readonly (readonly [string, TableSpec, string])[] = [
    ['name', { name: '' }, 'name'],
    ['name', { name: 'a b' }, 'name'],
    ['name', { name: 'x'.repeat(129) }, 'name'],
    ['hash shards', { name: 't', partitioning: { kind: 'hash', shards: 3 } }, 'partitioning.shards'],
    ['hash shards', { name: 't', partitioning: { kind: 'hash', shards: 2048 } }, 'partitioning.shards'],
    [
      'order of split keys',
      { name: 't', partitioning: { kind: 'range', splitKeys: [Buffer.from('b'), Buffer.from('a')] } },
      'partitioning.splitKeys',
    ],
    [
      'empty split key',
      { name: 't', partitioning: { kind: 'range', splitKeys: [Buffer.from('')] } },
      'partitioning.splitKeys[0] (its bytes)',
    ],
    ['even votes', { name: 't', replicas: { voters: 2 } }, 'replicas.voters'],
    ['witnesses', { name: 't', replicas: { voters: 1, witnesses: 2 } }, 'replicas.witnesses'],
    ['inline threshold', { name: 't', inlineThreshold: 1e9 }, 'inlineThreshold'],
    ['pool', { name: 't', pool: '' }, 'pool'],
  ];

  it.each(cases)('refuses a wrong %s, and says which field', (_, spec, field) => {
    const { cluster } = threeNodes();
    expect(() => createTable(cluster, spec, 'a test', NOW)).toThrow(
      expect.objectContaining({ kind: 'invalid', details: expect.objectContaining({ field, applied: false }) }),
    );
  });

  const settings: readonly (readonly [string, Partial<TableSpec>])[] = [
    ['ttlMs', { ttlMs: -1 }],
    ['ttlMs', { ttlMs: 4e12 }],
    ['durability', { durability: 'buffered' as 'os' }],
    ['quotas.bytes', { quotas: { bytes: -1 } }],
    ['quotas.readsPerSecond', { quotas: { readsPerSecond: 0.5 } }],
    ['quotas.writesPerSecond', { quotas: { writesPerSecond: 1e12 } }],
  ];

  it.each(settings)('refuses a wrong %s, of a new table and of one that is there', (field, wrong) => {
    const world = threeNodes();
    world.createTable({ name: 'there' });
    const refusal = expect.objectContaining({
      kind: 'invalid',
      code: 'TABLE_SPEC',
      details: expect.objectContaining({ field, applied: false }),
    });
    expect(() => createTable(world.cluster, { name: 't', ...wrong }, 'a test', NOW)).toThrow(refusal);
    expect(() => alterTable(world.cluster, 'there', wrong, NOW)).toThrow(refusal);
  });

  it('keeps the settings that a table is made with, and those that are not altered', () => {
    const world = threeNodes();
    const asked = { ttlMs: 5000, durability: 'os', quotas: { bytes: 1e9, readsPerSecond: 100, writesPerSecond: 0 } } as const;
    world.createTable({ name: 't', ...asked });
    expect(world.cluster.tableNamed('t')).toMatchObject(asked);
    world.alterTable('t', { quotas: { writesPerSecond: 7 } });
    expect(world.cluster.tableNamed('t')).toMatchObject({ ...asked, quotas: { ...asked.quotas, writesPerSecond: 7 } });
  });

  it('has the shards of a table told of what they have to know, and of nothing else', () => {
    const world = threeNodes();
    const table = world.createTable({ name: 't', partitioning: { kind: 'hash', shards: 2 } });
    world.ticks(20);
    const kinds = (alter: Parameters<typeof alterTable>[2]): unknown[] =>
      alterTable(world.cluster, 't', alter, NOW).writes.map(({ kind, record }) =>
        kind === 'operator' ? (record as OperatorRecord).kind : kind,
      );
    expect(world.cluster.shardsOf(table)).toHaveLength(2);
    expect(kinds({ durability: 'os' })).toEqual(['table', 'describe', 'describe', 'counters']);
    expect(kinds({ ttlMs: 1000 })).toEqual(['table', 'describe', 'describe', 'counters']);
    expect(kinds({ quotas: { bytes: 1 } })).toEqual(['table', 'counters']);
    expect(kinds({ ttlMs: 0 })).toEqual([]);
  });

  it('refuses a name that is taken, one that is not known, and more replicas than there are nodes', () => {
    const world = threeNodes();
    world.createTable({ name: 't' });
    expect(() => createTable(world.cluster, { name: 't' }, 'a test', NOW)).toThrow(expect.objectContaining({ code: 'TABLE_EXISTS' }));
    expect(() => alterTable(world.cluster, 'u', {}, NOW)).toThrow(expect.objectContaining({ code: 'TABLE_UNKNOWN' }));
    expect(() => dropTable(world.cluster, 'u', NOW)).toThrow(expect.objectContaining({ code: 'TABLE_UNKNOWN' }));
    expect(() => alterTable(world.cluster, 't', { replicas: { voters: 5 } }, NOW)).toThrow(
      expect.objectContaining({ code: 'TOO_FEW_NODES', details: expect.objectContaining({ wanted: 5, nodes: 3 }) }),
    );
  });

  it('changes nothing by itself: what is not taken in has not happened', () => {
    const { cluster } = threeNodes();
    const before = cluster.counters;
    const { writes } = createTable(cluster, { name: 't', partitioning: { kind: 'hash', shards: 4 } }, 'a test', NOW);
    expect(writes.map(({ kind }) => kind)).toEqual(['table', ...Array(4).fill('shard'), ...Array(4).fill('operator'), 'counters']);
    expect(cluster.counters).toBe(before);
    expect(cluster.tableNamed('t')).toBeUndefined();
    cluster.apply(writes);
    expect(cluster.shardsOf(cluster.tableNamed('t')!.id)).toHaveLength(4);
  });

  it('writes nothing for an alteration that is none', () => {
    const world = threeNodes();
    world.createTable({ name: 't', inlineThreshold: 5 });
    expect(alterTable(world.cluster, 't', { inlineThreshold: 5 }, NOW).writes).toEqual([]);
  });
});

describe('nodes', () => {
  it('are registered again without a write when nothing is new, and keep what they are for', () => {
    const cluster = new Cluster(NOW);
    cluster.apply(registerNode(cluster, registration(1), NOW).writes);
    expect(registerNode(cluster, registration(1), NOW + 5).writes).toEqual([]);
    cluster.apply(setDuty(cluster, 1, 'draining').writes);
    expect(registerNode(cluster, registration(1, { version: '2' }), NOW).result).toMatchObject({ duty: 'draining', version: '2' });
  });

  it('that were decommissioned do not come back, and addresses are one node’s', () => {
    const cluster = new Cluster(NOW);
    cluster.apply(registerNode(cluster, registration(1), NOW).writes);
    expect(() => registerNode(cluster, registration(2, { peerAddress: 'p:1' }), NOW)).toThrow(
      expect.objectContaining({ code: 'NODE_ADDRESS_TAKEN' }),
    );
    cluster.apply(setDuty(cluster, 1, 'decommissioned').writes);
    expect(() => registerNode(cluster, registration(1), NOW)).toThrow(expect.objectContaining({ code: 'NODE_REMOVED' }));
    expect(() => setDuty(cluster, 1, 'active')).toThrow(expect.objectContaining({ code: 'NODE_REMOVED' }));
  });
});

describe('the data directory of a node', () => {
  const registered = (...ids: readonly string[]): Cluster => {
    const cluster = new Cluster(NOW);
    for (const directoryId of ids) cluster.apply(registerNode(cluster, registration(4, { directoryId }), NOW).writes);
    return cluster;
  };

  it('is kept as it was told first, whatever else the node says, and is written when it is told later', () => {
    const cluster = registered('', 'a');
    expect(cluster.nodes.get(4)!.record.directoryId).toBe('a');
    expect(registerNode(cluster, registration(4, { directoryId: 'a' }), NOW).writes).toEqual([]);
    // Of a release that tells none.
    expect(registerNode(cluster, registration(4), NOW).writes).toEqual([]);
    cluster.apply(setHealth(cluster, 4, 'suspect', NOW).writes);
    cluster.apply(setDuty(cluster, 4, 'draining').writes);
    cluster.apply(registerNode(cluster, registration(4, { version: '2' }), NOW).writes);
    expect(cluster.nodes.get(4)!.record).toMatchObject({ directoryId: 'a', version: '2', duty: 'draining', health: 'up' });
    expect(registered('').nodes.get(4)!.record).not.toHaveProperty('directoryId');
  });

  it('that is another one than it had is refused, with the id to take instead', () => {
    const cluster = registered('a');
    cluster.apply(registerNode(cluster, registration(9, { directoryId: 'c' }), NOW).writes);
    expect(() => registerNode(cluster, registration(4, { directoryId: 'b' }), NOW)).toThrow(
      expect.objectContaining({
        kind: 'invalid',
        code: 'NODE_ID_TAKEN',
        message: expect.stringContaining('--node-id 10 --join') as string,
        details: { field: 'nodeId', node: 4, free: 10, applied: false },
      }),
    );
    cluster.apply(setDuty(cluster, 4, 'decommissioned').writes);
    expect(() => registerNode(cluster, registration(4, { directoryId: 'b' }), NOW)).toThrow(
      expect.objectContaining({ code: 'NODE_REMOVED' }),
    );
  });
});

describe('policy', () => {
  it('persists what differs from the defaults, and refuses what is out of range or order', () => {
    const cluster = new Cluster(NOW);
    expect(setPolicy(cluster, { splitsMax: 3 }).writes[0]).toEqual({ kind: 'policy', id: 0, record: { splitsMax: 3 } });
    expect(() => setPolicy(cluster, { splitsMax: -1 })).toThrow(
      expect.objectContaining({ code: 'POLICY', details: expect.objectContaining({ field: 'splitsMax' }) }),
    );
    expect(() => setPolicy(cluster, { diskLow: 0.85 })).toThrow(/diskLow \(0.85\) is below diskHigh \(0.8\)/);
    expect(() => setPolicy(cluster, { splitz: 1 } as object)).toThrow(/there is no splitz/);
  });

  it('is asked for by names, each once, and told with what each may be', () => {
    const fields = fieldsOf([{ name: 'splitBytes', value: 100_000_000 }], ['tolerance']);
    expect(fields).toEqual({ splitBytes: 100_000_000, tolerance: DEFAULT_POLICY.tolerance });
    const bounds = boundsOf(resolvePolicy(fields));
    expect(bounds).toHaveLength(Object.keys(DEFAULT_POLICY).length - 1);
    expect(bounds.find(({ name }) => name === 'splitBytes')).toEqual({
      name: 'splitBytes',
      value: 100_000_000,
      defaultValue: DEFAULT_POLICY.splitBytes,
      min: 65_536,
      max: Number.MAX_SAFE_INTEGER,
      whole: true,
    });
    const refused = (field: string): unknown =>
      expect.objectContaining({ code: 'POLICY', details: expect.objectContaining({ field }) as unknown });
    expect(() => fieldsOf([{ name: 'paused', value: 1 }], [])).toThrow(refused('paused'));
    expect(() => fieldsOf([], ['constructor'])).toThrow(refused('constructor'));
    expect(() => fieldsOf([{ name: 'splitsMax', value: 1 }], ['splitsMax'])).toThrow(refused('splitsMax'));
  });
});

describe('reports', () => {
  function leaderReport(world: World, shard: number, fields: Partial<ShardReport>): ShardReport {
    const { record } = world.cluster.shards.get(shard)!;
    return {
      descriptor: record.descriptor,
      role: 'leader',
      term: 5,
      leader: 1,
      configuration: votersOnly([1, 2, 3]),
      configurationIndex: 100,
      matches: [],
      applied: 100,
      lastIndex: 100,
      diskBytes: 0,
      keysCount: 0,
      readsPerSecond: 0,
      writesPerSecond: 0,
      bytesPerSecond: 0,
      stoppedBecause: '',
      ...fields,
    };
  }

  it('of an older leader, or of less of the log, change no members', () => {
    const world = threeNodes();
    world.createTable({ name: 't' });
    world.ticks(5);
    const { id } = world.cluster.shardsOf(world.cluster.tableNamed('t')!.id)[0]!;
    const take = (fields: Partial<ShardReport>): number => {
      const { writes } = takeReport(world.cluster, { shards: [leaderReport(world, id, fields)] }, NOW);
      world.cluster.apply(writes);
      return world.cluster.shards.get(id)!.record.replicas.length;
    };
    expect(take({ configuration: votersOnly([1, 2]) })).toBe(2);
    expect(take({ term: 4, applied: 120 })).toBe(2);
    expect(take({ term: 6, applied: 90, lastIndex: 130 })).toBe(2);
    expect(take({ term: 5, applied: 101 })).toBe(3);
    // A log that is shorter than what was applied: entries were lost for good, and this is what is left.
    expect(take({ term: 9, applied: 50, lastIndex: 50, configuration: votersOnly([1]) })).toBe(1);
  });

  it('of a shard that nobody knows: taken in as a child, left alone when it is not ours, superseded when others have its keys', () => {
    const world = threeNodes();
    world.createTable({ name: 't' });
    world.ticks(5);
    const table = world.cluster.tableNamed('t')!.id;
    const [parent] = world.cluster.shardsOf(table);
    const { descriptor } = parent!.record;
    world.cluster.apply([{ kind: 'counters', id: 0, record: { ...world.cluster.counters, nextShard: 30 } }]);
    const child = { ...descriptor, shard: 20, epoch: descriptor.epoch + 1 };
    expect(isSuperseded(world.cluster, child)).toBe(false);
    expect(isSuperseded(world.cluster, { ...child, epoch: descriptor.epoch })).toBe(true);
    expect(isSuperseded(world.cluster, { ...child, shard: 31, epoch: 1 })).toBe(false);
    expect(isSuperseded(world.cluster, { ...child, table: 99, epoch: 1 })).toBe(false);
    const { writes } = takeReport(world.cluster, { shards: [leaderReport(world, parent!.id, { descriptor: child })] }, NOW);
    expect(writes[0]).toMatchObject({ kind: 'shard', id: 20 });
  });

  it('of an empty replica of the first shard lead to nothing on a node that waits to be taken in, and to its end on one that is to leave', () => {
    const world = threeNodes();
    world.addNode({ id: 4, zone: 'a' });
    world.createTable({ name: 't' });
    world.ticks(5);
    const { descriptor } = world.cluster.shardsOf(world.cluster.tableNamed('t')!.id)[0]!.record;
    const first = { ...descriptor, shard: FIRST_SHARD };
    const record = { ...world.cluster.shards.get(descriptor.shard)!.record, id: FIRST_SHARD, descriptor: first };
    world.cluster.apply([{ kind: 'shard', id: FIRST_SHARD, record }]);
    const load = {
      diskUsedBytes: 0,
      diskFreeBytes: 2 ** 36,
      cpu: 0,
      io: 0,
      ioBytesPerSecond: 4096,
      readsPerSecond: 0,
      writesPerSecond: 0,
      bytesPerSecond: 0,
      slowDisk: 1,
      snapshots: 0,
    };
    const report = (shard: ShardReport): Parameters<Cluster['observe']>[1] => ({
      sequence: 1,
      load,
      shards: [shard],
      full: false,
      gone: [],
    });
    world.cluster.observe(
      1,
      report(leaderReport(world, FIRST_SHARD, { matches: [1, 2, 3].map((node) => ({ node, match: 100 })) })),
      world.nowMs,
    );
    const waiting = leaderReport(world, FIRST_SHARD, { role: 'follower', leader: 0, term: 0, applied: 0, configuration: votersOnly([]) });
    world.cluster.observe(4, report(waiting), world.nowMs);
    expect(plan(world.cluster, world.nowMs).proposals.filter(({ kind }) => kind === 'tidy')).toEqual([]);
    world.commit(setDuty(world.cluster, 4, 'decommissioning'));
    expect(plan(world.cluster, world.nowMs).proposals.filter(({ kind }) => kind === 'tidy')).toMatchObject([
      { steps: [{ shard: FIRST_SHARD, type: 'destroy-replica', node: 4 }] },
    ]);
    world.commit(setDuty(world.cluster, 4, 'active'));
    expect(plan(world.cluster, world.nowMs).proposals.filter(({ kind }) => kind === 'tidy')).toEqual([]);
    // One of a node that the cluster began with, which was replaced before anything came to it.
    world.cluster.observe(4, report({ ...waiting, configuration: votersOnly([2, 3, 4]) }), world.nowMs);
    expect(plan(world.cluster, world.nowMs).proposals.filter(({ kind }) => kind === 'tidy')).toHaveLength(1);
    world.cluster.observe(4, report({ ...waiting, applied: 90 }), world.nowMs);
    expect(plan(world.cluster, world.nowMs).proposals.filter(({ kind }) => kind === 'tidy')).toHaveLength(1);
  });
});
