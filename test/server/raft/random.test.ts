/**
 * The core under random lives: drops, repeats, reordering, crashes that lose what is not durable, changes of members, snapshots, transfers.
 *
 *   SPARROWKV_RAFT_SEEDS=20000 [SPARROWKV_RAFT_FIRST_SEED=1] npx vitest run test/server/raft/random.test.ts
 */
import { describe, expect, it } from 'vitest';
import { randomRun, type RunCounts } from './random-run.ts';

const SEEDS = Number(process.env['SPARROWKV_RAFT_SEEDS'] ?? 400);
const FIRST_SEED = Number(process.env['SPARROWKV_RAFT_FIRST_SEED'] ?? 1);

describe('the core under random lives', () => {
  it(`keeps its promises in ${SEEDS} of them, and gets on afterwards`, { timeout: 60_000 + SEEDS * 1000 }, () => {
    const total: RunCounts = { applied: 0, changes: 0, snapshots: 0, transfers: 0, reads: 0, crashes: 0, forced: 0 };
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      for (const [name, count] of Object.entries(randomRun(seed))) total[name as keyof RunCounts] += count;
    }
    // They are not empty: all of it happened, while things went wrong.
    expect(total.applied).toBeGreaterThan(SEEDS * 8);
    for (const name of ['changes', 'snapshots', 'transfers', 'reads', 'crashes'] as const)
      expect(total[name], name).toBeGreaterThan(SEEDS / 2);
  });
});
