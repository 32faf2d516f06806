import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../base/env.ts';
import { passingDebt, standingDebt } from '../../../engine/maintenance/debt.ts';
import { Pace } from '../../../engine/maintenance/pace.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const MIB = 2 ** 20;

/** Writers that each write again as soon as they may, for so many milliseconds. Returns bytes a second, and the longest wait. */
async function run(
  debt: (atMs: number) => number,
  bytes: number,
  writers: number,
  ms: number,
  full: number = 0,
): Promise<{ rate: number; longestMs: number }> {
  const scheduler = new SimScheduler();
  const clock: Clock = { wallMs: () => scheduler.nowMs, monotonicMs: () => scheduler.nowMs };
  const pace = new Pace(clock, scheduler);
  let written = 0;
  let longestMs = 0;
  const writer = async (): Promise<void> => {
    while (scheduler.nowMs < ms) {
      const from = scheduler.nowMs;
      await pace.admit(bytes, { amount: debt(scheduler.nowMs), full });
      longestMs = Math.max(longestMs, scheduler.nowMs - from);
      written += bytes;
      // Something must pass between two writes that need not wait.
      await new Promise<void>((resolve) => scheduler.after(0.02, resolve));
    }
  };
  const all = Promise.all(Array.from({ length: writers }, writer));
  await scheduler.advance(ms * 2 + 60_000);
  await all;
  return { rate: (written / ms) * 1000, longestMs };
}

describe('pace', () => {
  test.each([
    [0.25, 125 * MIB],
    [0.5, 15.6 * MIB],
    [0.75, 1.95 * MIB],
    [1, 0.244 * MIB],
  ])('at a debt of %d writers get %d bytes a second, however many they are', async (debt, rate) => {
    for (const [bytes, writers] of [
      [1000, 1],
      [1000, 50],
      [20_000, 4],
    ] as const) {
      const { rate: got, longestMs } = await run(() => debt, bytes, writers, 3000, debt < 1 ? 0 : 1);
      // A single writer of little cannot use what it may.
      expect(got).toBeLessThan(rate * 1.1 + 10 * bytes);
      if (bytes * writers > 20_000 || debt > 0.5) expect(got).toBeGreaterThan(rate * 0.6);
      if (debt < 1) expect(longestMs).toBeLessThanOrEqual(42);
    }
  });

  test('while there is place nobody waits for more than 40 ms, and of the last place for twice as long with each seventh', async () => {
    for (const [full, longest] of [
      [0, 41],
      [1 / 7, 81],
      [3 / 7, 321],
      [1, 5121],
    ] as const) {
      const { rate, longestMs } = await run(() => 1.25, 1000, 200, 3 * longest, full);
      expect(longestMs).toBeLessThanOrEqual(longest);
      expect(longestMs).toBeGreaterThan(longest * 0.95);
      // All of them together get what that comes to.
      expect(rate).toBeGreaterThan(((200 * 1000) / longest) * 1000 * 0.9);
    }
  });

  test('a debt that writing adds to and time takes from comes to rest, without a stop', async () => {
    let undone = 0;
    let lastMs = 0;
    const drained = 4 * MIB;
    const { rate, longestMs } = await run(
      (atMs) => {
        undone = Math.max(0, undone + 10_000 - ((atMs - lastMs) / 1000) * drained);
        lastMs = atMs;
        return undone / (16 * MIB);
      },
      10_000,
      16,
      20_000,
    );
    expect(rate).toBeGreaterThan(drained * 0.9);
    expect(rate).toBeLessThan(drained + 16 * MIB);
    expect(longestMs).toBeLessThanOrEqual(50);
  });

  test('who waits at full debt waits no longer than others once it is not, and not at all once it is gone', async () => {
    const scheduler = new SimScheduler();
    const pace = new Pace({ wallMs: () => 0, monotonicMs: () => scheduler.nowMs }, scheduler);
    const settled: string[] = [];
    const admit = (name: string, bytes: number, amount: number): void =>
      void pace.admit(bytes, { amount, full: 1 })!.then(() => settled.push(name));
    admit('first', MIB, 1);
    admit('second', MIB, 1);
    await scheduler.advance(1000);
    expect(settled).toEqual([]);
    pace.shorten(0);
    await scheduler.advance(41);
    expect(settled).toEqual(['first', 'second']);
    admit('third', MIB, 1);
    pace.letGo();
    await scheduler.advance(0);
    expect(settled).toEqual(['first', 'second', 'third']);
    expect(pace.admit(1000, { amount: 0.25, full: 0 })).toBeUndefined();
  });
});

describe('debt', () => {
  const standing = {
    level0: 0,
    level0Compact: 4,
    level0Stop: 20,
    level0Max: 48,
    fullestLevel: 1,
    valueBytes: 0,
    garbageBytes: 0,
    valueBytesFew: 1000,
  };
  const passing = { sealed: 0, sealedMax: 3, activeShare: 0.9, memoryShare: 0 };

  test('is none while work keeps up', () => {
    expect(standingDebt(standing).amount).toBe(0);
    expect(standingDebt({ ...standing, level0: 12 }).amount).toBe(0);
    expect(standingDebt({ ...standing, valueBytes: 900, garbageBytes: 900 }).amount).toBe(0);
    expect(passingDebt(passing).amount).toBe(0);
    expect(passingDebt({ ...passing, sealed: 1, activeShare: 0 }).amount).toBe(0);
  });

  test.each([
    [{ level0: 16 }, 'level0', 0.5],
    [{ level0: 20 }, 'level0', 1],
    [{ level0: 24 }, 'level0', 1.5],
    [{ fullestLevel: 6.5 }, 'levels', 0.5],
    [{ fullestLevel: 100 }, 'levels', 0.8],
    [{ valueBytes: 10_000, garbageBytes: 7500 }, 'garbage', 0.5],
    [{ level0: 3, level0Compact: 4, level0Stop: 4 }, 'level0', 0],
    [{ level0: 4, level0Compact: 4, level0Stop: 4 }, 'level0', 1],
  ] as const)('%j: %s', (some, reason, amount) => {
    const debt = standingDebt({ ...standing, ...some });
    expect(debt.amount).toBeCloseTo(amount);
    if (amount > 0) expect(debt.reason).toBe(reason);
  });

  test.each([
    [{ sealed: 1, activeShare: 1 }, 'memtables', 0.5, 0],
    [{ sealed: 3, activeShare: 0 }, 'memtables', 1, 0],
    [{ sealed: 3, activeShare: 0.5 }, 'memtables', 1.25, 0.5],
    [{ sealed: 3, activeShare: 1 }, 'memtables', 1.5, 1],
    [{ memoryShare: 1 }, 'memory', 1, 0],
  ] as const)('%j: %s', (some, reason, amount, full) => {
    expect(passingDebt({ ...passing, ...some })).toEqual({ reason, amount, full });
  });

  test.each([
    [20, 20, 0],
    [20, 33, 0],
    [20, 38, 0.5],
    [20, 42, 1],
    [32, 33, 0],
    [32, 42, 1],
    [2, 3, 0],
    [2, 5, 1],
  ])('with a level0Stop of %d, %d tables of level 0 leave place: %d of the last of it is taken', (level0Stop, level0, full) => {
    const got = standingDebt({ ...standing, level0Compact: 2, level0Stop, level0 }).full;
    expect(Math.min(1, got)).toBeCloseTo(full, 0.5);
    expect(got > 0).toBe(full > 0);
  });
});
