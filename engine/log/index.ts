export type { EngineLog } from './engine-log.ts';
export { LogWriter, type SegmentOpened, type UnsyncedSegment } from './log-writer.ts';
export {
  findSyncedFrame,
  isSealed,
  readFrame,
  readHeader,
  replayLog,
  Window as LogWindow,
  type Frame,
  type Replay,
  type ReplayedSegment,
  type ReplayTarget,
  type Room,
} from './log-reader.ts';
export { sealCopiedSegment } from './seal-copy.ts';
export { FRAMES_OFFSET, logFileName, logFileSegment, type SegmentHeader } from './log-format.ts';
