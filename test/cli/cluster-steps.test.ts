/** How the commands of an operator reach what they are to: again where it is refused for a moment, and no further where it is refused. */
import { describe, expect, it } from 'vitest';
import { type Operator, reach } from '../../cli/commands/cluster/operator.ts';
import { makeVoter, removeMember, transferLead } from '../../cli/commands/cluster/steps.ts';
import type { ClusterAdmin, ClusterStatus, MembersChange } from '../../client/index.ts';
import { SparrowError } from '../../base/errors.ts';

/** A cluster of three voters and learner 4, that answers changes as it is told. */
class FakeCluster {
  leaderId = 1;
  roles = new Map([
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 2],
  ]);
  removed: number[] = [];
  readonly calls: string[] = [];
  /** What becomes of the next calls; nothing: they are done. `lost`: done, and the answer is lost. */
  answers: (SparrowError | 'lost')[] = [];
  readonly lines: string[] = [];

  get operator(): Operator {
    const admin = {
      leaderStatus: () => Promise.resolve({ address: 'h', status: this.#status() }),
      changeMembers: (change: MembersChange) =>
        this.#call(change.type, () => {
          if (change.type === 'promote') this.roles.set(change.id, 1);
          if (change.type === 'demote') this.roles.set(change.id, 2);
          if (change.type !== 'remove') return;
          this.roles.delete(change.id);
          this.removed.push(change.id);
        }),
      transferLead: (to: number) => this.#call('transfer', () => (this.leaderId = to || 2)).then(() => to || 2),
    };
    return {
      admin: admin as unknown as ClusterAdmin,
      signal: new AbortController().signal,
      timeoutMs: 3000,
      note: () => undefined,
      done: (line) => void this.lines.push(line),
      answer: () => undefined,
    };
  }

  #status(): ClusterStatus {
    const members = [...this.roles].map(([id, role]) => ({
      id,
      role,
      address: `h${id}`,
      peerAddress: `p${id}`,
      reachable: true,
      progress: undefined,
    }));
    return { leaderId: this.leaderId, term: 3, members, removedIds: this.removed } as unknown as ClusterStatus;
  }

  #call(name: string, act: () => unknown): Promise<void> {
    this.calls.push(name);
    const answer = this.answers.shift();
    if (answer instanceof SparrowError) return Promise.reject(answer);
    act();
    return answer === 'lost' ? Promise.reject(new SparrowError('unavailable', 'CONNECTION_LOST', 'gone')) : Promise.resolve();
  }
}

const pending = new SparrowError('unavailable', 'CHANGE_REFUSED', 'the members cannot change now: change-pending');

describe('a step', () => {
  it('is made again while it is refused for a moment', async () => {
    const cluster = new FakeCluster();
    cluster.answers = [pending, pending];
    await makeVoter(cluster.operator, 4);
    expect([cluster.calls, cluster.lines]).toEqual([['promote', 'promote', 'promote'], ['node 4 is a voter now']]);
  });

  it('whose answer was lost is not made twice', async () => {
    const cluster = new FakeCluster();
    cluster.answers = ['lost'];
    await makeVoter(cluster.operator, 4);
    expect(cluster.calls).toEqual(['promote']);
  });

  it('that is refused is not made again', async () => {
    const cluster = new FakeCluster();
    cluster.answers = [new SparrowError('unavailable', 'NOT_CAUGHT_UP', 'it lags')];
    await expect(makeVoter(cluster.operator, 4)).rejects.toMatchObject({ code: 'NOT_CAUGHT_UP' });
    expect(cluster.calls).toEqual(['promote']);
    await expect(makeVoter(cluster.operator, 9)).rejects.toMatchObject({ code: 'NOT_A_MEMBER' });
  });

  it('that does not come about ends with why', async () => {
    const cluster = new FakeCluster();
    const goal = { reached: () => false, step: () => Promise.reject(pending), msMax: 500, what: 'the change' };
    await expect(reach(cluster.operator, goal)).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('change-pending') as string,
    });
  });
});

it('a leader that is removed hands the lead over, and gives its vote up, first', async () => {
  const cluster = new FakeCluster();
  await removeMember(cluster.operator, 1);
  expect(cluster.calls).toEqual(['transfer', 'demote', 'remove']);
  await removeMember(cluster.operator, 1);
  expect(cluster.lines.at(-1)).toBe('node 1 was removed before');
  await transferLead(cluster.operator, 2);
  expect(cluster.lines.at(-1)).toBe('node 2 leads already');
});
