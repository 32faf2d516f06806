/**
 * What a shard is, as its group's log has it, and how entries change it: the epoch and the keys by a split or a merge, the state on the way there.
 *
 *   normal ── PREPARE_SPLIT ─▶ splitting ── SPLIT ─▶ normal, epoch + 1, half of the keys; the other half is the child's
 *   normal ── SEAL ─▶ sealed ── RETIRE ─▶ retired              the source of a merge: written no more, then read no more
 *   normal ── BEGIN_IMPORT, IMPORT ..., END_IMPORT, COMMIT_MERGE ─▶ normal, a larger epoch, with the source's keys      the target
 *   splitting, sealed ── RESUME ─▶ normal                       given up; of a target: CANCEL_IMPORT
 *
 * Every one of them names the epoch that it is for, and does nothing at another: what was decided about an older shard, or comes twice, is told so (`shard-refused`).
 *
 * A split at entry i, on each replica, each step durable before the next:
 *
 *   1  the child's replica is made out of this engine as of i - 1 (child-maker.ts); not if it is there, or was: then this entry is applied again after
 *      a crash. The child's own batch of index i, by which it has its half and no more, is written when its replica is opened
 *   2  in one batch of sequence number i: the new descriptor, and a range delete of the other half
 *
 * A crash between them applies i again. The child's log begins behind i, so versions of its keys go on from there.
 *
 * Of a hash shard the foreign keys are strewn over all: they are still there after a split, in the parent and in the child, both `splitting`. They are passed over where keys are read in
 * order, and deleted by SWEEPs, each of which goes through the next keys; behind the last of them the shard is normal.
 *
 * What is imported lies outside of the target's keys, where nobody reads it, until COMMIT_MERGE makes them its own. What stood there before is deleted by BEGIN_IMPORT. Of a hash shard
 * it lies between the target's keys, and is passed over as after a split; nothing may stand there before, so what is given up is swept, and the shard `splitting` until it is.
 *
 * Owned by state-machine.ts. Calls shard-records.ts (what the engine has of it) and shard-ranges.ts (halves, and what deletes them).
 */
import { assert } from '../../base/assert.ts';
import type { HostedEngine, HostedOperation } from '../../engine/index.ts';
import type { Configuration } from '../raft/index.ts';
import {
  coversKey,
  decodeDescriptor,
  encodeDescriptor,
  sameKeys,
  sameSettings,
  type ShardDescriptor,
  type ShardSettings,
  type ShardState,
  unionOf,
  withSettings,
} from '../shard/descriptor.ts';
import type { GroupTime } from './group-time.ts';
import { compareKeys, userKey } from './keys.ts';
import type { RequestTable } from './request-table.ts';
import type { ShardCommand, SplitAt } from './shard-commands.ts';
import { deletionOf, FIRST_KEY, halvesOf, rangeOf } from './shard-ranges.ts';
import { decodeMerge, DESCRIPTOR_KEY, encodeMerge, type ImportedShard, type Merge, MERGE_KEY, SWEEP_KEY } from './shard-records.ts';

/** What became of a command that changes the shard. */
export type ShardResult =
  /** `child`: of a split. `session`: of a BEGIN_IMPORT, its index; `sealed`: of a SEAL. */
  | { outcome: 'shard'; version: number; descriptor: ShardDescriptor; child?: ShardDescriptor; session?: number; sealed?: number }
  /** Nothing was done. */
  | { outcome: 'shard-refused'; code: ShardRefusal; reason: string; descriptor: ShardDescriptor };

export type ShardRefusal =
  | 'OTHER_EPOCH'
  | 'SHARD_STATE'
  | 'SPLIT_KEY'
  | 'CHANGE_PENDING'
  | 'NOT_NEIGHBOURS'
  | 'MERGE_ORDER'
  | 'OTHER_SESSION';

/** Makes replicas of shards that are split off; the node's. */
export interface ShardBirths {
  /** A split is near that makes this child: what can be done before it is. Does not throw: `make` does again what failed. */
  prepare(child: ShardDescriptor): void;
  /**
   * Makes the replica of `child` on this node out of its parent's engine, as of the entry before the split; durable when it settles, not running yet. Its log
   * begins behind `begin`, the split. Does nothing when there is one, or was. `exhausted/DISK_FULL` when there is no room: nothing is left of it then.
   */
  make(child: ShardDescriptor, begin: { index: number; term: number }, parent: HostedEngine): Promise<void>;
  /** It may run from now on; `campaign`: its parent's leader is here, and so should its own be. */
  made(child: ShardDescriptor, campaign: boolean): void;
}

/** Of the state machine that it is a part of. */
export interface ShardChangesParts {
  readonly engine: HostedEngine;
  readonly requests: RequestTable;
  readonly time: GroupTime;
  readonly births: ShardBirths | undefined;
  readonly configuration: () => Configuration;
  /** The engine's sequence number is that of the last entry that was applied. */
  readonly mark: () => Promise<void>;
  /** Waits for room, and does again what found none. */
  readonly withRoom: (attempt: () => Promise<void>) => Promise<void>;
  readonly write: (batch: readonly HostedOperation[], index: number) => Promise<void>;
  /** Has the engine flushed soon. */
  readonly flushSoon: () => void;
  /** This member leads. */
  readonly leads: () => boolean;
}

/** What the shard is, for whoever does not change it. */
export type ShardFacts = Pick<ShardChanges, 'descriptor' | 'sealed' | 'imported' | 'importing' | 'mixed' | 'unswept'>;

export class ShardChanges {
  readonly #parts: ShardChangesParts;
  #descriptor: ShardDescriptor;
  #merge: Merge | undefined;
  /** Where the next SWEEP begins; undefined: no foreign keys are left. */
  #sweep: Uint8Array | undefined;

  /** `beginning`: what the shard is before the first entry. */
  constructor(parts: ShardChangesParts, beginning: ShardDescriptor) {
    this.#parts = parts;
    const descriptor = parts.engine.getSync(DESCRIPTOR_KEY);
    this.#descriptor = descriptor === undefined ? beginning : decodeDescriptor(descriptor);
    const merge = parts.engine.getSync(MERGE_KEY);
    this.#merge = merge === undefined ? undefined : decodeMerge(merge);
    this.#sweep = parts.engine.getSync(SWEEP_KEY);
  }

  get descriptor(): ShardDescriptor {
    return this.#descriptor;
  }

  /** Index of the SEAL of a shard that is sealed or retired; undefined of others. */
  get sealed(): number | undefined {
    return this.#merge?.side === 'source' ? this.#merge.sealed : undefined;
  }

  /** What has been imported whole, and waits for COMMIT_MERGE; undefined: nothing. */
  get imported(): ImportedShard | undefined {
    return this.#merge?.side === 'target' && this.#merge.complete ? this.#merge : undefined;
  }

  /** The shard whose keys are being imported; undefined: none. */
  get importing(): ShardDescriptor | undefined {
    return this.#merge?.side === 'target' ? this.#merge.source : undefined;
  }

  /** Foreign keys are to be swept. */
  get unswept(): boolean {
    return this.#sweep !== undefined;
  }

  /** There may be foreign keys between its own: of a hash shard that is not swept yet, or takes in what its other half has. */
  get mixed(): boolean {
    const { keys, state } = this.#descriptor;
    return keys.kind === 'hash' && (state === 'splitting' || this.importing !== undefined);
  }

  async execute(command: ShardCommand, index: number, term: number): Promise<ShardResult> {
    if ('epoch' in command && command.epoch !== this.#descriptor.epoch)
      return this.#refused('OTHER_EPOCH', `shard ${this.#descriptor.shard} is at epoch ${this.#descriptor.epoch}, not ${command.epoch}`);
    switch (command.kind) {
      case 'prepare-split':
        return this.#prepareSplit(command.child, command.at, index);
      case 'split':
        return this.#split(command.child, command.at, index, term);
      case 'resume':
        return this.#resume(index);
      case 'seal':
        return this.#seal(index);
      case 'retire':
        return this.#retire(command.sealed, index);
      case 'begin-import':
        return this.#beginImport(command, index);
      case 'import':
        return this.#import(command, index);
      case 'end-import':
        return this.#endImport(command, index);
      case 'commit-merge':
        return this.#commitMerge(command.session, index);
      case 'cancel-import':
        return this.#cancelImport(index);
      case 'sweep':
        return this.#sweepOn(command.limit, index);
      case 'describe':
        return this.#describe(command.settings, index);
    }
  }

  /** Keys, epoch and state stay. */
  async #describe(settings: ShardSettings, index: number): Promise<ShardResult> {
    if (!sameSettings(this.#descriptor, settings)) await this.#become(withSettings(this.#descriptor, settings), [], index);
    return this.#done(index);
  }

  async #prepareSplit(shard: number, at: SplitAt, index: number): Promise<ShardResult> {
    const both = this.#divided(shard, at);
    if ('outcome' in both) return both;
    if (this.#descriptor.state !== 'splitting') await this.#become({ ...this.#descriptor, state: 'splitting' }, [], index);
    this.#parts.flushSoon();
    this.#parts.births?.prepare(both.child);
    return this.#done(index);
  }

  async #split(shard: number, at: SplitAt, index: number, term: number): Promise<ShardResult> {
    const { engine, births, leads } = this.#parts;
    const both = this.#divided(shard, at);
    if ('outcome' in both) return both;
    assert(births !== undefined, 'a node on which shards are split makes their children');
    const { parent, child } = both;
    await this.#parts.mark();
    await this.#parts.withRoom(() => births.make(child, { index, term }, engine));
    if (parent.keys.kind === 'hash') this.#sweep = FIRST_KEY;
    await this.#become(parent, deletionOf(child.keys), index);
    births.made(child, leads());
    return { ...this.#done(index), child };
  }

  /** What both would be after a split. */
  #divided(shard: number, at: SplitAt): { parent: ShardDescriptor; child: ShardDescriptor } | ShardResult {
    const refused = this.#notIn('normal', 'splitting') ?? this.#busy();
    if (refused !== undefined) return refused;
    if (this.#parts.configuration().outgoing.length > 0) return this.#refused('CHANGE_PENDING', 'the members of the shard are changing');
    const halves = halvesOf(this.#descriptor.keys, at);
    if (halves === undefined || shard === this.#descriptor.shard)
      return this.#refused('SPLIT_KEY', 'a shard is split between two of its keys, or by a bit of the hash that it has left');
    const [own, childs] = halves;
    const divided: ShardDescriptor = {
      ...this.#descriptor,
      epoch: this.#descriptor.epoch + 1,
      state: own.kind === 'hash' ? 'splitting' : 'normal',
    };
    return { parent: { ...divided, keys: own }, child: { ...divided, shard, keys: childs } };
  }

  async #resume(index: number): Promise<ShardResult> {
    const refused = this.#notIn('normal', 'splitting', 'sealed');
    if (refused !== undefined) return refused;
    if (this.#descriptor.state === 'normal' || this.#sweep !== undefined) return this.#done(index);
    const merge: HostedOperation[] = this.#merge?.side === 'source' ? [this.#setMerge(undefined)] : [];
    await this.#become({ ...this.#descriptor, state: 'normal' }, merge, index);
    return this.#done(index);
  }

  async #seal(index: number): Promise<ShardResult> {
    if (this.#descriptor.state === 'sealed' && this.#merge?.side === 'source') return { ...this.#done(index), sealed: this.#merge.sealed };
    const refused = this.#notIn('normal') ?? this.#busy();
    if (refused !== undefined) return refused;
    const sealed = this.#setMerge({ side: 'source', sealed: index });
    await this.#become({ ...this.#descriptor, state: 'sealed' }, [sealed], index);
    return { ...this.#done(index), sealed: index };
  }

  async #retire(sealed: number, index: number): Promise<ShardResult> {
    const refused = this.#notIn('sealed', 'retired');
    if (refused !== undefined) return refused;
    if (this.#merge?.side !== 'source' || this.#merge.sealed !== sealed)
      return this.#refused('OTHER_SESSION', `shard ${this.#descriptor.shard} was not sealed by entry ${sealed}, or has been written since`);
    if (this.#descriptor.state !== 'retired') await this.#become({ ...this.#descriptor, state: 'retired' }, [], index);
    return this.#done(index);
  }

  async #beginImport(command: Extract<ShardCommand, { kind: 'begin-import' }>, index: number): Promise<ShardResult> {
    const { sealed, source } = command;
    const refused = this.#notIn('normal');
    if (refused !== undefined) return refused;
    if (this.#merge !== undefined && (source.keys.kind === 'hash' || !sameShard(this.importing, source))) return this.#busy()!;
    if (source.table !== this.#descriptor.table || unionOf(this.#descriptor.keys, source.keys) === undefined)
      return this.#refused('NOT_NEIGHBOURS', `shards ${this.#descriptor.shard} and ${source.shard} are not neighbours of one table`);
    // A key's version is an index: what is imported gets newer ones than it had.
    if (index <= sealed)
      return this.#refused(
        'MERGE_ORDER',
        `the shard that is merged was sealed by entry ${sealed} of its log, and this is entry ${index}: it is the one that takes in`,
      );
    const record = this.#setMerge({ side: 'target', complete: false, session: index, sealed, entries: 0, floor: 0, source });
    // Between the keys of a hash shard that is normal, and takes in nothing, there are none but its own.
    await this.#parts.write(source.keys.kind === 'hash' ? [record] : [...deletionOf(source.keys), record], index);
    return { ...this.#done(index), session: index };
  }

  async #import({ session, requests, entries }: Extract<ShardCommand, { kind: 'import' }>, index: number): Promise<ShardResult> {
    const merge = this.#merge;
    if (merge?.side !== 'target' || merge.session !== session || merge.complete) return this.#otherSession(session);
    const { keys } = merge.source;
    const { start, end } = rangeOf(keys);
    const batch: HostedOperation[] = [];
    for (const { key, value, expiresAtMs, at } of entries) {
      if (compareKeys(key, start) < 0 || compareKeys(key, end) >= 0 || (keys.kind === 'hash' && !coversKey(keys, userKey(key))))
        return this.#refused('NOT_NEIGHBOURS', 'what is imported is outside of the keys of the shard that it comes from');
      const expiry = expiresAtMs === undefined ? {} : { expiresAtMs };
      batch.push(at === undefined ? { type: 'put', key, value, ...expiry } : { type: 'put', key, value, at, ...expiry });
    }
    this.#parts.requests.adopt(requests, batch);
    // Conditions have to come with a time from here on.
    if (entries.some(({ expiresAtMs }) => expiresAtMs !== undefined))
      this.#parts.time.reach(Math.max(1, this.#parts.time.ms), index, batch);
    batch.push(this.#setMerge({ ...merge, entries: merge.entries + entries.length }));
    await this.#parts.write(batch, index);
    return this.#done(index);
  }

  async #endImport(command: Extract<ShardCommand, { kind: 'end-import' }>, index: number): Promise<ShardResult> {
    const { session, entries, floor } = command;
    const merge = this.#merge;
    if (merge?.side !== 'target' || merge.session !== session || merge.entries !== entries) return this.#otherSession(session);
    await this.#parts.write([this.#setMerge({ ...merge, complete: true, floor })], index);
    return this.#done(index);
  }

  async #commitMerge(session: number, index: number): Promise<ShardResult> {
    const merge = this.#merge;
    if (merge?.side !== 'target' || merge.session !== session || !merge.complete) return this.#otherSession(session);
    const refused = this.#notIn('normal');
    if (refused !== undefined) return refused;
    const keys = unionOf(this.#descriptor.keys, merge.source.keys);
    assert(keys !== undefined, 'neighbours stay neighbours while one of them imports');
    const epoch = Math.max(this.#descriptor.epoch, merge.source.epoch) + 1;
    const batch: HostedOperation[] = [this.#setMerge(undefined)];
    this.#parts.requests.raiseFloor(merge.floor, batch);
    await this.#become({ ...this.#descriptor, keys, epoch }, batch, index);
    return this.#done(index);
  }

  async #cancelImport(index: number): Promise<ShardResult> {
    if (this.#merge?.side !== 'target') return this.#done(index);
    const { keys } = this.#merge.source;
    const batch = [...deletionOf(keys), this.#setMerge(undefined)];
    if (keys.kind === 'hash') {
      this.#sweep = FIRST_KEY;
      await this.#become({ ...this.#descriptor, state: 'splitting' }, batch, index);
    } else await this.#parts.write(batch, index);
    return this.#done(index);
  }

  async #sweepOn(limit: number, index: number): Promise<ShardResult> {
    if (this.#sweep === undefined) return this.#done(index);
    const { batch, next } = this.#parts.time.look(this.#parts.time.ms, () => this.#foreign(this.#sweep!, limit));
    if (next !== undefined) await this.#parts.write([...batch, { type: 'put', key: SWEEP_KEY, value: next }], index);
    else {
      // Foreign keys are passed over until they are gone.
      const swept: ShardDescriptor = { ...this.#descriptor, state: 'normal' };
      const record: HostedOperation = { type: 'put', key: DESCRIPTOR_KEY, value: encodeDescriptor(swept) };
      await this.#parts.write([...batch, { type: 'delete', key: SWEEP_KEY }, record], index);
      this.#descriptor = swept;
    }
    this.#sweep = next;
    return this.#done(index);
  }

  /** Deletes of foreign keys among the next ones, and where those behind them begin. */
  #foreign(from: Uint8Array, limit: number): { batch: HostedOperation[]; next: Uint8Array | undefined } {
    const { keys } = this.#descriptor;
    const batch: HostedOperation[] = [];
    let passed = 0;
    let next: Uint8Array | undefined;
    for (const [key] of this.#parts.engine.scanSync({ gte: from, lt: rangeOf(keys).end, limit: limit + 1, keysOnly: true })) {
      if (passed++ === limit) next = Uint8Array.from(key);
      else if (!coversKey(keys, userKey(key))) batch.push({ type: 'delete', key: Uint8Array.from(key) });
    }
    return { batch, next };
  }

  /** Notes on which side of a merge the shard is; returns what the engine has to write for it. */
  #setMerge(merge: Merge | undefined): HostedOperation {
    this.#merge = merge;
    return merge === undefined ? { type: 'delete', key: MERGE_KEY } : { type: 'put', key: MERGE_KEY, value: encodeMerge(merge) };
  }

  async #become(descriptor: ShardDescriptor, batch: readonly HostedOperation[], index: number): Promise<void> {
    this.#descriptor = descriptor;
    await this.#parts.write([...batch, { type: 'put', key: DESCRIPTOR_KEY, value: encodeDescriptor(descriptor) }], index);
  }

  #notIn(...states: readonly ShardState[]): ShardResult | undefined {
    const { shard, state } = this.#descriptor;
    return states.includes(state) ? undefined : this.#refused('SHARD_STATE', `shard ${shard} is ${state}, not ${states.join(' or ')}`);
  }

  #busy(): ShardResult | undefined {
    const { importing } = this;
    return importing && this.#refused('SHARD_STATE', `shard ${this.#descriptor.shard} takes in what shard ${importing.shard} has`);
  }

  #otherSession(session: number): ShardResult {
    return this.#refused(
      'OTHER_SESSION',
      `shard ${this.#descriptor.shard} imports nothing, or something else than what began at entry ${session}`,
    );
  }

  #refused(code: ShardRefusal, reason: string): ShardResult {
    return { outcome: 'shard-refused', code, reason, descriptor: this.#descriptor };
  }

  #done(version: number): Extract<ShardResult, { outcome: 'shard' }> {
    return { outcome: 'shard', version, descriptor: this.#descriptor };
  }
}

function sameShard(a: ShardDescriptor | undefined, b: ShardDescriptor): boolean {
  return a !== undefined && a.shard === b.shard && a.epoch === b.epoch && sameKeys(a.keys, b.keys);
}
