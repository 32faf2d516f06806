export { LogWriter, type SegmentOpened, type UnsyncedSegment } from './log-writer.ts';
export { replayLog, type Replay, type ReplayedSegment } from './log-reader.ts';
export { sealCopiedSegment } from './seal-copy.ts';
export { FRAMES_OFFSET, logFileName, logFileSegment } from './log-format.ts';
