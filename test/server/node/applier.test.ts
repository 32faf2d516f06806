/** Entries one after another, and jobs between them: each job is done, or whoever asked for it is told that it will not be. */
import { expect, it } from 'vitest';
import { NodeClock, NodeScheduler } from '../../../base/node/index.ts';
import type { LogEntry } from '../../../server/raft/index.ts';
import { Applier } from '../../../server/node/applier.ts';
import type { ApplyResult } from '../../../server/node/state-machine.ts';

it('a job that a halt comes before is dropped with a word, and so is one that comes after it', async () => {
  const machine = { apply: (): ApplyResult => expect.unreachable('there are no entries') };
  const happened: string[] = [];
  const applier = new Applier(machine, {
    clock: new NodeClock(),
    scheduler: new NodeScheduler(),
    settle: () => undefined,
    applied: () => undefined,
    idle: () => undefined,
    fail: (error) => happened.push(String(error)),
  });
  let go: () => void = () => undefined;
  const job = (name: string, work: () => Promise<void> = () => Promise.resolve()): void =>
    applier.between(
      async () => {
        happened.push(`${name} begins`);
        await work();
      },
      () => happened.push(`${name} dropped`),
    );
  job('first', () => new Promise((resolve) => (go = resolve)));
  job('second');
  const halted = applier.halt();
  job('third');
  expect(happened).toEqual(['first begins', 'second dropped', 'third dropped']);
  go();
  await halted;
  applier.resume(machine);
  job('fourth');
  await applier.settled();
  expect(happened.slice(3)).toEqual(['fourth begins']);
});

it('what need not wait is applied at once, and what waits holds up what comes behind it', async () => {
  const waits = Promise.withResolvers<ApplyResult>();
  const settled: [number, number][] = [];
  const applied: number[] = [];
  const machine = {
    apply: ({ index }: LogEntry): ApplyResult | Promise<ApplyResult> =>
      index === 3 ? waits.promise : { outcome: 'applied', version: index },
  };
  const applier = new Applier(machine, {
    clock: new NodeClock(),
    scheduler: new NodeScheduler(),
    settle: ({ index }, result) => settled.push([index, (result as { version: number }).version]),
    applied: (entries) => applied.push(entries.length),
    idle: () => undefined,
    fail: (error) => expect.unreachable(String(error)),
  });
  const entries = (from: number, to: number): LogEntry[] =>
    Array.from({ length: to - from + 1 }, (_, i) => ({ index: from + i, term: 1, data: new Uint8Array(0) }));
  applier.push(entries(1, 2));
  expect([settled.length, applied]).toEqual([2, [2]]);
  applier.push(entries(3, 4));
  applier.push(entries(5, 5));
  await new Promise((resolve) => setImmediate(resolve));
  expect([settled.length, applied]).toEqual([2, [2]]);
  waits.resolve({ outcome: 'applied', version: 33 });
  await applier.settled();
  expect(settled.slice(2)).toEqual([
    [3, 33],
    [4, 4],
    [5, 5],
  ]);
  expect(applied).toEqual([2, 2, 1]);
});

it('a halt between two entries is the end, whoever calls it', async () => {
  const settled: number[] = [];
  const machine = { apply: ({ index }: LogEntry): ApplyResult => ({ outcome: 'applied', version: index }) };
  const applier: Applier = new Applier(machine, {
    clock: new NodeClock(),
    scheduler: new NodeScheduler(),
    settle: ({ index }) => {
      settled.push(index);
      if (index === 2) void applier.halt();
    },
    applied: () => expect.unreachable('not all of them are'),
    idle: () => undefined,
    fail: (error) => expect.unreachable(String(error)),
  });
  applier.push([1, 2, 3].map((index) => ({ index, term: 1, data: new Uint8Array(0) })));
  await applier.settled();
  expect(settled).toEqual([1, 2]);
});
