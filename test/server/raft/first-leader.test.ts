/** A group that has just come to be: whoever is told to campaign at once asks for votes, and not whether others would give theirs. */
import { expect, it } from 'vitest';
import type { Raft } from '../../../server/raft/index.ts';
import { memberOne, persisted } from './one-member.ts';

/** Its log begins behind entry 7, of term 4, as that of a shard that was split off. */
function newborn(): Raft {
  return memberOne({
    hardState: { term: 4, vote: 0, commit: 7 },
    log: { compactedIndex: 7, compactedTerm: 4, lastIndex: 7, terms: [], entries: [] },
    applied: 7,
  });
}

it('is led after one round of votes', () => {
  const raft = newborn();
  raft.campaign(true);
  const asked = raft.output();
  expect(asked.messages).toEqual([]);
  expect(asked.hardState).toMatchObject({ term: 5, vote: 1 });
  expect(persisted(raft, asked)).toMatchObject([
    { type: 'vote-request', to: 2, term: 5, pre: false, force: false, lastIndex: 7, lastTerm: 4 },
    { type: 'vote-request', to: 3, term: 5, pre: false, force: false },
  ]);
  expect(raft.role).toBe('candidate');
  raft.step({ type: 'vote-response', from: 3, to: 1, term: 5, pre: false, granted: true, commit: 7, commitTerm: 4 });
  expect(raft.role).toBe('leader');
});

it('asks whether it would be led, where it is not told to', () => {
  const raft = newborn();
  raft.campaign();
  expect(raft.output().messages).toMatchObject([
    { type: 'vote-request', to: 2, term: 5, pre: true },
    { type: 'vote-request', to: 3, term: 5, pre: true },
  ]);
  expect(raft.term).toBe(4);
});
