/** What an operator does to the members of a group, on simulated machines: four nodes, of which three begin. */
import { describe, expect, it } from 'vitest';
import {
  addLearner,
  demote,
  freeId,
  noteBegun,
  promote,
  recover,
  recoveryPlan,
  remove,
  replace,
  setAddress,
  successorOf,
} from '../../../server/node/index.ts';
import { replicaOf } from '../../sim/operator.ts';
import { at, SimGroup } from './sim-group.ts';

const refused = (code: string): Error => expect.objectContaining({ code }) as Error;

describe('members of a group', () => {
  it('are taken in with their addresses, which everybody has then, the new one too', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    await cluster.done(addLearner(leader, 4, at(4)));
    const four = cluster.replica(4);
    expect(await cluster.world.run(10_000, () => four.members.includes(4))).toBe(true);
    expect(await cluster.world.run(5000, () => [1, 2, 3, 4].every((id) => cluster.replica(id).book.nodes.has(4)))).toBe(true);
    for (const id of [1, 2, 3, 4]) expect(cluster.replica(id).book.nodes.get(4)).toEqual(at(4));
    await cluster.done(setAddress(leader, 4, at(44)));
    expect(
      await cluster.world.run(5000, () => [1, 2, 3, 4].every((id) => cluster.replica(id).book.nodes.get(4)?.address === at(44).address)),
    ).toBe(true);
    await expect(cluster.done(addLearner(leader, 4))).rejects.toThrow(refused('CONFIGURATION_CHANGE'));
    // Who votes is no learner to be added: that would take its vote.
    await expect(cluster.done(addLearner(leader, leader.stats().id))).rejects.toThrow(refused('CONFIGURATION_CHANGE'));
  });

  it('are gone for good: an id is used once, after a restart and for a later leader too', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    await cluster.done(addLearner(leader, 4, at(4)));
    const [gone, next] = [1, 2, 3].filter((id) => id !== leader.stats().id);
    await cluster.world.run(1000);
    await cluster.done(replace(leader, gone!, 4));
    await cluster.settledChange(leader);
    await cluster.done(remove(leader, gone!));
    expect([...leader.book.removed]).toEqual([gone]);
    expect(leader.book.nodes.has(gone!)).toBe(false);
    await expect(cluster.done(addLearner(leader, gone!, at(1)))).rejects.toThrow(refused('NODE_REMOVED'));
    expect(freeId(leader)).toBe(5);

    // Who has not applied the change does not campaign.
    expect(await cluster.world.run(1000, () => cluster.replica(next!).applied === leader.applied)).toBe(true);
    leader.lead.transfer(next!);
    expect(await cluster.world.run(5000, () => cluster.replica(next!).stats().role === 'leader')).toBe(true);
    cluster.nodes[next! - 1]!.end('process', 10);
    await cluster.world.run(500);
    const later = await cluster.led();
    expect([...later.book.removed]).toEqual([gone]);
    await expect(cluster.done(addLearner(later, gone!))).rejects.toThrow(refused('NODE_REMOVED'));
    expect(await cluster.world.run(5000, () => replicaOf(cluster.nodes[next! - 1]!)?.book.removed.has(gone!) === true)).toBe(true);
  });

  it('are not changed so that those who are reached would be no majority', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    const [down, up] = [1, 2, 3].filter((id) => id !== leader.stats().id);
    const reachable = (id: number): boolean => id !== down;
    await expect(cluster.done(demote(leader, up!, reachable))).rejects.toThrow(refused('NO_MAJORITY_AFTER'));
    expect(successorOf(leader, reachable)).toBe(up);
    await cluster.done(demote(leader, down!, reachable));
    expect(leader.stats().configuration).toMatchObject({ learners: [down] });
    await expect(cluster.done(demote(leader, down!))).rejects.toThrow(refused('CONFIGURATION_CHANGE'));
    await expect(cluster.done(replace(leader, down!, up!))).rejects.toThrow(refused('CONFIGURATION_CHANGE'));
  });

  it('vote when they have caught up, and not before', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    cluster.nodes[3]!.end('process', 1e9);
    await cluster.done(addLearner(leader, 4, at(4)));
    // However short the log is.
    await expect(cluster.done(promote(leader, 4))).rejects.toThrow(refused('NOT_CAUGHT_UP'));
    await expect(cluster.done(replace(leader, leader.stats().id, 4))).rejects.toThrow(refused('NOT_CAUGHT_UP'));
    await cluster.done(Promise.all(Array.from({ length: 1010 }, (_, i) => setAddress(leader, 4, at(i % 250)))));
    await expect(cluster.done(promote(leader, 4))).rejects.toThrow(refused('NOT_CAUGHT_UP'));
  });

  it('are known to have begun when they have data', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    cluster.nodes[3]!.end('process', 1e9);
    for (const id of [1, 2, 4]) await cluster.done(setAddress(leader, id, at(id)));
    await cluster.done(addLearner(leader, 4));
    await cluster.world.run(500);
    await cluster.done(noteBegun(leader));
    // 3 is where nobody has said, and has data all the same.
    expect([...leader.book.begun].sort((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(leader.book.nodes.has(3)).toBe(false);
    const { lastIndex } = leader.stats();
    await cluster.done(noteBegun(leader));
    expect(leader.stats().lastIndex).toBe(lastIndex);
  });

  it('forget a node that was named and never came', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    await cluster.done(setAddress(leader, 7, at(7)));
    expect(leader.book.nodes.has(7)).toBe(true);
    await cluster.done(remove(leader, 7));
    expect([leader.book.nodes.has(7), leader.book.removed.has(7)]).toEqual([false, false]);
  });
});

describe('a recovery', () => {
  it('does what its plan said, or nothing, and uses up the ids of who is given up', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    expect(() => recoveryPlan(leader, [1])).toThrow(refused('HAS_LEADER'));
    const left = cluster.replica([1, 2, 3].find((id) => id !== leader.stats().id)!);
    const { id } = left.stats();
    const lost = [1, 2, 3].filter((other) => other !== id);
    await cluster.world.run(1000);
    for (const other of lost) cluster.nodes[other - 1]!.end('none', 1e9);
    expect(await cluster.world.run(5000, () => left.stats().leader === 0)).toBe(true);
    const plan = recoveryPlan(left, [id]);
    expect(plan).toMatchObject({ member: id, voters: [id], lost, last: left.stats().lastIndex, lostFrom: left.stats().lastIndex + 1 });
    expect(() => recover(left, [id], '00000000')).toThrow(refused('PLAN_CHANGED'));
    expect(() => recoveryPlan(left, lost)).toThrow(refused('CONFIGURATION_CHANGE'));
    recover(left, [id], plan.token);
    expect(await cluster.world.run(5000, () => left.stats().role === 'leader' && left.stats().configuration.voters.length === 1)).toBe(
      true,
    );
    expect([...left.book.removed]).toEqual(lost);
  });

  it('takes several who are left, a learner among them; who has the longest log leads', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    await cluster.done(addLearner(leader, 4, at(4)));
    const left = cluster.replica([1, 2, 3].find((id) => id !== leader.stats().id)!);
    const { id } = left.stats();
    const learner = cluster.replica(4);
    await cluster.world.run(3000);
    for (const other of [1, 2, 3]) if (other !== id) cluster.nodes[other - 1]!.end('none', 1e9);
    expect(await cluster.world.run(5000, () => left.stats().leader === 0)).toBe(true);
    recover(left, [4, id], recoveryPlan(left, [id, 4]).token);
    const whole = (): boolean => [left, learner].every((replica) => replica.stats().configuration.voters.length === 2);
    expect(await cluster.world.run(5000, whole)).toBe(true);
    expect([left.stats().role, learner.stats().configuration.voters]).toEqual(['leader', [id, 4]]);
    await cluster.done(setAddress(left, 4, at(44)));
    expect(await cluster.world.run(5000, () => learner.book.nodes.get(4)?.address === at(44).address)).toBe(true);
  });
});
