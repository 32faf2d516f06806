/** A group of three replicas, as a caller sees it, on simulated machines. */
import { describe, expect, it } from 'vitest';
import { recover, recoveryPlan, type Replica } from '../../../server/node/index.ts';
import { NAMES, put, GroupOfThree, valueOf } from './group-of-three.ts';

describe('a group of three replicas', () => {
  it('has one that takes writes and reads; the others name it', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    expect(await group.outcome(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.outcome(leader.read()!)).toEqual({ value: undefined });
    expect(valueOf(leader, 'k')).toBe('v');
    const elsewhere = { kind: 'rerouted', code: 'NOT_LEADER', details: { leader: leader.stats().id, applied: false } };
    for (const follower of followers) {
      expect(await group.outcome(put(follower, 'k', 'w'))).toMatchObject({ error: elsewhere });
      expect(await group.outcome(follower.read()!)).toMatchObject({ error: elsewhere });
    }
    expect(await group.world.run(1000, () => followers.every((follower) => valueOf(follower, 'k') === 'v'))).toBe(true);
  });

  it('reads at every member what was acknowledged before', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    for (let i = 0; i < 20; i++) {
      expect(await group.outcome(put(leader, 'k', `${i}`))).toMatchObject({ value: { outcome: 'applied' } });
      for (const follower of followers) {
        expect(await group.outcome(follower.read({ anyMember: true, staleMs: 0 })!)).toEqual({ value: undefined });
        expect(valueOf(follower, 'k')).toBe(`${i}`);
      }
    }
    expect(followers.map((follower) => follower.stats().readsFollowing)).toEqual([20, 20]);
  });

  it('reads at once what may be old, as long as that is proven, and asks before it is over', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    const [follower] = followers;
    const read = (staleMs: number): Promise<void> | undefined => follower!.read({ anyMember: true, staleMs });
    expect(await group.outcome(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    // Nothing is known yet.
    expect(await group.outcome(read(1000)!)).toEqual({ value: undefined });
    expect(read(1000)).toBeUndefined();
    // Reads that keep coming never wait.
    for (let ms = 0; ms < 5000; ms += 100) {
      await group.world.run(100);
      expect(read(1000)).toBeUndefined();
    }
    // Cut off from the others it reads on for as long as that, and no longer.
    const name = NAMES[follower!.stats().id - 1]!;
    group.world.links.partition(
      [name],
      NAMES.filter((other) => other !== name),
    );
    expect(read(1000)).toBeUndefined();
    await group.world.run(1001);
    expect(await group.outcome(read(1000)!)).toMatchObject({ error: { kind: 'unavailable', code: 'NO_LEADER' } });
    expect(read(60_000)).toBeUndefined();
  });

  it('says of a write whose leader lost its lead that nobody knows', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    const name = NAMES[leader.stats().id - 1]!;
    group.world.links.partition(
      [name],
      NAMES.filter((other) => other !== name),
    );
    const { error } = await group.outcome(put(leader, 'k', 'lost'));
    expect(error).toMatchObject({ kind: 'unavailable', code: 'LEADERSHIP_LOST', details: {} });
    expect(await group.outcome(leader.read()!)).toMatchObject({ error: { code: 'NO_LEADER' } });
    const leads = ({ role }: ReturnType<Replica['stats']>): boolean => role === 'leader';
    expect(await group.world.run(10_000, () => followers.some((follower) => leads(follower.stats())))).toBe(true);
    const next = followers.find((follower) => leads(follower.stats()))!;
    expect(await group.outcome(put(next, 'k', 'kept'))).toMatchObject({ value: { outcome: 'applied' } });
    group.world.links.heal();
    expect(await group.world.run(10_000, () => valueOf(leader, 'k') === 'kept')).toBe(true);
  });

  it('hands the lead over', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    const to = followers[0]!.stats().id;
    leader.lead.transfer(to);
    expect(await group.world.run(5000, () => leader.stats().leader === to)).toBe(true);
    expect(followers[0]!.stats().role).toBe('leader');
    expect(() => leader.lead.transfer(to)).toThrow(expect.objectContaining({ code: 'NOT_LEADER' }) as Error);
  });

  it('sleeps when nothing happens, and wakes for a write and for a lost node', async () => {
    const group = new GroupOfThree(3);
    const { leader, followers } = await group.led();
    const all = [leader, ...followers];
    expect(await group.world.run(10_000, () => all.every((replica) => replica.asleep))).toBe(true);
    expect(await group.outcome(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.world.run(10_000, () => all.every((replica) => replica.asleep))).toBe(true);
    group.nodes[leader.stats().id - 1]!.end('process', 60_000);
    expect(await group.world.run(10_000, () => followers.some((follower) => follower.stats().role === 'leader'))).toBe(true);
  });

  it('wakes, and elects, when the replica that led stopped in its sleep, and somebody writes to another one', async () => {
    const group = new GroupOfThree(3);
    const { leader, followers } = await group.led();
    const all = [leader, ...followers];
    expect(await group.world.run(10_000, () => all.every((replica) => replica.asleep))).toBe(true);
    // Its node lives, and the connections with it.
    leader.abort();
    await group.world.run(5000);
    expect(followers.every((follower) => follower.asleep)).toBe(true);
    expect(await group.outcome(put(followers[0]!, 'k', 'v'))).toMatchObject({ error: { code: 'NOT_LEADER' } });
    expect(await group.world.run(5000, () => followers.some((follower) => follower.stats().role === 'leader'))).toBe(true);
  });

  it('does not sleep on when the others have gone while it fell asleep', async () => {
    for (let afterMs = 0; afterMs < 700; afterMs += 7) {
      const group = new GroupOfThree(20);
      const { leader, followers } = await group.led();
      const [left, ...gone] = afterMs % 2 === 0 ? [leader, ...followers] : [...followers, leader];
      await group.world.run(afterMs);
      for (const replica of gone) group.nodeOf(replica).end('process', 600_000);
      expect(await group.world.run(10_000, () => left!.stats().leader === 0), `${afterMs} ms`).toBe(true);
    }
  });

  it('is recovered by who is left, who says before what may be lost', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    await group.outcome(put(leader, 'k', 'v'));
    const left = followers[0]!;
    const { id } = left.stats();
    expect(await group.world.run(5000, () => valueOf(left, 'k') === 'v')).toBe(true);
    const lost = [1, 2, 3].filter((member) => member !== id);
    for (const member of lost) group.nodes[member - 1]!.end('none', 1e9);
    await group.world.run(2000);
    const { lastIndex, committedIndex } = left.stats();
    expect(recoveryPlan(left, [id])).toMatchObject({
      voters: [id],
      lost,
      committed: committedIndex,
      last: lastIndex,
      lostFrom: lastIndex + 1,
    });
    expect(() => recoveryPlan(left, [9])).toThrow(expect.objectContaining({ code: 'CONFIGURATION_CHANGE' }) as Error);
    recover(left, [id]);
    expect(await group.world.run(5000, () => left.stats().configuration.voters.length === 1)).toBe(true);
    expect(await group.outcome(put(left, 'k', 'w'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(valueOf(left, 'k')).toBe('w');
  });
});
