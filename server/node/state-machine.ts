/**
 * Applies committed commands to the engine, one batch for each, in the order of the log.
 *
 * The batch is written with the entry's index as its sequence number. So a key's version is the index of the entry that wrote it, and
 * the engine's own last sequence number is the applied index: data and applied index cannot disagree after a crash. Entries that write
 * nothing (a failed condition, a term's first entry) are simply judged again when the log is replayed, with the same outcome.
 *
 * Who the members of the group are, as of the applied index, is a record of the engine too: the first entry that is applied writes who they were to
 * begin with, and each change of the configuration is written as the batch of its entry. So a copy of the engine knows its group, and where its nodes are
 * (address-book.ts).
 *
 * Everything a command does follows from the log and the engine's state alone. What the outcome of a command is - conditions that fail,
 * ids that expired - is a value; whatever is thrown means that this replica cannot go on, and the caller stops it.
 *
 * Called by replica.ts. Calls command-codec.ts, request-table.ts, address-book.ts and the engine.
 */
import { assert } from '../../base/assert.ts';
import type { BatchOperation, Engine } from '../../engine/index.ts';
import { changed, type Configuration, decodeConfiguration, encodeConfiguration, type LogEntry, membersOf } from '../raft/index.ts';
import { AddressBook, NODE_PREFIX, type NodeAddress } from './address-book.ts';
import { type Command, type CommandCondition, decodeCommand } from './command-codec.ts';
import { OWN_PREFIX, scanOptions, userKey } from './keys.ts';
import { RECORD_PREFIX, RequestTable } from './request-table.ts';

/** What became of a command. */
export type ApplyResult =
  | { outcome: 'applied'; version: number }
  /** The first condition that did not hold, and what its key has. */
  | { outcome: 'condition-failed'; condition: number; value: Uint8Array | undefined; version: number }
  /** `cursor`: the last key removed, when more are left. */
  | { outcome: 'range-deleted'; version: number; deleted: number; cursor: Uint8Array | undefined }
  /** Whether it was applied before cannot be told any more; it was not applied now. */
  | { outcome: 'expired'; applied: number };

/** A record that carries the applied index when nothing else was written for long, and in a snapshot. */
const MARK_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, 0x61);
const CONFIGURATION_KEY: Uint8Array = Uint8Array.of(OWN_PREFIX, 0x63);
const NOTHING = new Uint8Array(0);

export class StateMachine {
  readonly #engine: Engine;
  readonly #requests: RequestTable = new RequestTable();
  readonly #book: AddressBook;
  /** The last entry applied, and the last one whose effect the engine carries. */
  #applied: number;
  #written: number;
  #configuration: Configuration;
  /** The engine has a record of it. */
  #configurationWritten: boolean;

  /** `beginning`: who the members are before the first entry; `nodes`: where they are then. */
  constructor(engine: Engine, beginning: Configuration, nodes: ReadonlyMap<number, NodeAddress> = new Map()) {
    this.#engine = engine;
    this.#applied = this.#written = engine.sequence;
    const record = engine.getSync(CONFIGURATION_KEY);
    this.#configuration = record === undefined ? beginning : decodeConfiguration(record);
    this.#configurationWritten = record !== undefined;
    this.#book = new AddressBook(nodes);
    if (this.#configurationWritten) this.#book.load(engine.scanSync({ prefix: NODE_PREFIX }));
    this.#requests.load(engine.scanSync({ prefix: RECORD_PREFIX }), engine.getSync(RequestTable.floorKey));
  }

  get applied(): number {
    return this.#applied;
  }

  get engine(): Engine {
    return this.#engine;
  }

  /** As of `applied`. */
  get configuration(): Configuration {
    return this.#configuration;
  }

  /** As of `applied`. */
  get book(): AddressBook {
    return this.#book;
  }

  /** Clients whose writes are remembered. */
  get clients(): number {
    return this.#requests.clients;
  }

  async apply(entry: LogEntry): Promise<ApplyResult> {
    assert(entry.index === this.#applied + 1, 'entries are applied without gaps');
    let result = NO_OPERATION;
    if (entry.change !== undefined || !this.#configurationWritten) {
      // Commands are no first entries: a leader begins its term with one that has no data.
      assert(entry.data.length === 0, 'an entry that says who the members are is no command');
      const before = this.#configuration;
      if (entry.change !== undefined) this.#configuration = changed(before, entry.change);
      const members = membersOf(this.#configuration);
      const batch: BatchOperation[] = [{ type: 'put', key: CONFIGURATION_KEY, value: encodeConfiguration(this.#configuration) }];
      if (!this.#configurationWritten) this.#book.begin(batch);
      this.#book.remove(
        membersOf(before).filter((id) => !members.includes(id)),
        batch,
      );
      await this.#write(batch, entry.index);
      this.#configurationWritten = true;
    } else if (entry.data.length > 0) result = await this.#execute(decodeCommand(entry.data), entry.index);
    this.#applied = entry.index;
    return result;
  }

  /**
   * Begins to make everything applied durable in the engine. Settles when the next entry may be applied; `durable` settles when a
   * restarted engine will have at least `index`.
   */
  async checkpoint(): Promise<{ index: number; durable: Promise<void> }> {
    await this.mark();
    return { index: this.#applied, durable: this.#engine.sync() };
  }

  /** The engine's last sequence number is the applied index when this settles. Nothing is applied meanwhile. */
  async mark(): Promise<void> {
    if (this.#written < this.#applied) await this.#write([{ type: 'put', key: MARK_KEY, value: NOTHING }], this.#applied);
  }

  async #execute(command: Command, index: number): Promise<ApplyResult> {
    const { id } = command;
    if (command.kind === 'node' || command.kind === 'begun') {
      const batch: BatchOperation[] = [];
      if (command.kind === 'node') this.#book.set(command.node, command.known, batch);
      else this.#book.begins(command.node, batch);
      if (batch.length > 0) await this.#write(batch, index);
      return appliedAt(index);
    }
    if (id !== undefined) {
      const before = this.#requests.lookup(id);
      if (before === 'expired') return { outcome: 'expired', applied: this.#applied };
      if (before !== 'new') return command.kind === 'write' ? appliedAt(before.index) : decodeRangeResult(before.result, before.index);
    }
    const batch: BatchOperation[] = [];
    let result: ApplyResult;
    let remembered = NOTHING;
    if (command.kind === 'write') {
      const failed = this.#failedCondition(command.conditions);
      if (failed !== undefined) return failed;
      for (const operation of command.operations) batch.push(operation);
      result = appliedAt(index);
    } else {
      const { deleted, cursor } = this.#deleteRange(command, batch);
      result = { outcome: 'range-deleted', version: index, deleted, cursor };
      remembered = encodeRangeResult(deleted, cursor);
    }
    if (id !== undefined) this.#requests.remember(id, index, remembered, batch);
    if (batch.length > 0) await this.#write(batch, index);
    return result;
  }

  async #write(batch: readonly BatchOperation[], sequence: number): Promise<void> {
    // Buffered: what the engine loses when the process dies, the Raft log has.
    await this.#engine.write(batch, { durability: 'buffered', sequence });
    this.#written = sequence;
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

  #deleteRange(
    command: Extract<Command, { kind: 'delete-range' }>,
    batch: BatchOperation[],
  ): { deleted: number; cursor: Uint8Array | undefined } {
    let last: Uint8Array | undefined;
    for (const [key] of this.#engine.scanSync({ ...scanOptions(command), limit: command.limit + 1, keysOnly: true })) {
      if (batch.length === command.limit) return { deleted: batch.length, cursor: last };
      batch.push({ type: 'delete', key });
      last = userKey(key);
    }
    return { deleted: batch.length, cursor: undefined };
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
