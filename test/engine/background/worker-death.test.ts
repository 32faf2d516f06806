/** A background thread that dies, whatever of, in a real process: who waits for it is told, also when it never lets the event loop turn. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { open } from '../../../engine/index.ts';

const PROCESS = fileURLToPath(new URL('./worker-death-process.ts', import.meta.url));
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-worker-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

it.each([
  ['exit', 'blocking'],
  ['exit', 'awaiting'],
  ['memory', 'blocking'],
  ['terminate', 'blocking'],
  ['terminate', 'awaiting'],
])('%s: a writer that is %s is refused, and what it wrote is found later', async (death, how) => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--import', PROCESS, PROCESS, directory, how], {
    env: { ...process.env, SPARROWKV_DEATH: death },
    timeout: 25_000,
  });
  expect({ ...JSON.parse(stdout || '{}'), stderr: death === 'memory' ? '' : stderr }).toEqual({
    code: 'BACKGROUND_FAILED',
    kind: 'closed',
    flushed: 'BACKGROUND_FAILED',
    read: 500,
    stderr: '',
  });
  await using again = await open(directory, { pageCacheBytes: 2 ** 20 });
  expect(again.getSync('k0')).toHaveLength(500);
});
