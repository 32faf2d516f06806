/** A sample of what kill-loop.ts does a thousand times. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Durability } from '../../engine/index.ts';
import { killRounds } from './kill-rounds.ts';

const ROUNDS = 8;
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-kill-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe('a process that embeds the engine and is killed', () => {
  it.each<Durability>(['os', 'synced'])(
    'loses nothing that was acknowledged (%s), and no batch in part',
    { timeout: ROUNDS * 10_000 },
    async (durability) => {
      const result = await killRounds({ directory, durability, rounds: ROUNDS, seed: 1, anyMoment: true });
      expect(result.acknowledged).toBeGreaterThan(ROUNDS);
      expect(result.batches).toBeGreaterThanOrEqual(result.acknowledged);
    },
  );
});
