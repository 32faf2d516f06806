/** Configurations and majorities: what every sequence of changes keeps, and that majorities before and after one change overlap. */
import { describe, expect, it } from 'vitest';
import {
  changed,
  type Configuration,
  type ConfigurationChange,
  hasQuorum,
  jointQuorumIndex,
  jointTally,
  type MemberChange,
  SeededRandom,
  votersOnly,
} from '../../../server/raft/index.ts';

const IDS = [1, 2, 3, 4, 5];

/** All sets of members. */
const SETS = Array.from({ length: 1 << IDS.length }, (_, bits) => new Set(IDS.filter((_id, i) => bits & (1 << i))));

function decides(configuration: Configuration, set: ReadonlySet<number>): boolean {
  return hasQuorum(configuration, (id) => set.has(id));
}

function randomChange(random: SeededRandom): ConfigurationChange {
  const one = (): MemberChange => ({
    type: (['make-voter', 'make-learner', 'remove'] as const)[random.below(3)]!,
    id: 1 + random.below(IDS.length),
    ...(random.below(4) === 0 && { witness: true }),
  });
  const kind = random.below(3);
  if (kind === 0) return { type: 'leave-joint' };
  if (kind === 1) return { type: 'simple', members: [one()] };
  return { type: 'enter-joint', members: [one(), one()], autoLeave: random.below(2) === 0 };
}

function checkInvariants({ voters, outgoing, learners, learnersNext, witnesses, autoLeave }: Configuration): void {
  for (const set of [voters, outgoing, learners, learnersNext, witnesses]) {
    expect(set).toEqual([...new Set(set)].sort((a, b) => a - b));
  }
  expect(voters.length).toBeGreaterThan(0);
  for (const id of learners) expect([...voters, ...outgoing]).not.toContain(id);
  for (const id of learnersNext) expect(outgoing).toContain(id);
  for (const id of witnesses) expect([...voters, ...outgoing, ...learners]).toContain(id);
  if (outgoing.length === 0) expect([learnersNext, autoLeave]).toEqual([[], false]);
  // Every majority has somebody with data.
  expect(hasQuorum({ voters, outgoing: [] }, (id) => witnesses.includes(id))).toBe(false);
}

describe('a configuration', () => {
  it('keeps its invariants, and majorities of neighbours overlap', () => {
    const random = new SeededRandom(7);
    let made = 0;
    for (let life = 0; life < 60; life++) {
      let configuration = votersOnly([1, 2, 3]);
      for (let step = 0; step < 25; step++) {
        let after: Configuration;
        try {
          after = changed(configuration, randomChange(random));
        } catch (error) {
          expect(error).toMatchObject({ kind: 'invalid', code: 'CONFIGURATION_CHANGE' });
          continue;
        }
        made++;
        checkInvariants(after);
        const before = SETS.filter((set) => decides(configuration, set));
        for (const set of SETS.filter((other) => decides(after, other))) {
          for (const other of before)
            if (![...set].some((id) => other.has(id))) expect([configuration, after, set, other]).toBe('overlapping');
        }
        configuration = after;
      }
    }
    expect(made).toBeGreaterThan(200);
  });

  it('says what is wrong with a change', () => {
    const three = votersOnly([1, 2, 3]);
    const refused = (change: ConfigurationChange): string => {
      try {
        changed(three, change);
      } catch (error) {
        return (error as Error).message;
      }
      return 'taken';
    };
    const simple = (...members: MemberChange[]): string => refused({ type: 'simple', members });
    expect(simple()).toBe('the change names no member');
    expect(simple({ type: 'make-voter', id: 0 })).toBe('member 0: an id is an integer above 0');
    expect(simple({ type: 'make-voter', id: 2 })).toBe('member 2 is a voter already');
    expect(simple({ type: 'remove', id: 2 })).toBe('member 2 votes: make it a learner first');
    expect(simple({ type: 'remove', id: 9 })).toBe('member 9 is not a member of the group');
    expect(simple({ type: 'make-voter', id: 4 }, { type: 'make-voter', id: 4 })).toBe('member 4 is named twice');
    expect(simple({ type: 'make-voter', id: 4 }, { type: 'make-voter', id: 5 })).toBe(
      '2 voters change at once: enter a joint configuration',
    );
    expect(refused({ type: 'leave-joint' })).toBe('the configuration is not joint');
  });
});

describe('joint majorities', () => {
  it('are majorities of both sets, for indexes, votes and members alike', () => {
    const sets = { voters: [1, 4, 5], outgoing: [1, 2, 3] };
    for (const set of SETS) {
      const both = [sets.voters, sets.outgoing].every((voters) => voters.filter((id) => set.has(id)).length >= 2);
      expect(hasQuorum(sets, (id) => set.has(id))).toBe(both);
      expect(jointQuorumIndex(sets, (id) => (set.has(id) ? 7 : 3))).toBe(both ? 7 : 3);
      expect(jointTally(sets, new Map(IDS.map((id) => [id, set.has(id)])))).toBe(both ? 'won' : 'lost');
    }
    expect(
      jointTally(
        sets,
        new Map([
          [4, true],
          [5, true],
        ]),
      ),
    ).toBe('pending');
  });
});
