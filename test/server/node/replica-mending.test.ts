/** Replicas that find at their start that log, engine or directory is not what it was: what they lack comes from the others, and until then they say nothing. */
import { describe, expect, it } from 'vitest';
import { EndMending } from '../../../server/node/end-mending.ts';
import type { Replica } from '../../../server/node/index.ts';
import type { PeerMessage } from '../../../server/transport/index.ts';
import { leaderOf, replicaOf } from '../../sim/operator.ts';
import type { SimNode } from '../../sim/sim-node.ts';
import { GroupOfThree, put, valueOf } from './group-of-three.ts';
import { loseEnd } from './lost-ends.ts';

const LOG = '/data/log';
const GROUP = '/data/groups/000001';
const KEYS = 40;

interface Filled {
  readonly group: GroupOfThree;
  readonly leader: Replica;
  /** One that followed, and has stopped. */
  readonly node: SimNode;
  readonly other: SimNode;
}

async function filled(): Promise<Filled> {
  const group = new GroupOfThree(Infinity, { raftSegmentBytes: 1 << 20, checkpointBytes: 2048 });
  const { leader, followers } = await group.led();
  for (let i = 0; i < KEYS; i++) await group.outcome(put(leader, `k${i}`, `value ${i}`.padEnd(100)));
  expect(await group.world.run(5000, () => followers.every(({ applied }) => applied === leader.applied))).toBe(true);
  const [node, other] = followers.map((follower) => group.nodeOf(follower)) as [SimNode, SimNode];
  const replica = replicaOf(node)!;
  await group.outcome(replica.flush());
  replica.upkeep.releaseLog();
  expect(await group.world.run(5000, () => replica.stats().firstIndex > 1)).toBe(true);
  // Where the log begins is written with what comes next.
  await group.outcome(put(leader, 'later', 'on'));
  expect(await group.world.run(5000, () => replica.applied === leader.applied)).toBe(true);
  node.end('all', 1e9);
  node.damaged = true;
  return { group, leader, node, other };
}

function loseMuch(node: SimNode): void {
  expect(loseEnd(node, 0.2)).toBe(true);
}

const LOSSES: Readonly<Record<string, (node: SimNode) => void>> = {
  "the log's end is lost": loseMuch,
  'the log is gone': ({ disk }) => {
    for (const name of disk.listSync(LOG)) disk.unlinkSync(`${LOG}/${name}`);
  },
  'the engine is gone': ({ disk }) => {
    for (const name of disk.listSync(`${GROUP}/a/files`)) disk.unlinkSync(`${GROUP}/a/files/${name}`);
  },
  'nobody knows where the engine is': ({ disk }) => disk.flip(`${GROUP}/current`, 20),
  "engine and the log's end are lost": (node) => {
    LOSSES['nobody knows where the engine is']!(node);
    loseMuch(node);
  },
};

async function expectWhole({ group, leader, node }: Filled): Promise<void> {
  const { world } = group;
  const { value: after } = await group.outcome(put(leader, 'after', 'all'));
  expect(after).toMatchObject({ outcome: 'applied' });
  expect(await world.run(20_000, () => replicaOf(node)?.applied === leader.applied)).toBe(true);
  const replica = replicaOf(node)!;
  for (let i = 0; i < KEYS; i++) expect(valueOf(replica, `k${i}`)).toBe(`value ${i}`.padEnd(100));
  expect(valueOf(replica, 'after')).toBe('all');
  expect(replica.stats().stoppedBecause).toBeUndefined();
}

describe.each(Object.entries(LOSSES))('a replica that starts, and %s', (_what, lose) => {
  it('comes back with what the others have, and counts again', async () => {
    const it = await filled();
    const { group, leader, node, other } = it;
    lose(node);
    node.start();
    await expectWhole(it);
    expect(replicaOf(node)!.stats().snapshotsInstalled).toBe(1);
    // It is half of the majority from now on.
    other.end('process', 1e9);
    expect(await group.outcome(put(leader, 'counted', 'yes'))).toMatchObject({ value: { outcome: 'applied' } });
    expect(await group.world.run(5000, () => valueOf(replicaOf(node)!, 'counted') === 'yes')).toBe(true);
    // Nothing is left of it for the next start.
    node.end('process', 10);
    expect(await group.world.run(5000, () => replicaOf(node)?.applied === leader.applied)).toBe(true);
    expect(replicaOf(node)!.stats().snapshotsInstalled).toBe(0);
  });

  it('does so when power fails at any moment of it', { timeout: 120_000 }, async () => {
    const dry = await filled();
    lose(dry.node);
    const begun = dry.node.disk.operations;
    dry.node.start();
    await expectWhole(dry);
    const operations = dry.node.disk.operations - begun;
    expect(operations).toBeGreaterThan(20);
    const modes = ['none', 'all', 'random', 'torn', 'process'] as const;
    const step = Number(process.env['SPARROWKV_CRASH_STEP'] ?? Math.ceil(operations / 8));
    for (let at = 1; at <= operations; at += step) {
      const it = await filled();
      lose(it.node);
      it.node.start();
      it.node.endAtOperation(at, modes[at % modes.length]!, 20);
      await expectWhole(it);
    }
  });
});

describe("a replica whose log's end is lost", () => {
  it('says nothing as long as the others are no majority without it', async () => {
    const it = await filled();
    const { group, leader, node, other } = it;
    const term = leader.stats().term;
    other.end('process', 1e9);
    loseMuch(node);
    node.start();
    // The one that leads hears of nobody, and the one that could help it to a majority must not.
    await group.world.run(10_000);
    expect(leaderOf(group.nodes)).toBeUndefined();
    expect(replicaOf(node)).toBeUndefined();
    expect(leader.stats()).toMatchObject({ term, committedIndex: leader.applied });
    other.start();
    expect(await group.world.run(10_000, () => leaderOf(group.nodes) !== undefined)).toBe(true);
    await expectWhole({ ...it, leader: leaderOf(group.nodes)! });
  });

  it('goes by the answer to a question of this life only', async () => {
    const sent: PeerMessage[] = [];
    const host = {
      add: () => undefined,
      remove: () => undefined,
      send: (_group: number, messages: readonly PeerMessage[]) => void sent.push(...messages),
    } as unknown as ConstructorParameters<typeof EndMending>[0]['host'];
    const mending = new EndMending({ group: 1, id: 3, peers: [1, 2], host, retryTicks: 2 }, 77);
    let barrier: unknown;
    const run = mending.run().then((found: unknown) => (barrier = found));
    for (let i = 0; i < 4; i++) mending.tick();
    expect(sent).toMatchObject([
      { type: 'barrier-wanted', to: 1, question: 77 },
      { type: 'barrier-wanted', to: 2, question: 77 },
    ]);
    mending.step({ type: 'barrier', from: 1, to: 3, term: 4, question: 76, index: 9 });
    await Promise.resolve();
    expect(barrier).toBeUndefined();
    mending.step({ type: 'barrier', from: 2, to: 3, term: 5, question: 77, index: 12 });
    await run;
    expect(barrier).toMatchObject({ from: 2, term: 5, index: 12 });
  });
});
