/**
 * The replicas of a node: those that its directory has are opened when it starts, and others are made and destroyed while it runs.
 *
 *   groups/000001/   shard 1: on each node, there or waiting to be taken in
 *   groups/000002/   the metaserver's group: where the cluster begins, and where it is moved to
 *   groups/NNNNNN/   other shards, from 16 on
 *
 * There is a replica when there is a directory that says so (`current`, group-directory.ts). Before it is made by an order, what it begins with is put beside
 * (replica-beginning.ts); how it goes is in group-removal.ts. What is done to one group is done one after another; groups do not wait for each other.
 *
 * A group that cannot be opened is left as it is, told by `failures`, and tried again now and then: what was in its way, such as a full disk, may have gone. The node goes on
 * with the others. Not so shard 1: without it the node does not start.
 *
 * A shard that is split off is made by its parent (child-maker.ts), and opened here.
 *
 * Made by server/node-parts.ts. Calls replica.ts and replica-store.ts.
 */
import { join } from 'node:path';
import type { Clock, FileSystem, Random, Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine } from '../../engine/index.ts';
import type { RunningHash64 } from '../transport/index.ts';
import {
  checkDescriptor,
  DEFAULT_TABLE,
  FIRST_SHARD,
  MADE_SHARD_MIN,
  META_GROUP,
  type ShardDescriptor,
  SYSTEM_TABLE,
  wholeTable,
} from '../shard/descriptor.ts';
import type { NodeAddress } from './address-book.ts';
import { ChildMaker } from './child-maker.ts';
import { beingMade, destroyed, gone, notMade, notOpened, waitsForOthers } from './group-refusals.ts';
import { isBeingRemoved, removeGroup } from './group-removal.ts';
import type { Handover } from './lead-keeper.ts';
import type { Hash64, NodeLog } from './log/index.ts';
import type { NodeShards } from './node-shards.ts';
import { readBeginning, type ReplicaBeginning, writeBeginning } from './replica-beginning.ts';
import type { ReplicaHost } from './replica-host.ts';
import type { ReplicaSettings } from './replica-parts.ts';
import { ReplicaStore } from './replica-store.ts';
import { Replica } from './replica.ts';
import { WriteBudget } from './write-budget.ts';

export interface NodeReplicasParts {
  readonly fileSystem: FileSystem;
  /** Of all groups. */
  readonly directory: string;
  readonly nodeLog: NodeLog;
  readonly host: ReplicaHost;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly hash: Hash64;
  readonly createHash: () => RunningHash64;
  /** Under the node's log, with what all engines of the node share. `inlineThreshold`: of its shard; 0: as the node has it. */
  readonly openEngine: (path: string, inlineThreshold: number) => Promise<HostedEngine>;
  /** Of a replica of this group, but for what it begins with. */
  readonly settingsOf: (group: number) => Omit<ReplicaSettings, 'group' | 'voters' | 'nodes' | 'descriptor'>;
  /** Who votes in the groups that the cluster begins with, before their first entries; empty: this node joins one. And where they are then. */
  readonly voters: readonly number[];
  readonly nodes: ReadonlyMap<number, NodeAddress>;
  /** Told where other nodes listen, as far as that is known before shard 1's replica opens; this node may be among them. */
  readonly onPeers: (peers: ReadonlyMap<number, string>) => void;
  /** Why shard 1 cannot begin here, with the voters that it has: `nodes` are not known. Undefined: it can. */
  readonly cannotBegin: SparrowError | undefined;
  /** A replica can go on no longer. */
  readonly onStopped: (group: number, error: SparrowError) => void;
  /** A group that is here could not be opened. */
  readonly onFailed: (group: number, error: SparrowError) => void;
  /** A replica's data are damaged, and are being got back from other members. */
  readonly onDamaged?: (group: number, error: SparrowError) => void;
  readonly onHandover?: (group: number, handover: Handover) => void;
}

interface Slot {
  readonly store: ReplicaStore;
  readonly replica: Replica;
}

/** A replica that is being opened. */
interface Opening {
  readonly store: ReplicaStore;
  /** What it waits to get back from other members; undefined: it does not. */
  waits: SparrowError | undefined;
  /** It waits no longer. */
  readonly giveUp: (error: SparrowError) => void;
}

/** So many are opened at a time. */
const OPENED_TOGETHER = 8;
/** Those that could not be opened are tried again after so long. */
const AGAIN_MS = 10_000;

export class NodeReplicas implements NodeShards {
  readonly #parts: NodeReplicasParts;
  readonly #slots: Map<number, Slot> = new Map();
  /** Shard 1's: asked for with each call. */
  #first: Replica | undefined;
  readonly #failures: Map<number, SparrowError> = new Map();
  /** By group, what is being done to it: never rejects. */
  readonly #busy: Map<number, Promise<unknown>> = new Map();
  readonly #opening: Map<number, Opening> = new Map();
  readonly #births: ChildMaker;
  readonly #writeBudget: WriteBudget;
  readonly #listeners: Set<(group: number) => void> = new Set();
  /** When groups that could not be opened are tried again; undefined: there are none, or they are being tried. */
  #again: Timer | undefined;
  #closed = false;
  #aborted = false;
  /** Those that opening had to apply again. */
  #replayed = 0;

  /** Shard 1 is there when this settles, and every other group that can be. */
  static async open(parts: NodeReplicasParts): Promise<NodeReplicas> {
    const replicas = new NodeReplicas(parts);
    try {
      await replicas.#openAll();
      return replicas;
    } catch (error) {
      replicas.abort();
      await replicas.release();
      throw error;
    }
  }

  private constructor(parts: NodeReplicasParts) {
    this.#parts = parts;
    const { writeBytesInFlightMax: bytesMax, writesWaitingMax: waitingMax } = parts.settingsOf(FIRST_SHARD);
    this.#births = this.#makesChildren();
    this.#writeBudget = new WriteBudget({ bytesMax, waitingMax, now: () => parts.clock.monotonicMs() });
  }

  /** Replicas of shards that are split off are made there, and run from the moment when the split is applied. */
  #makesChildren(): ChildMaker {
    const { fileSystem, hash, nodeLog } = this.#parts;
    return new ChildMaker({
      fileSystem,
      hash,
      directoryOf: (group) => this.#directory(group),
      isRetired: (group) => nodeLog.isRetired(group) || isBeingRemoved(fileSystem, this.#directory(group)),
      made: ({ shard }, campaign) => {
        if (this.#closed || this.#slots.has(shard)) return;
        this.adopt(shard).then(
          (replica) => campaign && replica?.lead.campaign(),
          (error: unknown) => this.#fail(shard, error),
        );
      },
    });
  }

  get first(): Replica {
    return this.#first!;
  }

  get size(): number {
    return this.#slots.size;
  }

  /** Entries that opening had to apply again. */
  get replayedEntries(): number {
    return this.#replayed;
  }

  /** Groups that are here and could not be opened, and why. */
  get failures(): ReadonlyMap<number, SparrowError> {
    return this.#failures;
  }

  /** Groups that are here and wait for what other members have, and why. */
  get waiting(): ReadonlyMap<number, SparrowError> {
    return new Map([...this.#opening].flatMap(([group, { waits }]) => (waits === undefined ? [] : [[group, waits] as const])));
  }

  /** Of all replicas: whether writes wait for room. */
  get writes(): Pick<WriteBudget, 'congested' | 'onRelieved'> {
    return this.#writeBudget;
  }

  get(shard: number): Replica | undefined {
    return this.#slots.get(shard)?.replica;
  }

  /** In the order of their ids. */
  *[Symbol.iterator](): IterableIterator<Replica> {
    for (const [, { replica }] of [...this.#slots].sort(([a], [b]) => a - b)) yield replica;
  }

  /** Whether the node has, or had, a replica of the group. */
  knows(group: number): boolean {
    return this.#slots.has(group) || this.#failures.has(group) || this.#parts.nodeLog.isRetired(group);
  }

  /** Calls `listener` each time that a group has come or gone. Returns what takes it off again. */
  onChanged(listener: (group: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * There is a replica of the shard when this settles. Does nothing where there is one. Throws `conflict/SHARD_DESTROYED` when `voters` are given for a group that
   * was destroyed here: it would begin anew without what it promised; `unavailable/REPLICA_WAITS` when it first has to get back from other members what its disk has
   * lost; `invalid/SHARD_DESCRIPTOR`, and what its directory has against it.
   */
  async create(descriptor: ShardDescriptor, voters: readonly number[]): Promise<void> {
    checkDescriptor(descriptor);
    const { shard } = descriptor;
    if (shard < MADE_SHARD_MIN && shard !== FIRST_SHARD && shard !== META_GROUP) throw notMade(shard);
    const waits = this.#opening.get(shard)?.waits;
    if (waits !== undefined) throw waitsForOthers(shard, waits);
    await new Promise<void>((resolve, reject) => {
      const waiting = (error: SparrowError): void => reject(waitsForOthers(shard, error));
      this.#exclusively(shard, () => this.#create(descriptor, voters, waiting)).then(resolve, reject);
    });
  }

  async #create(descriptor: ShardDescriptor, voters: readonly number[], waits: (error: SparrowError) => void): Promise<void> {
    const { fileSystem, hash, nodeLog } = this.#parts;
    const { shard } = descriptor;
    if (this.#slots.has(shard)) return;
    if (this.#births.isMaking(shard)) throw beingMade(shard);
    // One that could not be opened is not made again; what stood in its way may have gone.
    const isThere = this.#isThere(shard);
    if (!isThere) {
      if (voters.length > 0 && nodeLog.isRetired(shard)) throw destroyed(shard);
      // Its directory was taken away: it is no new member, whatever it is told.
      const begins = hasPromised(nodeLog, shard) ? [] : voters;
      writeBeginning(fileSystem, this.#directory(shard), { descriptor, voters: begins }, hash);
    }
    try {
      await this.#open(shard, this.#beginningOf(shard), waits);
    } catch (error) {
      if (this.#isThere(shard)) this.#fail(shard, error);
      throw error;
    }
  }

  /** There is none when this settles. Shard 1 waits to be taken in again then. */
  async destroy(group: number): Promise<void> {
    const opening = this.#opening.get(group);
    if (opening?.waits !== undefined) opening.giveUp(gone(group));
    await this.#exclusively(group, async () => {
      const { fileSystem, nodeLog } = this.#parts;
      const directory = this.#directory(group);
      const slot = this.#slots.get(group);
      if (slot !== undefined) {
        slot.replica.retire(gone(group));
        await slot.replica.close();
        slot.store.close();
        await slot.store.closeEngine();
      } else if (!this.#isThere(group)) return;
      await removeGroup(fileSystem, directory, nodeLog.group(group));
      this.#failures.delete(group);
      this.#slots.delete(group);
      this.#changed(group);
      if (group === FIRST_SHARD) await this.#open(group, this.#waiting(group));
    });
  }

  /** Opens a group that has come to be in the directory by another way: it was split off. Does nothing where it runs, or is not there. */
  async adopt(group: number): Promise<Replica | undefined> {
    return this.#exclusively(group, async () => {
      if (!this.#slots.has(group) && this.#isThere(group)) await this.#open(group, this.#beginningOf(group));
      return this.get(group);
    });
  }

  /** Takes no new writes, finishes those that there are. Log and engines stay open. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.cancel();
    await this.#quiet();
    await Promise.all([...this.#slots.values()].map(({ replica }) => replica.close()));
  }

  /** Stops all at once. */
  abort(): void {
    this.#closed = true;
    this.#again?.cancel();
    this.#aborted = true;
    for (const { replica } of this.#slots.values()) replica.abort();
  }

  /** Closes the engines, when replicas and transport are closed. */
  async release(): Promise<void> {
    await this.#quiet();
    for (const { store } of this.#slots.values()) store.close();
    await Promise.all([...this.#opening.values(), ...this.#slots.values()].map(({ store }) => store.closeEngine()));
  }

  async #openAll(): Promise<void> {
    const { fileSystem, directory, nodeLog, voters } = this.#parts;
    fileSystem.makeDirectorySync(directory);
    const listed = fileSystem.listSync(directory).map(groupOfName);
    const groups = listed.filter((group) => group !== undefined);
    // All that should be in the log are asked for before anything is appended to it.
    for (const group of [FIRST_SHARD, ...groups]) nodeLog.group(group);
    for (const group of groups) {
      if (isBeingRemoved(fileSystem, this.#directory(group))) await removeGroup(fileSystem, this.#directory(group), nodeLog.group(group));
    }
    await this.#open(FIRST_SHARD, this.#beginningOf(FIRST_SHARD));
    const own = this.#parts.settingsOf(META_GROUP).id;
    const begins = voters.includes(own) && !nodeLog.isRetired(META_GROUP);
    const others = groups.filter((group) => group !== FIRST_SHARD && group !== META_GROUP && this.#isThere(group));
    if (begins || this.#isThere(META_GROUP)) others.unshift(META_GROUP);
    await this.#openEach(others);
  }

  /** Settles when each is opened, or cannot be. One whose disk has lost something waits for other members, who may wait for this node: it is not waited for. */
  async #openEach(groups: readonly number[], isWanted: (group: number) => boolean = () => true): Promise<void> {
    const opened = (group: number): Promise<void> =>
      new Promise((resolve, reject) => {
        const open = async (): Promise<void> => {
          if (isWanted(group)) await this.#tryToOpen(group, resolve);
        };
        void this.#exclusively(group, open).then(resolve, reject);
      });
    for (let i = 0; i < groups.length; i += OPENED_TOGETHER) await Promise.all(groups.slice(i, i + OPENED_TOGETHER).map(opened));
  }

  /** Whether it still cannot be opened, for all that is known: it may have been destroyed, or its directory been taken away. */
  #isFailed(group: number): boolean {
    if (!this.#isThere(group)) this.#failures.delete(group);
    return this.#failures.has(group);
  }

  #tryAgainLater(): void {
    if (this.#closed) return;
    this.#again ??= this.#parts.scheduler.after(
      AGAIN_MS,
      () => {
        const again = async (): Promise<void> => {
          await this.#openEach([...this.#failures.keys()], (group) => this.#isFailed(group));
          this.#again = undefined;
          if (this.#failures.size > 0) this.#tryAgainLater();
        };
        // Closed meanwhile.
        again().catch(() => undefined);
      },
      true,
    );
  }

  async #tryToOpen(group: number, waits: () => void): Promise<void> {
    try {
      if (!this.#slots.has(group)) await this.#open(group, this.#beginningOf(group), waits);
    } catch (error) {
      this.#fail(group, error);
    }
  }

  #fail(group: number, error: unknown): void {
    const failure = error instanceof SparrowError ? error : notOpened(group, error);
    const before = this.#failures.get(group);
    this.#failures.set(group, failure);
    this.#tryAgainLater();
    // It is tried again as often as it is asked for.
    if (before?.message !== failure.message) this.#parts.onFailed(group, failure);
  }

  #isThere(group: number): boolean {
    return this.#parts.fileSystem.existsSync(`${this.#directory(group)}/current`);
  }

  /** Of a group whose directory has none: as the cluster began. */
  #beginningOf(group: number): ReplicaBeginning {
    const { fileSystem, hash, nodeLog, voters } = this.#parts;
    let kept: ReplicaBeginning | undefined;
    try {
      kept = readBeginning(fileSystem, this.#directory(group), hash);
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
      return { ...this.#waiting(group), damage: error };
    }
    if (kept !== undefined) return kept;
    const begins = (group === FIRST_SHARD || group === META_GROUP) && !nodeLog.isRetired(group);
    return begins ? { ...this.#waiting(group), voters } : this.#waiting(group);
  }

  #waiting(group: number): ReplicaBeginning {
    return { descriptor: wholeTable(group, group === FIRST_SHARD ? DEFAULT_TABLE : SYSTEM_TABLE), voters: [] };
  }

  /** `waits`: told that it needs something of other members first. */
  async #open(group: number, { descriptor, voters, damage }: ReplicaBeginning, waits?: (error: SparrowError) => void): Promise<void> {
    const { fileSystem, nodeLog, host, clock, scheduler, random, hash, createHash, openEngine, settingsOf, nodes } = this.#parts;
    const { onPeers, onStopped, onDamaged, onHandover, cannotBegin } = this.#parts;
    const log = nodeLog.group(group);
    const store = await ReplicaStore.open({
      fileSystem,
      directory: this.#directory(group),
      begun: hasPromised(nodeLog, group),
      openEngine: (path) => openEngine(path, descriptor.inlineThreshold),
      hash,
      createHash,
      scheduler,
    });
    const { promise: givenUp, reject: giveUp } = Promise.withResolvers<never>();
    // Nobody may be waiting.
    givenUp.catch(() => undefined);
    const opening: Opening = { store, waits: undefined, giveUp };
    this.#opening.set(group, opening);
    try {
      // What was applied says what the shard is; where nothing was, a snapshot of another member does.
      if (damage !== undefined && store.damage === undefined && store.engine.sequence < Math.max(1, store.begin.index))
        await store.giveUp(damage, { what: damage.message, members: [], nodes: {} });
      // The first entry is about to be applied, or applied again: it writes where the nodes are, and on each of them the same.
      const begins = group === FIRST_SHARD && voters.length > 1 && store.damage === undefined && store.engine.sequence === 0;
      if (begins && cannotBegin !== undefined) throw cannotBegin;
      if (group === FIRST_SHARD)
        onPeers(new Map([...[...nodes].map(([id, { peerAddress }]) => [id, peerAddress] as const), ...store.peerAddresses]));
      const replica = await Replica.open(
        { ...settingsOf(group), group, voters, nodes: group === FIRST_SHARD ? nodes : undefined, descriptor },
        {
          store,
          nodeLog,
          log,
          clock,
          scheduler,
          random,
          host,
          births: this.#births,
          writeBudget: this.#writeBudget,
          onStopped: (error) => onStopped(group, error),
          givenUp,
          onDamaged: (error) => {
            if (this.#opening.get(group) === opening) {
              opening.waits = error;
              waits?.(error);
            }
            onDamaged?.(group, error);
          },
          onHandover: (handover) => onHandover?.(group, handover),
        },
      );
      this.#replayed += replica.stats().replayedEntries;
      this.#slots.set(group, { store, replica });
      this.#failures.delete(group);
      if (group === FIRST_SHARD) this.#first = replica;
    } catch (error) {
      store.close();
      await store.closeEngine();
      throw error;
    } finally {
      this.#opening.delete(group);
    }
    this.#changed(group);
  }

  async #exclusively<T>(group: number, task: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false });
    const before = this.#busy.get(group) ?? Promise.resolve();
    const done = before.then(task);
    const settled = done.catch(() => undefined);
    this.#busy.set(group, settled);
    try {
      return await done;
    } finally {
      if (this.#busy.get(group) === settled) this.#busy.delete(group);
    }
  }

  /** Nothing is done to any group, but for those that wait for other members; or nobody waits for anything any more. */
  async #quiet(): Promise<void> {
    if (this.#aborted) return;
    await Promise.all([...this.#busy].filter(([group]) => this.#opening.get(group)?.waits === undefined).map(([, done]) => done));
  }

  #changed(group: number): void {
    this.#parts.host.membersChanged();
    for (const listener of [...this.#listeners]) listener(group);
  }

  #directory(group: number): string {
    return join(this.#parts.directory, nameOfGroup(group));
  }
}

export function nameOfGroup(group: number): string {
  return String(group).padStart(6, '0');
}

function groupOfName(name: string): number | undefined {
  const group = /^\d{6,10}$/.test(name) ? Number(name) : 0;
  return group >= 1 && group <= 0xffffffff && nameOfGroup(group) === name ? group : undefined;
}

/** Whether a replica of the group was here that others may count on. */
function hasPromised(nodeLog: NodeLog, group: number): boolean {
  const { hardState, lastIndex } = nodeLog.group(group).contents();
  return hardState.term > 0 || lastIndex > 0;
}
