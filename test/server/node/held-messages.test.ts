import { expect, it } from 'vitest';
import { HeldMessages } from '../../../server/node/held-messages.ts';
import type { PeerMessage } from '../../../server/transport/index.ts';

const message = (term: number, bytes = 0): PeerMessage =>
  ({
    type: 'append-request',
    from: 2,
    to: 1,
    term,
    previousIndex: 0,
    previousTerm: 0,
    commit: 0,
    entries: bytes === 0 ? [] : [{ index: 1, term, data: new Uint8Array(bytes) }],
  }) as unknown as PeerMessage;
const terms = (messages: readonly PeerMessage[]): number[] => messages.map((each) => (each as { term: number }).term);

it('messages for a group that is not here are held for it, in order, and for no other', () => {
  const held = new HeldMessages(100);
  for (const [group, term] of [
    [20, 1],
    [21, 2],
    [20, 3],
  ] as const)
    held.hold(group, message(term));
  expect(terms(held.take(20))).toEqual([1, 3]);
  expect(held.take(20)).toEqual([]);
  expect(held.count).toBe(1);
  expect(terms(held.take(21))).toEqual([2]);
});

it('nobody waits for longer than a second', () => {
  const held = new HeldMessages(100);
  held.hold(20, message(1));
  for (let tick = 0; tick < 5; tick++) held.tick();
  held.hold(20, message(2));
  for (let tick = 0; tick < 4; tick++) held.tick();
  expect(held.count).toBe(2);
  held.tick();
  expect(terms(held.take(20))).toEqual([2]);
  expect(held.dropped).toBe(1);
});

it('they are bounded in number and in bytes: what is beyond is dropped', () => {
  const many = new HeldMessages(100);
  for (let i = 0; i < 5000; i++) many.hold(20, message(i));
  expect(many.count).toBe(4096);
  expect(many.dropped).toBe(5000 - 4096);
  const large = new HeldMessages(100);
  for (let i = 0; i < 10; i++) large.hold(20, message(i, 1 << 20));
  expect(large.count).toBe(3);
  large.take(20);
  large.hold(20, message(1, 1 << 20));
  expect(large.count).toBe(1);
});
