/**
 * Carries out what the metaserver orders a node to do (server/meta/orders.ts). Every order may come again, from this leader of the metaserver or the next:
 * what is so already is done.
 *
 * Orders of one shard are carried out one after another, in the order in which they come; those of different shards do not wait for each other. A merge is of
 * two shards, and waits for both.
 *
 * What stands in the way is a value, with whether it may pass. Nothing is tried again here: the metaserver does that, and knows when not to any more.
 *
 * Made by whoever builds a node. Calls server/node.
 */
import type { Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { type GivenOrder, LENGTHENED_MAX, type Order, type OrderOutcome } from '../meta/orders.ts';
import {
  cancelImport,
  changeMembers,
  commitMerge,
  describeShard,
  importShard,
  middleKey,
  type NodeReplicas,
  NO_LIMIT,
  type Reachable,
  type ReadTerms,
  type Replica,
  resumeShard,
  retireShard,
  sealShard,
  splitShard,
} from '../node/index.ts';
import { checkDescriptor, includes, sameSettings, type ShardDescriptor } from './descriptor.ts';
import { isMade } from './order-checks.ts';

export interface NodeAgentParts {
  readonly replicas: Pick<NodeReplicas, 'get' | 'create' | 'destroy'>;
  readonly scheduler: Scheduler;
  /** Whether another node can be reached now. */
  readonly reachable: Reachable;
}

/** So long another member may take to lead, and a shard's child to be there. */
const TRANSFER_MS_MAX = 5000;

/** Linearizable, also where another node leads. */
const ANYWHERE: ReadTerms = Object.freeze({ anyMember: true, staleMs: 0 });
const NOTHING: Promise<unknown> = Promise.resolve();
const DONE: OrderOutcome = Object.freeze({ outcome: 'done' });
/** Kinds of errors that pass. */
const PASSING: ReadonlySet<string> = new Set(['unavailable', 'exhausted', 'rerouted']);
/** Codes of others that do: what is in the way is another step that is under way. */
const PASSING_CODES: ReadonlySet<string> = new Set(['CHANGE_PENDING', 'MERGE_ORDER']);
/** The operating system's words for what it lacks for now: room, files, memory. */
const LACKING: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EBUSY', 'EINTR']);

export class NodeAgent {
  readonly #parts: NodeAgentParts;
  /** By shard, what is under way: never rejects. */
  readonly #underWay: Map<number, Promise<unknown>> = new Map();

  constructor(parts: NodeAgentParts) {
    this.#parts = parts;
  }

  /** Never rejects. */
  async execute({ order }: GivenOrder): Promise<OrderOutcome> {
    const shards = shardsOf(order);
    const before = Promise.all(shards.map((shard) => this.#underWay.get(shard) ?? NOTHING));
    const outcome = before.then(() => this.#attempt(order));
    for (const shard of shards) this.#underWay.set(shard, outcome);
    try {
      return await outcome;
    } finally {
      for (const shard of shards) if (this.#underWay.get(shard) === outcome) this.#underWay.delete(shard);
    }
  }

  async #attempt(order: Order): Promise<OrderOutcome> {
    try {
      await this.#carryOut(order);
      return DONE;
    } catch (error) {
      return refused(error);
    }
  }

  async #carryOut(order: Order): Promise<void> {
    const { replicas, reachable } = this.#parts;
    switch (order.type) {
      case 'create-replica':
        return replicas.create(order.descriptor, order.voters);
      case 'destroy-replica':
        return replicas.destroy(order.shard);
      case 'change-members': {
        const replica = this.#leader(order.shard);
        if (isMade(replica.stats().configuration, order.change)) return;
        await changeMembers(replica, order.change, reachable);
        return;
      }
      case 'transfer':
        return this.#transfer(this.#replica(order.shard), order.to);
      case 'split':
        return this.#split(order);
      case 'seal': {
        const replica = this.#leader(order.shard);
        if (replica.shard.descriptor.state !== 'retired') await sealShard(replica, replica.shard.descriptor.epoch, NO_LIMIT);
        return;
      }
      case 'unseal': {
        const replica = this.#leader(order.shard);
        return resumeShard(replica, replica.shard.descriptor.epoch, NO_LIMIT);
      }
      case 'retire':
        return this.#retire(order);
      case 'absorb':
        return order.commit ? this.#commit(order) : void (await this.#import(order));
      case 'forget': {
        const target = this.#leader(order.shard);
        if (target.shard.importing?.shard !== order.source.shard) return;
        return cancelImport(target, target.shard.descriptor.epoch, NO_LIMIT);
      }
      case 'describe':
        return this.#describe(order.descriptor);
    }
  }

  async #split({ shard, epoch, child, at }: Extract<Order, { type: 'split' }>): Promise<void> {
    const replica = this.#leader(shard);
    const { descriptor } = replica.shard;
    if (at.kind === 'hash') return void (await splitShard(replica, { epoch, child, at: { how: 'hash' } }, NO_LIMIT));
    // Where it was split before cannot be told from where it would be now; that its epoch is the next one, and the child here, can.
    if (at.kind === 'middle' && descriptor.epoch > epoch && this.#parts.replicas.get(child) !== undefined) return;
    const key = at.kind === 'key' ? at.key : await middleKey(replica);
    if (key === undefined) throw new SparrowError('invalid', 'SPLIT_KEY', `shard ${shard} has too few keys to be split`, { shard });
    await splitShard(replica, { epoch, child, at: { how: 'key', key } }, NO_LIMIT);
  }

  /** Resolves with the session of an import of what was written before the source's seal. */
  async #import({ shard, source: { shard: from } }: Extract<Order, { type: 'absorb' }>): Promise<number> {
    const target = this.#leader(shard);
    const source = this.#replica(from);
    const { sealed } = source.shard;
    if (sealed === undefined) throw notSealed(source.shard.descriptor);
    const { imported, descriptor } = target.shard;
    if (imported?.source.shard === from && imported.sealed === sealed) return imported.session;
    if (sealed - target.applied > LENGTHENED_MAX)
      throw new SparrowError('conflict', 'MERGE_ORDER', `the log of shard ${from} is the longer one`, { shard, source: from });
    return (await importShard(target, descriptor.epoch, source, sealed, NO_LIMIT)).session;
  }

  /** By the seal of which the target has what was written before: what was written since, by whatever order that came late, would be lost with another one. */
  async #retire({ shard, into }: Extract<Order, { type: 'retire' }>): Promise<void> {
    const source = this.#leader(shard);
    const target = this.#replica(into);
    await Promise.all([source.read(), target.read(ANYWHERE)]);
    const { imported } = target.shard;
    const { epoch, state } = source.shard.descriptor;
    if (imported?.source.shard === shard) return retireShard(source, epoch, imported.sealed, NO_LIMIT);
    if (state !== 'retired')
      throw new SparrowError('conflict', 'NOT_IMPORTED', `shard ${into} has not imported what shard ${shard} has`, { shard, into });
  }

  /**
   * What the target has by now, after whatever orders came late, need not be what it had when the source was retired: nothing, or what was written before another seal. The
   * source has all that it had, for good, until this is done: then it is imported again.
   */
  async #commit(order: Extract<Order, { type: 'absorb' }>): Promise<void> {
    const { shard, source: of } = order;
    const target = this.#leader(shard);
    const { importing, descriptor } = target.shard;
    if (importing === undefined && descriptor.epoch > of.epoch && includes(descriptor.keys, of.keys)) return;
    const source = this.#replica(of.shard);
    await source.read(ANYWHERE);
    if (source.shard.descriptor.state !== 'retired')
      throw new SparrowError('conflict', 'MERGE_ORDER', `shard ${of.shard} is not retired`, { shard, source: of.shard });
    const session = await this.#import(order);
    await commitMerge(target, target.shard.descriptor.epoch, session, of, NO_LIMIT);
  }

  async #describe(descriptor: ShardDescriptor): Promise<void> {
    checkDescriptor(descriptor);
    const replica = this.#leader(descriptor.shard);
    if (sameSettings(replica.shard.descriptor, descriptor)) return;
    await describeShard(replica, replica.shard.descriptor.epoch, descriptor, NO_LIMIT);
  }

  /** Hands the lead over, and waits until it is told that it was taken. */
  async #transfer(replica: Replica, to: number): Promise<void> {
    if (replica.stats().leader === to) return;
    this.#leader(replica.group);
    const { scheduler } = this.#parts;
    const took = new Promise<void>((resolve, reject) => {
      const late = (): SparrowError =>
        new SparrowError('unavailable', 'NOT_TAKEN', `node ${to} has not taken the lead of shard ${replica.group}`, {
          shard: replica.group,
        });
      const done = (error?: SparrowError): void => {
        timer.cancel();
        unlisten();
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = scheduler.after(TRANSFER_MS_MAX, () => done(late()), true);
      const unlisten = replica.lead.onLeader(() => {
        const { leader, id } = replica.stats();
        if (leader === to) done();
        else if (leader !== 0 && leader !== id) done(late());
      });
    });
    // Whoever fails below has been told.
    took.catch(() => undefined);
    replica.lead.transfer(to);
    await took;
  }

  #replica(shard: number): Replica {
    const replica = this.#parts.replicas.get(shard);
    if (replica === undefined) throw new SparrowError('rerouted', 'NO_REPLICA', `this node has no replica of shard ${shard}`, { shard });
    if (replica.stopped !== undefined) throw replica.stopped;
    return replica;
  }

  #leader(shard: number): Replica {
    const replica = this.#replica(shard);
    const { role, leader } = replica.stats();
    if (role === 'leader') return replica;
    throw new SparrowError('rerouted', 'NOT_LEADER', `this node does not lead shard ${shard}`, { shard, leader });
  }
}

function shardsOf(order: Order): readonly number[] {
  switch (order.type) {
    case 'create-replica':
    case 'describe':
      return [order.descriptor.shard];
    case 'absorb':
    case 'forget':
      return [order.shard, order.source.shard];
    case 'split':
      return [order.shard, order.child];
    case 'retire':
      return [order.shard, order.into];
    default:
      return [order.shard];
  }
}

function notSealed({ shard }: ShardDescriptor): SparrowError {
  return new SparrowError('conflict', 'MERGE_ORDER', `shard ${shard} is not sealed, or this replica does not know it yet`, { shard });
}

function refused(error: unknown): OrderOutcome {
  if (!(error instanceof SparrowError)) {
    const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { code: undefined, message: String(error) };
    return { outcome: 'refused', code: code ?? 'INTERNAL', message, again: code !== undefined && LACKING.has(code), leader: 0 };
  }
  const { code, kind, message, details } = error;
  const leader = typeof details['leader'] === 'number' ? details['leader'] : 0;
  return { outcome: 'refused', code, message, again: PASSING.has(kind) || PASSING_CODES.has(code), leader };
}
