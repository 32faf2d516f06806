import { describe, expect, it } from 'vitest';
import { LogRetention } from '../../../server/node/log-retention.ts';

/** Entries of 100 bytes each, from the one after `from` to `to`. */
function apply(retention: LogRetention, from: number, to: number): void {
  for (let index = from + 1; index <= to; index++) retention.applied(index, 100);
}

describe('what is kept of a log', () => {
  it('is all that the engine has not made durable, and nothing more when nobody may lag', () => {
    const retention = new LogRetention(0, 3200, 50);
    apply(retention, 50, 150);
    expect([retention.volatileBytes, retention.cut(150)]).toEqual([10_000, 50]);
    retention.durable(120);
    expect([retention.volatileBytes, retention.durableIndex, retention.cut(150)]).toEqual([3000, 120, 120]);
    retention.durable(150);
    expect([retention.volatileBytes, retention.cut(150)]).toEqual([0, 150]);
  });

  it('is so many bytes for who lags, and less where nobody does', () => {
    const retention = new LogRetention(5000, 1000, 0);
    apply(retention, 0, 100);
    retention.durable(100);
    const cut = retention.cut(10);
    // Marks are 5000 / 32 bytes apart, so two entries.
    expect(cut).toBeLessThanOrEqual(50);
    expect(cut).toBeGreaterThanOrEqual(48);
    expect(retention.cut(80)).toBe(80);
    apply(retention, 100, 110);
    expect(retention.cut(0)).toBe(0);
    apply(retention, 110, 140);
    retention.durable(140);
    expect(retention.cut(0)).toBeGreaterThanOrEqual(88);
  });

  it('is never cut beyond what is durable, whatever nobody lacks', () => {
    const retention = new LogRetention(1000, 1000, 0);
    apply(retention, 0, 100);
    expect(retention.cut(Infinity)).toBe(0);
    retention.durable(30);
    expect(retention.cut(Infinity)).toBe(30);
    apply(retention, 100, 1000);
    expect(retention.cut(Infinity)).toBe(30);
  });

  it('waits for what is durable ahead of what it was told to be applied', () => {
    const retention = new LogRetention(0, 1000, 0);
    apply(retention, 0, 10);
    retention.durable(15);
    expect(retention.cut(20)).toBe(10);
    apply(retention, 10, 20);
    expect(retention.cut(20)).toBe(15);
  });

  it('begins anew behind a snapshot', () => {
    const retention = new LogRetention(0, 1000, 0);
    apply(retention, 0, 100);
    retention.restart(500);
    expect([retention.volatileBytes, retention.durableIndex]).toEqual([0, 500]);
    apply(retention, 500, 510);
    expect([retention.volatileBytes, retention.cut(510)]).toEqual([1000, 500]);
  });

  it('is known in few marks, however long nothing becomes durable', () => {
    const retention = new LogRetention(0, 3200, 0);
    apply(retention, 0, 100_000);
    retention.durable(99_990);
    expect(retention.volatileBytes).toBe(1000);
  });
});
