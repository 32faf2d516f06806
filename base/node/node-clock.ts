import { performance } from 'node:perf_hooks';
import type { Clock } from '../env.ts';

export class NodeClock implements Clock {
  wallMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }
}

/** Milliseconds of a clock that all threads of the process have in common; each thread's `performance.now()` begins with the thread. */
export function processMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
