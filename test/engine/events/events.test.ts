import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import { type EngineEvent, Events } from '../../../engine/events/index.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const full = { type: 'disk-full-begun', work: 'log' } as const;
const failed = { type: 'writing-failed', operation: 'fsync', code: 'EIO', message: 'm' } as const;

function make(): { scheduler: SimScheduler; events: Events; told: EngineEvent[] } {
  const scheduler = new SimScheduler();
  return { scheduler, events: new Events(new SimClock(scheduler), scheduler), told: [] };
}

describe('Events', () => {
  it('tells each listener its events, in order and with the time, after what is going on', async () => {
    const { events, told } = make();
    events.onAny((event) => told.push(event));
    const works: string[] = [];
    events.on('disk-full-begun', ({ work }) => works.push(work));
    events.emit(full);
    events.emit(failed);
    expect(told).toEqual([]);
    await Promise.resolve();
    expect(told).toEqual([
      { ...full, atMs: 1_735_689_600_000 },
      { ...failed, atMs: 1_735_689_600_000 },
    ]);
    expect(works).toEqual(['log']);
  });

  it('tells nobody what happened before he listened, or after he has stopped', async () => {
    const { events, told } = make();
    events.emit(full);
    const stop = events.onAny((event) => told.push(event));
    await turn();
    expect(told).toEqual([]);
    events.emit(full);
    stop();
    stop();
    await turn();
    expect(told).toEqual([]);
  });

  it('goes on when a listener throws or its promise is rejected: the others are told, it is counted, and it stays', async () => {
    const { events, scheduler, told } = make();
    let calls = 0;
    events.on('disk-full-begun', () => {
      calls++;
      throw new Error('a bug of the listener');
    });
    events.on('disk-full-begun', () => Promise.reject(new Error('another one')));
    events.onAny((event) => {
      told.push(event);
      // Whoever throws at this too is only counted: it must not go round for ever.
      if (event.type === 'listener-failed') throw new Error('not this either');
    });
    events.emit(full);
    await turn();
    while (await scheduler.step());
    expect(told).toMatchObject([
      full,
      { type: 'listener-failed', event: 'disk-full-begun', message: 'a bug of the listener' },
      { type: 'listener-failed', event: 'disk-full-begun', message: 'another one' },
    ]);
    expect(events.failures).toBe(4);
    events.emit(full);
    await turn();
    expect(calls).toBe(2);
  });

  it('does not hold the thread for a listener that causes what it is told', async () => {
    const { events, scheduler } = make();
    let told = 0;
    events.on('disk-full-begun', () => {
      told++;
      events.emit(full);
    });
    events.emit(full);
    await turn();
    expect(told).toBe(1);
    await scheduler.step();
    expect(told).toBe(2);
  });

  it('keeps a bounded number for listeners that are never let run: the newest', async () => {
    const { events, told } = make();
    events.onAny((event) => told.push(event));
    for (let i = 0; i < 1500; i++) events.emit({ ...failed, operation: `${i}` });
    await turn();
    expect([told.length, events.dropped]).toEqual([1024, 476]);
    expect([told[0], told.at(-1)]).toMatchObject([{ operation: '476' }, { operation: '1499' }]);
  });

  it('takes from an error what it says of a corrupt file, and nothing from other errors', async () => {
    const { events, told } = make();
    events.onAny((event) => told.push(event));
    events.corruption('read', new SparrowError('corrupt', 'CORRUPT_TABLE', 'm', { file: '/a', offset: 8 }));
    events.corruption('flush', new SparrowError('corrupt', 'CORRUPT_LOG', 'n'));
    events.corruption('read', new Error('EIO'));
    await turn();
    expect(told).toMatchObject([
      { during: 'read', file: '/a', offset: 8, code: 'CORRUPT_TABLE', message: 'm' },
      { during: 'flush', file: undefined, offset: undefined, code: 'CORRUPT_LOG' },
    ]);
  });

  it('refuses what cannot be called', () => {
    expect(() => make().events.onAny('log' as never)).toThrow('a listener is a function, not string');
  });
});
