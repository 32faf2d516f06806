/** Bounds of the policy, asked for over the network, and what follows from them. */
import { expect, it } from 'vitest';
import { connect, connectMeta, type MetaAdmin } from '../../client/index.ts';
import { ServerHarness } from '../e2e/server-harness.ts';
import { until } from './test-cluster.ts';

it('shards are split by the bounds that are asked for, and not of table default on a server that is alone', async () => {
  await using harness = await ServerHarness.start();
  const { address } = harness.server;
  await using client = connect(address, { timeoutMs: 60_000 });
  await client.tables.create('birds', { partitioning: { range: [] } });
  const birds = client.table('birds');
  const value = 'v'.repeat(4000);
  const keys = Array.from({ length: 60 }, (_, i) => `key ${String(i).padStart(2, '0')}`);
  for (const key of keys) await Promise.all([birds.put(key, value), client.put(key, value)]);
  using admin = connectMeta([address], { timeoutMs: 60_000 });
  const set = Object.entries({ splitBytes: 100_000, splitBytesMax: 200_000, mergeBytes: 1000 }).map(([name, of]) => ({ name, value: of }));
  await expect(admin.policy({ set: set.slice(0, 1) })).rejects.toMatchObject({ code: 'POLICY', details: { field: 'mergeBytes' } });
  const ofSplit = (bounds: Awaited<ReturnType<MetaAdmin['policy']>>): number => bounds.find(({ name }) => name === 'splitBytes')!.value;
  expect(ofSplit(await admin.policy({ set, dryRun: true }))).toBe(100_000);
  expect(ofSplit(await admin.policy())).toBe(96 * 2 ** 20);
  expect(ofSplit(await admin.policy({ set }))).toBe(100_000);
  const shards = async (table: number): Promise<number> =>
    (await admin.survey()).shards.filter(({ entry }) => entry!.table === table).length;
  const [table] = (await client.tables.list()).filter(({ name }) => name === 'birds');
  await until(async () => (await shards(table!.id)) > 1);
  for (const key of keys) expect(Buffer.from((await birds.get(key))!).toString()).toBe(value);
  expect(await shards(1)).toBe(1);
  expect(ofSplit(await admin.policy({ reset: ['splitBytes', 'splitBytesMax', 'mergeBytes'] }))).toBe(96 * 2 ** 20);
});
