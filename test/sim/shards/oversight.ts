/** Of a cluster of shards without a metaserver: a director splits, merges and moves them, and a watch looks at what they promise together. */
import type { Oversight } from '../oversight.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimRandom } from '../sim-random.ts';
import type { World } from '../world.ts';
import { Director, type DirectorOptions } from './director.ts';
import type { Ledgers } from './node-program.ts';
import { ShardWatch } from './shard-watch.ts';

/** What a run says of shards that are not where and how they should be. */
export const UNREST = 'the shards do not come to rest';

export class ShardOversight implements Oversight {
  readonly #world: World;
  readonly #healedMsMax: number;
  readonly #director: Director;
  readonly #watch: ShardWatch;

  constructor(world: World, nodes: readonly SimNode[], ledgers: Ledgers, random: SimRandom, options: DirectorOptions, healedMsMax: number) {
    this.#world = world;
    this.#healedMsMax = healedMsMax;
    this.#director = new Director(world, nodes, random.fork(), options);
    this.#watch = new ShardWatch(world, nodes, ledgers);
  }

  async prepare(): Promise<string | undefined> {
    return (await this.#director.prepare(this.#healedMsMax)) ? undefined : 'nobody leads the shard that the table begins with';
  }

  begin(): void {
    this.#director.begin();
    this.#watch.begin();
  }

  end(): void {
    this.#director.end();
  }

  async unrest(): Promise<string | undefined> {
    if (!(await this.#world.run(this.#healedMsMax, () => this.#director.isAtRest))) return `${UNREST}: ${this.#director.unrest}`;
    this.#director.stop();
    return undefined;
  }

  async difference(): Promise<string | undefined> {
    const equal = await this.#world.run(this.#healedMsMax, () => this.#watch.unequal() === undefined);
    return equal ? this.#watch.problemAtRest() : `the replicas do not come to be equally far: ${this.#watch.unequal()}`;
  }
}
