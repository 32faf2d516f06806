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
