/** A member that has lost a log on purpose - its replica was destroyed, and another one made - and is being filled anew. */
import { describe, expect, it } from 'vitest';
import type { Raft } from '../../../server/raft/index.ts';
import { memberOne } from './one-member.ts';

/** It had acknowledged entries up to 9, of term 4. Now it has three, of term 4 too. */
function refilled(): Raft {
  const data = new Uint8Array(0);
  return memberOne({
    hardState: { term: 4, vote: 0, commit: 3 },
    log: {
      compactedIndex: 0,
      compactedTerm: 0,
      lastIndex: 3,
      terms: [{ index: 1, term: 4 }],
      entries: [1, 2, 3].map((index) => ({ index, term: 4, data })),
    },
    applied: 3,
    promised: { index: 9, term: 4 },
  });
}

function isGranted(raft: Raft, lastIndex: number, lastTerm: number): boolean | undefined {
  raft.step({ type: 'vote-request', from: 3, to: 1, term: 5, pre: false, force: false, lastIndex, lastTerm, commit: 0, commitTerm: 0 });
  const { messagesAfterSync } = raft.output();
  return messagesAfterSync.flatMap((message) => (message.type === 'vote-response' ? [message.granted] : []))[0];
}

describe('a member that has lost a log', () => {
  it('gives its vote to nobody who lacks what it has acknowledged', () => {
    expect(isGranted(refilled(), 8, 4)).toBe(false);
    expect(isGranted(refilled(), 9, 4)).toBe(true);
    expect(isGranted(refilled(), 5, 5)).toBe(true);
  });

  it('asks for no votes before it has that again', () => {
    const raft = refilled();
    raft.campaign();
    expect(raft.output().messages).toEqual([]);
  });
});
