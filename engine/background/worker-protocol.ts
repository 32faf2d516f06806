/** What passes between the caller's thread and a background thread: messages, and words that both see. */
import { SparrowError, type ErrorDetails, type ErrorKind } from '../../base/errors.ts';
import type { CompactionJob, SplitJob } from '../compaction/index.ts';
import type { FlushJob } from './background.ts';

/** What goes to the thread. `cancel` names a compaction, or the division of one, that may be given up; it is answered all the same. */
export type Request =
  | { id: number; kind: 'flush'; job: FlushJob }
  | { id: number; kind: 'compact'; job: CompactionJob }
  | { id: number; kind: 'split'; job: SplitJob }
  | { id: number; kind: 'cancel' };

/** What comes back: errors as data, because a thrown SparrowError would lose its class on the way. */
export type Answer = { id: number; result: unknown } | { id: number; error: WireError };
export type WireError = { message: string; code: string; kind: ErrorKind | undefined; details: ErrorDetails };

/** Words of the control buffer. ANSWERS counts the answers of all threads. */
export const ANSWERS = 0;
/** One word for each thread: THREAD_STARTING, then what came first: it has started, or its owner has given it up and it must touch nothing. */
export const THREADS = 1;
export const THREAD_STARTING = 0;
export const THREAD_STARTED = 1;
export const THREAD_GIVEN_UP = 2;

/**
 * Behind them one more for each thread: counts what it was sent, so that one that waits for its budget is woken, and one that wants to rest knows whether
 * there is something on the way. THREAD_RESTS: it has ended.
 */
export function sentWord(threads: number, number: number): number {
  return THREADS + threads + number;
}

export const THREAD_RESTS = -1;

export function controlBytes(threads: number): number {
  return (THREADS + 2 * threads) * 4;
}

export function toWire(error: unknown): WireError {
  const { message, code } = error as NodeJS.ErrnoException;
  return error instanceof SparrowError
    ? { message, code: error.code, kind: error.kind, details: error.details }
    : { message: String(message ?? error), code: String(code ?? ''), kind: undefined, details: {} };
}

export function fromWire(error: WireError): Error {
  if (error.kind !== undefined) return new SparrowError(error.kind, error.code, error.message, error.details);
  return Object.assign(new Error(error.message), { code: error.code });
}
