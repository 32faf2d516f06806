/**
 * A group of three or five whose members lose the ends of their logs, again and again: while some are behind, all that is acknowledged is with the others; these
 * die, and the first of them that is back has forgotten its last entries and votes. Whatever happens, a term has one leader, and what was acknowledged is there,
 * at all members alike.
 */
import { expect } from 'vitest';
import type { Replica } from '../../../server/node/index.ts';
import { FRAME_BATCH } from '../../../server/node/log/frame-kinds.ts';
import { decodeSegmentHeader, sealOf, segmentName, segmentOfName } from '../../../server/node/log/log-format.ts';
import { scanSegment } from '../../../server/node/log/segment-scan.ts';
import { leaderOf, replicaOf } from '../../sim/operator.ts';
import { bootServer, drawStackSettings } from '../../sim/server-program.ts';
import type { SimNode } from '../../sim/sim-node.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { World } from '../../sim/world.ts';
import { hash } from '../transport/hash.ts';
import { put, valueOf } from './group-of-three.ts';

const NAMES = ['node1', 'node2', 'node3', 'node4', 'node5'];
const LOG = '/data/log';
const ROUNDS = 8;

/**
 * The last frames of a node's log are lost, but for a batch behind them, which says that they were durable. False: there is too little to lose, or it could not be
 * told from a torn end.
 */
export function loseEnd({ disk }: SimNode, share: number): boolean {
  const number = Math.max(
    ...disk
      .listSync(LOG)
      .map(segmentOfName)
      .filter((each) => each !== undefined),
  );
  const path = `${LOG}/${segmentName(number)}`;
  const bytes = Buffer.from(disk.contents(path));
  const header = decodeSegmentHeader(bytes, hash);
  if (header === undefined || 'format' in header) return false;
  const frames = [...scanSegment(bytes, sealOf(header.salt, number, hash), true)];
  // The summary at the beginning stays.
  const lost = frames.slice(Math.max(3, Math.floor(frames.length * (1 - share))));
  const vouches = lost.findLastIndex(({ frame }) => frame.kind === FRAME_BATCH);
  if (!lost.slice(0, Math.max(0, vouches)).some(({ frame }) => frame.kind !== FRAME_BATCH)) return false;
  for (const { frame, offset } of lost) if (frame.kind !== FRAME_BATCH) disk.flip(path, offset + 9);
  return true;
}

function shuffled<T>(random: SimRandom, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: random.u32() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

export interface Found {
  /** Ends that were lost, and writes that were acknowledged. */
  readonly lost: number;
  readonly written: number;
}

export async function liveWithLosses(seed: number): Promise<Found> {
  const random = new SimRandom(seed);
  const world = new World({ seed });
  const drawn = drawStackSettings(new SimRandom(seed));
  const transport = { dropChance: 0.01, duplicateChance: 0.01, reorderChance: 0.05 };
  const cluster = { ...drawn.cluster, tickMs: 20, electionTicks: 10, heartbeatTicks: 1, sleepTicks: Infinity, transport };
  const settings = { ...drawn, raftSegmentBytes: 64 * 1024, cluster };
  const names = NAMES.slice(0, seed % 2 === 0 ? 3 : 5);
  const nodes = names.map((name) => world.addNode(name, (environment) => bootServer(environment, settings, {}, names)));
  const acknowledged: string[] = [];
  const leads = new Map<number, number>();
  let lost = 0;
  let writes = 0;
  let writing = true;
  const note = (): void => {
    for (const node of nodes) {
      const { role, term, id } = replicaOf(node)?.stats() ?? {};
      if (role !== 'leader') continue;
      expect(leads.get(term!) ?? id, `seed ${seed}: who leads term ${term}`).toBe(id);
      leads.set(term!, id!);
    }
  };
  const write = (): void => {
    if (!writing) return;
    note();
    const again = (): unknown => world.scheduler.after(random.below(15), write);
    const leader = leaderOf(nodes);
    if (leader === undefined) return void again();
    const key = `k${writes++}`;
    put(leader, key, key).then(({ outcome }) => {
      if (outcome === 'applied') acknowledged.push(key);
      again();
    }, again);
  };
  write();
  await world.run(2000);
  for (let round = 0; round < ROUNDS; round++) {
    // Some are behind; whoever has most is away, and one of those that came back first has forgotten its end.
    const behind = shuffled(random, nodes).slice(0, Math.floor((nodes.length - 1) / 2));
    for (const node of behind) node.end('process', 1e9);
    await world.run(100 + random.below(400));
    const ahead = shuffled(
      random,
      nodes.filter((node) => !behind.includes(node)),
    );
    for (const node of ahead) node.end(random.pick(['all', 'process'] as const), 1e9);
    const [loser] = ahead as [SimNode];
    if (loseEnd(loser, 0.2 + random.fraction() * 0.7)) lost++;
    loser.damaged = true;
    for (const node of [loser, ...behind]) {
      node.start();
      await world.run(random.below(100));
    }
    await world.run(random.below(3000));
    for (const node of ahead) {
      node.start();
      await world.run(random.below(300));
    }
    const isBack = (): boolean => nodes.every((node) => replicaOf(node) !== undefined) && leaderOf(nodes) !== undefined;
    expect(await world.run(60_000, isBack), `seed ${seed}, round ${round}: everybody is back`).toBe(true);
  }
  writing = false;
  const last = (): Replica | undefined => leaderOf(nodes);
  const isAlike = (): boolean =>
    nodes.every((node) => replicaOf(node)?.applied === last()?.applied && last()?.applied === last()?.stats().lastIndex);
  await world.run(1000);
  expect(await world.run(30_000, isAlike), `seed ${seed}: all are alike`).toBe(true);
  for (const node of nodes) {
    for (const key of acknowledged) expect(valueOf(replicaOf(node)!, key), `seed ${seed}: ${key} on ${node.name}`).toBe(key);
  }
  return { lost, written: acknowledged.length };
}
