/** A group of three whose table does not wait for disks: what is answered early, what that survives, and what it does not. */
import { describe, expect, it } from 'vitest';
import {
  type ApplyResult,
  demote,
  describeShard,
  encodeDeleteRange,
  encodeWrite,
  engineKey,
  NO_LIMIT,
  type Replica,
} from '../../../server/node/index.ts';
import { CLIENTS_MAX } from '../../../server/node/request-table.ts';
import { ANSWERED_MS } from '../../../server/node/early-answers.ts';
import { leaderOf, replicaOf } from '../../sim/operator.ts';
import type { Ending } from '../../sim/sim-node.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { GroupOfThree, put, valueOf } from './group-of-three.ts';

/** A sync takes 20 ms at least then. */
const SLOW = 1000;
/** Messages go there and back in less. */
const SOON_MS = 15;

class EarlyGroup extends GroupOfThree {
  /** Of durability os, with an entry that everybody has. */
  async ready(): Promise<Replica> {
    const { leader } = await this.led();
    await this.outcome(put(leader, 'before', '1'));
    await this.outcome(describeShard(leader, leader.shard.descriptor.epoch, { ttlMs: 0, inlineThreshold: 0, durability: 'os' }, NO_LIMIT));
    expect(await this.world.run(5000, () => this.#replicas().every((replica) => replica?.applied === leader.applied))).toBe(true);
    return leader;
  }

  set slowness(slowness: number) {
    for (const node of this.nodes) node.diskSlowness = slowness;
  }

  /** Whether it settles before any disk can have had it. */
  async soon<T>(promise: Promise<T>): Promise<{ value?: T } | undefined> {
    let outcome: { value?: T } | undefined;
    promise.then(
      (value) => (outcome = { value }),
      () => (outcome = {}),
    );
    await this.world.run(SOON_MS, () => outcome !== undefined);
    return outcome;
  }

  end(ending: Ending): void {
    for (const node of this.nodes) node.end(ending, 10);
    this.slowness = 1;
  }

  /** All that anybody has of a key, once everybody is equally far. */
  async agreed(key: string): Promise<string | undefined> {
    const { leader } = await this.led();
    const alike = (): boolean =>
      this.#replicas().every((each) => each?.applied === leader.applied && each.applied === leader.stats().lastIndex);
    expect(await this.world.run(10_000, alike)).toBe(true);
    const [first, ...others] = this.nodes.map((node) => node.program!.replicated!().data());
    for (const other of others) expect(other).toBe(first);
    return valueOf(leader, key);
  }

  #replicas(): (Replica | undefined)[] {
    return this.nodes.map(replicaOf);
  }
}

function identified(replica: Replica, key: string, value: string, sequence: number, client = 'client'): Promise<ApplyResult> {
  const id = { client: Buffer.from(client), sequence, seen: 0 };
  return replica.propose(encodeWrite(id, [], [{ type: 'put', key: Buffer.from(key), value: Buffer.from(value) }]), NO_LIMIT);
}

describe('a write of a table with durability os', () => {
  it('is answered before any disk has it, and is the version that it was answered as', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    const answer = await group.soon(put(leader, 'k', 'v'));
    const { lastIndex, committedIndex, persistedIndex } = leader.stats();
    expect(answer).toEqual({ value: { outcome: 'applied', version: lastIndex } });
    expect([committedIndex, persistedIndex]).toEqual([lastIndex - 1, lastIndex - 1]);
    expect(leader.stats().writesAnsweredEarly).toBe(1);
    group.slowness = 1;
    expect(await group.agreed('k')).toBe('v');
    expect(leader.engine.getEntrySync(Buffer.from('\x01k'))?.version).toBe(lastIndex);
  });

  it('waits for disks where the table says synced', async () => {
    const group = new GroupOfThree();
    const { leader } = await group.led();
    await group.outcome(put(leader, 'before', '1'));
    for (const node of group.nodes) node.diskSlowness = SLOW;
    let answered = false;
    void put(leader, 'k', 'v').then(() => (answered = true));
    await group.world.run(SOON_MS);
    expect(answered).toBe(false);
  });

  it('is seen by every read that begins after its answer', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    expect(await group.soon(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    const follower = group.nodes.map(replicaOf).find((replica) => replica !== leader)!;
    for (const [replica, anyMember] of [
      [leader, false],
      [follower, true],
    ] as const) {
      const { error } = await group.outcome(replica.read({ anyMember, staleMs: 0 })!);
      expect(error).toBe(undefined);
      expect(valueOf(replica, 'k')).toBe('v');
    }
  });

  it('survives the end of all processes at once', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    for (const i of [1, 2, 3]) expect(await group.soon(put(leader, `k${i}`, 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    group.end('process');
    expect(await group.agreed('k1')).toBe('v');
    expect(await group.agreed('k3')).toBe('v');
  });

  it('survives the loss of power of the leader, and of one follower', async () => {
    for (const leads of [true, false]) {
      const group = new EarlyGroup();
      const leader = await group.ready();
      group.slowness = SLOW;
      expect(await group.soon(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
      // What the third one got is on its way, too.
      await group.world.run(20);
      group.nodes.find((node) => (replicaOf(node) === leader) === leads)!.end('none', 10);
      group.slowness = 1;
      expect(await group.agreed('k')).toBe('v');
    }
  });

  it('is there when a minority is gone for good with its disks, the leader too', async () => {
    for (const leads of [true, false]) {
      const group = new EarlyGroup();
      const leader = await group.ready();
      group.slowness = SLOW;
      expect(await group.soon(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
      const lost = group.nodes.find((node) => (replicaOf(node) === leader) === leads)!;
      lost.lose();
      group.slowness = 1;
      const left = group.nodes.filter((node) => node !== lost);
      const isThere = (): boolean => left.every((node) => replicaOf(node) !== undefined && valueOf(replicaOf(node)!, 'k') === 'v');
      expect(await group.world.run(10_000, isThere)).toBe(true);
    }
  });

  it('is there when the disk of the leader, or of a follower, fails right after its answer', async () => {
    for (const leads of [true, false]) {
      const group = new EarlyGroup();
      const leader = await group.ready();
      const replica = group.nodes.map(replicaOf).find((each) => (each === leader) === leads)!;
      group.slowness = SLOW;
      const { disk } = group.nodeOf(replica);
      expect(await group.soon(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
      disk.failAt({ at: disk.operations + 1, error: 'EIO' });
      put(leader, 'next', 'v').catch(() => undefined);
      expect(await group.world.run(1000, () => replica.stopped !== undefined)).toBe(true);
      group.slowness = 1;
      const others = group.nodes.filter((node) => node !== group.nodeOf(replica));
      const isThere = (): boolean => others.every((node) => replicaOf(node) !== undefined && valueOf(replicaOf(node)!, 'k') === 'v');
      expect(await group.world.run(10_000, isThere)).toBe(true);
    }
  });

  it('is written to the log while the log syncs what came before', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    expect(await group.soon(put(leader, 'k1', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    const before = leader.stats();
    expect(await group.soon(put(leader, 'k2', 'v'))).toMatchObject({ value: { outcome: 'applied', version: before.lastIndex + 1 } });
    // The first one's sync is under way still.
    expect(leader.stats().persistedIndex).toBe(before.lastIndex - 1);
    group.end('process');
    expect(await group.agreed('k2')).toBe('v');
  });

  it('is answered by one voter alone when its own system has it, and is there when that process ends', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    for (const { id } of group.nodes.flatMap((node) => replicaOf(node)?.stats() ?? [])) {
      if (id !== leader.stats().id) await group.outcome(demote(leader, id));
    }
    expect(leader.stats().configuration.voters).toEqual([leader.stats().id]);
    group.slowness = SLOW;
    expect(await group.soon(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(leader.stats().persistedIndex).toBeLessThan(leader.stats().lastIndex);
    group.end('process');
    expect(await group.agreed('k')).toBe('v');
  });

  it('waits for disks where so many clients write that it is not certain which one is forgotten next', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    const others = Array.from({ length: CLIENTS_MAX - 1 }, (_, i) => identified(leader, 'k', 'v', 1, `client ${i}`));
    await group.outcome(Promise.all(others));
    expect(await group.agreed('k')).toBe('v');
    group.slowness = SLOW;
    const ahead = async (promise: Promise<ApplyResult>): Promise<boolean> => {
      const { value } = await group.outcome(promise);
      if (value?.outcome !== 'applied') throw new Error('it was not applied');
      return leader.applied < value.version;
    };
    const last = identified(leader, 'k', 'last', 1, 'one more');
    const late = identified(leader, 'k', 'late', 1, 'and one more');
    // Nobody is to be forgotten for this one.
    const unnamed = put(leader, 'k', 'unnamed');
    expect([await ahead(last), await ahead(unnamed), await ahead(late)]).toEqual([true, true, false]);
  });

  it('may be lost with the power of all, and then nobody has it, nor ever had', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    expect(await group.soon(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    for (const node of group.nodes) expect(valueOf(replicaOf(node)!, 'k'), 'nothing is applied before disks have it').toBe(undefined);
    group.end('none');
    expect(await group.agreed('k')).toBe(undefined);
    expect(await group.agreed('before')).toBe('1');
    const { leader: next } = await group.led();
    expect(await group.outcome(put(next, 'k', 'again'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.agreed('k')).toBe('again');
  });

  it('does not let a read wait for ever that waits for what was lost', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    const [witness, other] = group.nodes.filter((node) => replicaOf(node) !== leader);
    group.slowness = SLOW;
    expect(await group.soon(put(leader, 'k', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    const read = replicaOf(witness!)!.read({ anyMember: true, staleMs: 0 })!;
    await group.world.run(SOON_MS);
    // The one that is left has it, or not; should it not, nobody does.
    for (const node of [group.nodes.find((node) => replicaOf(node) === leader)!, other!]) node.end('none', 10);
    group.slowness = 1;
    const settled = await group.outcome(read.then(() => 'seen'));
    expect(settled.value ?? (settled.error as { code?: string } | undefined)?.code).toMatch(/^(seen|NO_LEADER)$/);
  });

  it('is answered when it is applied where what comes of it is not certain before', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    const first = await group.outcome(identified(leader, 'k', 'one', 1));
    expect(await group.agreed('k')).toBe('one');
    group.slowness = SLOW;
    const key = Buffer.from('k');
    const conditional = leader.propose(encodeWrite(undefined, [{ kind: 'absent', key }], [{ type: 'delete', key }]), NO_LIMIT);
    const again = identified(leader, 'k', 'two', 1);
    const range = leader.propose(encodeDeleteRange(undefined, engineKey(Buffer.from('x')), engineKey(Buffer.from('y')), 10), NO_LIMIT);
    const late = leader.propose(encodeWrite(undefined, [], [{ type: 'delete', key }], leader.shard.descriptor.epoch + 1), NO_LIMIT);
    expect(await Promise.all([conditional, again, range, late].map((each) => group.soon(each)))).toEqual(Array(4).fill(undefined));
    expect(await group.outcome(conditional)).toMatchObject({ value: { outcome: 'condition-failed' } });
    expect(await group.outcome(again)).toEqual(first);
    expect(await group.outcome(range)).toMatchObject({ value: { outcome: 'range-deleted' } });
    expect(await group.outcome(late)).toMatchObject({ value: { outcome: 'other-epoch' } });
  });

  it('that comes twice before it is applied is answered once early, and as one version', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    const first = identified(leader, 'k', 'v', 1);
    const second = identified(leader, 'k', 'v', 1);
    const next = identified(leader, 'l', 'v', 2);
    expect(await group.soon(first)).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.soon(next)).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.soon(second)).toBe(undefined);
    expect(await group.outcome(second)).toEqual(await group.outcome(first));
  });

  it('is certain only behind what changes the shard', async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    const synced = describeShard(leader, leader.shard.descriptor.epoch, { ttlMs: 0, inlineThreshold: 0 }, NO_LIMIT);
    expect(await group.soon(put(leader, 'k', 'v'))).toBe(undefined);
    await group.outcome(synced);
    expect(leader.shard.descriptor.durability).toBe(undefined);
    expect(await group.agreed('k')).toBe('v');
  });

  it(`is answered early for no longer than ${ANSWERED_MS} ms while disks have nothing of it`, async () => {
    const group = new EarlyGroup();
    const leader = await group.ready();
    group.slowness = SLOW;
    let early = 0;
    for (; early < 1000; early++) if ((await group.soon(put(leader, `k${early}`, 'v'))) === undefined) break;
    expect(early).toBeGreaterThan(1);
    expect(early).toBeLessThan(1000);
    expect(leader.stats().writesAnsweredEarly).toBe(early);
    group.slowness = 1;
    expect(await group.agreed(`k${early}`)).toBe('v');
    expect(await group.outcome(put(leader, 'after', 'v'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(leader.stats().writesAnsweredEarly).toBeGreaterThan(early);
  });
});

/** SPARROWKV_EARLY_LIVES=100 for more. */
const LIVES: readonly number[] = Array.from({ length: Number(process.env['SPARROWKV_EARLY_LIVES'] ?? 2) }, (_, i) => i + 1);

/** Numbers are written in their order, and read by whoever is there: what was answered, and never less than a read before saw. */
async function liveWith(seed: number, endings: readonly Ending[]): Promise<{ group: EarlyGroup; written: number; answered: number }> {
  const random = new SimRandom(seed);
  const group = new EarlyGroup(Infinity, {}, seed);
  await group.ready();
  let [written, answered, over] = [0, 0, false];
  const again = (task: () => void): unknown => (over ? undefined : group.world.scheduler.after(1 + random.below(5), task));
  const write = (): void => {
    const leader = leaderOf(group.nodes);
    if (leader === undefined) return void again(write);
    const number = ++written;
    put(leader, 'n', `${number}`).then(
      () => {
        answered = number;
        again(write);
      },
      () => again(write),
    );
  };
  const read = (): void => {
    const replica = replicaOf(random.pick(group.nodes));
    const least = answered;
    const ready = replica?.read({ anyMember: true, staleMs: 0 });
    (ready ?? Promise.reject(new Error('not now'))).then(
      () => {
        const seen = Number(valueOf(replica!, 'n') ?? 0);
        if (endings.every((ending) => ending === 'process')) expect(seen).toBeGreaterThanOrEqual(least);
        again(read);
      },
      () => again(read),
    );
  };
  write();
  read();
  for (let i = 0; i < 12; i++) {
    for (const node of group.nodes) node.diskSlowness = random.pick([1, 1, 10, 100]);
    await group.world.run(200 + random.below(500));
    const count = 1 + random.below(3);
    for (const node of group.nodes.slice(0, count)) node.end(random.pick(endings), random.below(100));
    await group.world.run(random.below(400));
  }
  over = true;
  group.slowness = 1;
  await group.world.run(2000);
  return { group, written, answered };
}

describe('writes of a table with durability os, while nodes end at random', () => {
  it.each(LIVES)('are all there when only processes end (life %i)', async (seed) => {
    const { group, answered, written } = await liveWith(seed, ['process']);
    expect(answered).toBeGreaterThan(10);
    const last = Number(await group.agreed('n'));
    expect(last).toBeGreaterThanOrEqual(answered);
    expect(last).toBeLessThanOrEqual(written);
  });

  it.each(LIVES)('are the same at all members, whatever disks forget (life %i)', async (seed) => {
    const { group } = await liveWith(seed, ['none', 'torn', 'random', 'process']);
    await group.agreed('n');
    expect(await group.outcome(put((await group.led()).leader, 'n', '0'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.agreed('n')).toBe('0');
  });
});
