/** Jobs between entries: each is done, or whoever asked for it is told that it will not be. */
import { expect, it } from 'vitest';
import { NodeClock, NodeScheduler } from '../../../base/node/index.ts';
import { Applier } from '../../../server/node/applier.ts';
import type { StateMachine } from '../../../server/node/state-machine.ts';

it('a job that a halt comes before is dropped with a word, and so is one that comes after it', async () => {
  const machine = { applied: 0 } as StateMachine;
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
