/** Compaction: what to merge next, and merging it. */
export { BLOCK_HEADER_BYTES, blockFileName, encodeBlockHeader, openValueFile, valueFilePath } from './block-file.ts';
export {
  fileIdsWanted,
  type Compaction,
  type CompactionInput,
  type CompactionJob,
  type CompactionReason,
  type CompactionResult,
} from './compaction.ts';
export { pickDemanded, type Demand } from './demanded.ts';
export { runCompaction } from './compaction-job.ts';
export { levelBytesMax, pickCompaction, type Pace, type PickerSettings, type PickerVersion } from './picker.ts';
