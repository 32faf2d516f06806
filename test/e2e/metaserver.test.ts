/** A cluster that looks after itself: three real nodes in this process make a table of several shards, a fourth one joins, and data move. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ClusterSurvey, connectAdmin, connectMeta, type MetaAdmin, type SurveyedShard } from '../../client/index.ts';
import { CreateTableRequest } from '../../proto/index.ts';
import { type RunningServer, type ServerSettingsInput, startServer } from '../../server/index.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { http, parse } from '../server/metrics/scrape.ts';

const WAIT = { timeout: 120_000, interval: 200 };

let directory: string;
let ports: number[];
const running: Map<number, RunningServer> = new Map();

const address = (id: number): string => `127.0.0.1:${ports[2 * id]}`;
const peerAddress = (id: number): string => `127.0.0.1:${ports[2 * id + 1]}`;

async function start(id: number, settings: Partial<ServerSettingsInput>): Promise<RunningServer> {
  const server = await startServer({
    data: join(directory, String(id)),
    nodeId: id,
    listen: address(id),
    peerListen: peerAddress(id),
    logLevel: 'silent',
    raft: { tickMs: 50, segmentBytes: 256 << 10 },
    engine: { memoryBytes: 192 << 20, pageCacheBytes: 4 << 20, memtableBytes: 1 << 20 },
    ...settings,
  });
  running.set(id, server);
  return server;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-meta-'));
  ports = await freePorts(12);
});

afterEach(async () => {
  await Promise.all([...running.values()].map((server) => server.close()));
  running.clear();
  rmSync(directory, { recursive: true });
});

it('makes tables, moves replicas, drains nodes, and goes on under another leader', { timeout: 600_000 }, async () => {
  const cluster = Object.fromEntries([1, 2, 3].map((id) => [id, { address: address(id), peerAddress: peerAddress(id) }]));
  await Promise.all([1, 2, 3].map((id) => start(id, { cluster, zone: `z${id}`, metricsAddress: '127.0.0.1:0' })));
  using meta = connectMeta([address(1), address(2), address(3)], { timeoutMs: 60_000 });
  await expect.poll(async () => (await meta.survey()).nodes.map(({ state }) => state), WAIT).toEqual(['up', 'up', 'up']);

  const made = await meta.createTable(
    CreateTableRequest.fromPartial({ name: 'orders', partitioning: { $case: 'hash', value: { shards: 4 } }, replicas: 3 }),
  );
  expect(made.table).toMatchObject({ name: 'orders', partitioning: 'hash', replicas: 3, shards: 4 });
  expect(made.shards.map(({ replicas }) => replicas.map(({ node }) => node))).toEqual(Array(4).fill([1, 2, 3]));
  expect(made.shards.every(({ leader }) => leader !== 0)).toBe(true);
  await expect(meta.createTable(CreateTableRequest.fromPartial({ name: 'orders' }))).rejects.toMatchObject({ code: 'TABLE_EXISTS' });
  await settled(meta);

  // A fourth one comes, and takes over what another one of its zone had.
  await start(4, { join: address(1), zone: 'z1' });
  await expect.poll(async () => (await meta.survey()).nodes.map(({ entry }) => entry?.node), WAIT).toEqual([1, 2, 3, 4]);
  const { shard } = made.shards[0]!;
  await settled(meta);
  // Balance may be about to do the same: then the question is refused, and asked again.
  const moved = async (): Promise<object> => {
    if (!nodesOf(await shardOf(meta, shard)).includes(1)) return { kind: 'move', shard, by: 'an operator' };
    const [asked] = await meta.operate({ operation: { $case: 'move', value: { shard, from: 1, to: 4 } }, dryRun: false });
    return asked!;
  };
  await expect.poll(moved, WAIT).toMatchObject({ kind: 'move', shard, by: 'an operator' });
  await expect.poll(async () => nodesOf(await shardOf(meta, shard)), WAIT).toEqual([2, 3, 4]);
  await settled(meta);

  // Whoever leads the metaserver stops: the next one knows all that.
  const { leader, version } = await meta.survey();
  await running.get(leader)!.close();
  running.delete(leader);
  await expect.poll(async () => (await meta.survey()).leader, WAIT).not.toBe(leader);
  const after = await meta.survey();
  expect(after.version).toBeGreaterThanOrEqual(version);
  expect(after.tables.map(({ name }) => name).sort()).toEqual(['default', 'orders']);
  await start(leader, leader === 4 ? { join: address(1), zone: 'z1' } : { cluster, zone: `z${leader}` });
  await expect.poll(async () => (await meta.survey()).nodes.map(({ state }) => state), WAIT).toEqual(['up', 'up', 'up', 'up']);
  await settled(meta);

  await meta.operate({ operation: { $case: 'drain', value: { node: 1 } }, dryRun: false });
  await expect.poll(async () => nodesWith(await meta.survey(), 1), WAIT).toEqual([]);
  expect((await meta.survey()).nodes.find(({ entry }) => entry?.node === 4)!.replicas).toBeGreaterThanOrEqual(4);

  await meta.dropTable({ name: 'orders', undeleteMs: 60_000, dryRun: false });
  await expect(meta.topology({ table: 'orders' })).rejects.toMatchObject({ code: 'TABLE_UNKNOWN' });
  await meta.undeleteTable({ name: 'orders', newName: '' });
  expect((await meta.topology({ table: 'orders' })).shards).toHaveLength(4);

  // Members of a shard are changed by hand: it is left as it is until it is released.
  await settled(meta);
  const { entry } = await shardOf(meta, shard);
  const members = nodesOf(await shardOf(meta, shard));
  const other = members.find((node) => node !== entry!.leader)!;
  using admin = connectAdmin(members.map(address), { timeoutMs: 30_000, shard });
  const refused = { code: 'CONFIGURATION_CHANGE', details: { shard, field: 'shard' } };
  const place = { id: 1, address: address(1), peerAddress: peerAddress(1) };
  await expect(admin.changeMembers({ type: 'add-learner', node: place })).rejects.toMatchObject(refused);
  await admin.changeMembers({ type: 'demote', id: other });
  await expect.poll(async () => (await shardOf(meta, shard)).byHand, WAIT).toBe(true);
  expect((await admin.leaderStatus()).status.members.filter(({ role }) => role === 1)).toHaveLength(2);
  await meta.operate({ operation: { $case: 'release', value: shard }, dryRun: false });
  await expect.poll(async () => (await shardOf(meta, shard)).entry!.replicas.filter(({ kind }) => kind === 1).length, WAIT).toBe(3);

  let last = 0;
  for (const count of [1, 1000, 1_000_000]) {
    const { first } = await meta.timestamps(count);
    expect(first).toBeGreaterThan(last);
    last = first + count - 1;
  }

  const metricsAddress = [...running.values()].map((server) => server.metricsAddress).find((each) => each !== undefined)!;
  const { values } = parse((await http(metricsAddress)).body);
  expect(values.get('sparrowkv_meta_attending')).toBe(1);
});

async function shardOf(meta: MetaAdmin, id: number): Promise<SurveyedShard> {
  return (await meta.survey()).shards.find(({ entry }) => entry?.shard === id)!;
}

function nodesOf({ entry }: SurveyedShard): number[] {
  return entry!.replicas.map(({ node }) => node);
}

/** Shards with a replica on a node. */
function nodesWith({ shards }: ClusterSurvey, node: number): number[] {
  return shards.filter((shard) => nodesOf(shard).includes(node)).map(({ entry }) => entry!.shard);
}

/** Nothing is under way, and every shard has a leader. */
async function settled(meta: MetaAdmin): Promise<void> {
  const busy = async (): Promise<number> => {
    const { operators, shards } = await meta.survey();
    return operators.length + shards.filter(({ entry }) => entry!.leader === 0).length;
  };
  await expect.poll(busy, WAIT).toBe(0);
}
