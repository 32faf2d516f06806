/** When a leader gives the lead up because of its disk, look by look. */
import { describe, expect, it } from 'vitest';
import { FIRST_JUDGEMENT, type FollowerLook, judge, type Judgement, type Look } from '../../../server/node/lead-decision.ts';

const QUICK: FollowerLook = { id: 2, ackMs: 5, caughtUp: true };
const SLOW: FollowerLook = { id: 3, ackMs: 400, caughtUp: true };

function look(syncMs: number | undefined, followers: readonly FollowerLook[] = [QUICK, SLOW], full = false): Look {
  return { syncMs, floorMs: 100, unfit: full ? 'full disk' : undefined, followers };
}

function after(looks: readonly Look[], judgement: Judgement = FIRST_JUDGEMENT): Judgement {
  return looks.reduce(judge, judgement);
}

/** At which looks the lead was given up. */
function handovers(looks: readonly Look[], first: Judgement = FIRST_JUDGEMENT): number[] {
  const at: number[] = [];
  let judgement = first;
  for (const each of looks) {
    judgement = judge(judgement, each);
    if (judgement.to !== undefined) at.push(judgement.looks);
  }
  return at;
}

function times<T>(count: number, of: T): T[] {
  return Array.from({ length: count }, () => of);
}

describe('a leader gives the lead up', () => {
  it.each<[string, Look, number | undefined]>([
    ['a sync takes four times as long as a follower', look(100, [{ ...QUICK, ackMs: 25 }]), 2],
    ['it takes not quite as long', look(100, [{ ...QUICK, ackMs: 26 }]), undefined],
    ['it is quick for a disk', look(99), undefined],
    ['the quickest of several is chosen', look(2000, [SLOW, QUICK, { ...QUICK, id: 4, ackMs: 6 }]), 2],
    ['who lags is not', look(2000, [{ ...QUICK, caughtUp: false }, SLOW]), 3],
    ['all are as slow', look(400, [SLOW]), undefined],
    ['nobody has acknowledged anything', look(400, [{ ...QUICK, ackMs: undefined }]), undefined],
    ['it is alone', look(400, []), undefined],
  ])('or not, when %s', (_, each, to) => {
    expect(handovers(times(4, each))).toEqual([]);
    expect(after(times(5, each)).to).toBe(to);
  });

  it('when its disk is ten times as slow as usual, and half as quick as a follower', () => {
    const usual = after(times(50, look(20, [{ ...QUICK, ackMs: 25 }])));
    const slower = look(260, [{ ...QUICK, ackMs: 120 }]);
    expect(handovers(times(5, slower), usual)).toEqual([55]);
    expect(handovers(times(5, look(260, [{ ...QUICK, ackMs: 140 }])), usual)).toEqual([]);
    expect(handovers(times(5, slower), after(times(50, look(40, [{ ...QUICK, ackMs: 25 }]))))).toEqual([]);
  });

  it('not for a hiccup, and looks without a sync tell nothing', () => {
    const slow = look(500);
    const fine = look(10);
    expect(handovers([slow, slow, slow, slow, fine, slow, slow, slow, slow, fine])).toEqual([]);
    expect(handovers([slow, slow, look(undefined), slow, look(undefined), slow, slow])).toEqual([7]);
  });

  it('for slowness rarely, and ever more so', () => {
    const at = handovers(times(3000, look(500)));
    expect(at).toEqual([5, 65, 185, 425, 905, 1865, 2825]);
    // Long after the last time it counts as the first one again.
    const calm = after([...times(200, look(500)), ...times(3000, look(10))]);
    const again = handovers(times(200, look(5000)), calm).map((each) => each - calm.looks);
    expect(again).toEqual([5, 65, 185]);
  });

  it('at once when its disk is full, to anybody who is caught up, as often as need be', () => {
    expect(handovers(times(3, look(undefined, [QUICK, SLOW], true)))).toEqual([1, 2, 3]);
    expect(after([look(undefined, [{ id: 3, ackMs: undefined, caughtUp: true }], true)])).toMatchObject({ to: 3, reason: 'full disk' });
    expect(after([look(undefined, [{ id: 3, ackMs: 1, caughtUp: false }], true)]).to).toBeUndefined();
  });
});
