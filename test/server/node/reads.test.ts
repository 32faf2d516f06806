/** Reads that wait, and proofs of how fresh what is applied is. */
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import { Reads } from '../../../server/node/reads.ts';
import { ReplicaReads } from '../../../server/node/replica-reads.ts';

const refusal = (): SparrowError => new SparrowError('unavailable', 'NO_LEADER', 'nobody leads');

/** What became of a promise by now. */
async function fate(promise: Promise<void>): Promise<'answered' | 'refused' | 'waits'> {
  let fate: 'answered' | 'refused' | 'waits' = 'waits';
  promise.then(
    () => (fate = 'answered'),
    () => (fate = 'refused'),
  );
  for (let i = 0; i < 3; i++) await Promise.resolve();
  return fate;
}

describe('reads that wait', () => {
  it('are answered when what they must see is applied, not when that is known', async () => {
    const reads = new Reads();
    const read = reads.ask(false);
    reads.begin(() => 1, 0, refusal);
    reads.answer(10);
    expect(await fate(read), 'nobody has confirmed it').toBe('waits');
    reads.confirm({ read: 1, index: 12 }, 12);
    reads.answer(11);
    expect(await fate(read)).toBe('waits');
    reads.answer(12);
    expect(await fate(read)).toBe('answered');
  });

  it('are refused when the leader that was asked has lost its lead', async () => {
    const reads = new Reads();
    const [lost, other] = [reads.ask(false), reads.ask(true)];
    reads.begin(() => 1, 0, refusal);
    reads.lose(1, refusal);
    reads.answer(1000);
    expect(await fate(lost)).toBe('refused');
    expect(await fate(other)).toBe('refused');
    await expect(lost).rejects.toMatchObject({ code: 'NO_LEADER' });
  });

  it('are asked again when another member leads, if what they wait for was not committed', async () => {
    const reads = new Reads();
    const sure = reads.ask(true);
    reads.begin(() => 1, 0, refusal);
    reads.confirm({ read: 1, index: 8 }, 8);
    const open = reads.ask(true);
    reads.begin(() => 2, 0, refusal);
    reads.confirm({ read: 2, index: 12 }, 8);
    expect(reads.askAgain()).toBe(true);
    expect(reads.askAgain()).toBe(false);
    reads.begin(() => 3, 0, refusal);
    reads.answer(12);
    expect([await fate(sure), await fate(open)]).toEqual(['answered', 'waits']);
    reads.confirm({ read: 3, index: 9 }, 9);
    reads.answer(12);
    expect(await fate(open)).toBe('answered');
  });
});

describe('a proof of how fresh it is', () => {
  it('counts from when it was asked for, not from when it came', () => {
    const reads = new Reads();
    void reads.ask(true);
    reads.begin(() => 1, 1000, refusal);
    reads.confirm({ read: 1, index: 5 }, 5);
    // Asked for at 1000: 290 ms ago, and a hundredth for a slow clock.
    expect(reads.provenWithin(300, 1290)).toBe(5);
    expect(reads.provenWithin(300, 1298)).toBe(undefined);
  });

  it('serves a read that may be old at once when what it is about is applied, and no sooner', async () => {
    let applied = 4;
    let asked = 0;
    const reads = new ReplicaReads({
      raft: { requestRead: () => ++asked },
      nowMs: () => 1000,
      leads: () => false,
      applied: () => applied,
      committed: () => Infinity,
      installing: () => false,
      schedule: () => undefined,
      notLeader: refusal,
    });
    const first = reads.read({ anyMember: true, staleMs: 500 });
    reads.begin(1000);
    reads.note({ reads: [{ read: 1, index: 5 }], lostReads: [] });
    const second = reads.read({ anyMember: true, staleMs: 500 });
    expect(second, 'entry 5 is proven to be needed, and 4 is applied').not.toBe(undefined);
    applied = 5;
    reads.answer();
    expect(await fate(first!)).toBe('answered');
    expect(reads.read({ anyMember: true, staleMs: 500 })).toBe(undefined);
  });
});
