/** The log as the rest of the engine knows it, but for the writer: a LogWriter, or hosted/hosted-log.ts, which has nothing to write. */
import type { LogWriter } from './log-writer.ts';

export type EngineLog = Pick<
  LogWriter,
  'segment' | 'nextOffset' | 'pendingBytes' | 'bytesWritten' | 'syncs' | 'failure' | 'write' | 'sync' | 'retire' | 'close'
>;
