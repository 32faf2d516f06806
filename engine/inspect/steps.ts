/**
 * Work over many files, in steps: a generator that yields how many bytes it has looked at since it yielded last, about a mebibyte at a time, so
 * that whoever drives it can let others get on, show progress, or give up (`return`).
 */
import type { Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { InspectOptions } from '../files-api.ts';

export type Steps<T> = Generator<number, T, void>;

/** A step is about so large. */
export const STEP_BYTES: number = 1024 * 1024;

/** Runs the steps, a turn of the event loop (or `pause`) between any two; `check` throws to give up. */
export async function drive<T>(
  steps: Steps<T>,
  scheduler: Scheduler,
  options: InspectOptions = {},
  check: () => void = () => undefined,
  pause: () => Promise<void> = () => new Promise((resolve) => scheduler.soon(resolve)),
): Promise<T> {
  let bytes = 0;
  try {
    for (;;) {
      if (options.signal?.aborted) throw new SparrowError('cancelled', 'ABORTED', 'the inspection was given up');
      check();
      const step = steps.next();
      if (step.done) return step.value;
      bytes += step.value;
      options.onProgress?.(bytes);
      await pause();
    }
  } finally {
    // Closes what the steps have open, when they are not over.
    steps.return(undefined as never);
  }
}
