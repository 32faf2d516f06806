/**
 * A cluster of processes, operated by the command line: three nodes, a fourth that joins and takes over, one that is removed, and the loss of the majority.
 * The cases follow one another on the same cluster.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ServerProcess } from '../e2e/server-process.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { type Finished, runCli } from './cli-process.ts';

let directory: string;
let ports: number[];
const nodes = new Map<number, ServerProcess>();

const address = (id: number): string => `127.0.0.1:${ports[2 * id]}`;
const peerAddress = (id: number): string => `127.0.0.1:${ports[2 * id + 1]}`;
const list = (): string => [1, 2, 3].map((id) => `${id}=127.0.0.1:${ports[2 * id]}/${ports[2 * id + 1]}`).join(',');
const data = (id: number): string => join(directory, `data${id}`);

async function start(id: number, options: readonly string[], in_ = data(id)): Promise<ServerProcess> {
  const node = await ServerProcess.start(in_, ports[2 * id], [
    '--config',
    join(directory, 'node.yaml'),
    '--node-id',
    String(id),
    ...options,
  ]);
  nodes.set(id, node);
  return node;
}

/** The command of an operator who knows all addresses, dead ones first. */
function cluster(...operands: string[]): Promise<Finished> {
  const server = [1, 2, 3, 4, 5].map(address).join(',');
  // A machine that runs other tests may be slow.
  return runCli(['cluster', ...operands, '--timeout', '30'], { env: { SPARROWKV_SERVER: server } });
}

async function ok(...operands: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster(...operands);
  expect({ code, stderr, operands }).toEqual({ code: 0, stderr: expect.not.stringContaining('sparrowkv:') as string, operands });
  return stdout.toString();
}

async function refused(code: string, ...operands: string[]): Promise<string> {
  const finished = await cluster(...operands);
  expect(finished.stderr).toContain(`[${code}]`);
  expect(finished.code).toBeGreaterThan(1);
  return finished.stderr;
}

interface Status {
  leaderId: number;
  removedIds: number[];
  members: { id: number; role: number; address: string; node?: { removed: boolean; role: number } }[];
}

async function status(): Promise<Status & { code: number | null }> {
  const { code, stdout } = await cluster('status', '--json');
  return { ...(JSON.parse(stdout.toString()) as Status), code };
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-cluster-'));
  ports = await freePorts(12);
  const engine = '{memoryBytes: 201326592, pageCacheBytes: 4194304, memtableBytes: 4194304}';
  await writeFile(join(directory, 'node.yaml'), `data: unused\nlogLevel: warn\nraft: {tickMs: 50}\nengine: ${engine}\n`);
  await Promise.all([1, 2, 3].map((id) => start(id, ['--cluster', list()])));
});

afterAll(async () => {
  await Promise.all([...nodes.values()].map((node) => node.end('SIGKILL')));
  await rm(directory, { recursive: true });
});

describe('a cluster, by its operator', { timeout: 400_000 }, () => {
  it('is shown as a table and as JSON', async () => {
    await expect.poll(async () => (await status()).leaderId).toBeGreaterThan(0);
    const text = await ok('status');
    expect(text).toMatch(
      /^cluster [0-9a-f]{16}: node [123] leads in term \d+\n\nnode {2}role +address +other nodes at +state +log +behind +shards\n/,
    );
    for (const id of [1, 2, 3])
      expect(text).toMatch(
        new RegExp(`^${id} +voter +${address(id)} +${peerAddress(id)} +(leads|follows) +1 to \\d+ +(-|\\d+) +\\d+, \\d+ led`, 'm'),
      );
  });

  it('takes a node in that waits, and no other', async () => {
    expect(await refused('NODE_UNREACHABLE', 'add-learner', '4', '--address', address(4))).toContain('cannot reach');
    expect(await refused('NODE_UNREACHABLE', 'add-learner', '4', '--address', address(4), '--peer-address', peerAddress(4))).toContain(
      'Is it running',
    );
    await start(4, ['--peer-listen', peerAddress(4), '--join', address(2)]);
    expect(await refused('OTHER_NODE', 'add-learner', '5', '--address', address(4))).toContain('is node 4, not node 5');
    expect(await ok('add-learner', '4', '--address', address(4))).toBe(
      'node 4 is a learner now\nnext: sparrowkv cluster promote 4 --wait\n',
    );
    expect(await ok('promote', '4', '--wait')).toBe('node 4 is a voter now\n');
    expect(await ok('promote', '4')).toBe('node 4 is a voter already\n');
  });

  it('hands the lead over, and goes on with writes', async () => {
    expect(await ok('transfer', '4')).toMatch(/^node 4 leads (now, in term \d+|already)\n$/);
    const put = await runCli(['put', 'bird', 'sparrow'], { env: { SPARROWKV_SERVER: address(3) } });
    expect(put).toMatchObject({ code: 0, stderr: '' });
    expect(await status()).toMatchObject({ code: 0, leaderId: 4 });
  });

  it('lets a node go, which is told so and does not come back', async () => {
    expect(await ok('demote', '1')).toBe('node 1 is a learner now\n');
    expect(await ok('remove', '1')).toContain('node 1 is removed');
    expect(await ok('remove', '1')).toBe('node 1 was removed before\n');
    await expect.poll(async () => (await runCli(['cluster', 'status', '--server', address(1)])).stdout.toString()).toContain('was removed');
    expect(nodes.get(1)!.stderr.join('')).toContain('NODE_REMOVED');
    // Clients that come to it are sent on.
    expect((await runCli(['get', 'bird'], { env: { SPARROWKV_SERVER: address(1) } })).stdout.toString()).toBe('sparrow');
    await nodes.get(1)!.end('SIGTERM');
    await expect(start(1, ['--cluster', list()])).rejects.toThrow('NODE_REMOVED');
    await expect(start(1, ['--peer-listen', peerAddress(1), '--join', address(4)], data(9))).rejects.toThrow('NODE_REMOVED');
    await expect(start(3, ['--peer-listen', peerAddress(1), '--join', address(4)], data(9))).rejects.toThrow(/taken|NODE_ID_TAKEN/);
    expect(await refused('NODE_REMOVED', 'add-learner', '1', '--address', address(1), '--peer-address', peerAddress(1))).toContain(
      'an id is used once',
    );
  });

  it('shows a node that is down, and refuses what would cost the majority', async () => {
    await nodes.get(2)!.end('SIGKILL');
    const text = await ok('status');
    expect(text).toMatch(/^2 +voter +\S+ +\S+ +DOWN.*\(.*ECONNREFUSED.*\)/m);
    expect(text).toContain('removed, and not to be used again: 1');
    await expect.poll(async () => (await cluster('demote', '3')).stderr).toContain('[NO_MAJORITY_AFTER]');
    expect(await refused('HAS_LEADER', 'recover', '--nodes', '4')).toContain('node 4 leads');
  });

  it('puts a new node in the place of a dead one', async () => {
    await start(5, ['--peer-listen', peerAddress(5), '--join', address(3)]);
    const text = await ok('replace', '2', '5', '--address', address(5));
    expect(text).toMatch(/^node 5 is a learner now\nnode 5 votes in the place of node 2\nnode 2 is removed; /);
    const { members, removedIds } = await status();
    expect(members.map(({ id, role }) => [id, role])).toEqual([
      [3, 1],
      [4, 1],
      [5, 1],
    ]);
    expect(removedIds).toEqual([1, 2]);
    expect((await runCli(['get', 'bird'], { env: { SPARROWKV_SERVER: address(5) } })).stdout.toString()).toBe('sparrow');
  });

  it('is recovered from one node when the majority is lost, by a plan that says what it costs', async () => {
    await Promise.all([nodes.get(3)!.end('SIGKILL'), nodes.get(5)!.end('SIGKILL')]);
    await expect.poll(async () => (await status()).code).toBe(1);
    const plan = await ok('recover', '--nodes', '4');
    expect(plan).toMatch(/given up {2}nodes 3, 5: .*\nkept {6}entries up to (\S+); .*\nLOST {6}entries from \S+ on/);
    expect(await refused('NODE_UNREACHABLE', 'recover', '--nodes', '4,3')).toContain('node 3 is not reached');
    expect(await refused('PLAN_CHANGED', 'recover', '--nodes', '4', '--yes', '00000000')).toContain('without --yes');
    const token = /--yes ([0-9a-f]{8})$/m.exec(plan)![1]!;
    expect(await ok('recover', '--nodes', '4', '--yes', token)).toContain('node 4 leads; it votes alone');
    const env = { SPARROWKV_SERVER: address(4) };
    expect((await runCli(['get', 'bird'], { env })).stdout.toString()).toBe('sparrow');
    expect(await runCli(['put', 'bird', 'wren'], { env })).toMatchObject({ code: 0 });
    // Who was given up and comes back all the same, is told.
    await start(3, ['--cluster', list()]);
    await expect.poll(() => nodes.get(3)!.stderr.join('')).toContain('NODE_REMOVED');
    expect(await status()).toMatchObject({ code: 0, leaderId: 4, removedIds: [1, 2, 3, 5], members: [{ id: 4 }] });
  });

  it('says how to use it', async () => {
    const help = await runCli(['help', 'cluster', 'replace']);
    expect(help.stdout.toString()).toContain('sparrowkv cluster replace 2 4 --address');
    expect(await cluster('promote', 'four')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('A node id is asked for') as string,
    });
    expect(await cluster('add-learner', '4')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--address HOST:PORT is needed') as string,
    });
  });
});
