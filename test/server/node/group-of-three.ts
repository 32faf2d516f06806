/** Three replicas of one group on simulated machines, and what a caller does with them. */
import { expect } from 'vitest';
import { encodeWrite, engineKey, NO_LIMIT, type Replica } from '../../../server/node/index.ts';
import { leaderOf, replicaOf } from '../../sim/operator.ts';
import { bootServer, drawStackSettings, type StackSettings } from '../../sim/server-program.ts';
import type { SimNode } from '../../sim/sim-node.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { World } from '../../sim/world.ts';

export const NAMES: readonly string[] = ['node1', 'node2', 'node3'];

export class GroupOfThree {
  readonly world: World;
  readonly nodes: SimNode[];

  constructor(sleepTicks: number = Infinity, changed: Partial<StackSettings> = {}, seed: number = 1) {
    this.world = new World({ seed });
    const drawn = drawStackSettings(new SimRandom(1));
    const transport = { dropChance: 0, duplicateChance: 0, reorderChance: 0 };
    const cluster = { ...drawn.cluster, tickMs: 20, electionTicks: 10, heartbeatTicks: 1, sleepTicks, transport };
    const settings = { ...drawn, ...changed, cluster };
    this.nodes = NAMES.map((name) => this.world.addNode(name, (environment) => bootServer(environment, settings, {}, NAMES)));
  }

  /** Once somebody leads, and everybody knows. */
  async led(): Promise<{ leader: Replica; followers: Replica[] }> {
    const known = (): boolean => {
      const leader = leaderOf(this.nodes)?.stats().id;
      return this.nodes.every((node) => leader !== undefined && replicaOf(node)?.stats().leader === leader);
    };
    expect(await this.world.run(10_000, known)).toBe(true);
    const leader = leaderOf(this.nodes)!;
    return { leader, followers: this.nodes.map((node) => replicaOf(node)!).filter((replica) => replica !== leader) };
  }

  nodeOf(replica: Replica): SimNode {
    return this.nodes[replica.stats().id - 1]!;
  }

  /** What becomes of it within ten seconds of the world. */
  async outcome<T>(promise: Promise<T>): Promise<{ value?: T; error?: unknown }> {
    let outcome: { value?: T; error?: unknown } | undefined;
    promise.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    );
    await this.world.run(10_000, () => outcome !== undefined);
    return outcome ?? {};
  }
}

export function put(replica: Replica, key: string, value: string): ReturnType<Replica['propose']> {
  return replica.propose(encodeWrite(undefined, [], [{ type: 'put', key: Buffer.from(key), value: Buffer.from(value) }]), NO_LIMIT);
}

export function valueOf(replica: Replica, key: string): string | undefined {
  const found = replica.engine.getSync(engineKey(Buffer.from(key)));
  return found && Buffer.from(found).toString();
}
