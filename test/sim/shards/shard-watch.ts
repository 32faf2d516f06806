/**
 * What the shards of a simulated cluster promise together, looked at while things happen:
 *
 *   one shard a key     no two leaders that would serve have the same key
 *   one description     replicas of a shard that are equally far say the same of it, in every life
 *
 * A leader would serve when nobody was seen to lead a newer term, all that it knows to be committed is applied, an entry of its own term among it, and it does not lag behind an epoch of the shard that
 * was seen anywhere. Others wait before they read, and what they write is looked at again where it is applied.
 *
 * `problemAtRest` is for a world that is healed: every key of a table is one shard's, replicas have their own keys and no others, and are alike.
 */
import { userKey } from '../../../server/node/index.ts';
import type { Replica } from '../../../server/node/index.ts';
import { compareStarts, overlap } from '../../../server/meta/shard-order.ts';
import { coversKey, type RangeKeys, type ShardDescriptor, type ShardKeys } from '../../../server/shard/descriptor.ts';
import { BROKEN } from '../ledger.ts';
import type { SimNode } from '../sim-node.ts';
import type { World } from '../world.ts';
import { dataOf, leads, type Ledgers, type ShardNode, shardsOn } from './node-program.ts';

const LOOK_MS = 3;

export class ShardWatch {
  readonly #world: World;
  readonly #nodes: readonly SimNode[];
  readonly #ledgers: Ledgers;
  readonly #replicasWanted: number;
  readonly #hasLeft: (node: SimNode) => boolean;
  /** By shard. */
  readonly #epochs: Map<number, number> = new Map();
  /** By `shard/applied`. */
  readonly #described: Map<string, string> = new Map();

  /** `replicas`: of each shard, at rest. Left out: one on each node. `hasLeft`: what that node still has does not count at rest. */
  constructor(
    world: World,
    nodes: readonly SimNode[],
    ledgers: Ledgers,
    replicas: number = nodes.length,
    hasLeft: (node: SimNode) => boolean = () => false,
  ) {
    this.#hasLeft = hasLeft;
    this.#replicasWanted = replicas;
    this.#world = world;
    this.#nodes = nodes;
    this.#ledgers = ledgers;
    ledgers.onServed = () => this.#lookAtServing();
  }

  /** From now on, all the time. */
  begin(): void {
    this.#world.scheduler.after(LOOK_MS, () => {
      this.#look();
      this.begin();
    });
  }

  #replicas(nodes: readonly SimNode[] = this.#nodes): Replica[] {
    return nodes.flatMap(({ program }) => (program === undefined ? [] : shardsOn(program as ShardNode)));
  }

  #look(): void {
    const replicas = this.#replicas().filter(({ applied, installing }) => applied > 0 && !installing);
    for (const { group, applied, shard } of replicas) {
      const { descriptor } = shard;
      this.#epochs.set(group, Math.max(descriptor.epoch, this.#epochs.get(group) ?? 0));
      const said = textOf(descriptor);
      const before = this.#described.get(`${group}/${applied}`);
      if (before === undefined) this.#described.set(`${group}/${applied}`, said);
      else if (before !== said) this.#broken('one description', `shard ${group} at ${applied} is ${said}, and ${before}`);
    }
    this.#lookAtServing();
  }

  /** In the midst of an entry, too, when a replica says of itself already what it will be. */
  #lookAtServing(): void {
    const serving = this.#replicas().filter((replica) => replica.applied > 0 && !replica.installing && this.#serves(replica));
    this.#world.counters.add('shards serving, seen', serving.length);
    const descriptors = serving.map(({ shard }) => shard.descriptor);
    for (const [i, one] of descriptors.entries()) {
      for (const other of descriptors.slice(i + 1)) {
        if (one.table === other.table && overlap(one.keys, other.keys))
          this.#broken('one shard a key', `${textOf(one)} and ${textOf(other)} serve the same keys`);
      }
    }
  }

  #serves(replica: Replica): boolean {
    const { descriptor } = replica.shard;
    if (!leads(replica) || descriptor.state === 'retired' || descriptor.epoch !== this.#epochs.get(replica.group)) return false;
    const { term, appliedIndex, committedIndex } = replica.stats();
    const ledger = this.#ledgers.of(replica.group);
    return term >= ledger.newestTerm && appliedIndex === committedIndex && ledger.termOf(appliedIndex) === term;
  }

  #broken(promise: string, what: string): void {
    this.#world.alarm(new Error(`${BROKEN}${promise}: ${what}`));
  }

  /** Of shards that are at rest: undefined when they have come to be equally far; which have not, otherwise. */
  unequal(): string | undefined {
    for (const [group, replicas] of this.#byShard()) {
      const applied = replicas.map((replica) => replica.applied);
      if (replicas.length !== this.#replicasWanted || new Set(applied).size > 1)
        return `shard ${group} on ${applied.length}: ${applied.join(', ')}`;
    }
    return undefined;
  }

  problemAtRest(): string | undefined {
    const descriptors: ShardDescriptor[] = [];
    for (const [group, replicas] of this.#byShard()) {
      const { descriptor } = replicas[0]!.shard;
      if (descriptor.state !== 'normal') return `shard ${group} is ${descriptor.state}`;
      descriptors.push(descriptor);
      if (new Set(replicas.map((replica) => textOf(replica.shard.descriptor))).size > 1)
        return `replicas of shard ${group} describe it differently`;
      if (new Set(replicas.map(dataOf)).size > 1) return `the replicas have different data: shard ${group}`;
      for (const [key] of replicas[0]!.engine.scanSync({ gte: Uint8Array.of(1) })) {
        if (!coversKey(descriptor.keys, userKey(key)))
          return `shard ${group} has ${Buffer.from(userKey(key)).toString()}, which is not its own`;
      }
    }
    const tables = Map.groupBy(descriptors, ({ table }) => table);
    const divided = [...tables.values()].find((shards) => !isPartition(shards.map(({ keys }) => keys)));
    return divided && `the shards are no partition of the keys: ${divided.map(textOf).join('; ')}`;
  }

  #byShard(): Map<number, Replica[]> {
    const byShard: Map<number, Replica[]> = new Map();
    const staying = this.#nodes.filter((node) => !this.#hasLeft(node));
    for (const replica of this.#replicas(staying)) byShard.set(replica.group, [...(byShard.get(replica.group) ?? []), replica]);
    return byShard;
  }
}

/** Whether every key is one's. */
function isPartition(keys: readonly ShardKeys[]): boolean {
  if (keys.some((one, i) => keys.slice(i + 1).some((other) => overlap(one, other)))) return false;
  const hashes = keys.filter((each) => each.kind === 'hash');
  if (hashes.length > 0) return hashes.reduce((sum, { bits }) => sum + 2 ** -bits, 0) === 1;
  let end: Uint8Array | undefined = Buffer.alloc(0);
  for (const { start, end: after } of [...keys].sort(compareStarts) as RangeKeys[]) {
    if (end === undefined || Buffer.compare(start, end) !== 0) return false;
    end = after;
  }
  return end === undefined;
}

function textOf({ shard, epoch, state, keys }: ShardDescriptor): string {
  return `shard ${shard} epoch ${epoch} ${state} ${keysText(keys)}`;
}

function keysText(keys: ShardKeys): string {
  if (keys.kind === 'hash') return `hash ${keys.index} of ${keys.bits} bits`;
  const { start, end } = keys;
  return `[${Buffer.from(start).toString()}, ${end === undefined ? '' : Buffer.from(end).toString()})`;
}
