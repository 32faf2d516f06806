/** A group of three whose disks are slow, full, failing, or rotten, on simulated machines. */
import { describe, expect, it } from 'vitest';
import { handOver, type Replica } from '../../../server/node/index.ts';
import { leaderOf, replicaOf } from '../../sim/operator.ts';
import { put, GroupOfThree, valueOf } from './group-of-three.ts';

const LOG = '/data/log';

/** Somebody always writes, to whoever leads. Returns how to end it. */
function keepWriting(group: GroupOfThree): () => void {
  let on = true;
  let writes = 0;
  const write = (): void => {
    if (!on) return;
    const leader = leaderOf(group.nodes);
    const again = (): unknown => group.world.scheduler.after(20, write);
    if (leader === undefined) again();
    else put(leader, `k${writes++ % 10}`, `${writes}`).then(again, again);
  };
  write();
  return () => (on = false);
}

function handovers(group: GroupOfThree): number[] {
  return group.nodes.map((node) => replicaOf(node)?.stats().handovers ?? 0);
}

describe('a leader', () => {
  it('whose disk is much slower than those of the others gives the lead up, once', async () => {
    const group = new GroupOfThree();
    const { leader } = await group.led();
    const end = keepWriting(group);
    await group.world.run(500);
    expect(handovers(group)).toEqual([0, 0, 0]);
    group.nodeOf(leader).diskSlowness = 300;
    expect(await group.world.run(5000, () => leaderOf(group.nodes) !== leader && leaderOf(group.nodes) !== undefined)).toBe(true);
    expect(leader.stats().handovers).toBe(1);
    await group.world.run(3000);
    expect(handovers(group).reduce((sum, each) => sum + each)).toBe(1);
    expect(leaderOf(group.nodes)).not.toBe(leader);
    end();
  });

  it('keeps the lead where all disks are slow', async () => {
    const group = new GroupOfThree();
    const { leader } = await group.led();
    const end = keepWriting(group);
    await group.world.run(1000);
    const quickest = Math.min(...group.nodes.map((node) => node.diskSlowness));
    expect(quickest).toBe(1);
    for (const node of group.nodes) node.diskSlowness = 30;
    await group.world.run(3000);
    expect(leader.stats().handovers).toBeLessThanOrEqual(1);
    expect(handovers(group).reduce((sum, each) => sum + each)).toBeLessThanOrEqual(1);
    end();
  });

  it('whose disk is full hands the lead over at once, and writes go on', async () => {
    const group = new GroupOfThree();
    const { leader } = await group.led();
    expect(await group.outcome(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    group.nodeOf(leader).disk.capacityBytes = 0;
    // Until what the log's file has taken ahead is used up.
    for (let i = 0; i < 40; i++) put(leader, `large ${i}`, 'x'.repeat(20_000)).catch(() => undefined);
    expect(await group.world.run(3000, () => ![leader, undefined].includes(leaderOf(group.nodes)))).toBe(true);
    const next = leaderOf(group.nodes)!;
    expect(await group.outcome(put(next, 'k', 'x'))).toMatchObject({ value: { outcome: 'applied' } });
    group.nodeOf(leader).disk.capacityBytes = Infinity;
    const node = group.nodeOf(leader);
    const seen = (): boolean => replicaOf(node) !== undefined && valueOf(replicaOf(node)!, 'k') === 'x';
    expect(await group.world.run(5000, seen)).toBe(true);
  });

  it('that is to hand over to a member whose disk is full leads on, and says why', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    expect(await group.outcome(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    const [target] = followers as [Replica, Replica];
    const { disk } = group.nodeOf(target);
    disk.capacityBytes = 0;
    for (let i = 0; i < 40 && !target.stats().diskFull; i++) await group.outcome(put(leader, `large ${i}`, 'x'.repeat(20_000)));
    expect(target.stats().diskFull).toBe(true);
    const { error } = await group.outcome(leader.lead.handOver(target.stats().id));
    expect(error).toMatchObject({ code: 'NOT_TAKEN_OVER', details: { node: target.stats().id, applied: false } });
    expect((error as Error).message).toMatch(/has not acknowledged the last \d+ entries: its disk may be full/);
    expect(leaderOf(group.nodes)).toBe(leader);
    disk.capacityBytes = Infinity;
    expect(await group.world.run(5000, () => target.applied === leader.applied)).toBe(true);
    expect(await group.outcome(leader.lead.handOver(target.stats().id))).toEqual({ value: undefined });
    expect(await group.world.run(1000, () => leaderOf(group.nodes) === target)).toBe(true);
  });

  it('that stops, and whose lead nobody can take over in time, steps down', async () => {
    const group = new GroupOfThree();
    const { leader, followers } = await group.led();
    expect(await group.outcome(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    // They acknowledge nothing for as long as it waits.
    for (const follower of followers) group.nodeOf(follower).diskSlowness = 3000;
    const { world } = group;
    let lost: unknown;
    put(leader, 'late', 'v').catch((error: unknown) => (lost = error));
    await world.run(1);
    const clock = { monotonicMs: () => world.nowMs, wallMs: () => world.nowMs };
    const handed = await group.outcome(handOver(leader, { clock, scheduler: world.scheduler, reachable: () => true }, 100));
    expect(handed).toEqual({ value: undefined });
    expect(leader.stats().role).not.toBe('leader');
    await world.run(10);
    expect(lost).toMatchObject({ code: 'LEADERSHIP_LOST' });
    for (const follower of followers) group.nodeOf(follower).diskSlowness = 1;
    expect(await world.run(5000, () => ![leader, undefined].includes(leaderOf(group.nodes)))).toBe(true);
  });

  it('whose sync fails stops, and another leads', async () => {
    const group = new GroupOfThree();
    const { leader } = await group.led();
    expect(await group.outcome(put(leader, 'k', 'u'))).toMatchObject({ value: { outcome: 'applied' } });
    const { disk } = group.nodeOf(leader);
    disk.failAt({ at: disk.operations + 2, error: 'EIO' });
    put(leader, 'k', 'v').catch(() => undefined);
    expect(await group.world.run(1000, () => leader.stopped !== undefined)).toBe(true);
    expect(await group.world.run(1000, () => ![leader, undefined].includes(leaderOf(group.nodes)))).toBe(true);
  });
});

describe('a replica whose log has lost entries', () => {
  it('gets exactly those back from the others, and has everything', async () => {
    const group = new GroupOfThree(Infinity, { raftSegmentBytes: 4096, checkpointBytes: 1 << 30 });
    const { leader, followers } = await group.led();
    const [follower] = followers as [Replica, Replica];
    for (let i = 0; i < 150; i++) await group.outcome(put(leader, `k${i}`, `value ${i}`.padEnd(100)));
    expect(await group.world.run(5000, () => follower.applied === leader.applied)).toBe(true);
    const node = group.nodeOf(follower);
    // What its engine has not made durable is gone: the log is needed.
    node.end('none', 1e9);
    const segments = node.disk.listSync(LOG).filter((name) => /^\d+\.raft$/.test(name));
    expect(segments.length).toBeGreaterThan(3);
    for (const name of segments.slice(0, -2)) node.disk.flip(`${LOG}/${name}`, Math.floor(node.disk.contents(`${LOG}/${name}`).length / 2));
    node.damaged = true;
    node.start();
    expect(await group.world.run(10_000, () => replicaOf(node)?.applied === leader.applied)).toBe(true);
    const mended = replicaOf(node)!;
    expect(mended.stats().entriesMended).toBeGreaterThan(0);
    expect(mended.stats().entriesMended).toBeLessThan(20);
    for (let i = 0; i < 150; i++) expect(valueOf(mended, `k${i}`)).toBe(`value ${i}`.padEnd(100));
    expect(await group.outcome(put(leader, 'k', 'after'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.world.run(5000, () => valueOf(mended, 'k') === 'after')).toBe(true);
  });
});
