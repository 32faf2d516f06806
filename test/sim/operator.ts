/**
 * An operator of a simulated cluster, who changes the members of its group at random while it works: takes nodes in, promotes, demotes, removes, replaces
 * them, and hands the lead over. Ids are used once. What is refused, or lost with a leader, is simply not done.
 */
import { addLearner, demote, promote, remove, replace, type Replica } from '../../server/node/index.ts';
import type { ServerProgram } from './server-program.ts';
import type { SimNode } from './sim-node.ts';
import type { SimRandom } from './sim-random.ts';
import type { World } from './world.ts';

const PAUSE_MS_MAX = 400;
const VOTERS_MIN = 2;

export function replicaOf(node: SimNode): Replica | undefined {
  const replica = (node.program as ServerProgram | undefined)?.replica;
  return replica?.stopped === undefined ? replica : undefined;
}

/** Of the newest term that is led. */
export function leaderOf(nodes: readonly SimNode[]): Replica | undefined {
  const leaders = nodes.flatMap((node) => replicaOf(node) ?? []).filter((replica) => replica.stats().role === 'leader');
  return leaders.sort((a, b) => b.stats().term - a.stats().term)[0];
}

export class Operator {
  readonly #world: World;
  readonly #nodes: readonly SimNode[];
  readonly #random: SimRandom;
  readonly #removed = new Set<number>();
  #working = false;

  constructor(world: World, nodes: readonly SimNode[], random: SimRandom) {
    this.#world = world;
    this.#nodes = nodes;
    this.#random = random;
  }

  begin(): void {
    this.#working = true;
    this.#next();
  }

  end(): void {
    this.#working = false;
  }

  #next(): void {
    this.#world.scheduler.after(this.#random.fraction() * PAUSE_MS_MAX, () => {
      if (!this.#working) return;
      const leader = leaderOf(this.#nodes);
      if (leader !== undefined) this.#act(leader);
      this.#next();
    });
  }

  #act(leader: Replica): void {
    const { voters, learners, outgoing } = leader.stats().configuration;
    const free = this.#nodes.map((_, i) => i + 1).filter((id) => !leader.members.includes(id) && !this.#removed.has(id));
    const choices: (() => [string, Promise<void>])[] = [() => ['transferred', this.#transfer(leader, this.#random.pick(voters))]];
    if (free.length > 0) choices.push(() => ['learner added', this.#add(leader, this.#random.pick(free))]);
    if (learners.length > 0) {
      choices.push(() => ['promoted', promote(leader, this.#random.pick(learners))]);
      choices.push(() => ['replaced', replace(leader, this.#random.pick(voters), this.#random.pick(learners))]);
      choices.push(() => ['removed', this.#remove(leader, this.#random.pick(learners))]);
    }
    if (learners.length > 1 && voters.length > 2) choices.push(() => ['two replaced', this.#replaceTwo(leader, voters, learners)]);
    if (voters.length > VOTERS_MIN && outgoing.length === 0) choices.push(() => ['demoted', demote(leader, this.#random.pick(voters))]);
    const [what, done] = this.#random.pick(choices)();
    done.then(
      () => this.#world.counters.add(`members: ${what}`),
      () => this.#world.counters.add('members: not changed'),
    );
  }

  /** Where it is matters to nobody here: but the address book has to be the same everywhere. */
  #add(leader: Replica, id: number): Promise<void> {
    return addLearner(leader, id, { address: `node${id}:7400`, peerAddress: `node${id}:7401` });
  }

  /** Of three voters only one stays: the majorities of before and after need not have anybody in common. */
  async #replaceTwo(leader: Replica, voters: readonly number[], learners: readonly number[]): Promise<void> {
    const stays = this.#random.pick(voters);
    const gone = voters.filter((id) => id !== stays).slice(0, 2);
    const members = [
      ...gone.map((id) => ({ type: 'make-learner', id }) as const),
      ...learners.slice(0, 2).map((id) => ({ type: 'make-voter', id }) as const),
    ];
    await leader.changeMembers({ type: 'enter-joint', members, autoLeave: true });
  }

  /** Not the last one that could take a lost voter's place. */
  #remove(leader: Replica, id: number): Promise<void> {
    if (leader.members.length <= VOTERS_MIN + 1) return Promise.reject(new Error('too few would be left'));
    // Whatever comes of it: it may be removed, and then it stays away.
    this.#removed.add(id);
    return remove(leader, id);
  }

  async #transfer(leader: Replica, to: number): Promise<void> {
    leader.lead.transfer(to);
  }
}
