import { assert } from '../assert.ts';
import type { Scheduler, Timer } from '../env.ts';

/** Above it setTimeout would fire at once instead of late. */
const DELAY_MS_MAX = 2 ** 31 - 1;

export class NodeScheduler implements Scheduler {
  after(delayMs: number, task: () => void, background = false): Timer {
    assert(delayMs >= 0 && delayMs <= DELAY_MS_MAX, 'a delay is at most 24 days');
    // setTimeout counts from the loop's cached time and rounds down: without the ceiling a task could run early.
    const timeout = setTimeout(task, Math.ceil(delayMs));
    if (background) timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  }

  soon(task: () => void): void {
    setImmediate(task);
  }
}
