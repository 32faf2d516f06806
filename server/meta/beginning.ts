/**
 * What the first leader of META_GROUP finds: the tables and shards that a cluster begins with. Pure.
 *
 *   table `default`   shard 1: all keys, as ranges
 *   table `system`    shard 2: the metaserver's own group, on nodes that are there for it
 *
 * Their members are as the cluster begins; the first report of each leader says who they are by now. Nodes register by themselves. Called by lead.ts.
 */
import { DEFAULT_TABLE, FIRST_SHARD, META_GROUP, SYSTEM_TABLE, wholeTable } from '../shard/descriptor.ts';
import type { ShardRecord } from './shard.ts';
import { type Change, FIRST_COUNTERS, type MetaWrite } from './state.ts';
import { DEFAULT_POOL, type TableRecord } from './table.ts';

/** A table that grows with the list of nodes would be slow to write. */
const VOTERS_MAX = 5;

/** `voters`: the nodes that the cluster begins with. */
export function beginning(voters: readonly number[], nowMs: number): Change {
  const writes: MetaWrite[] = [
    { kind: 'table', id: DEFAULT_TABLE, record: table(DEFAULT_TABLE, 'default', voters, nowMs) },
    { kind: 'table', id: SYSTEM_TABLE, record: table(SYSTEM_TABLE, 'system', voters, nowMs) },
    { kind: 'shard', id: FIRST_SHARD, record: shard(FIRST_SHARD, DEFAULT_TABLE, voters, nowMs) },
    { kind: 'shard', id: META_GROUP, record: shard(META_GROUP, SYSTEM_TABLE, voters, nowMs) },
    { kind: 'counters', id: 0, record: { ...FIRST_COUNTERS, version: 1 } },
  ];
  return { writes, result: undefined };
}

function table(id: number, name: string, voters: readonly number[], nowMs: number): TableRecord {
  return {
    id,
    name,
    partitioning: { kind: 'range', splitKeys: [] },
    replicas: { voters: Math.min(VOTERS_MAX, voters.length), learners: 0, witnesses: 0 },
    pool: DEFAULT_POOL,
    ttlMs: 0,
    durability: 'synced',
    inlineThreshold: 0,
    quotas: { bytes: 0, readsPerSecond: 0, writesPerSecond: 0 },
    createdAtMs: nowMs,
    droppedAtMs: 0,
    undeleteUntilMs: 0,
    revision: 1,
  };
}

function shard(id: number, of: number, voters: readonly number[], nowMs: number): ShardRecord {
  const replicas = voters.toSorted((a, b) => a - b).map((node) => ({ node, votes: true, data: true }));
  const record = { id, table: of, descriptor: wholeTable(id, of), replicas, joint: false, asOfIndex: 0, asOfTerm: 0 };
  return { ...record, createdAtMs: nowMs, splitAtMs: 0, byHand: false };
}
