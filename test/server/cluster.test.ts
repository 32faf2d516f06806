/** Servers that are nodes of one cluster, as their clients and operators meet them. */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../../client/index.ts';
import { Role } from '../../proto/index.ts';
import { startServer } from '../../server/index.ts';
import { http, parse } from './metrics/scrape.ts';
import { unusedPorts } from '../unused-ports.ts';
import { TestCluster, until } from './test-cluster.ts';

let cluster: TestCluster;
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

describe('three nodes', () => {
  it('have one leader, which clients find by any of them; what is written is on all', async () => {
    cluster = await TestCluster.start(3);
    const leader = await cluster.leader();
    for (const { address } of Object.values(cluster.nodes)) {
      await using client = connect(address);
      await client.put(`by ${address}`, 'v');
      expect(text(await client.get(`by ${address}`))).toBe('v');
    }
    await cluster.settled();
    const states = await Promise.all(cluster.ids.map((id) => cluster.status(id)));
    expect(new Set(states.map(({ clusterId }) => clusterId)).size).toBe(1);
    expect(states[0]!.clusterId).toMatch(/^[0-9a-f]{16}$/);
    for (const { members, replica } of states) {
      expect(members).toEqual(cluster.ids.map((id) => ({ id, address: cluster.nodes[id]!.address })));
      expect(replica).toMatchObject({ leaderId: leader, role: replica!.id === leader ? Role.LEADER : Role.FOLLOWER });
    }
  });

  it('go on when the leader dies; it comes back and catches up', async () => {
    cluster = await TestCluster.start(3);
    await using client = cluster.client({ timeoutMs: 30_000 });
    await client.put('before', '1');
    const leader = await cluster.leader();
    await cluster.kill(leader);
    await client.put('without it', '2');
    expect(text(await client.get('before'))).toBe('1');
    expect(await cluster.leader()).not.toBe(leader);
    await cluster.start(leader);
    await cluster.settled();
    expect((await cluster.status(leader)).replica?.role).toBe(Role.FOLLOWER);
    // Nobody else has it all now.
    const other = cluster.ids.find((id) => id !== leader)!;
    await cluster.kill(other);
    expect(text(await client.get('without it'))).toBe('2');
  });

  it('find everything when all of them are started again, and answer nothing while there is no majority', async () => {
    cluster = await TestCluster.start(3);
    {
      await using client = cluster.client();
      for (let i = 0; i < 100; i++) await client.put(`k${i}`, 'v'.repeat(2000));
    }
    for (const id of cluster.ids) await cluster.kill(id);
    expect((await cluster.start(2)).found.data).toBe(true);
    await using impatient = connect(cluster.nodes[2]!.address, { timeoutMs: 1500 });
    await expect(impatient.get('k1')).rejects.toMatchObject({ kind: 'unavailable' });
    expect((await cluster.status(2)).replica?.leaderId).toBe(0);
    await cluster.start(1);
    await using client = cluster.client({ timeoutMs: 30_000 });
    for (let i = 0; i < 100; i++) expect(text(await client.get(`k${i}`))).toBe('v'.repeat(2000));
    await cluster.start(3);
    await cluster.settled();
  });

  it('bring a node that was away for too long up to date by a snapshot', async () => {
    cluster = await TestCluster.start(3, {
      raft: { tickMs: 50, logKeptBytesMax: 0, keptBytesMax: 0, checkpointBytes: 64 * 1024, segmentBytes: 64 * 1024 },
    });
    await using client = cluster.client({ timeoutMs: 30_000 });
    const away = cluster.ids.find((id) => id !== 1)!;
    await client.put('k0', 'before');
    await cluster.stop(away);
    for (let i = 1; i <= 300; i++) await client.put(`k${i}`, 'v'.repeat(3000));
    const rest = cluster.ids.filter((id) => id !== away);
    await until(async () => (await Promise.all(rest.map((id) => cluster.status(id)))).every(({ replica }) => replica!.firstIndex > 100));
    const { metricsAddress } = await cluster.start(away, { metricsAddress: '127.0.0.1:0' });
    await cluster.settled();
    // The metaserver's group may have needed one, too.
    expect(parse((await http(metricsAddress!)).body).values.get('sparrowkv_raft_snapshots_installed_total')).toBeGreaterThan(0);
    await cluster.kill(rest[0]!);
    await until(async () => text(await client.get('k300')) === 'v'.repeat(3000));
    expect(text(await client.get('k0'))).toBe('before');
  });

  it('give back to a node what its disk has lost: its engine, entries of its log', async () => {
    cluster = await TestCluster.start(3, { raft: { segmentBytes: 64 << 10, checkpointBytes: 1 << 30 } });
    await using client = cluster.client({ timeoutMs: 30_000 });
    for (let i = 0; i < 60; i++) await client.put(`k${i}`, `${i}`.padEnd(3000));
    const leader = await cluster.leader();
    await cluster.settled();
    const [engineless, holed] = cluster.ids.filter((id) => id !== leader) as [number, number];
    const has = async (id: number): Promise<void> => {
      await cluster.settled();
      const { address } = cluster.nodes[id]!;
      await using own = connect(address, { timeoutMs: 30_000 });
      for (let i = 0; i < 60; i += 7) {
        expect(text(await own.get(`k${i}`, { from: 'any' }))).toBe(`${i}`.padEnd(3000));
      }
    };

    // What its engine has not in tables is in the log alone, as long as it has sent nobody a copy.
    await cluster.kill(holed);
    const log = join(cluster.data(holed), 'log');
    // Somewhere in the value of an early entry, in whichever segment that is.
    const value = Buffer.from('5'.padEnd(3000));
    const hit = readdirSync(log)
      .filter((name) => name.endsWith('.raft'))
      .map((name) => ({ path: join(log, name), bytes: readFileSync(join(log, name)) }))
      .find(({ bytes }) => bytes.includes(value))!;
    hit.bytes[hit.bytes.indexOf(value) + 100]! ^= 1;
    writeFileSync(hit.path, hit.bytes);
    const { metricsAddress } = await cluster.start(holed, { metricsAddress: '127.0.0.1:0' });
    expect(parse((await http(metricsAddress!)).body).values.get('sparrowkv_raft_entries_mended_total')).toBeGreaterThan(0);
    await has(holed);

    await cluster.stop(engineless);
    const slot = join(cluster.data(engineless), 'groups', '000001', 'a', 'files');
    for (const name of readdirSync(slot).filter((each) => each.startsWith('MANIFEST')))
      writeFileSync(join(slot, name), 'nothing of it is left');
    await cluster.start(engineless);
    await has(engineless);
  });

  it('tell Prometheus of themselves and each other', async () => {
    cluster = await TestCluster.start(3, { metricsAddress: '127.0.0.1:0' });
    const leader = await cluster.leader();
    await using client = cluster.client();
    await client.put('k', 'v');
    await cluster.settled();
    for (const id of cluster.ids) {
      const { values } = parse((await http(cluster.server(id).metricsAddress!)).body);
      expect([
        values.get('sparrowkv_serving'),
        values.get('sparrowkv_raft_leader_id{shard="1"}'),
        values.get('sparrowkv_raft_leader{shard="1"}'),
      ]).toEqual([1, leader, Number(id === leader)]);
      expect(values.get(`sparrowkv_raft_role{shard="1",role="${id === leader ? 'leader' : 'follower'}"}`)).toBe(1);
      expect(values.get('sparrowkv_raft_members{shard="1",as="voter"}')).toBe(3);
      for (const peer of cluster.ids.filter((other) => other !== id)) {
        expect(values.get(`sparrowkv_peer_reachable{peer="${peer}"}`)).toBe(1);
      }
      const other = id === leader ? cluster.ids.find((one) => one !== id)! : leader;
      expect(values.get(`sparrowkv_peer_sent_bytes_total{peer="${other}"}`)).toBeGreaterThan(0);
    }
  });
});

describe('a data directory', () => {
  it('of another node is refused, and so is that of a node of another cluster', async () => {
    cluster = await TestCluster.start(3);
    await using client = cluster.client();
    await client.put('k', 'v');
    const { clusterId } = await cluster.status(1);
    await cluster.stop(1);
    await expect(cluster.start(1, { data: cluster.data(2) })).rejects.toMatchObject({ code: 'LOCKED' });
    await cluster.stop(2);
    await expect(cluster.start(1, { data: cluster.data(2) })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'OTHER_NODE',
      message: `${cluster.data(2)} is that of node 2 of cluster ${clusterId}, and not of node 1`,
    });
    await expect(cluster.start(1, { clusterName: 'another' })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'OTHER_CLUSTER',
      message: expect.stringMatching(
        new RegExp(`node 1 of cluster ${clusterId} \\(it began with nodes 1, 2, 3\\).* cluster [0-9a-f]{16}:`),
      ),
    });
    // Refusing has harmed nothing.
    await cluster.start(1);
    await cluster.start(2);
    expect(text(await client.get('k'))).toBe('v');
  });

  it('of a node of several is not served by a node alone', async () => {
    cluster = await TestCluster.start(3);
    await cluster.stop(1);
    await expect(startServer({ data: cluster.data(1), listen: '127.0.0.1:0', logLevel: 'silent' })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'CLUSTER_NEEDED',
      message: expect.stringContaining('one of the nodes 1, 2, 3'),
    });
    await cluster.start(1);
  });

  it('of which a copy is started beside it is that of one node: the copy ends', async () => {
    cluster = await TestCluster.start(3);
    await using client = cluster.client({ timeoutMs: 30_000 });
    await client.put('k', 'v');
    await cluster.stop(3);
    const copy = join(cluster.directory, 'copy');
    cpSync(cluster.data(3), copy, { recursive: true });
    await cluster.start(3);
    await cluster.settled();
    const [port, peerPort] = await unusedPorts(2);
    const elsewhere = { listen: `127.0.0.1:${port}`, peerListen: `127.0.0.1:${peerPort}` };
    await using second = await startServer({
      data: copy,
      nodeId: 3,
      cluster: cluster.nodes,
      ...elsewhere,
      raft: { tickMs: 50 },
      logLevel: 'silent',
    });
    expect(await second.failed).toMatchObject({ code: 'NODE_TWICE', message: expect.stringContaining(cluster.nodes[3]!.peerAddress) });
    await client.put('k', 'w');
    await cluster.settled();
    expect((await cluster.status(3)).replica).toMatchObject({ id: 3 });
  });

  it('that has lost the file that says whose it is, is refused', async () => {
    cluster = await TestCluster.start(1);
    await cluster.stop(1);
    await rm(join(cluster.data(1), 'node.json'));
    await expect(cluster.start(1)).rejects.toMatchObject({ kind: 'corrupt', code: 'CORRUPT_NODE_FILE' });
  });

  it('of a node that stopped can be moved', async () => {
    cluster = await TestCluster.start(1);
    {
      await using client = cluster.client();
      await client.put('k', 'v');
    }
    await cluster.stop(1);
    await rename(cluster.data(1), join(cluster.directory, 'moved'));
    await cluster.start(1, { data: join(cluster.directory, 'moved') });
    await using client = cluster.client();
    expect(text(await client.get('k'))).toBe('v');
  });
});

describe('nodes of different clusters', () => {
  it('do not speak with each other, though they have the same addresses', async () => {
    cluster = await TestCluster.start(3);
    await using client = cluster.client();
    await client.put('k', 'v');
    await cluster.stop(3);
    rmSync(cluster.data(3), { recursive: true });
    const { metricsAddress } = await cluster.start(3, { clusterName: 'another', metricsAddress: '127.0.0.1:0' });
    await until(async () => {
      const { replica } = await cluster.status(3);
      return replica?.role !== Role.FOLLOWER;
    });
    const { values } = parse((await http(metricsAddress!)).body);
    expect([values.get('sparrowkv_peer_reachable{peer="1"}'), values.get('sparrowkv_peer_heard{peer="1"}')]).toEqual([0, 0]);
    expect((await cluster.status(3)).replica).toMatchObject({ leaderId: 0, lastIndex: 0 });
    expect(text(await client.get('k'))).toBe('v');
  });
});

describe('stopping', () => {
  it('hands the lead over: nodes are stopped and started again one after another, and no call fails', async () => {
    cluster = await TestCluster.start(3);
    await using client = cluster.client({ timeoutMs: 30_000 });
    let over = false;
    let written = 0;
    const failures: unknown[] = [];
    const callers = Array.from({ length: 8 }, async (_, caller) => {
      for (let i = 0; !over; i++) {
        try {
          await client.put(`${caller}/${i}`, String(i));
          if (text(await client.get(`${caller}/${i}`)) !== String(i)) throw new Error(`${caller}/${i} is lost`);
          written++;
        } catch (error) {
          failures.push(error);
        }
      }
    });
    let scans = 0;
    const scanner = (async () => {
      for (; !over; scans++) {
        const known = written;
        let found = 0;
        try {
          for await (const _ of client.scan({ keysOnly: true })) found++;
          if (found < known) throw new Error(`a scan found ${found} of ${known} keys`);
        } catch (error) {
          failures.push(error);
        }
      }
    })();
    for (const id of [await cluster.leader(), ...cluster.ids]) {
      const begun = performance.now();
      const before = written;
      await cluster.stop(id);
      expect(performance.now() - begun).toBeLessThan(10_000);
      await until(() => written > before + 50);
      await cluster.start(id);
      await cluster.settled();
    }
    over = true;
    await Promise.all([...callers, scanner]);
    expect(failures).toEqual([]);
    expect(scans).toBeGreaterThan(3);
    await cluster.settled();
  });

  it('of all at once comes to an end in time', async () => {
    cluster = await TestCluster.start(3);
    await using client = cluster.client({ timeoutMs: 2000 });
    await client.put('k', 'v');
    const begun = performance.now();
    await Promise.all(cluster.ids.map((id) => cluster.stop(id)));
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});
