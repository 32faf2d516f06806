/** Compaction: what to merge next, and merging it. */
export { BLOCK_HEADER_BYTES, blockFileName, encodeBlockHeader, openValueFile, valueFilePath } from './block-file.ts';
export {
  fileIdsWanted,
  joinResults,
  type Compaction,
  type CompactionInput,
  type CompactionJob,
  type CompactionReason,
  type CompactionResult,
} from './compaction.ts';
export type { KeyspaceRule } from './rule-table.ts';
export { LevelFacts, type LevelSums } from './level-facts.ts';
export { pickDemanded, type Demand } from './demanded.ts';
export { runCompaction } from './compaction-job.ts';
export { type CompactionPart, splitCompaction, type SplitInput } from './split.ts';
export { runSplit, type SplitJob } from './split-job.ts';
export { areDeletesDue, expiredBytes, isExpiryDue, nextExpiry, type ExpirySettings } from './pick-unseen.ts';
export { pickOverlap } from './pick-overlap.ts';
export { garbageShareAt, levelBytesMax, pickCompaction, type Circumstances, type Pace, type PickerSettings } from './picker.ts';
export type { PickerVersion } from './steps.ts';
