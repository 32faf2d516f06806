/** An error at every operation of a busy life, one kind after another; io-campaign.ts has every kind at every operation. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Fault } from '../sim/sim-file-system.ts';
import { type Life, type LifeOptions, liveThrough, Wrong } from './io-errors.ts';

let whole: Life;

beforeAll(async () => {
  whole = await liveThrough({});
});

async function live(options: LifeOptions): Promise<Life> {
  try {
    return await liveThrough(options);
  } catch (error) {
    throw new Wrong(`${JSON.stringify(options)}: ${(error as Error).message}`, { cause: error });
  }
}

describe('a disk that fails at any operation', () => {
  it('passes through a long enough life without a fault', () => {
    expect(whole.operations).toBeGreaterThan(150);
    expect(whole.reads).toBeGreaterThan(50);
    expect(whole).toMatchObject({ hit: false, stopped: false });
  });

  it('everything is told, nothing is wrong', { timeout: 600_000 }, async () => {
    let stopped = 0;
    for (let at = 1; at <= whole.operations; at++) {
      const fault: Fault = { at, error: at % 3 === 0 ? 'ENOSPC' : 'EIO', forGood: at % 2 === 0 };
      const life = await live({ fault, callerSyncMs: at % 5 < 2 ? 0.5 : 0, end: at % 4 < 2 ? 'process' : 'power' });
      expect(life.hit, `operation ${at}`).toBe(true);
      if (life.stopped) stopped++;
    }
    expect(stopped).toBeGreaterThan(whole.operations / 4);
  });

  it('a full disk is no end: with space again everything goes on without opening anew', { timeout: 600_000 }, async () => {
    for (let at = 1; at <= whole.operations; at++) {
      const fault: Fault = { at, error: at % 3 === 0 ? 'short' : 'ENOSPC', forGood: at % 2 === 0, on: 'space' };
      const life = await live({ fault, end: at % 4 < 2 ? 'process' : 'power' });
      expect(life, `operation ${at}`).toMatchObject({ stopped: false });
    }
  });

  it('EIO when reading: that call fails, the next is right', { timeout: 600_000 }, async () => {
    let hits = 0;
    for (let at = 1; at <= whole.reads; at += 3) {
      const life = await live({ fault: { at, error: 'EIO', on: 'read', forGood: at % 2 === 0 }, end: 'power' });
      if (life.hit) hits++;
    }
    expect(hits).toBeGreaterThan(30);
  });
});
