/** A cluster as an operator runs it: three processes, flags, signals. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Client, connect } from '../../client/index.ts';
import { unusedPorts } from '../unused-ports.ts';
import { ServerProcess } from './server-process.ts';

let directory: string;
let ports: number[];
let nodes: ServerProcess[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-nodes-'));
  ports = await unusedPorts(6);
  nodes = await Promise.all([1, 2, 3].map((id) => start(id)));
});
afterEach(async () => {
  await Promise.all(nodes.map((node) => node.end('SIGKILL')));
  await rm(directory, { recursive: true, force: true });
});

function start(id: number, options: readonly string[] = []): Promise<ServerProcess> {
  const list = [1, 2, 3].map((each) => `${each}=127.0.0.1:${ports[2 * each - 2]}/${ports[2 * each - 1]}`).join(',');
  return ServerProcess.start(join(directory, String(id)), ports[2 * id - 2], ['--node-id', String(id), '--cluster', list, ...options]);
}

async function asleep(metricsPort: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  return /^sparrowkv_raft_asleep\{shard="1"\} 1$/m.test(await response.text());
}

function client(): Client {
  return connect(
    nodes.map(({ address }) => address),
    { timeoutMs: 30_000 },
  );
}

async function leaderOf(clients: Client): Promise<number> {
  let leader = 0;
  await expect.poll(async () => (leader = (await clients.status()).replica?.leaderId ?? 0)).toBeGreaterThan(0);
  return leader;
}

describe('three processes', () => {
  it('lose nothing when the leader is killed, and nothing when all of them are', async () => {
    await using one = client();
    for (let i = 0; i < 50; i++) await one.put(`k${i}`, `${i}`);
    const leader = await leaderOf(one);
    await nodes[leader - 1]!.end('SIGKILL');
    for (let i = 50; i < 100; i++) await one.put(`k${i}`, `${i}`);
    nodes[leader - 1] = await start(leader);
    await Promise.all(nodes.map((node) => node.end('SIGKILL')));
    nodes = await Promise.all([1, 2, 3].map((id) => start(id)));
    await using other = client();
    for (let i = 0; i < 100; i++) expect(Buffer.from((await other.get(`k${i}`)) ?? []).toString()).toBe(`${i}`);
  });

  it('miss one that stands still while the group sleeps, and go on without it', async () => {
    await Promise.all(nodes.map((node) => node.end('SIGKILL')));
    const metrics = await unusedPorts(3);
    nodes = await Promise.all([1, 2, 3].map((id) => start(id, ['--metrics-address', `127.0.0.1:${metrics[id - 1]}`])));
    await using one = client();
    await one.put('k', 'v');
    const leader = await leaderOf(one);
    await expect.poll(async () => (await Promise.all(metrics.map(asleep))).every(Boolean), { interval: 250 }).toBe(true);
    nodes[leader - 1]!.child.kill('SIGSTOP');
    const others = metrics.filter((_, i) => i !== leader - 1);
    // Nobody calls: the others find out by themselves.
    await expect.poll(async () => (await Promise.all(others.map(asleep))).every((is) => !is), { interval: 100 }).toBe(true);
    await one.put('k', 'w');
    nodes[leader - 1]!.child.kill('SIGCONT');
    expect(Buffer.from((await one.get('k')) ?? []).toString()).toBe('w');
  });

  it('stop one after another by SIGTERM and start again, and no call fails', async () => {
    await using one = client();
    await one.put('k', 'v');
    let over = false;
    const counts = Array.from({ length: 4 }, async (_, caller) => {
      let written = 0;
      for (; !over; written++) await one.put(`${caller}/${written}`, `${written}`);
      return written;
    });
    for (const id of [1, 2, 3]) {
      const begun = performance.now();
      expect(await nodes[id - 1]!.end('SIGTERM')).toBe(0);
      expect(performance.now() - begun).toBeLessThan(10_000);
      nodes[id - 1] = await start(id);
      await one.put(`after ${id}`, 'v');
    }
    over = true;
    for (const [caller, count] of (await Promise.all(counts)).entries()) {
      expect(count).toBeGreaterThan(10);
      expect(Buffer.from((await one.get(`${caller}/${count - 1}`))!).toString()).toBe(`${count - 1}`);
    }
    for (const node of nodes) expect(node.stderr.join('')).not.toMatch(/ASSERTION|Error:/);
  });
});
