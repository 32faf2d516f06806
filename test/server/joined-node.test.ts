/**
 * A node that joins a cluster whose first shard has its members: it is known by its id and its directory all the same, removed when it was decommissioned, and
 * refused when it comes back with another directory.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { NodeFileSystem, NodeRandom } from '../../base/node/index.ts';
import { connectAdmin, connectMeta } from '../../client/index.ts';
import { type RunningServer, startServer } from '../../server/index.ts';
import { openIdentity } from '../../server/node/index.ts';
import { unusedPorts } from '../unused-ports.ts';
import { TestCluster, until } from './test-cluster.ts';

const JOINED = 7;

it('its id is used, and used up when it was decommissioned while it was away: it comes back as a removed one', async () => {
  await using cluster = await TestCluster.start(3);
  const addresses = Object.values(cluster.nodes).map(({ address }) => address);
  using meta = connectMeta(addresses);
  const [listen, peerListen] = (await unusedPorts(2)).map((port) => `127.0.0.1:${port}`);
  const start = (more: { join?: string } = {}): Promise<RunningServer> =>
    startServer({ data: join(cluster.directory, 'joined'), nodeId: JOINED, listen, peerListen, logLevel: 'silent', ...more });
  const freeIds = (): Promise<number[]> =>
    Promise.all(
      addresses.map(async (address) => {
        using admin = connectAdmin([address]);
        return (await admin.status()).status.freeId;
      }),
    );

  const first = await start({ join: addresses[0]! });
  await until(async () => (await meta.survey()).nodes.some(({ entry, state }) => entry?.node === JOINED && state === 'up'));
  await until(async () => (await freeIds()).every((id) => id === JOINED + 1));
  await first.close();

  await meta.operate({ operation: { $case: 'decommission', value: { node: JOINED } }, dryRun: false });
  await until(async () => (await meta.survey()).nodes.some(({ entry, state }) => entry?.node === JOINED && state === 'removed'));
  expect(await freeIds()).toEqual([JOINED + 1, JOINED + 1, JOINED + 1]);

  const again = await start();
  using admin = connectAdmin([again.address]);
  await until(async () => (await admin.status()).status.node?.removed === true);
  await again.close();
  await expect(start()).rejects.toMatchObject({ kind: 'invalid', code: 'NODE_REMOVED' });
});

it('its id is not for another directory: refused before it is written, and by the metaserver where nobody could tell before', async () => {
  await using cluster = await TestCluster.start(3);
  const addresses = Object.values(cluster.nodes).map(({ address }) => address);
  using meta = connectMeta(addresses);
  using admin = connectAdmin([addresses[0]!]);
  const [listen, peerListen] = (await unusedPorts(2)).map((port) => `127.0.0.1:${port}`);
  const start = (name: string): Promise<RunningServer> =>
    startServer({ data: join(cluster.directory, name), nodeId: JOINED, listen, peerListen, join: addresses[0]!, logLevel: 'silent' });
  const registered = async (): Promise<number[]> => (await admin.status()).status.registeredIds;

  const first = await start('joined');
  await until(async () => (await registered()).includes(JOINED));
  await first.close();

  const refusal = { kind: 'invalid', code: 'NODE_ID_TAKEN', details: { field: 'nodeId', node: JOINED, free: JOINED + 1 } };
  await expect(start('lost')).rejects.toMatchObject(refusal);
  expect(existsSync(join(cluster.directory, 'lost', 'node.json'))).toBe(false);

  // As one that asked a node that had not been told yet.
  const unaware = join(cluster.directory, 'unaware');
  mkdirSync(unaware);
  const clusterId = BigInt(`0x${(await admin.status()).status.clusterId}`);
  openIdentity(new NodeFileSystem(), unaware, { nodeId: JOINED, clusterId, voters: [] }, new NodeRandom());
  const second = await start('unaware');
  expect(await second.failed).toMatchObject(refusal);
  await second.close();
  expect(await registered()).toContain(JOINED);

  const again = await start('joined');
  await until(async () => (await meta.survey()).nodes.some(({ entry, state }) => entry?.node === JOINED && state === 'up'));
  await again.close();
});
