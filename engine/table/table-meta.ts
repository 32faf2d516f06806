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
  /** Bytes of large values that its pointers refer to, for each segment, ascending by segment. */
  readonly references: readonly SegmentReference[];
}

export interface SegmentReference {
  readonly segment: number;
  readonly bytes: number;
}
