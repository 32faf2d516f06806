/** A node that joins a cluster whose first shard has its members: it is known by its id all the same, and removed when it was decommissioned. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { connectAdmin, connectMeta } from '../../client/index.ts';
import { type RunningServer, startServer } from '../../server/index.ts';
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
