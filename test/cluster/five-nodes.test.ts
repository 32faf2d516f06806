/** A sample of five-nodes.ts: one of each deed but the kill, which kill-rounds.test.ts has. */
import { expect, it } from 'vitest';
import { runZones } from './zones.ts';

it(
  'five nodes in three zones lose and show nothing wrong while shards change, a zone stands still and a node dies',
  { timeout: 600_000 },
  async () => {
    const { parts, audit } = await runZones({ seed: 1, rounds: 1, deeds: ['split', 'move', 'merge', 'cut off'], calmMs: 200 });
    expect(parts.map(({ name }) => name).toSorted()).toEqual(['after', 'before', 'cut off', 'die', 'merge', 'move', 'split']);
    expect(parts.reduce((sum, { times }) => sum + times.acknowledged, 0)).toBeGreaterThan(50);
    // Shard 1, four of the hash table and three or four of the range table to begin with.
    expect(audit.shards).toBeGreaterThanOrEqual(9);
    expect(audit.replicas).toBe(3 * audit.shards);
    expect(audit.entries).toBeGreaterThan(150);
  },
);
