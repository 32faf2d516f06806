/** What is held back, what takes its place, and that all that is held leaves in time. */
import { expect, test } from 'vitest';
import type { Scheduler } from '../../../base/env.ts';
import { CommitNotices } from '../../../server/node/commit-notices.ts';
import type { GroupMessage, PeerMessage } from '../../../server/transport/index.ts';

function append(to: number, commit: number, entries: number): PeerMessage {
  const made = Array.from({ length: entries }, (_, i) => ({ index: commit + 1 + i, term: 1, data: new Uint8Array(3) }));
  return { type: 'append-request', from: 1, to, term: 1, previousIndex: commit, previousTerm: 1, commit, entries: made };
}

function heldBy(): { notices: CommitNotices; sent: GroupMessage[]; pass: () => void; timers: () => number } {
  const tasks: (() => void)[] = [];
  const sent: GroupMessage[] = [];
  const scheduler: Scheduler = {
    after: (_, task) => {
      tasks.push(task);
      return { cancel: () => void tasks.splice(tasks.indexOf(task), 1) };
    },
    soon: (task) => void tasks.push(task),
  };
  const pass = (): void => {
    for (const task of tasks.splice(0)) task();
  };
  return { notices: new CommitNotices(scheduler, (messages) => sent.push(...messages)), sent, pass, timers: () => tasks.length };
}

test('an append without entries leaves after a moment, the latest one for each member of each group', () => {
  const { notices, sent, pass } = heldBy();
  expect(notices.hold(1, append(2, 5, 0))).toBe(true);
  expect(notices.hold(1, append(2, 6, 0))).toBe(true);
  expect(notices.hold(1, append(3, 6, 0))).toBe(true);
  expect(notices.hold(9, append(2, 40, 0))).toBe(true);
  expect(sent).toEqual([]);
  pass();
  expect(sent).toEqual([
    { group: 1, message: append(2, 6, 0) },
    { group: 1, message: append(3, 6, 0) },
    { group: 9, message: append(2, 40, 0) },
  ]);
  pass();
  expect(sent).toHaveLength(3);
});

test('entries go at once and make what is held for their member needless', () => {
  const { notices, sent, pass } = heldBy();
  notices.hold(1, append(2, 5, 0));
  notices.hold(1, append(3, 5, 0));
  expect(notices.hold(1, append(2, 5, 1))).toBe(false);
  pass();
  expect(sent).toEqual([{ group: 1, message: append(3, 5, 0) }]);
});

test('other messages are not held, and nothing leaves once it is closed', () => {
  const { notices, sent, pass, timers } = heldBy();
  const heartbeat: PeerMessage = { type: 'heartbeat-request', from: 1, to: 2, term: 1, commit: 5, round: 1, sleep: false };
  expect(notices.hold(1, heartbeat)).toBe(false);
  notices.hold(1, append(2, 5, 0));
  notices.close();
  expect(timers()).toBe(0);
  pass();
  expect(sent).toEqual([]);
});
