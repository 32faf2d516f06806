/** Nodes that join a running one, and what joining is refused for; servers in this process. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ClusterAdmin, connectAdmin } from '../../client/index.ts';
import { type RunningServer, type ServerSettingsInput, startServer } from '../../server/index.ts';
import { freePorts } from '../cluster/free-ports.ts';

let directory: string;
let ports: number[];
const running: RunningServer[] = [];

const address = (id: number): string => `127.0.0.1:${ports[2 * id]}`;
const peerAddress = (id: number): string => `127.0.0.1:${ports[2 * id + 1]}`;

async function start(id: number, settings: Partial<ServerSettingsInput> = {}): Promise<RunningServer> {
  const server = await startServer({
    data: join(directory, String(id)),
    nodeId: id,
    listen: address(id),
    peerListen: peerAddress(id),
    logLevel: 'silent',
    raft: { tickMs: 50 },
    engine: { memoryBytes: 192 << 20, pageCacheBytes: 4 << 20, memtableBytes: 4 << 20 },
    ...settings,
  });
  running.push(server);
  return server;
}

/** A transfer is given up when it takes longer than an election. */
async function handOver(admin: ClusterAdmin, to: number): Promise<void> {
  const leader = async (): Promise<number> => {
    expect(await admin.transferLead(to)).toBe(to);
    return (await admin.leaderStatus()).status.leaderId;
  };
  await expect.poll(leader).toBe(to);
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-join-'));
  ports = await freePorts(12);
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
  rmSync(directory, { recursive: true });
});

describe('a node that is alone', () => {
  it('is where its settings say, also when they say something else later, and grows to a cluster', async () => {
    const first = await start(1);
    await first.close();
    await start(1, { listen: address(4), peerListen: peerAddress(4) });
    using admin = connectAdmin(address(4), { timeoutMs: 60_000 });
    await expect
      .poll(async () => (await admin.statusOf(address(4))).members[0])
      .toMatchObject({ id: 1, address: address(4), peerAddress: peerAddress(4) });
    for (const id of [2, 3]) {
      await start(id, { join: address(4) });
      await admin.changeMembers({ type: 'add-learner', node: { id, address: address(id), peerAddress: peerAddress(id) } });
      await expect
        .poll(async () =>
          admin.changeMembers({ type: 'promote', id }).then(
            () => 'done',
            (error: { code: string }) => error.code,
          ),
        )
        .toBe('done');
    }
    // Who joined is found by the others, and by who asks any of them.
    await expect
      .poll(async () => (await admin.statusOf(address(3))).members.map(({ id, role }) => [id, role]))
      .toEqual([
        [1, 1],
        [2, 1],
        [3, 1],
      ]);
    await expect.poll(async () => (await admin.statusOf(address(3))).members.every(({ reachable }) => reachable)).toBe(true);
    await handOver(admin, 3);
  });
});

describe('a node that waits', () => {
  it('finds a leader that came after it asked, and is there again after a restart', async () => {
    const first = await start(1);
    using admin = connectAdmin(address(1), { timeoutMs: 60_000 });
    const waiting = await start(3, { join: address(1) });
    await start(2, { join: address(1) });
    const add = (id: number): Promise<void> =>
      admin.changeMembers({ type: 'add-learner', node: { id, address: address(id), peerAddress: peerAddress(id) } });
    await add(2);
    await expect
      .poll(async () =>
        admin.changeMembers({ type: 'promote', id: 2 }).then(
          () => 'done',
          (error: { code: string }) => error.code,
        ),
      )
      .toBe('done');
    await handOver(admin, 2);
    await waiting.close();
    // It knows its cluster from its own directory; without what is noted there, it has to be told.
    const noted = join(directory, '3', 'nodes.json');
    const bytes = readFileSync(noted);
    rmSync(noted);
    await expect(start(3)).rejects.toMatchObject({ code: 'JOIN_NEEDED' });
    writeFileSync(noted, bytes.subarray(1));
    await expect(start(3)).rejects.toMatchObject({ code: 'JOIN_NEEDED' });
    writeFileSync(noted, bytes);
    await expect(start(3, { peerListen: undefined })).rejects.toMatchObject({ code: 'CLUSTER_NEEDED', details: { field: 'peerListen' } });
    await start(3);
    await add(3);
    await expect.poll(async () => (await admin.statusOf(address(3))).members.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect((await admin.statusOf(address(3))).leaderId).toBe(2);
    expect(first.settings.nodeId).toBe(1);
  });

  it('waits, and says so, until then', async () => {
    await start(1);
    await start(2, { join: address(1) });
    using admin = connectAdmin(address(2), { timeoutMs: 60_000 });
    const status = await admin.statusOf(address(2));
    expect(status).toMatchObject({ leaderId: 0, members: [], node: { id: 2, address: address(2), peerAddress: peerAddress(2) } });
    expect(status.clusterId).toBe((await admin.statusOf(address(1))).clusterId);
  });
});

it('a node that lost its data is not let in as if it began', async () => {
  const cluster = Object.fromEntries([1, 2, 3].map((id) => [id, { address: address(id), peerAddress: peerAddress(id) }]));
  const servers = await Promise.all([1, 2, 3].map((id) => start(id, { cluster })));
  using admin = connectAdmin([address(1), address(2), address(3)], { timeoutMs: 60_000 });
  const begun = async (): Promise<boolean[]> => (await admin.leaderStatus()).status.members.map((member) => member.begun);
  await expect.poll(begun).toEqual([true, true, true]);
  await servers[1]!.close();
  const other = join(directory, 'other');
  await expect(start(2, { cluster, data: other })).rejects.toMatchObject({ code: 'NODE_DATA_LOST', details: { node: 2, free: 4 } });
  expect(existsSync(join(other, 'node.json'))).toBe(false);
  // With its own it is welcome.
  await start(2, { cluster });
  await expect.poll(async () => (await admin.statusOf(address(2))).leaderId).toBeGreaterThan(0);
});

it('a node that has moved is heard again when the others are told where it is, and is found there from then on', async () => {
  const cluster = Object.fromEntries([1, 2, 3].map((id) => [id, { address: address(id), peerAddress: peerAddress(id) }]));
  const servers = await Promise.all([1, 2, 3].map((id) => start(id, { cluster })));
  using admin = connectAdmin([address(1), address(2)], { timeoutMs: 60_000 });
  await handOver(admin, 1);
  await servers[2]!.close();
  const there = { address: address(5), peerAddress: peerAddress(5) };
  await start(3, { cluster, listen: there.address, peerListen: there.peerAddress });
  // Nothing is changed by an address where another one is.
  const wrong = { id: 3, address: there.address, peerAddress: peerAddress(2) };
  await expect(admin.changeMembers({ type: 'set-addresses', node: wrong })).rejects.toMatchObject({ code: 'ADDRESS_TAKEN' });
  await admin.changeMembers({ type: 'set-addresses', node: { id: 3, ...there } });
  const third = async (): Promise<object | undefined> => (await admin.leaderStatus()).status.members[2];
  await expect.poll(third).toMatchObject({ id: 3, ...there, reachable: true, progress: { lag: 0 } });
  await servers[1]!.close();
  await start(2, { cluster });
  await expect.poll(async () => (await admin.statusOf(address(2))).members[2]).toMatchObject({ ...there, reachable: true });
});

describe('joining is refused', () => {
  it('where there is no cluster to be joined, before anything is made', async () => {
    await start(1, { peerListen: undefined });
    await expect(start(2, { join: address(1) })).rejects.toMatchObject({ code: 'NO_CLUSTER', details: { address: address(1) } });
    expect(existsSync(join(directory, '2', 'node.json'))).toBe(false);
  });

  it('by a node that waits itself, and under an id that is taken', async () => {
    await start(1);
    await start(2, { join: address(1) });
    await expect(start(3, { join: address(2) })).rejects.toMatchObject({ code: 'NO_CLUSTER' });
    await expect(
      start(1, { data: join(directory, 'other'), listen: address(3), peerListen: peerAddress(3), join: address(1) }),
    ).rejects.toMatchObject({
      code: 'NODE_ID_TAKEN',
      details: { node: 1, free: 2 },
    });
  });

  it('by a node that was started without it before: it has begun a cluster of its own', async () => {
    await start(1);
    const alone = await start(2);
    await alone.close();
    await expect(start(2, { join: address(1) })).rejects.toMatchObject({ code: 'OTHER_CLUSTER', details: { field: 'join' } });
  });

  it('at the port for other nodes', async () => {
    await start(1);
    const refused = { code: 'NO_CLUSTER', message: expect.stringContaining('port for other nodes') as string };
    await expect(start(2, { join: peerAddress(1) })).rejects.toMatchObject(refused);
  });

  it.each([
    [{ cluster: { 4: { address: 'h:1', peerAddress: 'h:2' } } }, 'join'],
    [{ nodeId: undefined }, 'nodeId'],
    [{ peerListen: undefined }, 'peerListen'],
    [{ join: '0.0.0.0:7400' }, 'join'],
    [{ join: 'nowhere' }, 'join'],
  ])('with settings that do not go together: %j', async (settings, field) => {
    await expect(start(4, { join: '127.0.0.1:7400', ...settings })).rejects.toMatchObject({ code: 'OPTION_RANGE', details: { field } });
  });
});
