/**
 * A world of many nodes and shards that nobody has balanced: nodes of unequal size in zones, a range table whose shards have sizes, traffic and replicas at
 * random, one of each shard in a zone. The same seed makes the same world. Used by scale.test.ts and bench/meta/placement.ts.
 */
import type { Policy } from '../../../server/meta/policy.ts';
import type { MetaWrite } from '../../../server/meta/state.ts';
import type { TableRecord } from '../../../server/meta/table.ts';
import { numberKey, World } from './world.ts';

export interface LargeWorldOptions {
  readonly nodes: number;
  readonly zones: number;
  readonly shards: number;
  readonly seed: number;
  readonly policy?: Partial<Policy>;
}

export const LARGE_TABLE = 16;
const MIB = 2 ** 20;

export function largeWorld({ nodes, zones, shards, seed, policy = {} }: LargeWorldOptions): World {
  const random = randomOf(seed);
  const world = new World(policy);
  // Disks that are about half full when everything is even.
  const meanDisk = (shards * 3 * 48 * MIB) / nodes / 0.5;
  for (let id = 1; id <= nodes; id++) {
    const large = random() < 0.3;
    world.addNode({ id, zone: `z${id % zones}`, diskBytes: Math.round(meanDisk * (large ? 1.6 : 0.8)), cores: large ? 16 : 8 });
  }
  const table: TableRecord = {
    id: LARGE_TABLE,
    name: 'large',
    partitioning: { kind: 'range', splitKeys: [] },
    replicas: { voters: 3, learners: 0, witnesses: 0 },
    pool: 'default',
    ttlMs: 0,
    durability: 'synced',
    inlineThreshold: 0,
    quotas: { bytes: 0, readsPerSecond: 0, writesPerSecond: 0 },
    createdAtMs: 0,
    droppedAtMs: 0,
    undeleteUntilMs: 0,
    revision: 1,
  };
  const counters = { ...world.cluster.counters, version: 1, nextTable: LARGE_TABLE + 1, nextShard: LARGE_TABLE + shards };
  world.commit({
    writes: [
      { kind: 'table', id: table.id, record: table },
      { kind: 'counters', id: 0, record: counters },
    ],
    result: undefined,
  });
  const records: MetaWrite[] = [];
  const perZone = Math.floor(nodes / zones);
  for (let i = 0; i < shards; i++) {
    const voters: number[] = [];
    const used = new Set<number>();
    while (voters.length < 3) {
      const zone = Math.floor(random() * zones);
      if (used.has(zone)) continue;
      used.add(zone);
      // The square makes some nodes of each zone much fuller than others.
      const place = Math.floor(random() ** 1.2 * perZone);
      voters.push(place * zones + (zone === 0 ? zones : zone));
    }
    const shard = LARGE_TABLE + i;
    const { descriptor } = world.addGroup(
      {
        shard,
        table: LARGE_TABLE,
        epoch: 1,
        keys: {
          kind: 'range',
          start: i === 0 ? new Uint8Array(0) : numberKey(BigInt(i) << 40n),
          end: i === shards - 1 ? undefined : numberKey(BigInt(i + 1) << 40n),
        },
        state: 'normal',
        ttlMs: 0,
        inlineThreshold: 0,
      },
      voters,
      {
        leader: voters[Math.floor(random() * 3)]!,
        bytes: Math.round((24 + random() * 48) * MIB),
        keys: 1_000_000,
        reads: Math.round(random() ** 4 * 100),
        writes: Math.round(random() ** 4 * 50),
      },
    );
    const replicas = voters.toSorted((a, b) => a - b).map((node) => ({ node, votes: true, data: true }));
    const record = {
      id: shard,
      table: table.id,
      descriptor,
      replicas,
      joint: false,
      asOfIndex: 1,
      asOfTerm: 1,
      createdAtMs: 0,
      splitAtMs: 0,
      byHand: false,
    };
    records.push({ kind: 'shard', id: shard, record });
  }
  world.commit({ writes: records, result: undefined });
  return world;
}

/** mulberry32: from 0 to below 1. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How far nodes are from their fair share: the largest and smallest part of it, by dimension, of nodes that are up and active. */
export function spreadOf(
  world: World,
): Record<'bytes' | 'replicas' | 'leads' | 'traffic', { readonly low: number; readonly high: number }> {
  const nodes = [...world.cluster.nodes.values()].filter(({ record }) => record.health === 'up' && record.duty === 'active');
  const spread = (amount: 'bytes' | 'replicas' | 'leads' | 'traffic'): { low: number; high: number } => {
    const weight = (node: (typeof nodes)[number]): number =>
      amount === 'bytes' || amount === 'replicas' ? node.record.capacity.diskBytes : node.record.capacity.cores;
    const sum = nodes.reduce((all, node) => all + node[amount], 0);
    const weights = nodes.reduce((all, node) => all + weight(node), 0);
    const levels = nodes.map((node) => (sum === 0 ? 1 : node[amount] / weight(node) / (sum / weights)));
    return { low: Math.min(...levels), high: Math.max(...levels) };
  };
  return { bytes: spread('bytes'), replicas: spread('replicas'), leads: spread('leads'), traffic: spread('traffic') };
}
