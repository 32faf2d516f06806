/** A rate, on virtual time. */
import { describe, expect, it } from 'vitest';
import { TokenBucket } from '../../../server/transport/index.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

/** When each of the bytes asked for at once may go. */
async function times(rate: number, burst: number, asked: readonly number[], pauseMs = 0): Promise<number[]> {
  const scheduler = new SimScheduler();
  const bucket = new TokenBucket(rate, (burst / rate) * 1000, new SimClock(scheduler), scheduler);
  await bucket.take(burst);
  if (pauseMs > 0) scheduler.after(pauseMs, () => undefined);
  await scheduler.runDry();
  const wentAt: number[] = [];
  for (const [i, bytes] of asked.entries()) void bucket.take(bytes).then(() => (wentAt[i] = scheduler.nowMs - pauseMs));
  await scheduler.runDry();
  return wentAt;
}

describe('a token bucket', () => {
  it('gives bytes at its rate, in the order in which they were asked for', async () => {
    expect(await times(1000, 0, [100, 100, 500, 1])).toEqual([0, 100, 200, 700]);
  });

  it('gives at once what was not taken before, and no more', async () => {
    expect(await times(1000, 200, [100, 100, 100, 100], 10_000)).toEqual([0, 0, 0, 100]);
    expect(await times(1000, 200, [100, 100], 0)).toEqual([0, 100]);
  });

  it('without a limit gives everything at once', async () => {
    expect(await times(Infinity, 0, [1e9, 1e9, 1e9])).toEqual([0, 0, 0]);
  });
});
