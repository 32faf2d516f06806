/** Replicas of a group of three whose engine is damaged: they get its state back from the others, and nobody has to see to it. */
import { describe, expect, it } from 'vitest';
import type { Replica } from '../../../server/node/index.ts';
import { leaderOf, replicaOf } from '../../sim/operator.ts';
import { bootServer, drawStackSettings } from '../../sim/server-program.ts';
import type { SimNode } from '../../sim/sim-node.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { World } from '../../sim/world.ts';
import { GroupOfThree, put, valueOf } from './group-of-three.ts';

const GROUP = '/data/groups/000001';
const KEYS = 150;

function slots(node: SimNode): string[] {
  return [`${GROUP}/a/files`, `${GROUP}/b/files`].filter((path) => node.disk.existsSync(path));
}

/** One bit in the midst of each table of the engine is another. */
function damageTables(node: SimNode): void {
  let damaged = 0;
  for (const directory of slots(node)) {
    for (const name of node.disk.listSync(directory).filter((each) => each.endsWith('.sst') || each.endsWith('.table'))) {
      const path = `${directory}/${name}`;
      node.disk.flip(path, Math.floor(node.disk.contents(path).length / 3));
      damaged++;
    }
  }
  expect(
    damaged,
    `tables in ${slots(node)
      .flatMap((path) => node.disk.listSync(path))
      .join(' ')}`,
  ).toBeGreaterThan(0);
  node.damaged = true;
}

/** A group that has data, in tables on all nodes. */
async function filled(): Promise<{ group: GroupOfThree; leader: Replica; follower: Replica }> {
  const group = new GroupOfThree(Infinity, { checkpointBytes: 1 << 20 });
  const { leader, followers } = await group.led();
  for (let i = 0; i < KEYS; i++) await group.outcome(put(leader, `k${i}`, `value ${i}`.padEnd(100)));
  expect(await group.world.run(5000, () => followers.every(({ applied }) => applied === leader.applied))).toBe(true);
  for (const { engine } of [leader, ...followers]) await group.outcome(engine.flush());
  return { group, leader, follower: followers[0]! };
}

/** Reads until the engine meets what is damaged, and its listeners are told. */
async function meet(replica: Replica): Promise<unknown> {
  for (let i = 0; i < KEYS; i++) {
    try {
      valueOf(replica, `k${i}`);
    } catch (error) {
      await Promise.resolve();
      return error;
    }
  }
  return undefined;
}

function expectAll(replica: Replica): void {
  for (let i = 0; i < KEYS; i++) expect(valueOf(replica, `k${i}`)).toBe(`value ${i}`.padEnd(100));
}

async function expectRepaired(group: GroupOfThree, node: SimNode, life?: Replica): Promise<Replica> {
  const sound = (): boolean => {
    const replica = replicaOf(node);
    return replica !== undefined && replica.stats().damagedBecause === undefined && replica.stats().snapshotsInstalled > 0;
  };
  expect(await group.world.run(10_000, sound)).toBe(true);
  const replica = replicaOf(node)!;
  if (life !== undefined) expect(replica, 'in the same life').toBe(life);
  const leads = (): boolean => leaderOf(group.nodes) !== undefined;
  expect(await group.world.run(5000, leads)).toBe(true);
  const leader = leaderOf(group.nodes)!;
  expect(await group.world.run(5000, () => replica.applied === leader.applied)).toBe(true);
  expectAll(replica);
  expect(await group.outcome(put(leader, 'k', 'after'))).toMatchObject({ value: { outcome: 'applied' } });
  expect(await group.world.run(5000, () => valueOf(replica, 'k') === 'after')).toBe(true);
  return replica;
}

describe('a replica whose engine is damaged', () => {
  it('repairs itself when a read meets it, and the log behind the snapshot is applied again', async () => {
    const { group, leader, follower } = await filled();
    const node = group.nodeOf(follower);
    damageTables(node);
    expect(await meet(follower)).toMatchObject({ kind: 'corrupt' });
    expect(follower.stats().damagedBecause).toMatchObject({ kind: 'corrupt' });
    await expect(follower.read({ anyMember: true, staleMs: 0 })).rejects.toMatchObject({ code: 'REPAIRING', details: { applied: false } });
    // It goes on voting and acknowledging: with the third member away, writes need it.
    const third = group.nodes.find((other) => other !== node && other !== group.nodeOf(leader))!;
    third.end('none', 1500);
    expect(await group.outcome(put(leader, 'meanwhile', 'x'))).toMatchObject({ value: { outcome: 'applied' } });
    const repaired = await expectRepaired(group, node, follower);
    expect(valueOf(repaired, 'meanwhile')).toBe('x');
    expect(repaired.stats().enginesRepaired).toBe(1);
  });

  it('repairs itself when a compaction meets it', async () => {
    const { group, leader, follower } = await filled();
    damageTables(group.nodeOf(follower));
    // Another table of the same keys, so that both have to be read.
    for (let i = 0; i < KEYS; i += 2) await group.outcome(put(leader, `k${i}`, `value ${i}`.padEnd(100)));
    expect(await group.world.run(5000, () => follower.applied === leader.applied)).toBe(true);
    await group.outcome(follower.engine.flush());
    follower.engine.compact().catch(() => undefined);
    expect(await group.world.run(1000, () => follower.stats().damagedBecause !== undefined)).toBe(true);
    await expectRepaired(group, group.nodeOf(follower), follower);
  });

  it('that leads hands the lead over, and repairs itself', async () => {
    const { group, leader } = await filled();
    damageTables(group.nodeOf(leader));
    expect(await meet(leader)).toMatchObject({ kind: 'corrupt' });
    await expect(put(leader, 'k', 'v')).rejects.toMatchObject({ code: 'REPAIRING', details: { applied: false } });
    expect(await group.world.run(2000, () => ![leader, undefined].includes(leaderOf(group.nodes)))).toBe(true);
    await expectRepaired(group, group.nodeOf(leader), leader);
  });

  it('repairs itself after a restart in the midst of it, without opening what is damaged', async () => {
    const { group, follower } = await filled();
    const node = group.nodeOf(follower);
    damageTables(node);
    // Nobody can help yet.
    for (const other of group.nodes) if (other !== node) other.end('none', 3000);
    expect(await meet(follower)).toMatchObject({ kind: 'corrupt' });
    await group.world.run(500);
    node.end('none', 10);
    await group.world.run(1000);
    expect(replicaOf(node), 'it waits to be helped').toBe(undefined);
    await expectRepaired(group, node);
    // What was noted is over with the engine that it was about.
    node.end('none', 10);
    expect(await group.world.run(5000, () => replicaOf(node) !== undefined)).toBe(true);
    expect(replicaOf(node)!.stats().snapshotsInstalled).toBe(0);
    expectAll(replicaOf(node)!);
  });

  it('that cannot be opened at all gets another one', async () => {
    const { group, follower } = await filled();
    const node = group.nodeOf(follower);
    node.end('none', 1e9);
    for (const directory of slots(node)) {
      for (const name of node.disk.listSync(directory).filter((each) => /^(?:MANIFEST|manifest)/.test(each))) {
        const length = node.disk.contents(`${directory}/${name}`).length;
        for (let at = 0; at < length; at += 5) node.disk.flip(`${directory}/${name}`, at, 0xff);
      }
    }
    node.damaged = true;
    node.start();
    await expectRepaired(group, node);
  });

  it('tells so, and serves the rest, where there is nobody else', async () => {
    const world = new World({ seed: 1 });
    const settings = { ...drawStackSettings(new SimRandom(1)), checkpointBytes: 1 << 20 };
    const node = world.addNode('server', (environment) => bootServer(environment, settings));
    expect(await world.run(5000, () => replicaOf(node) !== undefined)).toBe(true);
    const replica = replicaOf(node)!;
    let written = 0;
    for (let i = 0; i < KEYS; i++) void put(replica, `k${i}`, `value ${i}`.padEnd(100)).then(() => written++);
    expect(await world.run(5000, () => written === KEYS)).toBe(true);
    let flushed = false;
    void replica.engine.flush().then(() => (flushed = true));
    expect(await world.run(5000, () => flushed)).toBe(true);
    damageTables(node);
    expect(await meet(replica)).toMatchObject({ kind: 'corrupt' });
    expect(replica.stats()).toMatchObject({ damagedBecause: undefined, stoppedBecause: undefined });
    let applied = false;
    void put(replica, 'k', 'v').then(() => (applied = true));
    expect(await world.run(5000, () => applied)).toBe(true);
  });
});
