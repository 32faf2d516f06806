/** Why the picker (compaction/picker.ts) wants a compaction. Those who listen to the engine and its metrics see it too. */
export const COMPACTION_REASONS = [
  /** Level 0 has too many tables: each read looks into all of them. */
  'tables',
  /** A level holds more than its share. */
  'size',
  /** Block files hold too much that nobody refers to: live values move out of them. */
  'garbage',
  /** Level 0 refers to many large values, some of which it may have overwritten. */
  'values',
  /** A table is mostly deletes. */
  'deletes',
  /** Range tombstones hide versions in tables: those go, and then the tombstones. */
  'range-deletes',
  /** Reads have looked into the tables of level 0 so often that merging them is cheaper. */
  'reads',
  /** Nobody writes, and what lies above the deepest level may hide much in it. */
  'overlap',
  /** Values have expired. */
  'expiry',
  /** A keyspace was given a rule that leaves out what a table may have. */
  'rules',
  /** Somebody asked for it. */
  'demand',
] as const;

export type CompactionReason = (typeof COMPACTION_REASONS)[number];
