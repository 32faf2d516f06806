/** Of servers that are one group, or each by itself: an operator changes the members where there are some to change; in the end all replicas have the same. */
import { leaderOf, Operator } from './operator.ts';
import type { Oversight } from './oversight.ts';
import type { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import type { World } from './world.ts';

export interface GroupOversightParts {
  readonly world: World;
  readonly nodes: readonly SimNode[];
  /** Members come and go. */
  readonly changing: boolean;
  readonly random: SimRandom;
  readonly healedMsMax: number;
}

export class GroupOversight implements Oversight {
  readonly #parts: GroupOversightParts;
  readonly #operator: Operator | undefined;

  constructor(parts: GroupOversightParts) {
    this.#parts = parts;
    const { world, nodes, random, changing } = parts;
    this.#operator = changing ? new Operator(world, nodes, random.fork()) : undefined;
  }

  begin(): void {
    this.#operator?.begin();
  }

  end(): void {
    this.#operator?.end();
  }

  unrest(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** When nobody writes any more, all replicas come to be equally far. */
  async difference(): Promise<string | undefined> {
    const { world, nodes, healedMsMax } = this.#parts;
    // Who is no member any more need not know it.
    if (!(await world.run(healedMsMax, () => leaderOf(nodes) !== undefined))) return 'nobody leads';
    const leader = leaderOf(nodes);
    const members = nodes.filter(({ isLost }, i) => !isLost && (leader === undefined || leader.members.includes(i + 1)));
    const all = (): { applied: number; data: () => string }[] => members.flatMap(({ program }) => program?.replicated?.() ?? []);
    const equallyFar = (): boolean => all().length === members.length && new Set(all().map(({ applied }) => applied)).size === 1;
    if (!(await world.run(healedMsMax, equallyFar)))
      return `the replicas do not come to be equally far: ${all()
        .map(({ applied }) => applied)
        .join(', ')}`;
    const [one, ...others] = all().map(({ data }) => data());
    return others.every((other) => other === one) ? undefined : 'the replicas have different data';
  }
}
