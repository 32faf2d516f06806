/**
 * Applies committed commands to the engine, one batch for each, in the order of the log.
 *
 * The engine has no log of its own (engine/hosted-api.ts): the node's log holds every entry until the engine has its effect in tables. The batch is
 * written with the entry's index as its sequence number, and of a large value says where in the node's log it lies, so that it is on the disk once.
 *
 *   node's log, segment 7   | frame | command ... key | value ..... | frame |          engine: key -> pointer (7.link, offset, bytes, checksum)
 *                                                     ^ place(index) + offset in the command
 *
 * So a key's version is the index of the entry that wrote it, and the sequence number that the engine is found at is the applied index: data and applied
 * index cannot disagree after a crash, and what comes after it is applied again, with the same outcome. Entries that write nothing (a failed
 * condition, a term's first entry) write nothing then, too; `mark` makes the engine count them.
 *
 * Rule of what is pointed to: values from the engine's `inlineThreshold` on; smaller ones stand in their records. A small group does as a large one:
 * a link costs a name. That it keeps a whole segment from being removed is the node's to see to (segment-space.ts).
 *
 * Who the members of the group are, as of the applied index, is a record of the engine too: the first entry that is applied writes who they were to
 * begin with, and each change of the configuration is written as the batch of its entry. So a copy of the engine knows its group, and where its nodes are
 * (address-book.ts). What the shard is (server/shard/descriptor.ts) is another such record: a write for another epoch than the shard's is not done, so
 * no key is ever written by two shards, however late a command comes.
 *
 * Everything a command does follows from the log and the engine's state alone. What the outcome of a command is - conditions that fail,
 * ids that expired - is a value; whatever is thrown means that this replica cannot go on, and the caller stops it. But for lack of room, on the disk or
 * in memory, which the engine tells before it changes anything: that is waited out.
 *
 * Called by replica-opening.ts and applier.ts. Calls command-codec.ts, group-time.ts, request-table.ts, shard-changes.ts, address-book.ts and the engine.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import type { HostedEngine, HostedOperation } from '../../engine/index.ts';
import {
  coversAll,
  coversKey,
  DEFAULT_TABLE,
  encodeDescriptor,
  FIRST_SHARD,
  type ShardDescriptor,
  wholeTable,
} from '../shard/descriptor.ts';
import { changed, type Configuration, decodeConfiguration, encodeConfiguration, type LogEntry, membersOf } from '../raft/index.ts';
import { AddressBook, NODE_PREFIX, type NodeAddress } from './address-book.ts';
import { type Command, type CommandCondition, type CommandPlace, type CommandRequestId, decodeCommand } from './command-codec.ts';
import { GroupTime, STEP_MS } from './group-time.ts';
import { OWN_PREFIX, scanOptions, userKey } from './keys.ts';
import type { GroupLog } from './log/index.ts';
import { RECORD_PREFIX, type RememberedWrite, RequestTable } from './request-table.ts';
import { type ShardBirths, ShardChanges, type ShardChangesParts, type ShardFacts, type ShardResult } from './shard-changes.ts';
import { DESCRIPTOR_KEY } from './shard-records.ts';

/** What became of a command. */
export type ApplyResult =
  | { outcome: 'applied'; version: number }
  /** The first condition that did not hold, and what its key has. */
  | { outcome: 'condition-failed'; condition: number; value: Uint8Array | undefined; version: number }
  /** `cursor`: the last key removed, when more are left. */
  | { outcome: 'range-deleted'; version: number; deleted: number; cursor: Uint8Array | undefined }
  /** Whether it was applied before cannot be told any more; it was not applied now. */
  | { outcome: 'expired'; applied: number }
  /** It was for another epoch of the shard. Nothing was done, or not now: whether it was done before, the shard that has its keys can tell. */
  | { outcome: 'other-epoch'; epoch: number }
  /** The shard's keys are on their way to another one: nothing was done. */
  | { outcome: 'sealed' }
  | ShardResult;

const CONFIGURATION_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, 0x63);
const NOTHING = new Uint8Array(0);

/** Configurations before the newest one that are remembered: for a snapshot, which is of a moment that lies a little back. */
const CONFIGURATIONS_MAX = 64;

/** What the machine asks of whoever runs it. */
export interface MachineParts {
  readonly engine: HostedEngine;
  /** Where entries lie. */
  readonly log: Pick<GroupLog, 'place'>;
  /** Who the members are before the first entry, and where they are then. */
  readonly beginning: Configuration;
  readonly nodes?: ReadonlyMap<number, NodeAddress> | undefined;
  /** What the shard is before the first entry. Left out: the first one of table `default`, with all keys. */
  readonly descriptor?: ShardDescriptor | undefined;
  /** Left out: its shard is never split. */
  readonly births?: ShardBirths | undefined;
}

/** What a machine that runs is told, and asks. */
export interface MachineWatch {
  /** The values of the next entry lie in another segment than those before: the moment to flush, if that is due, so that few flushes share a segment. */
  readonly crossing: () => void;
  /** There is no room for the next batch. Settles when it may be tried again; rejects when the machine is to stop. */
  readonly room: (lacking: SparrowError) => Promise<void>;
  /** A split is near: the moment to flush, so that it finds little to do. */
  readonly splitNear: () => void;
  /** This member leads. */
  readonly leads: () => boolean;
}

export class StateMachine {
  readonly #engine: HostedEngine;
  readonly #log: Pick<GroupLog, 'place'>;
  readonly #valueBytesMin: number;
  readonly #requests: RequestTable = new RequestTable();
  readonly #book: AddressBook;
  #applied: number;
  /** The newest last: each holds from `index` on. */
  #configurations: { readonly index: number; readonly configuration: Configuration }[];
  /** The engine has a record of the newest. */
  #configurationWritten: boolean;
  readonly #shard: ShardChanges;
  readonly #time: GroupTime;
  /** Of the value that was pointed to last. */
  #segment = 0;
  #watch: MachineWatch | undefined;

  constructor({ engine, log, beginning, nodes = new Map(), descriptor = wholeTable(FIRST_SHARD, DEFAULT_TABLE), births }: MachineParts) {
    this.#engine = engine;
    this.#log = log;
    this.#valueBytesMin = engine.inlineThreshold;
    this.#applied = engine.sequence;
    const record = engine.getSync(CONFIGURATION_KEY);
    const configuration = record === undefined ? beginning : decodeConfiguration(record);
    this.#configurations = [{ index: this.#applied, configuration }];
    this.#configurationWritten = record !== undefined;
    this.#time = new GroupTime(engine);
    const parts: ShardChangesParts = {
      engine,
      time: this.#time,
      requests: this.#requests,
      births,
      configuration: () => this.configuration,
      mark: () => this.mark(),
      withRoom: (attempt) => this.#withRoom(attempt),
      write: async (batch, index) => this.#write(batch, index),
      flushSoon: () => this.#watch?.splitNear(),
      leads: () => this.#watch?.leads() ?? false,
    };
    this.#shard = new ShardChanges(parts, descriptor);
    this.#book = new AddressBook(nodes);
    if (this.#configurationWritten) this.#book.load(engine.scanSync({ prefix: NODE_PREFIX }));
    this.#requests.load(engine.scanSync({ prefix: RECORD_PREFIX }), engine.getSync(RequestTable.floorKey));
  }

  get applied(): number {
    return this.#applied;
  }

  get engine(): HostedEngine {
    return this.#engine;
  }

  /** As of `applied`. */
  get configuration(): Configuration {
    return this.#configurations.at(-1)!.configuration;
  }

  /** As of an entry that was applied lately; undefined when too many changes have come since. */
  configurationAt(index: number): Configuration | undefined {
    return this.#configurations.findLast((each) => each.index <= index)?.configuration;
  }

  /** From now on somebody looks after it. Before, lack of room is an error like others. */
  watch(watch: MachineWatch): void {
    this.#watch = watch;
  }

  /** As of `applied`. */
  get book(): AddressBook {
    return this.#book;
  }

  /** What the shard is, as of `applied`. */
  get shard(): ShardFacts {
    return this.#shard;
  }

  /** By which values have expired, as of `applied`; 0: none ever had an expiry. */
  get timeMs(): number {
    return this.#time.ms;
  }

  /** Clients whose writes are remembered. */
  get clients(): number {
    return this.#requests.clients;
  }

  /** What an identified write is, as of `applied`: 'new', 'expired', or one that was done. */
  lookup(id: CommandRequestId): RememberedWrite | 'new' | 'expired' {
    return this.#requests.lookup(id);
  }

  /** The next entry. A promise only where it has to wait for something: the next one may come when that has settled. */
  apply(entry: LogEntry): ApplyResult | Promise<ApplyResult> {
    assert(entry.index === this.#applied + 1, 'entries are applied without gaps');
    if (entry.change !== undefined || !this.#configurationWritten) return this.#applyMembers(entry);
    const result = entry.data.length > 0 ? this.#execute(decodeCommand(entry.data, this.#placeOf(entry)), entry) : NO_OPERATION;
    if (result instanceof Promise) return this.#appliedWhen(entry, result);
    this.#applied = entry.index;
    return result;
  }

  async #appliedWhen({ index }: LogEntry, result: Promise<ApplyResult>): Promise<ApplyResult> {
    const done = await result;
    this.#applied = index;
    return done;
  }

  async #applyMembers({ index, data, change }: LogEntry): Promise<ApplyResult> {
    // Commands are no first entries: a leader begins its term with one that has no data.
    assert(data.length === 0, 'an entry that says who the members are is no command');
    const before = this.configuration;
    if (change !== undefined) this.#changed(changed(before, change), index);
    const members = membersOf(this.configuration);
    const batch: HostedOperation[] = [{ type: 'put', key: CONFIGURATION_KEY, value: encodeConfiguration(this.configuration) }];
    if (!this.#configurationWritten) {
      this.#book.begin(batch);
      batch.push({ type: 'put', key: DESCRIPTOR_KEY, value: encodeDescriptor(this.#shard.descriptor) });
    }
    // Whose votes are not asked any more must not come back with them.
    if (change?.type === 'force' && this.#shard.descriptor.shard === FIRST_SHARD) {
      this.#book.remove(
        membersOf(before).filter((id) => !members.includes(id)),
        batch,
      );
    }
    await this.#write(batch, index);
    this.#configurationWritten = true;
    this.#applied = index;
    return NO_OPERATION;
  }

  /**
   * Makes everything applied durable in the engine: settles when a restarted one will have at least that. What is applied after the call goes elsewhere
   * than what was before it, at once.
   */
  async flush(): Promise<void> {
    const marked = this.mark();
    await Promise.all([marked, this.#engine.flush()]);
  }

  /** The engine's last sequence number is the applied index, from the call on: a batch of nothing brings it there. */
  async mark(): Promise<void> {
    if (this.#engine.sequence < this.#applied) await this.#engine.write([], { sequence: this.#applied });
  }

  #changed(configuration: Configuration, index: number): void {
    this.#configurations.push({ index, configuration });
    if (this.#configurations.length > CONFIGURATIONS_MAX) this.#configurations.shift();
  }

  /** Undefined: it has no value that could be pointed to. */
  #placeOf({ index, data }: LogEntry): CommandPlace | undefined {
    if (data.length < this.#valueBytesMin) return undefined;
    const place = this.#log.place(index);
    assert(place !== undefined, 'a command that is applied is in the log');
    if (place.segment !== this.#segment) {
      this.#segment = place.segment;
      this.#watch?.crossing();
    }
    return { segment: place.segment, offset: place.offset, valueBytesMin: this.#valueBytesMin };
  }

  #execute(command: Command, { index, term }: LogEntry): ApplyResult | Promise<ApplyResult> {
    if (command.kind === 'shard') return this.#shard.execute(command.change, index, term);
    const { id } = command;
    if (command.kind === 'node' || command.kind === 'begun' || command.kind === 'removed') {
      const batch: HostedOperation[] = [];
      if (command.kind === 'node') this.#book.set(command.node, command.known, batch);
      else if (command.kind === 'begun') this.#book.begins(command.node, batch);
      else this.#book.remove([command.node], batch);
      return this.#written(batch, index, appliedAt(index));
    }
    const { epoch, state } = this.#shard.descriptor;
    if (command.epoch !== 0 && command.epoch !== epoch) return { outcome: 'other-epoch', epoch };
    if (state === 'sealed' || state === 'retired') return { outcome: 'sealed' };
    if (id !== undefined) {
      const before = this.#requests.lookup(id);
      if (before === 'expired') return { outcome: 'expired', applied: this.#applied };
      if (before !== 'new') return command.kind === 'write' ? appliedAt(before.index) : decodeRangeResult(before.result, before.index);
    }
    const batch: HostedOperation[] = [];
    let result: ApplyResult;
    let remembered = NOTHING;
    const nowMs = Math.max(command.nowMs, this.#time.ms);
    const looks = command.kind === 'delete-range' || command.conditions.length > 0;
    // What is found now must not be looked at as of an earlier time by anybody.
    if (command.nowMs > 0) this.#time.reach(nowMs, index, batch, looks ? 1 : STEP_MS);
    if (command.kind === 'write') {
      const failed = looks ? this.#time.look(nowMs, () => this.#failedCondition(command.conditions)) : undefined;
      if (failed !== undefined) return this.#written(batch, index, failed);
      for (const operation of command.operations) batch.push(operation);
      result = appliedAt(index);
    } else {
      const { deletes, cursor } = this.#time.look(nowMs, () => this.#rangeDeletes(command));
      const deleted = deletes.length;
      for (const operation of deletes) batch.push(operation);
      result = { outcome: 'range-deleted', version: index, deleted, cursor };
      remembered = encodeRangeResult(deleted, cursor);
    }
    if (id !== undefined) this.#requests.remember(id, index, remembered, batch);
    return this.#written(batch, index, result);
  }

  /** `result`, when the batch is written. */
  #written(batch: readonly HostedOperation[], index: number, result: ApplyResult): ApplyResult | Promise<ApplyResult> {
    const written = batch.length === 0 ? undefined : this.#write(batch, index);
    return written === undefined ? result : written.then(() => result);
  }

  /** Undefined: it is done, and nothing has to be waited for. */
  #write(batch: readonly HostedOperation[], sequence: number): Promise<void> | undefined {
    try {
      return this.#engine.writeNow(batch, sequence);
    } catch (error) {
      return this.#writeAgain(batch, sequence, error);
    }
  }

  async #writeAgain(batch: readonly HostedOperation[], sequence: number, error: unknown): Promise<void> {
    if (this.#watch === undefined || !(error instanceof SparrowError) || error.kind !== 'exhausted') throw error;
    // What it did not find was room for the next one.
    if (this.#engine.sequence >= sequence) return;
    await this.#watch.room(error);
    await this.#write(batch, sequence);
  }

  /** What is attempted leaves nothing behind when it finds no room. */
  async #withRoom(attempt: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (this.#watch === undefined || !(error instanceof SparrowError) || error.kind !== 'exhausted') throw error;
        await this.#watch.room(error);
      }
    }
  }

  #failedCondition(conditions: readonly CommandCondition[]): ApplyResult | undefined {
    for (const [i, condition] of conditions.entries()) {
      const current = this.#engine.getEntrySync(condition.key);
      const holds =
        condition.kind === 'absent'
          ? current === undefined
          : condition.kind === 'version'
            ? current?.version === condition.version
            : current !== undefined && Buffer.compare(current.value, condition.value) === 0;
      if (!holds) return { outcome: 'condition-failed', condition: i, value: current?.value, version: current?.version ?? 0 };
    }
    return undefined;
  }

  #rangeDeletes(command: Extract<Command, { kind: 'delete-range' }>): { deletes: HostedOperation[]; cursor: Uint8Array | undefined } {
    const deletes: HostedOperation[] = [];
    let last: Uint8Array | undefined;
    const { keys } = this.#shard.descriptor;
    // Those of another shard that are still there are nobody's here. On which replicas, only their engines know.
    const foreign = keys.kind === 'hash' && !coversAll(keys);
    const limit = foreign ? {} : { limit: command.limit + 1 };
    for (const [key] of this.#engine.scanSync({ ...scanOptions(command), ...limit, keysOnly: true })) {
      if (foreign && !coversKey(keys, userKey(key))) continue;
      if (deletes.length === command.limit) return { deletes, cursor: last };
      deletes.push({ type: 'delete', key });
      last = userKey(key);
    }
    return { deletes, cursor: undefined };
  }
}

const NO_OPERATION: ApplyResult = { outcome: 'applied', version: 0 };

function appliedAt(index: number): ApplyResult {
  return { outcome: 'applied', version: index };
}

/** A range delete's answer as it is remembered: | deleted u32, big-endian | cursor, empty when nothing was left | */
function encodeRangeResult(deleted: number, cursor: Uint8Array | undefined): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 + (cursor?.length ?? 0));
  new DataView(bytes.buffer).setUint32(0, deleted);
  if (cursor !== undefined) bytes.set(cursor, 4);
  return bytes;
}

function decodeRangeResult(bytes: Uint8Array, version: number): ApplyResult {
  // A write's id that comes back on a range delete: the client's mistake, but every replica answers it alike.
  if (bytes.length < 4) return { outcome: 'range-deleted', version, deleted: 0, cursor: undefined };
  const deleted = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return { outcome: 'range-deleted', version, deleted, cursor: bytes.length > 4 ? bytes.slice(4) : undefined };
}
