import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { IO_BUDGET_BYTES, IoBudget, IoTuner } from '../../../engine/background/index.ts';
import { open } from '../../../engine/index.ts';

const MIB = 2 ** 20;

class Hand {
  ms = 1000;
  readonly shared = new SharedArrayBuffer(IO_BUDGET_BYTES);
  readonly budget = new IoBudget(this.shared, () => this.ms);
}

/** Works in steps for so many milliseconds, waiting as it is told; returns bytes a second. */
function work(hand: Hand, budget: IoBudget, ms: number, stepBytes: number, stepMs: number): number {
  const from = hand.ms;
  let bytes = 0;
  while (hand.ms - from < ms) {
    hand.ms += budget.waitMs;
    budget.spend('compaction', stepBytes);
    bytes += stepBytes;
    hand.ms += stepMs;
  }
  return (bytes / (hand.ms - from)) * 1000;
}

describe('io budget', () => {
  test('without a bound nobody waits, and what is spent is counted', () => {
    const { budget } = new Hand();
    expect(budget.rate).toBe(Infinity);
    budget.spend('compaction', 1e12);
    expect(budget.waitMs).toBe(0);
    budget.spend('backup', 5);
    expect(budget.spentBytes).toBe(1e12 + 5);
    expect([budget.spentOn('compaction'), budget.spentOn('backup'), budget.spentOn('ingest')]).toEqual([1e12, 5, 0]);
  });

  test.each([
    [8 * MIB, MIB],
    [100 * MIB, MIB],
    [10 * MIB, 64 * 1024],
  ])('%d bytes a second in steps of %d', (rate, stepBytes) => {
    const hand = new Hand();
    hand.budget.rate = rate;
    const got = work(hand, hand.budget, 20_000, stepBytes, 0.5);
    expect(got).toBeGreaterThan(rate * 0.95);
    expect(got).toBeLessThan(rate * 1.05);
    // What was not used is not saved up.
    hand.ms += 60_000;
    expect(work(hand, hand.budget, 20_000, stepBytes, 0.5)).toBeLessThan(rate * 1.05);
  });

  test('what a flush takes without waiting, a compaction waits for, on whatever thread', () => {
    const hand = new Hand();
    hand.budget.rate = 10 * MIB;
    const other = new IoBudget(hand.shared, () => hand.ms);
    other.spend('flush', 5 * MIB);
    expect(hand.budget.waitMs).toBeCloseTo(450, 0);
    hand.budget.rate = 20 * MIB;
    expect(other.waitMs).toBe(0);
  });
});

describe('io tuner', () => {
  const tune = (max = Infinity): { hand: Hand; tuner: IoTuner } => {
    const hand = new Hand();
    return { hand, tuner: new IoTuner(hand.budget, max) };
  };
  /** Syncs each hundredth of a second for a while, with so much done behind. */
  const pass = ({ hand, tuner }: ReturnType<typeof tune>, ms: number, syncMs: number, bytesPerSec: number, debt = 0): void => {
    for (const until = hand.ms + ms; hand.ms < until; hand.ms += 10) {
      hand.budget.spend('compaction', Math.round(Math.min(bytesPerSec, hand.budget.rate) / 100));
      tuner.debt(debt, hand.ms);
      tuner.synced(syncMs, hand.ms);
    }
  };

  test('cuts what is done behind while syncs are slow because of it, and lets it go when they are not', () => {
    const tuned = tune();
    pass(tuned, 3000, 2, 200 * MIB);
    expect(tuned.hand.budget.rate).toBe(Infinity);
    pass(tuned, 1000, 100, 200 * MIB);
    const cut = tuned.hand.budget.rate;
    expect(cut).toBeLessThan(160 * MIB);
    expect(cut).toBeGreaterThanOrEqual(4 * MIB);
    pass(tuned, 10_000, 2, 200 * MIB);
    expect(tuned.hand.budget.rate).toBe(Infinity);
  });

  test('does not cut for a disk that is slow by itself, nor while work is left undone', () => {
    const slow = tune();
    pass(slow, 3000, 2, 0);
    pass(slow, 3000, 100, 1000);
    expect(slow.hand.budget.rate).toBe(Infinity);
    const indebted = tune();
    pass(indebted, 3000, 2, 200 * MIB, 0.5);
    pass(indebted, 3000, 100, 200 * MIB, 0.5);
    expect(indebted.hand.budget.rate).toBe(Infinity);
  });

  test('stays within what is set', () => {
    const tuned = tune(50 * MIB);
    pass(tuned, 3000, 2, 200 * MIB);
    expect(tuned.hand.budget.rate).toBe(50 * MIB);
    pass(tuned, 2000, 100, 200 * MIB);
    expect(tuned.hand.budget.rate).toBeLessThan(40 * MIB);
    pass(tuned, 3000, 2, 200 * MIB, 1);
    expect(tuned.hand.budget.rate).toBe(50 * MIB);
  });
});

test('compactions of an engine keep to the rate, and closing does not wait for them', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-io-'));
  try {
    const settings = {
      memtableBytes: 256 * 1024,
      tableBytes: 256 * 1024,
      level1Bytes: MIB,
      pageCacheBytes: MIB,
      backgroundBytesPerSecMax: 2 * MIB,
    };
    const engine = await open(directory, settings);
    const begun = performance.now();
    for (let i = 0; i < 40_000; i++) {
      const written = engine.put(`k${(i * 7919) % 40_009}`, 'v'.repeat(100), { durability: 'buffered' });
      if (i % 50 === 0) await written;
    }
    await engine.flush();
    const { compactions } = engine.metrics();
    const seconds = (performance.now() - begun) / 1000;
    // The tail of a step may have been done on credit.
    expect(compactions.bytesRead + compactions.bytesWritten).toBeLessThan(2 * MIB * (seconds + 1) + 4 * MIB);
    const closing = performance.now();
    await engine.close();
    expect(performance.now() - closing).toBeLessThan(10_000);
    await expect(open(directory, { backgroundBytesPerSecMax: 1000 })).rejects.toMatchObject({ code: 'OPTION_RANGE' });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
