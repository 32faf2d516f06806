/** When reads are done at once and when away from the caller's thread. */
import { describe, expect, test } from 'vitest';
import { RecentReads } from '../../../engine/cold-reads/index.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const PAGE = 8192;

/** Reads of a disk that takes `ms()` each; one away takes as long on other threads. */
class Reads {
  readonly scheduler = new SimScheduler();
  readonly policy = new RecentReads(new SimClock(this.scheduler));
  /** The caller's thread was held. */
  heldMs = 0;
  away = 0;
  timed = 0;

  async read(count: number, ms: (i: number) => number, bytes = PAGE): Promise<this> {
    this.heldMs = this.away = this.timed = 0;
    for (let i = 0; i < count; i++) {
      const choice = this.policy.choose(bytes);
      if (choice === 'away') {
        this.away++;
        await this.scheduler.advance(ms(i));
        continue;
      }
      this.scheduler.hold(ms(i));
      this.heldMs += ms(i);
      if (choice === 'here') continue;
      this.timed++;
      this.policy.took(bytes, ms(i));
    }
    return this;
  }
}

describe('reads are done', () => {
  test('at once while the system has them cached, and few look at the clock', async () => {
    const { away, timed } = await new Reads().read(1000, () => 0.002);
    expect([away, timed]).toEqual([0, 250]);
  });

  test.each([0.1, 1, 10])(
    'away soon after they have come to take %d ms, and those that look again hold the thread a small part of the time',
    async (ms) => {
      const reads = await new Reads().read(100, () => 0.002);
      await reads.read(20, () => ms);
      expect(reads.away).toBeGreaterThan(3);
      const begunMs = reads.scheduler.nowMs;
      await reads.read(4000, () => ms);
      expect(reads.heldMs / (reads.scheduler.nowMs - begunMs)).toBeLessThan(0.04);
      expect(reads.timed).toBeGreaterThan(0);
    },
  );

  test('at once again when the disk is quick again', async () => {
    const reads = await new Reads().read(1000, () => 1);
    await reads.read(4000, () => 0.01);
    await reads.read(1000, () => 0.002);
    expect([reads.away, reads.timed]).toEqual([0, 250]);
  });

  test('at once again right after a single slow one', async () => {
    const reads = await new Reads().read(100, () => 0.002);
    await reads.read(100, (i) => (i === 0 ? 4 : 0.002));
    expect(reads.away).toBe(0);
  });

  test('away when one in ten takes a millisecond: together they cost more than the way to the pool', async () => {
    const random = new SimRandom(1);
    const reads = await new Reads().read(1000, () => (random.chance(0.1) ? 1 : 0.002));
    await reads.read(5000, () => (random.chance(0.1) ? 1 : 0.002));
    expect(reads.away).toBeGreaterThan(3000);
    await reads.read(5000, () => (random.chance(0.02) ? 5 : 0.002));
    expect(reads.away).toBeGreaterThan(3000);
  });

  test('at once when they are long because they are large, and away when they are so large that copying takes milliseconds', async () => {
    const reads = await new Reads().read(1000, () => 0.3, 1024 * 1024);
    expect(reads.away).toBe(0);
    await reads.read(10, () => 5, 16 * 1024 * 1024);
    expect(reads.away).toBe(10);
  });
});
