/** A node that keeps to its shares of tables' quotas, on virtual time. */
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import type { TableShare } from '../../../server/meta/attending.ts';
import { QuotaKeeper } from '../../../server/gateway/quota-keeper.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const share = (changed: Partial<TableShare> = {}): TableShare => ({
  table: 16,
  name: 't',
  bytes: 0,
  readsPerSecond: 200,
  writesPerSecond: 20,
  isFull: false,
  readShare: 100,
  writeShare: 10,
  ...changed,
});

class Bench {
  readonly scheduler: SimScheduler = new SimScheduler();
  readonly quotas: QuotaKeeper = new QuotaKeeper(new SimClock(this.scheduler), this.scheduler);

  /** What became of each of so many calls in this moment; of one that waits, how long. */
  calls(count: number, call: () => Promise<void> | undefined): { atOnce: number; delayed: number; refused: number } {
    const found = { atOnce: 0, delayed: 0, refused: 0 };
    for (let i = 0; i < count; i++) {
      try {
        if (call() === undefined) found.atOnce++;
        else found.delayed++;
      } catch (error) {
        expect(error).toMatchObject({ kind: 'exhausted', code: 'QUOTA_RATE', details: { table: 't', applied: false } });
        found.refused++;
      }
    }
    return found;
  }

  pass(ms: number): Promise<void> {
    return this.scheduler.advance(ms);
  }
}

describe('the keeper of quotas', () => {
  it('lets calls of tables without quotas go', () => {
    const { quotas } = new Bench();
    quotas.told([share({ writesPerSecond: 0, writeShare: 0 })]);
    for (let i = 0; i < 1000; i++)
      expect([quotas.read(17, 1), quotas.write(17, 1, 0, true), quotas.write(16, 1, 0, true)]).toEqual(Array(3).fill(undefined));
    expect(quotas.figures).toEqual({ delayed: 0, refused: 0 });
  });

  it('serves a second of its share at once, delays another, and refuses what is beyond', async () => {
    const bench = new Bench();
    const { quotas } = bench;
    quotas.told([share()]);
    expect(bench.calls(500, () => quotas.read(16, 1))).toEqual({ atOnce: 100, delayed: 100, refused: 300 });
    expect(quotas.figures).toEqual({ delayed: 100, refused: 300 });
    expect(bench.calls(50, () => quotas.write(16, 1, 0, true))).toEqual({ atOnce: 10, delayed: 10, refused: 30 });
    await bench.pass(500);
    expect(
      bench.calls(500, () => quotas.read(16, 1)),
      'half a second more',
    ).toMatchObject({ atOnce: 0, delayed: 50 });
  });

  it('serves no more than its share in the long run, whoever asks how often, and delays by a second at most', async () => {
    const bench = new Bench();
    const { quotas } = bench;
    quotas.told([share()]);
    let served = 0;
    let late = 0;
    for (let i = 0; i < 2000; i++) {
      const atMs = bench.scheduler.nowMs;
      bench.calls(1, () => {
        const room = quotas.read(16, 1);
        if (room === undefined) served++;
        else
          void room.then(() => {
            served++;
            late = Math.max(late, bench.scheduler.nowMs - atMs);
          });
        return room;
      });
      await bench.pass(5);
    }
    // Ten seconds, and the one at the beginning.
    expect(served).toBeGreaterThan(990);
    expect(served).toBeLessThanOrEqual(1110);
    expect(late).toBeLessThanOrEqual(1000);
    expect(quotas.demands()).toEqual([{ table: 16, readsPerSecond: expect.closeTo(200, 0) as number, writesPerSecond: 0 }]);
  });

  it('lets a call pass that is larger than the share when nothing was asked for lately, and has it earned', async () => {
    const bench = new Bench();
    const { quotas } = bench;
    quotas.told([share()]);
    expect(quotas.read(16, 1000)).toBe(undefined);
    expect(bench.calls(1, () => quotas.read(16, 1)).refused).toBe(1);
    await bench.pass(9500);
    expect(bench.calls(1, () => quotas.read(16, 1)).atOnce).toBe(1);
  });

  it('refuses puts for good while the table is full, and nothing else', () => {
    const { quotas } = new Bench();
    quotas.told([share({ bytes: 4096, isFull: true })]);
    let refusal: unknown;
    try {
      void quotas.write(16, 1, 0, true);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(SparrowError);
    expect(refusal).toMatchObject({
      kind: 'exhausted',
      code: 'QUOTA_BYTES',
      message: expect.stringContaining('table t has reached its quota of 4096 bytes') as string,
      details: { table: 't', quota: 'bytes', limit: 4096, applied: false },
    });
    expect(quotas.write(16, 1, 0, false)).toBe(undefined);
    quotas.told([share({ bytes: 4096 })]);
    expect(quotas.write(16, 1, 0, true)).toBe(undefined);
  });

  it('lets a table go on as soon as its quota is raised beyond what was taken of it', async () => {
    const bench = new Bench();
    const { quotas } = bench;
    quotas.told([share()]);
    expect(quotas.read(16, 100_000)).toBe(undefined);
    await bench.pass(2000);
    expect(bench.calls(1, () => quotas.read(16, 1)).refused, 'a thousand seconds of its rate').toBe(1);
    quotas.told([share({ readsPerSecond: 200_000, readShare: 100_000 })]);
    expect(bench.calls(1, () => quotas.read(16, 1)).atOnce, 'less than a second of the new one').toBe(1);
    quotas.told([share()]);
    expect(bench.calls(1, () => quotas.read(16, 1)).refused, 'and as much as before of the old one').toBe(1);
    quotas.told([share({ readsPerSecond: 0, readShare: 0 })]);
    expect(bench.calls(1000, () => quotas.read(16, 1)).atOnce, 'without a quota nothing is owed').toBe(1000);
  });

  it('delays no more writes than it has room for, whatever the rate allows', async () => {
    const bench = new Bench();
    const { quotas } = bench;
    quotas.told([share({ writesPerSecond: 2000, writeShare: 1000 })]);
    const large = (): Promise<void> | undefined => quotas.write(16, 1, 16 * 1024 * 1024, true);
    expect(bench.calls(1000, large).atOnce).toBe(1000);
    expect(bench.calls(100, large)).toEqual({ atOnce: 0, delayed: 4, refused: 96 });
    expect(bench.calls(10, () => quotas.read(16, 1)).refused, 'reads have nothing in memory').toBe(0);
    await bench.pass(1000);
    expect(bench.calls(2000, large).atOnce, 'room is given back').toBeGreaterThan(900);
    expect(bench.calls(5, large).delayed).toBe(0);
  });

  it('goes on from what was taken when its share changes, and forgets a table that has no quotas any more', () => {
    const bench = new Bench();
    const { quotas } = bench;
    quotas.told([share()]);
    bench.calls(200, () => quotas.read(16, 1));
    quotas.told([share({ readShare: 50 })]);
    expect(bench.calls(1, () => quotas.read(16, 1)).refused).toBe(1);
    quotas.told([]);
    expect(quotas.read(16, 1)).toBe(undefined);
    expect(quotas.demands()).toEqual([]);
  });
});
