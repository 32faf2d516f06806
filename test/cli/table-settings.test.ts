/** `table create` and `alter` with every setting, and what `table show` says of them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../server/index.ts';
import { runCli } from './cli-process.ts';

let directory: string;
let server: RunningServer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-settings-'));
  server = await startServer({ data: directory, listen: '127.0.0.1:0', logLevel: 'silent' });
});

afterAll(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

/** The table as the command says that it is then. */
async function table(...operands: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await runCli(['table', ...operands, '--json', '--timeout', '30'], {
    env: { SPARROWKV_SERVER: server.address },
  });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(stdout.toString());
}

it('takes every setting of a table, and changes each by itself', async () => {
  const made = ['--ttl', '12h', '--durability', 'os', '--inline', '4K', '--max-bytes', '1G', '--max-reads', '50', '--max-writes', '20'];
  const asked = {
    ttlMs: 43_200_000,
    durability: 'os',
    inlineThreshold: 4096,
    quotas: { bytes: 2 ** 30, readsPerSecond: 50, writesPerSecond: 20 },
  };
  expect(await table('create', 't', ...made)).toMatchObject(asked);
  expect(await table('list')).toContainEqual(expect.objectContaining({ name: 't', durability: 'os' }));
  const changes: readonly (readonly [string, string, object])[] = [
    ['--ttl', '0', { ttlMs: 0 }],
    ['--durability', 'synced', { durability: 'synced' }],
    ['--max-bytes', '0', { quotas: { bytes: 0, readsPerSecond: 50, writesPerSecond: 20 } }],
    ['--max-reads', '7', { quotas: { bytes: 0, readsPerSecond: 7, writesPerSecond: 20 } }],
    ['--max-writes', '0', { quotas: { bytes: 0, readsPerSecond: 7, writesPerSecond: 0 } }],
  ];
  for (const [option, value, changed] of changes)
    expect(await table('alter', 't', option, value)).toMatchObject(Object.assign(asked, changed));
  expect(await table('show', 't')).toMatchObject(asked);
});
