/** Four servers on simulated machines, of which three begin the group. */
import { expect } from 'vitest';
import type { NodeAddress, Replica } from '../../../server/node/index.ts';
import { leaderOf, replicaOf } from '../../sim/operator.ts';
import { bootServer, drawStackSettings } from '../../sim/server-program.ts';
import type { SimNode } from '../../sim/sim-node.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { World } from '../../sim/world.ts';

const NAMES = ['node1', 'node2', 'node3', 'node4'];
export const at = (n: number): NodeAddress => ({ address: `10.0.0.${n}:7400`, peerAddress: `10.1.0.${n}:7401` });

export class SimGroup {
  readonly world: World = new World({ seed: 1 });
  readonly nodes: SimNode[];

  constructor() {
    const drawn = drawStackSettings(new SimRandom(1));
    const transport = { dropChance: 0, duplicateChance: 0, reorderChance: 0 };
    const cluster = { ...drawn.cluster, tickMs: 20, electionTicks: 10, heartbeatTicks: 1, sleepTicks: Infinity, transport };
    const settings = { ...drawn, cluster };
    this.nodes = NAMES.map((name) => this.world.addNode(name, (environment) => bootServer(environment, settings, {}, NAMES, 3)));
  }

  replica(id: number): Replica {
    return replicaOf(this.nodes[id - 1]!)!;
  }

  /** Once somebody leads, and may change who is a member. */
  async led(): Promise<Replica> {
    const ready = ({ appliedIndex, lastIndex }: ReturnType<Replica['stats']>): boolean => appliedIndex === lastIndex;
    expect(await this.world.run(10_000, () => [leaderOf(this.nodes)].some((leader) => leader !== undefined && ready(leader.stats())))).toBe(
      true,
    );
    return leaderOf(this.nodes)!;
  }

  /** Settles in the world's time. */
  async done<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    promise.then(
      () => (settled = true),
      () => (settled = true),
    );
    await this.world.run(20_000, () => settled);
    expect(settled).toBe(true);
    return promise;
  }

  /** The configuration is left as soon as it is joint; a change that comes too early is refused. */
  async settledChange(leader: Replica): Promise<void> {
    expect(await this.world.run(5000, () => leader.stats().configuration.outgoing.length === 0)).toBe(true);
    await this.world.run(500);
  }
}
