import { describe, expect, it } from 'vitest';
import type { Raft } from '../../../server/raft/index.ts';
import { memberOne, persisted } from './one-member.ts';

const NO_DATA = new Uint8Array(0);

/** Leads 1 and 2 in term 2; 2 has entries up to 4, and 5 and 6 are being read for it. */
function leaderThatFetches(): Raft {
  const given = {
    hardState: { term: 1, vote: 0, commit: 10 },
    log: { compactedIndex: 0, compactedTerm: 0, lastIndex: 10, terms: [{ index: 1, term: 1 }], entries: [] },
    applied: 10,
  };
  const raft = memberOne(given, [1, 2]);
  const vote = { type: 'vote-response', from: 2, to: 1, granted: true, commit: 4, commitTerm: 1 } as const;
  raft.campaign();
  raft.step({ ...vote, term: 2, pre: true });
  persisted(raft, raft.output());
  raft.step({ ...vote, term: 2, pre: false });
  persisted(raft, raft.output());
  const answer = { type: 'append-response', from: 2, to: 1, term: 2, hintIndex: 4, hintTerm: 1 } as const;
  raft.step({ ...answer, accepted: false, index: 10 });
  raft.output();
  raft.step({ ...answer, accepted: true, index: 4 });
  expect(raft.output().fetches).toMatchObject([{ member: 2, from: 5 }]);
  return raft;
}

describe('entries that were read for a member', () => {
  const entries = [5, 6].map((index) => ({ index, term: 1, data: NO_DATA }));

  it('are sent to it', () => {
    const raft = leaderThatFetches();
    raft.fetched(2, entries);
    expect(raft.output().messages).toMatchObject([{ type: 'append-request', to: 2, previousIndex: 4, entries }]);
  });

  it('are not sent when the log was cut meanwhile, also where it was cut at the first of them: a snapshot is', () => {
    for (const cut of [5, 6, 8]) {
      const raft = leaderThatFetches();
      raft.compact(cut);
      raft.fetched(2, entries);
      expect(raft.output().messages).toMatchObject([{ type: 'snapshot-request', to: 2 }]);
    }
  });
});
