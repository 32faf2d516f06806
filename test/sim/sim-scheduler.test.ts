import { describe, expect, it } from 'vitest';
import { SimClock } from './sim-clock.ts';
import { SimScheduler } from './sim-scheduler.ts';

describe('SimScheduler', () => {
  it('runs events by time, then in the order they were asked for, promises in between', async () => {
    const scheduler = new SimScheduler();
    const clock = new SimClock(scheduler);
    const seen: string[] = [];
    const note = (what: string): void => void seen.push(`${clock.monotonicMs()} ${what}`);
    scheduler.after(20, () => note('late'));
    scheduler.after(10, () => {
      note('first');
      void Promise.resolve().then(() => Promise.resolve().then(() => note('its promise')));
    });
    scheduler.after(10, () => note('second'));
    scheduler.after(15, () => note('never')).cancel();
    scheduler.after(1000, () => note('background'), true);
    scheduler.soon(() => note('soon'));
    await scheduler.runDry();
    expect(seen).toEqual(['0 soon', '10 first', '10 its promise', '10 second', '20 late']);
    await scheduler.advance(979);
    expect(seen.length).toBe(5);
    await scheduler.advance(1);
    expect(seen.at(-1)).toBe('1000 background');
  });

  it('advances no further than it is told when the next timer was cancelled', async () => {
    const scheduler = new SimScheduler();
    let ran = false;
    scheduler.after(10, () => undefined).cancel();
    scheduler.after(100_000, () => (ran = true));
    await scheduler.advance(20);
    expect([scheduler.nowMs, ran]).toEqual([20, false]);
  });

  it('names a hang', async () => {
    const scheduler = new SimScheduler();
    const again = (): void => scheduler.soon(again);
    again();
    await expect(scheduler.runDry(100)).rejects.toThrow('still busy after 100 events');
  });

  it('gives clocks that drift and jump', async () => {
    const scheduler = new SimScheduler();
    const [exact, fast] = [new SimClock(scheduler), new SimClock(scheduler, 0.1)];
    await scheduler.advance(1000);
    expect(fast.monotonicMs() - exact.monotonicMs()).toBeCloseTo(100);
    fast.jumpWall(-5000);
    expect(fast.wallMs() - exact.wallMs()).toBeCloseTo(-4900);
    expect(fast.monotonicMs()).toBeCloseTo(1100);
  });
});
