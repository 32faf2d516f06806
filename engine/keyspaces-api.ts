/** Settings of a keyspace, as users give and see them. Types only. */
import type { CompressionSetting } from './table/index.ts';

/** What is particular to the entries of a keyspace. Kept in the store. */
export interface KeyspaceSettings {
  /** As the engine's setting of that name, which holds where this is not given. 64 to 4096 bytes. */
  inlineThreshold?: number;
  /** `ttlMs` of writes that do not give theirs. Milliseconds, from 1. */
  ttlMs?: number;
  /**
   * As the engine's settings of these names, which hold where they are not given. For tables that are written from then on; level 0, where tables have
   * keys of all keyspaces, has its pages so, and its filters as the engine.
   */
  compression?: CompressionSetting;
  filterBitsPerKey?: number;
}
