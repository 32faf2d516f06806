/**
 * Placement at the size of a large cluster. Asserted is how much work decisions are, in nodes, replicas and shards that are looked at; how long they take on a
 * machine tells bench/meta/placement.ts.
 */
import { describe, expect, it } from 'vitest';
import { plan } from '../../../server/meta/placement/index.ts';
import { checkRules } from './checks.ts';
import { largeWorld, spreadOf } from './large-world.ts';

describe('placement at scale', () => {
  it('decides for 1,000 nodes and 100,000 shards by looking at a bounded part of them', () => {
    const world = largeWorld({
      nodes: 1000,
      zones: 10,
      shards: 100_000,
      seed: 3,
      policy: { downAfterMs: 0, copiesMax: 4000, balanceCopiesMax: 2000 },
    });
    world.tick(1000, false);
    world.tick(1000, false);
    const looks: number[] = [];
    const diagnoses: number[] = [];
    for (let round = 0; round < 6; round++) {
      if (round === 2) for (let id = 1; id <= 20; id++) world.kill(id * 40);
      const before = world.cluster.diagnoses;
      looks.push(plan(world.cluster, world.nowMs).looked);
      diagnoses.push(world.cluster.diagnoses - before);
      world.tick(round === 2 ? 12_000 : 1000);
    }
    // Three phases of at most 50,000 looks, each with a scan or two that had begun.
    for (const look of looks) expect(look).toBeLessThan(160_000);
    // All shards once; from then on those of which something changed.
    expect(diagnoses[0]).toBe(100_000);
    for (const count of diagnoses.slice(1)) expect(count).toBeLessThan(20_000);
    expect(world.copies.get('balance')).toBeGreaterThan(100);
  }, 300_000);

  it('brings a cluster of unequal, unbalanced nodes to rest within its tolerance, with few moves, while nodes fail', () => {
    const shards = 3000;
    const world = largeWorld({
      nodes: 60,
      zones: 6,
      shards,
      seed: 5,
      policy: { downAfterMs: 5000, copiesIntoNodeMax: 6, copiesOutOfNodeMax: 6, mergeGuardMs: 3_600_000_000, balanceTrafficMin: 200 },
    });
    world.copyBytesPerTick = 512 * 2 ** 20;
    world.tick(1000, false);
    world.tick(1000, false);
    const before = spreadOf(world);
    expect(before.bytes.high).toBeGreaterThan(1.5);
    // Bytes that have to leave nodes beyond their fair share, at least.
    const surplus = [...world.cluster.nodes.values()].reduce(
      (sum, node) => sum + Math.max(0, node.bytes - fairBytes(node.record.capacity.diskBytes)),
      0,
    );
    function fairBytes(diskBytes: number): number {
      const nodes = [...world.cluster.nodes.values()];
      return (
        (nodes.reduce((sum, node) => sum + node.bytes, 0) / nodes.reduce((sum, { record }) => sum + record.capacity.diskBytes, 0)) *
        diskBytes
      );
    }
    let repaired = 0;
    let quiet = 0;
    let ticks = 0;
    for (; ticks < 900 && quiet < 10; ticks++) {
      if (ticks === 40) {
        // Of one zone: no shard loses two of its replicas.
        const lost = world.hostedBy(7).size + world.hostedBy(13).size;
        repaired = lost;
        world.kill(7);
        world.kill(13);
      }
      world.tick();
      quiet = world.cluster.running.size === 0 && world.lastPlan.proposals.length === 0 && ticks > 100 ? quiet + 1 : 0;
    }
    expect(quiet, 'it has come to rest').toBe(10);
    checkRules(world);
    const after = spreadOf(world);
    const { tolerance } = world.cluster.policy;
    expect(after.bytes.high).toBeLessThan(1 + tolerance + 0.1);
    expect(after.replicas.high).toBeLessThan(1 + tolerance + 0.1);
    expect(after.leads.high).toBeLessThan(1 + tolerance + 0.15);
    expect(after.bytes.low).toBeGreaterThan(1 - tolerance - 0.15);
    for (const { over } of world.cluster.nodes.values()) expect(over.disk).toBe(false);
    // What was lost is made anew once, and balance copies little more than what was in the wrong place.
    expect(world.copies.get('repair')).toBeLessThan(repaired * 1.1 + 10);
    expect((world.copies.get('balance') ?? 0) * 48 * 2 ** 20).toBeLessThan(surplus * 1.6);
    expect(world.transfers).toBeLessThan(shards);
  }, 300_000);
});
