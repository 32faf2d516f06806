/**
 * The metaserver of a simulated cluster of shards, as far as it gives orders: splits, merges, cuts merges off half way, moves replicas away from a node and back, and hands leads over, at random,
 * by the orders that nodes carry out in production (server/shard/node-agent.ts). It never fails itself, and reaches every node that is up; but what it
 * knows of shards is what nodes tell it at that moment, an order may be lost with its node, and one whose outcome it did not wait for may still be carried out.
 *
 * A merge whose source is retired is finished, whatever happens. All else may be given up, and is put right then, as strays are.
 */
import type { Order, SplitPlace } from '../../../server/meta/orders.ts';
import type { Replica } from '../../../server/node/index.ts';
import { isVoter } from '../../../server/raft/index.ts';
import {
  DEFAULT_TABLE,
  FIRST_SHARD,
  includes,
  MADE_SHARD_MIN,
  type RangeKeys,
  sameSettings,
  type ShardDescriptor,
  type ShardKeys,
  unionOf,
  withSettings,
} from '../../../server/shard/descriptor.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimRandom } from '../sim-random.ts';
import type { World } from '../world.ts';
import { HASHED_SHARD } from './hashed-table.ts';
import { leads, type ShardNode, shardsOn } from './node-program.ts';

const PAUSE_MS_MAX = 120;
const AT_A_TIME = 2;
const SHARDS_MAX = 6;
/** For the outcome of one order. */
const OUTCOME_MS_MAX: readonly number[] = [50, 1500];
/** A step that can be taken back is tried for so long. */
const STEP_MS_MAX = 2500;
const RETRY_MS = 30;

/** Of a shard, as those who are up know it. */
interface Known {
  readonly descriptor: ShardDescriptor;
  readonly members: readonly number[];
  /** Undefined: nobody leads now. */
  readonly leader: { readonly node: ShardNode; readonly replica: Replica } | undefined;
}

export interface DirectorOptions {
  /** Without merges versions of keys stay. */
  readonly merges: boolean;
  /** Where shards may be split. */
  readonly splitKeys: readonly string[];
  /** Shards are told to have durability `os`. */
  readonly earlyAnswers: boolean;
  /** The clients' table is one that is divided by hash. */
  readonly hashed: boolean;
}

export class Director {
  readonly #world: World;
  readonly #nodes: readonly SimNode[];
  readonly #random: SimRandom;
  readonly #options: DirectorOptions;
  /** Shards that something is done to. */
  readonly #busy: Set<number> = new Set();
  /** Those that were merged into others. */
  readonly #gone: Set<number> = new Set();
  #nextId: number;
  #operations = 0;
  #working = false;
  #over = false;

  constructor(world: World, nodes: readonly SimNode[], random: SimRandom, options: DirectorOptions) {
    this.#world = world;
    this.#nodes = nodes;
    this.#random = random;
    this.#options = options;
    this.#nextId = options.hashed ? HASHED_SHARD.shard + 1 : MADE_SHARD_MIN;
  }

  /** Makes the clients' table, where it is not the one that is there. False: it is not led in time. */
  async prepare(msMax: number): Promise<boolean> {
    if (!this.#options.hashed) return true;
    const voters = this.#nodes.map((_, i) => i + 1);
    for (const id of voters) void this.#giveNode(id, { type: 'create-replica', descriptor: HASHED_SHARD, voters });
    return this.#world.run(msMax, () => this.#known().get(HASHED_SHARD.shard)?.leader !== undefined);
  }

  begin(): void {
    this.#working = true;
    this.#next();
    this.#tidyOften();
  }

  /** Begins nothing new; what is under way goes on. */
  end(): void {
    this.#working = false;
  }

  /** Tidies no more either. */
  stop(): void {
    this.#over = true;
  }

  /** Nothing is under way, and every shard is where and how it should be. */
  get isAtRest(): boolean {
    const led = [...this.#known().values()].every(({ leader }) => leader !== undefined);
    return led && !this.#working && this.#operations === 0 && this.#untidy().length === 0;
  }

  /** Why it is not at rest. */
  get unrest(): string {
    return JSON.stringify({
      operations: this.#operations,
      busy: [...this.#busy],
      untidy: this.#untidy().map(({ order, on }) => ({ order, on: on?.id })),
    });
  }

  #programs(): ShardNode[] {
    return this.#nodes.flatMap(({ program }) => (program as ShardNode | undefined) ?? []);
  }

  /** All shards that there are, in the order of their ids. */
  #known(): Map<number, Known> {
    const known: Map<number, Known & { applied: number; term: number }> = new Map();
    for (const node of this.#programs()) {
      for (const replica of shardsOn(node)) {
        // One that waits to be taken in knows nothing.
        if (replica.applied === 0 || this.#gone.has(replica.group)) continue;
        const { applied, members } = replica;
        const { descriptor } = replica.shard;
        const before = known.get(replica.group);
        const { term } = replica.stats();
        const isLeader = leads(replica) && term > (before?.term ?? 0);
        known.set(replica.group, {
          ...(before === undefined || applied > before.applied
            ? { descriptor, members }
            : { descriptor: before.descriptor, members: before.members }),
          applied: Math.max(applied, before?.applied ?? 0),
          leader: isLeader ? { node, replica } : before?.leader,
          term: isLeader ? term : (before?.term ?? 0),
        });
      }
    }
    return new Map([...known].sort(([a], [b]) => a - b));
  }

  #find(shard: number): ShardDescriptor | undefined {
    return this.#known().get(shard)?.descriptor;
  }

  #next(): void {
    this.#world.scheduler.after(this.#random.fraction() * PAUSE_MS_MAX, () => {
      if (!this.#working) return;
      if (this.#operations < AT_A_TIME) this.#begin();
      this.#next();
    });
  }

  #begin(): void {
    const table = this.#options.hashed ? HASHED_SHARD.table : DEFAULT_TABLE;
    const free = [...this.#known().values()].filter(
      ({ descriptor, leader }) => descriptor.table === table && leader !== undefined && !this.#busy.has(descriptor.shard),
    );
    if (free.length === 0) return;
    const one = this.#random.pick(free);
    const dice = this.#random.below(10);
    if (dice < 4) return this.#beginSplit(one);
    if (dice < 7 && this.#options.merges) return this.#beginMerge(one, free);
    if (dice < 9) return this.#run('moved', [one.descriptor.shard], () => this.#move(one));
    const { shard } = one.descriptor;
    const to = this.#random.pick(one.leader!.replica.configuration.voters);
    this.#run('transferred', [shard], () => this.#give(shard, { type: 'transfer', shard, to }, () => false, 300));
  }

  #run(what: string, shards: readonly number[], operation: () => Promise<boolean>): void {
    for (const shard of shards) this.#busy.add(shard);
    this.#operations++;
    const done = (): void => {
      for (const shard of shards) this.#busy.delete(shard);
      this.#operations--;
    };
    operation().then(
      (succeeded) => {
        this.#world.counters.add(`shards: ${succeeded ? what : `not ${what}`}`);
        done();
      },
      (error: unknown) => {
        done();
        this.#world.alarm(error as Error);
      },
    );
  }

  #beginSplit({ descriptor: { shard, epoch, keys, state } }: Known): void {
    const places = this.#placesIn(keys);
    if (state !== 'normal' || places.length === 0 || this.#known().size >= SHARDS_MAX) return;
    const at = this.#random.pick(places);
    const child = this.#nextId++;
    this.#run(at.kind === 'hash' ? 'split by hash' : 'split', [shard, child], async () => {
      const isDone = (): boolean => (this.#find(shard)?.epoch ?? 0) > epoch;
      const order: Order = { type: 'split', shard, epoch, child, at };
      return (await this.#give(shard, order, isDone, STEP_MS_MAX)) && isDone();
    });
  }

  #placesIn(keys: ShardKeys): SplitPlace[] {
    if (keys.kind === 'hash') return [{ kind: 'hash' }];
    const places = this.#options.splitKeys.map((key) => Buffer.from(key)).filter((key) => isInside(keys, key));
    return places.map((key) => ({ kind: 'key', key }));
  }

  #beginMerge({ descriptor: one }: Known, free: readonly Known[]): void {
    const other = free.find(({ descriptor }) => areNeighbours(one, descriptor));
    if (other === undefined || one.state !== 'normal' || other.descriptor.state !== 'normal') return;
    const lastOf = (shard: number): number => this.#known().get(shard)?.leader?.replica.stats().lastIndex ?? 0;
    let [target, source] = [one.shard, other.descriptor.shard];
    if (lastOf(target) < lastOf(source)) [target, source] = [source, target];
    // Every node has shard 1, and clients begin with the other.
    if (source === FIRST_SHARD || (this.#options.hashed && source === HASHED_SHARD.shard)) return;
    this.#run(one.keys.kind === 'hash' ? 'merged by hash' : 'merged', [target, source], () => this.#merge(target, source));
  }

  async #merge(target: number, source: number): Promise<boolean> {
    const stateOf = (): string | undefined => this.#find(source)?.state;
    const before = this.#find(source);
    if (before === undefined) return false;
    const absorb = (commit: boolean): Order => ({ type: 'absorb', shard: target, source: before, commit });
    const cutOff = this.#random.chance(0.25);
    const whole =
      (await this.#give(source, { type: 'seal', shard: source }, never, STEP_MS_MAX)) &&
      (await this.#give(target, absorb(false), never, STEP_MS_MAX)) &&
      !cutOff;
    // Whether it came to be retired, nobody may know: then it goes on.
    if (whole) await this.#give(source, { type: 'retire', shard: source, into: target }, () => stateOf() === 'retired', STEP_MS_MAX * 4);
    if (!whole || stateOf() !== 'retired') {
      this.#world.counters.add('shards: merge cut off');
      return false;
    }
    const isCommitted = (): boolean => {
      const now = this.#find(target);
      return now !== undefined && includes(now.keys, before.keys) && now.epoch > before.epoch;
    };
    await this.#give(target, absorb(true), isCommitted, Infinity);
    this.#gone.add(source);
    return true;
  }

  /** A replica leaves a node, and comes back: by a snapshot, with the vote that it left behind. */
  async #move({ descriptor: { shard }, leader }: Known): Promise<boolean> {
    const id = this.#random.pick(leader!.replica.configuration.voters);
    // Shard 1 is destroyed, too, and waits to be taken in again.
    const change = (type: 'make-learner' | 'remove' | 'make-voter'): Promise<boolean> =>
      this.#give(shard, { type: 'change-members', shard, change: { type: 'simple', members: [{ type, id }] } }, never, STEP_MS_MAX);
    if (!(await change('make-learner'))) return false;
    if (!(await change('remove'))) return false;
    await this.#giveNode(id, { type: 'destroy-replica', shard });
    const descriptor = this.#find(shard);
    if (descriptor === undefined) return false;
    await this.#giveNode(id, { type: 'create-replica', descriptor, voters: [] });
    return (await change('make-learner')) && (await change('make-voter'));
  }

  /** To the leader, until it is done or makes no sense; whether it was. */
  async #give(shard: number, order: Order, isDone: () => boolean, msMax: number): Promise<boolean> {
    const untilMs = this.#world.nowMs + msMax;
    while (this.#world.nowMs < untilMs && !this.#over) {
      if (isDone()) return true;
      const leader = this.#known().get(shard)?.leader;
      if (leader !== undefined) {
        const outcome = await this.#execute(leader.node, order);
        if (outcome === 'done') return true;
        if (outcome === 'refused' && !isDone() && msMax !== Infinity) return false;
      }
      await this.#world.sleep(RETRY_MS * (0.5 + this.#random.fraction()));
    }
    return isDone();
  }

  /** To that node, as soon as it is up, until it is done. */
  async #giveNode(id: number, order: Order): Promise<void> {
    while (!this.#over) {
      const node = this.#nodes[id - 1]!.program as ShardNode | undefined;
      if (node !== undefined && (await this.#execute(node, order)) !== 'again') return;
      await this.#world.sleep(RETRY_MS * (0.5 + this.#random.fraction()));
    }
  }

  /** `again`: it may pass, or its outcome is not known. */
  async #execute(node: ShardNode, order: Order): Promise<'done' | 'again' | 'refused'> {
    const patienceMs = this.#random.pick(OUTCOME_MS_MAX);
    return new Promise((resolve) => {
      const timer = this.#world.scheduler.after(patienceMs, () => resolve('again'));
      void node.execute(order).then((result) => {
        timer.cancel();
        if (result.outcome === 'done') return resolve('done');
        this.#world.counters.add(`order refused: ${order.type} ${result.code}`);
        resolve(result.again ? 'again' : 'refused');
      });
    });
  }

  /** Puts right what nobody is at work on. */
  #tidyOften(): void {
    this.#world.scheduler.after(PAUSE_MS_MAX * (0.5 + this.#random.fraction()), () => {
      if (this.#over) return;
      for (const { order, on, shards } of this.#untidy()) {
        if (shards.some((shard) => this.#busy.has(shard))) continue;
        this.#run(`tidied by ${order.type}`, shards, async () => (await this.#execute(on!, order)) === 'done');
      }
      this.#tidyOften();
    });
  }

  #untidy(): { order: Order; on: ShardNode | undefined; shards: readonly number[] }[] {
    const untidy: { order: Order; on: ShardNode | undefined; shards: readonly number[] }[] = [];
    const known = this.#known();
    for (const { descriptor, members, leader } of known.values()) {
      if (leader === undefined) {
        // Who has none may be the one whose vote is missing.
        for (const other of this.#programs()) {
          const lacks = members.includes(other.id) && other.replicas.get(descriptor.shard) === undefined;
          if (lacks) untidy.push({ order: { type: 'create-replica', descriptor, voters: [] }, on: other, shards: [descriptor.shard] });
        }
        continue;
      }
      const { shard, state } = descriptor;
      const { node, replica } = leader;
      if (state === 'sealed' || state === 'splitting') untidy.push({ order: { type: 'unseal', shard }, on: node, shards: [shard] });
      const settings = { ttlMs: 0, inlineThreshold: 0, durability: this.#options.earlyAnswers ? ('os' as const) : undefined };
      if (!sameSettings(descriptor, settings))
        untidy.push({ order: { type: 'describe', descriptor: withSettings(descriptor, settings) }, on: node, shards: [shard] });
      const { importing } = replica.shard;
      if (importing !== undefined && this.#find(importing.shard)?.state !== 'retired')
        untidy.push({ order: { type: 'forget', shard, source: importing }, on: node, shards: [shard, importing.shard] });
      for (const other of this.#programs()) {
        const { configuration } = replica;
        const change = (type: 'make-learner' | 'make-voter'): Order => ({
          type: 'change-members',
          shard,
          change: { type: 'simple', members: [{ type, id: other.id }] },
        });
        const isMember = replica.members.includes(other.id);
        if (other.replicas.get(shard) === undefined)
          untidy.push({ order: { type: 'create-replica', descriptor, voters: [] }, on: other, shards: [shard] });
        else if (!isMember) untidy.push({ order: change('make-learner'), on: node, shards: [shard] });
        else if (!isVoter(configuration, other.id)) untidy.push({ order: change('make-voter'), on: node, shards: [shard] });
      }
    }
    for (const other of this.#programs()) {
      for (const { group } of shardsOn(other)) {
        if (this.#gone.has(group)) untidy.push({ order: { type: 'destroy-replica', shard: group }, on: other, shards: [group] });
      }
    }
    return untidy;
  }
}

const never = (): boolean => false;

function isInside({ start, end }: RangeKeys, key: Uint8Array): boolean {
  return Buffer.compare(key, start) > 0 && (end === undefined || Buffer.compare(key, end) < 0);
}

function areNeighbours(a: ShardDescriptor, b: ShardDescriptor): boolean {
  return a.table === b.table && unionOf(a.keys, b.keys) !== undefined;
}
