/** Two of three nodes are lost for good, and with them the majority of every shard: one after the other is recovered from the node that is left. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { ServerProcess } from '../e2e/server-process.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { type Finished, runCli } from './cli-process.ts';

let directory: string;
let ports: number[];
let nodes: ServerProcess[];

const env = (): Record<string, string> => ({ SPARROWKV_SERVER: `127.0.0.1:${ports[0]}` });
// A machine that runs other tests may be slow.
const run = (...operands: string[]): Promise<Finished> => runCli([...operands, '--timeout', '30'], { env: env() });

async function ok(...operands: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...operands);
  expect({ code, stderr, operands }).toMatchObject({ code: 0, operands });
  return stdout.toString();
}

async function recover(...options: string[]): Promise<string> {
  const plan = await ok('cluster', 'recover', ...options, '--nodes', '1');
  expect(plan).toMatch(/^given up {2}nodes 2, 3: .*\nkept .*\nLOST {6}entries from \S+ on/m);
  return ok('cluster', 'recover', ...options, '--nodes', '1', '--yes', /--yes ([0-9a-f]{8})$/m.exec(plan)![1]!);
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-recover-'));
  ports = await freePorts(6);
  const list = [1, 2, 3].map((id) => `${id}=127.0.0.1:${ports[2 * id - 2]}/${ports[2 * id - 1]}`).join(',');
  const engine = '{memoryBytes: 201326592, pageCacheBytes: 4194304, memtableBytes: 4194304}';
  const config = join(directory, 'node.yaml');
  await writeFile(config, `data: unused\nlogLevel: warn\nraft: {tickMs: 50}\nengine: ${engine}\n`);
  const start = (id: number): Promise<ServerProcess> =>
    ServerProcess.start(join(directory, `data${id}`), ports[2 * id - 2], ['--config', config, '--node-id', String(id), '--cluster', list]);
  nodes = await Promise.all([1, 2, 3].map(start));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.end('SIGKILL')));
  await rm(directory, { recursive: true, force: true });
});

it('recovers the first shard, the metaserver and a table, each by a plan of its own', { timeout: 180_000 }, async () => {
  await expect.poll(async () => (await run('table', 'create', 'birds', '--replicas', '3')).code).toBe(0);
  await ok('put', 'wren', 'small', '--table', 'birds');
  expect((await run('cluster', 'recover', '--shard', '16', '--nodes', '1')).stderr).toContain('[HAS_LEADER]');
  expect((await run('cluster', 'recover', '--shard', '99', '--nodes', '1')).stderr).toContain('[NO_REPLICA]');
  await Promise.all(nodes.slice(1).map((node) => node.end('SIGKILL')));
  await expect.poll(async () => (await run('cluster', 'status')).code).toBe(1);
  const plan = JSON.parse(await ok('cluster', 'recover', '--nodes', '1', '--json')) as { token: string };
  expect(plan).toMatchObject({ leader: 1, left: [1], lost: [2, 3] });
  const text = await ok('cluster', 'recover', '--nodes', '1');
  expect(text).toContain(`--yes ${plan.token}`);
  expect(await recover()).toContain('node 1 leads; it votes alone');
  for (const shard of ['2', '16']) {
    const text = await recover('--shard', shard);
    expect(text).toContain('node 1 leads; it votes alone');
    expect(text).toContain(`sparrowkv cluster release ${shard}`);
  }
  expect(await ok('get', 'wren', '--table', 'birds')).toBe('small');
  await ok('put', 'wren', 'loud', '--table', 'birds');
  // What the metaserver says is as of the last report.
  await expect.poll(() => ok('cluster', 'shards', '--table', 'birds')).toMatch(/^16 +birds .* 1\* .*by hand/m);
});
