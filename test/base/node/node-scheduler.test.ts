import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { NodeClock, NodeRandom, NodeScheduler } from '../../../base/node/index.ts';

describe('NodeScheduler and NodeClock', () => {
  it('runs a task after its delay and not when it was cancelled', async () => {
    const scheduler = new NodeScheduler();
    const clock = new NodeClock();
    const ran: string[] = [];
    const began = clock.monotonicMs();
    scheduler.after(1, () => ran.push('cancelled')).cancel();
    await new Promise<void>((resolve) => scheduler.after(5.5, resolve));
    await new Promise<void>((resolve) => scheduler.soon(resolve));
    expect(clock.monotonicMs() - began).toBeGreaterThanOrEqual(5);
    expect(ran).toEqual([]);
    expect(() => scheduler.after(2 ** 31, () => {})).toThrow('at most 24 days');
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(1000);
  });

  it('lets the process end under a background timer', () => {
    const module = new URL('../../../base/node/index.ts', import.meta.url).href;
    const script = `import { NodeScheduler } from '${module}'; new NodeScheduler().after(60_000, () => {}, true);`;
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
    expect(status).toBe(0);
  });
});

describe('NodeRandom', () => {
  it('gives words of 32 bits that differ, past its pool too', () => {
    const random = new NodeRandom();
    const words = new Set(Array.from({ length: 1000 }, () => random.u32()));
    expect(words.size).toBeGreaterThan(990);
    for (const word of words) expect(word).toBe(word >>> 0);
    const target = new Uint8Array(32);
    random.fill(target);
    expect(target.some((byte) => byte !== 0)).toBe(true);
  });
});
