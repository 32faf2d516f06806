/** What the lower layers know of the call that they work for: whether anybody still waits for its answer. */
import { SparrowError } from '../../base/errors.ts';

export interface CallState {
  /** Set when the caller has gone. */
  readonly cancelled: boolean;
  /** On the monotonic clock, in milliseconds; Infinity for none. */
  readonly deadlineMs: number;
}

/** A call that may take as long as it takes. */
export const NO_LIMIT: CallState = Object.freeze({ cancelled: false, deadlineMs: Infinity });

/** Why the call is over before it was worked on, or undefined while it is not. */
export function checkCall(call: CallState, nowMs: number): SparrowError | undefined {
  if (call.cancelled)
    return new SparrowError('cancelled', 'ABORTED', 'the call was cancelled; the write was not applied', { applied: false });
  if (nowMs >= call.deadlineMs) {
    return new SparrowError('unavailable', 'TIMEOUT', 'the call waited longer than it may; the write was not applied', { applied: false });
  }
  return undefined;
}
