/**
 * Errors as users of Level know them: still a `SparrowError` of the same kind and with the same details, but with the code that Level has
 * for it. The engine's own error is its `cause`. What Level has no code for keeps its own.
 *
 * | Level's code            | the engine's                                                        |
 * |-------------------------|---------------------------------------------------------------------|
 * | LEVEL_LOCKED            | LOCKED                                                              |
 * | LEVEL_INVALID_KEY       | KEY_TOO_LARGE, TYPE of a key                                        |
 * | LEVEL_INVALID_VALUE     | VALUE_TOO_LARGE, TYPE of a value                                    |
 * | LEVEL_DATABASE_NOT_OPEN | ENGINE_CLOSED                                                       |
 * | LEVEL_SNAPSHOT_NOT_OPEN | SNAPSHOT_RELEASED                                                   |
 * | LEVEL_CORRUPTION        | all of kind corrupt                                                 |
 * | LEVEL_IO_ERROR          | DISK_FULL, LOCK_FAILED, WRITER_FAILED, errors of the operating system |
 */
import { SparrowError } from '../engine/index.ts';

const CODES: Readonly<Record<string, string>> = {
  LOCKED: 'LEVEL_LOCKED',
  KEY_TOO_LARGE: 'LEVEL_INVALID_KEY',
  VALUE_TOO_LARGE: 'LEVEL_INVALID_VALUE',
  ENGINE_CLOSED: 'LEVEL_DATABASE_NOT_OPEN',
  SNAPSHOT_RELEASED: 'LEVEL_SNAPSHOT_NOT_OPEN',
  DISK_FULL: 'LEVEL_IO_ERROR',
  LOCK_FAILED: 'LEVEL_IO_ERROR',
  WRITER_FAILED: 'LEVEL_IO_ERROR',
};

/** `error` as Level's users know it; itself when that is what it is. */
export function levelError(error: unknown): unknown {
  if (error instanceof SparrowError) {
    const code = codeOf(error);
    return code === undefined ? error : new SparrowError(error.kind, code, error.message, error.details, error);
  }
  if (error instanceof Error && 'syscall' in error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return new SparrowError('unavailable', 'LEVEL_IO_ERROR', error.message, { errno: code }, error);
  }
  return error;
}

/** What a read is rejected with when its signal was aborted; by name what the web platform has for it. */
export function abortError(signal: AbortSignal): SparrowError {
  const error = new SparrowError('cancelled', 'LEVEL_ABORTED', 'the read has been aborted', {}, signal.reason);
  error.name = 'AbortError';
  return error;
}

function codeOf(error: SparrowError): string | undefined {
  if (error.kind === 'corrupt') return 'LEVEL_CORRUPTION';
  if (error.code === 'TYPE') return error.details['field'] === 'value' ? 'LEVEL_INVALID_VALUE' : 'LEVEL_INVALID_KEY';
  return CODES[error.code];
}
