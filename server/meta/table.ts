/** A table as it was asked for: its record, and what of it its shards are told. */
import type { ShardSettings } from '../shard/descriptor.ts';

/** The pool of nodes and tables that name none. */
export const DEFAULT_POOL = 'default';

export type TablePartitioning =
  /** One shard for each range between split keys (ascending, not empty), at first. */
  | { readonly kind: 'range'; readonly splitKeys: readonly Uint8Array[] }
  /** A power of two of shards at first; each splits by doubling. */
  | { readonly kind: 'hash'; readonly shards: number };

/** How many of which kind a shard has. Voters have data and count; learners have data and do not; witnesses count and have none. */
export interface ReplicaCounts {
  readonly voters: number;
  readonly learners: number;
  readonly witnesses: number;
}

/**
 * What of a write is true when it is answered.
 *
 *   synced   it is on the disks of a majority
 *   os       it is in the system's caches of a majority: nothing is lost with processes; with the power of a majority at once, the last moment's writes may be
 */
export const DURABILITIES = ['synced', 'os'] as const;
export type Durability = (typeof DURABILITIES)[number];

/** Of the whole table. 0: no bound. */
export interface TableQuotas {
  readonly bytes: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
}

/** Persisted. */
export interface TableRecord {
  readonly id: number;
  readonly name: string;
  readonly partitioning: TablePartitioning;
  readonly replicas: ReplicaCounts;
  readonly pool: string;
  /** Of values that are put without one; 0: they stay. */
  readonly ttlMs: number;
  readonly durability: Durability;
  /** Values from so many bytes on are written once and pointed to; 0: what a node's settings say. */
  readonly inlineThreshold: number;
  readonly quotas: TableQuotas;
  readonly createdAtMs: number;
  /** Since when it is dropped: its name is free, its shards answer nobody. 0: it is not. */
  readonly droppedAtMs: number;
  /** Until when it can be had back; then its shards are destroyed. 0: it is not dropped, or its shards are being destroyed, whatever clocks say from then on. */
  readonly undeleteUntilMs: number;
  /** Grows with each change. */
  readonly revision: number;
}

/** What its shards are to be told. */
export function shardSettings(table: Pick<TableRecord, 'ttlMs' | 'inlineThreshold' | 'durability' | 'droppedAtMs'>): ShardSettings {
  const { ttlMs, inlineThreshold, durability, droppedAtMs } = table;
  return { ttlMs, inlineThreshold, ...(durability === 'os' && { durability }), ...(droppedAtMs > 0 && { dropped: true }) };
}

/** Of a dropped one: whether its shards go, and it cannot be had back any more. */
export function isOver({ droppedAtMs, undeleteUntilMs }: TableRecord, nowMs: number): boolean {
  return droppedAtMs > 0 && nowMs >= undeleteUntilMs;
}

/** It can be had back, or not even that any more. */
export function isDropped({ droppedAtMs }: TableRecord): boolean {
  return droppedAtMs > 0;
}
