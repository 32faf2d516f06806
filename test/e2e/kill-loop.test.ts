/** kill -9 of the real server while a client writes: a sample of what `node test/e2e/kill-loop.ts --rounds 1000` does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { killLoop } from './kill-loop.ts';

it('loses no acknowledged write and applies none by half, over 20 kills', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sparrowkv-kill-'));
  const result = await killLoop({ rounds: 20, seed: 7, directory });
  expect(result.rounds).toBe(20);
  // The loop must have had something to lose.
  expect(result.acknowledged).toBeGreaterThan(500);
  expect(result.undecided).toBeGreaterThan(20);
  expect(result.counted).toBeGreaterThan(100);
  await rm(directory, { recursive: true });
});
