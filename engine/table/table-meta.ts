/** What the manifest stores of a table, and all that must be known to place it in a view without opening its file. */
export interface TableMeta {
  /** Names the file (tableFileName) and seeds its checksums. */
  readonly fileId: number;
  /** Size of the file. */
  readonly bytes: number;
  readonly pages: number;
  /** Versions of keys, deletes included. */
  readonly entries: number;
  /** Entries that are deletes. */
  readonly tombstones: number;
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
  readonly minSequence: number;
  readonly maxSequence: number;
  /** Pages on which at least half of the entries, or 100, are deletes. */
  readonly densePages: number;
  /** Bytes of keys, stored values and large values of versions that were kept for snapshots alone when the table was written. */
  readonly pinnedBytes: number;
  /** Range tombstones up to this sequence number hide nothing in it any more: what they cover was left out when it was written. */
  readonly clearedTo: number;
  /**
   * Nothing in it is left out by its keyspace's rule when that has this id or an older one (engine/keep-rule.ts). The manifest alone says so.
   * Undefined: no rule was applied when it was written.
   */
  readonly ruledTo?: number;
  /** Undefined: nothing in it expires. */
  readonly expiring?: Expiring;
  /** Bytes of large values that its pointers refer to, for each segment, ascending by segment. */
  readonly references: readonly SegmentReference[];
}

/** Entries that expire. Times are in ms since the epoch. */
export interface Expiring {
  readonly entries: number;
  /** Of their keys and stored values. */
  readonly bytes: number;
  readonly earliestMs: number;
  readonly latestMs: number;
}

export interface SegmentReference {
  readonly segment: number;
  readonly bytes: number;
}
