/**
 * Which replica of this node a call is for, and whether it may serve it.
 *
 *   shard given            that one
 *   nothing, or `default`  the shard of table `default` that has the call's keys: shard 1, as long as it has all of them
 *
 * The answer holds for the moment. A write goes into the log with the epoch that was found here, and is looked at again where it is applied; a read asks
 * again in the turn in which it looks at the engine, when all waiting is over.
 *
 * A sender may know a newer epoch than a replica that lags: a write is passed on then, and where it is applied the shard has come to it; a read is told to
 * ask again.
 *
 * Used by kv-front.ts, kv-calls.ts and scan-stream.ts. Calls server/node and the shard's descriptor.
 */
import { SparrowError } from '../../base/errors.ts';
import { clampRange, type EngineRange, isEmpty, type NodeShards, type Replica } from '../node/index.ts';
import {
  coversAll,
  coversKey,
  DEFAULT_TABLE,
  FIRST_SHARD,
  MADE_SHARD_MIN,
  type ShardDescriptor,
  type ShardKeys,
} from '../shard/descriptor.ts';
import { noReplica, notForClients, shardBehind, shardSealed, tableDropped, wrongShard } from './shard-refusals.ts';

/** For which shard a call is, as requests say it. */
export interface ShardAddress {
  readonly table?: string | undefined;
  readonly shard?: number | undefined;
  /** 0, as left out: whichever the shard has. */
  readonly epoch?: number | undefined;
}

const DEFAULT_TABLE_NAME = 'default';

export class ShardRouter {
  readonly #shards: NodeShards;

  constructor(shards: NodeShards) {
    this.#shards = shards;
  }

  /** Shard 1, as long as it is there and has all keys of table `default`. */
  get whole(): Replica | undefined {
    const { first } = this.#shards;
    return coversAll(first.shard.descriptor.keys) && first.applied > 0 ? first : undefined;
  }

  /** The replica for a call that has this key. */
  forKey(address: ShardAddress, key: Uint8Array): Replica {
    return this.#given(address) ?? this.whole ?? this.#search((keys) => coversKey(keys, key));
  }

  /** All of them have to be of one shard. */
  forKeys(address: ShardAddress, keys: () => readonly Uint8Array[]): Replica {
    return this.#given(address) ?? this.whole ?? this.#search((covered) => keys().every((key) => coversKey(covered, key)));
  }

  /** All of it has to be in one shard, unless the call names the shard. */
  forRange(address: ShardAddress, range: EngineRange): Replica {
    return this.#given(address) ?? this.whole ?? this.#search((keys) => isWithin(range, keys));
  }

  /** In the turn in which the engine is looked at. Throws `rerouted/WRONG_SHARD`, `unavailable/SHARD_BEHIND`, `invalid/TABLE_DROPPED`. */
  checkRead({ shard: { descriptor } }: Replica, { epoch }: ShardAddress, key: Uint8Array | undefined): void {
    const { keys, state } = descriptor;
    if (descriptor.dropped === true) throw tableDropped(descriptor);
    if (epoch !== undefined && epoch !== 0 && epoch !== descriptor.epoch) {
      throw epoch > descriptor.epoch ? shardBehind(descriptor.shard, epoch) : this.#wrong(descriptor, key);
    }
    if (state === 'retired' || (key !== undefined && !coversAll(keys) && !coversKey(keys, key))) throw this.#wrong(descriptor, key);
  }

  /** As `checkRead`, of a range: who names no shard wants all of it, and the shard may have been split since it was found. */
  checkRange(replica: Replica, address: ShardAddress, range: EngineRange): void {
    this.checkRead(replica, address, undefined);
    if (address.shard === undefined && !isWithin(range, replica.shard.descriptor.keys))
      throw this.#wrong(replica.shard.descriptor, undefined);
  }

  /** The epoch that a write of these keys goes into the log with. Throws `rerouted/WRONG_SHARD`, `unavailable/SHARD_SEALED`, `invalid/TABLE_DROPPED`. */
  epochForWrite({ shard: { descriptor } }: Replica, { epoch = 0 }: ShardAddress, keys: () => readonly Uint8Array[]): number {
    if (descriptor.dropped === true) throw tableDropped(descriptor);
    if (epoch > descriptor.epoch) return epoch;
    if (epoch !== 0 && epoch < descriptor.epoch) throw this.#wrong(descriptor, undefined);
    if (descriptor.state === 'retired') throw this.#wrong(descriptor, undefined);
    if (!coversAll(descriptor.keys)) {
      for (const key of keys()) if (!coversKey(descriptor.keys, key)) throw this.#wrong(descriptor, key);
    }
    if (descriptor.state === 'sealed') throw shardSealed(descriptor.shard);
    return descriptor.epoch;
  }

  /** Of a write that was in the log when the shard became another one. */
  otherEpoch(replica: Replica): SparrowError {
    return this.#wrong(replica.shard.descriptor, undefined);
  }

  #given({ table, shard }: ShardAddress): Replica | undefined {
    if (shard === undefined) {
      if (table === undefined || table === '' || table === DEFAULT_TABLE_NAME) return undefined;
      const message = `table ${table} is served to clients that name its shards`;
      throw new SparrowError('invalid', 'TABLE', message, { field: 'table', applied: false });
    }
    if (shard !== FIRST_SHARD && shard < MADE_SHARD_MIN) throw notForClients(shard);
    const replica = this.#shards.get(shard);
    if (replica === undefined) throw noReplica(shard);
    return replica;
  }

  #search(covers: (keys: ShardKeys) => boolean): Replica {
    const { first } = this.#shards;
    const others = this.#ofTable(DEFAULT_TABLE).filter((replica) => replica.applied > 0);
    const found = others.find(({ shard }) => shard.descriptor.state !== 'retired' && covers(shard.descriptor.keys));
    if (found !== undefined) return found;
    // Nothing of the table is here yet: whoever leads the first shard can tell.
    if (others.length === 0) return first;
    throw wrongShard(
      first.group,
      others.map(({ shard }) => shard.descriptor),
    );
  }

  #ofTable(table: number): Replica[] {
    return [...this.#shards].filter(({ group, shard }) => shard.descriptor.table === table && isForClients(group));
  }

  #wrong(own: ShardDescriptor, key: Uint8Array | undefined): SparrowError {
    const known = this.#ofTable(own.table)
      .map(({ shard }) => shard.descriptor)
      .filter(({ state }) => state !== 'retired');
    const rank = (each: ShardDescriptor): number => (key !== undefined && coversKey(each.keys, key) ? 0 : each.shard === own.shard ? 1 : 2);
    return wrongShard(
      own.shard,
      known.sort((a, b) => rank(a) - rank(b) || b.epoch - a.epoch),
    );
  }
}

function isForClients(group: number): boolean {
  return group === FIRST_SHARD || group >= MADE_SHARD_MIN;
}

function isWithin(range: EngineRange, keys: ShardKeys): boolean {
  if (coversAll(keys) || isEmpty(range)) return true;
  if (keys.kind === 'hash') return false;
  const { start, end } = clampRange(range, keys);
  return Buffer.compare(start, range.start) === 0 && Buffer.compare(end, range.end) === 0;
}
