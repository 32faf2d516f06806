/** `sparrowkv engine ...` with the directory of a server: the first shard's store, or that of the shard that is named. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect } from '../../client/index.ts';
import { startServer } from '../../server/index.ts';
import { runCli } from './cli-process.ts';

const scratch = mkdtempSync(join(tmpdir(), 'sparrowkv-engine-of-server-'));
const data = join(scratch, 'data');
const FIRST = 16;

beforeAll(async () => {
  await using server = await startServer({ data, listen: '127.0.0.1:0', logLevel: 'silent' });
  await using client = connect(server.address);
  await client.put('greeting', 'hello');
  await client.tables.create('birds', { partitioning: { range: ['m'] } });
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it('is about the first shard, and says that there are others', async () => {
  const { code, stdout, stderr } = await runCli(['engine', 'verify', data]);
  expect([code, stdout.toString()]).toEqual([0, expect.stringContaining(`${join(data, 'groups/000001/a/files')} is whole`)]);
  expect(stderr).toBe(
    `${data} is a server's, and this is about its first shard; 2 others: ${join(data, `groups/0000${FIRST}`)} and so on\n`,
  );
});

it('is about the shard whose directory is named', async () => {
  for (const shard of [FIRST, FIRST + 1]) {
    const { code, stdout, stderr } = await runCli(['engine', 'verify', `groups/0000${shard}/`], { cwd: data });
    expect([code, stdout.toString(), stderr]).toEqual([0, expect.stringContaining(`groups/0000${shard}/a/files is whole`), '']);
  }
  const missing = await runCli(['engine', 'verify', join(data, 'groups/000099')]);
  expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('holds no data of shard 99 [NOT_A_STORE]')]);
});
