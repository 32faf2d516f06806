import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  TIMESTAMP_EPOCH_MS,
  TIMESTAMPS_MAX,
  TIMESTAMPS_PER_MS,
  TimestampOracle,
  timeOfTimestamp,
} from '../../../server/meta/timestamp-oracle.ts';

const NOW = TIMESTAMP_EPOCH_MS + 1_000_000;

/** An oracle whose bound is persisted whenever it asks for that; the world's disk keeps it. */
class Persisted {
  bound = 0;
  writes = 0;
  oracle: TimestampOracle = new TimestampOracle(0);

  failOver(): void {
    this.oracle = new TimestampOracle(this.bound);
  }

  take(count: number, nowMs: number): number {
    const bound = this.oracle.wanted(count, nowMs);
    if (bound !== undefined) {
      this.bound = bound;
      this.writes++;
      this.oracle.raised(bound);
    }
    return this.oracle.take(count, nowMs)!;
  }
}

describe('timestamp oracle', () => {
  it('gives nothing before a bound is persisted', () => {
    const oracle = new TimestampOracle(0);
    expect(oracle.take(1, NOW)).toBeUndefined();
    const bound = oracle.wanted(1, NOW)!;
    oracle.raised(bound);
    expect(timeOfTimestamp(oracle.take(1, NOW)!)).toBe(NOW);
  });

  it('grows over failovers, whatever clocks do, and gives each once', () => {
    const event = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 100_000 }) }),
      fc.record({ clock: fc.integer({ min: -60_000, max: 60_000 }) }),
      fc.constant({ failOver: true as const }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const world = new Persisted();
        let nowMs = NOW;
        let last = 0;
        for (const each of events) {
          if ('clock' in each) nowMs += each.clock;
          else if ('failOver' in each) world.failOver();
          else {
            const first = world.take(each.take, nowMs);
            expect(first).toBeGreaterThan(last);
            last = first + each.take - 1;
            expect(Number.isSafeInteger(last)).toBe(true);
            expect(last).toBeLessThan(world.bound);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('writes no more than its bound asks for: every second and a half at most while clocks go on', () => {
    const world = new Persisted();
    for (let ms = 0; ms < 60_000; ms += 10) world.take(1000, NOW + ms);
    expect(world.writes).toBeLessThanOrEqual(60_000 / 1500 + 1);
  });

  it('a leader that is cut off has nothing left to give beyond what it persisted', () => {
    const world = new Persisted();
    world.take(1, NOW);
    const old = world.oracle;
    world.failOver();
    const fresh = world.take(1, NOW);
    let taken: number | undefined = 0;
    let largest = 0;
    while ((taken = old.take(TIMESTAMPS_PER_MS, NOW)) !== undefined) largest = taken + TIMESTAMPS_PER_MS - 1;
    expect(largest).toBeLessThan(fresh);
  });

  it('begins behind what was given by a clock that was ahead, and stays in order', () => {
    const world = new Persisted();
    const ahead = world.take(1, NOW + 3_600_000);
    world.failOver();
    const next = world.take(1, NOW);
    expect(next).toBeGreaterThan(ahead);
    expect(world.oracle.aheadMs(NOW)).toBeGreaterThanOrEqual(3_600_000);
    expect(world.oracle.aheadMs(NOW + 4_000_000)).toBe(0);
  });

  it('refuses counts that make no sense', () => {
    const oracle = new TimestampOracle(0);
    for (const count of [0, -1, 1.5, TIMESTAMPS_MAX + 1, Number.NaN])
      expect(() => oracle.take(count, NOW)).toThrow(/count is a whole number from 1 to 1000000/);
  });

  it('tells when 53 bits are used up', () => {
    const oracle = new TimestampOracle(Number.MAX_SAFE_INTEGER - 10);
    expect(() => oracle.wanted(1, NOW)).toThrow(/no timestamps left/);
  });
});
