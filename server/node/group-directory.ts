/**
 * The directory of a group on a node: where its engine is, and how a snapshot takes the engine's place.
 *
 *   current        which slot holds the engine:  | magic "SPKVGRP1" | format u32 = 1 | slot u32, 1 a, 2 b | index u64 | term u64 | check u64 |
 *                  index, term: of the snapshot that the engine began as, 0 and 0 when it began empty; check = XXH64 of what is before it, seed 0
 *   a/, b/         two slots; the engine's files are in SLOT/files
 *   a/damaged      the engine in this slot is damaged: what was found, and whom to ask for a snapshot (JSON). In b/ likewise
 *   outgoing/      a checkpoint that is being sent
 *
 * A snapshot arrives in the slot that is free (server/transport, incoming-snapshot.ts), and is then the engine by one rename:
 *
 *   1  all its files are durable in the free slot                          (whoever received it)
 *   2  `current` is written under another name, synced, renamed; the directory is synced      from here on it is the engine
 *   3  what else the slot holds of the transfer goes, its head first: nobody must take an engine's files for a transfer
 *   4  the files in the other slot go, and its mark of damage: it is free
 *
 * A crash anywhere leaves the old engine, or the new one and something to be cleared, which opening does. Empty directories stay.
 *
 * Where `current` is damaged, or has gone, the slot that has an engine is marked as damaged, and then `current` made anew: nothing that is there goes before a snapshot
 * has come. How the engine began is not known any more, so it must not be gone on with.
 *
 * The group's log is told by its replica, after 2 and before anything is appended. Should a crash come in between, the log ends before `index`, or has
 * another term there: opening the replica finds that, and tells the log then.
 *
 * Format: docs/formats/group-directory.md. Used by replica-store.ts.
 */
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import type { FileSystem } from '../../base/env.ts';
import { newerFormat } from '../../base/format-version.ts';
import { IncomingSnapshot } from '../transport/index.ts';
import type { Hash64 } from './log/index.ts';

type Slot = 'a' | 'b';

/** What an engine began as. */
export interface SnapshotBegin {
  readonly index: number;
  readonly term: number;
}

/** What is noted of a damaged engine. */
export interface DamageNote {
  readonly what: string;
  /** Of the group, as the engine had it. */
  readonly members: readonly number[];
  /** Where other nodes listen to nodes, by id. */
  readonly nodes: Readonly<Record<string, string>>;
}

const DAMAGE_BYTES_MAX: number = 1024 * 1024;
const MAGIC = 'SPKVGRP1';
const FORMAT = 1;
const BYTES = 40;
const SLOTS: readonly Slot[] = ['a', 'b'];

export class GroupDirectory {
  readonly path: string;
  readonly #fileSystem: FileSystem;
  readonly #hash: Hash64;
  #slot: Slot;
  #begin: SnapshotBegin;

  /**
   * Makes what is not there, and clears away what a crash has left. `begun`: there was a group here, as its log knows, so what is here without a `current` is its
   * engine, and not what was to become one. Throws `invalid/FORMAT_NEWER`.
   */
  constructor(fileSystem: FileSystem, path: string, hash: Hash64, begun = false) {
    this.path = path;
    this.#fileSystem = fileSystem;
    this.#hash = hash;
    fileSystem.makeDirectorySync(path);
    if (fileSystem.existsSync(`${path}/current.new`)) fileSystem.unlinkSync(`${path}/current.new`);
    let found: ReturnType<typeof readCurrent>;
    let damage: SparrowError | undefined;
    try {
      found = readCurrent(fileSystem, path, hash);
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
      damage = error;
    }
    for (const slot of SLOTS) fileSystem.makeDirectorySync(`${path}/${slot}/files`);
    const inUse = slotInUse(fileSystem, path);
    if (begun && found === undefined && inUse !== undefined) damage ??= corrupt(`${path}/current`, 'it is missing');
    this.#slot = found?.slot ?? (damage === undefined ? 'a' : (inUse ?? 'a'));
    this.#begin = found?.begin ?? { index: 0, term: 0 };
    if (damage !== undefined) {
      if (this.damage === undefined) this.noteDamage({ what: damage.message, members: [], nodes: {} });
      this.#write(this.#slot, this.#begin);
    } else if (found === undefined) {
      // What is here without a `current` was to be a child (NewGroup) when a crash came: no engine could be opened on it.
      this.#empty(this.engine);
      this.#write(this.#slot, this.#begin);
    }
    // What was found may be in the system's cache only: nothing is built upon it before it is durable.
    else fileSystem.syncDirectorySync(path);
    this.#clear();
    this.clearOutgoing();
  }

  /** Where the engine is. */
  get engine(): string {
    return `${this.path}/${this.#slot}/files`;
  }

  /** The snapshot that the engine began as. */
  get begin(): SnapshotBegin {
    return this.#begin;
  }

  /** Where a snapshot may arrive. */
  get incoming(): string {
    return `${this.path}/${this.#free}`;
  }

  get outgoing(): string {
    return `${this.path}/outgoing`;
  }

  /** What was noted of the engine; undefined: it is not known to be damaged. A note that cannot be read says that much. */
  get damage(): DamageNote | undefined {
    const path = this.#damagePath;
    if (!this.#fileSystem.existsSync(path)) return undefined;
    try {
      return JSON.parse(this.#readText(path)) as DamageNote;
    } catch {
      return { what: 'the engine was found to be damaged', members: [], nodes: {} };
    }
  }

  /** The engine is damaged, and stays so until a snapshot takes its place: durable when it returns. */
  noteDamage(note: DamageNote): void {
    const path = this.#damagePath;
    if (this.#fileSystem.existsSync(path)) this.#fileSystem.unlinkSync(path);
    const bytes = Buffer.from(JSON.stringify(note), 'utf8');
    const file = this.#fileSystem.openSync(path, 'create');
    try {
      file.writeSync(bytes, 0, bytes.length, 0);
      file.datasyncSync();
    } finally {
      file.closeSync();
    }
    this.#fileSystem.syncDirectorySync(`${this.path}/${this.#slot}`);
  }

  /** What arrived is the engine from now on. The one before it is closed. */
  switchTo(begin: SnapshotBegin): void {
    this.#write(this.#free, begin);
    this.#slot = this.#free;
    this.#begin = begin;
    this.#clear();
  }

  clearOutgoing(): void {
    this.#empty(this.outgoing);
  }

  get #free(): Slot {
    return this.#slot === 'a' ? 'b' : 'a';
  }

  get #damagePath(): string {
    return `${this.path}/${this.#slot}/damaged`;
  }

  #readText(path: string): string {
    const file = this.#fileSystem.openSync(path, 'read');
    try {
      const bytes = Buffer.alloc(DAMAGE_BYTES_MAX);
      return bytes.toString('utf8', 0, file.readSync(bytes, 0, bytes.length, 0));
    } finally {
      file.closeSync();
    }
  }

  /** Steps 3 and 4. What the free slot holds of a transfer stays: it may be gone on with. */
  #clear(): void {
    const fileSystem = this.#fileSystem;
    const used = `${this.path}/${this.#slot}`;
    if (fileSystem.existsSync(`${used}/head`)) {
      fileSystem.unlinkSync(`${used}/head`);
      fileSystem.syncDirectorySync(used);
    }
    for (const name of ['head.new', 'checks']) if (fileSystem.existsSync(`${used}/${name}`)) fileSystem.unlinkSync(`${used}/${name}`);
    if (!fileSystem.existsSync(`${this.incoming}/head`)) this.#empty(IncomingSnapshot.filesOf(this.incoming));
    const mark = `${this.incoming}/damaged`;
    if (fileSystem.existsSync(mark)) {
      fileSystem.unlinkSync(mark);
      // Before the slot is an engine's again.
      fileSystem.syncDirectorySync(this.incoming);
    }
  }

  #empty(directory: string): void {
    const fileSystem = this.#fileSystem;
    if (!fileSystem.existsSync(directory)) return;
    const names = fileSystem.listSync(directory);
    for (const name of names) fileSystem.unlinkSync(`${directory}/${name}`);
    if (names.length > 0) fileSystem.syncDirectorySync(directory);
  }

  #write(slot: Slot, begin: SnapshotBegin): void {
    writeCurrent(this.#fileSystem, this.path, this.#hash, slot, begin);
  }
}

/**
 * A group whose engine is made out of another one (child-maker.ts): it is there when `current` is, and not before.
 *
 *   what an attempt that died has left goes -> (the engine's files) -> `current`
 */
export class NewGroup {
  readonly #fileSystem: FileSystem;
  readonly #path: string;
  readonly #hash: Hash64;

  /** Nothing is there yet but what an attempt has left: that goes. */
  constructor(fileSystem: FileSystem, path: string, hash: Hash64) {
    this.#fileSystem = fileSystem;
    this.#path = path;
    this.#hash = hash;
    assert(!isGroup(fileSystem, path), 'a group is made once');
    // Both slots: each of them would be waited for on the disk when the group is opened.
    for (const slot of SLOTS) fileSystem.makeDirectorySync(`${path}/${slot}/files`);
    // Those of a lock say nothing: nobody holds it.
    const left = fileSystem.listSync(this.files).filter((name) => !name.startsWith('LOCK'));
    for (const name of left) fileSystem.unlinkSync(`${this.files}/${name}`);
    if (left.length > 0) fileSystem.syncDirectorySync(this.files);
  }

  /** Where the engine is to be. */
  get files(): string {
    return `${this.#path}/a/files`;
  }

  /** The engine is whole and durable: the group is there from now on. Its log begins behind `begin`. */
  finish(begin: SnapshotBegin): void {
    writeCurrent(this.#fileSystem, this.#path, this.#hash, 'a', begin);
  }
}

/** Whether there is a group, whole. */
export function isGroup(fileSystem: FileSystem, path: string): boolean {
  return fileSystem.existsSync(`${path}/current`);
}

function writeCurrent(fileSystem: FileSystem, group: string, hash: Hash64, slot: Slot, { index, term }: SnapshotBegin): void {
  const bytes = Buffer.alloc(BYTES);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(FORMAT, 8);
  bytes.writeUInt32LE(SLOTS.indexOf(slot) + 1, 12);
  bytes.writeBigUInt64LE(BigInt(index), 16);
  bytes.writeBigUInt64LE(BigInt(term), 24);
  bytes.writeBigUInt64LE(hash(bytes.subarray(0, 32), 0n), 32);
  const path = `${group}/current.new`;
  if (fileSystem.existsSync(path)) fileSystem.unlinkSync(path);
  const file = fileSystem.openSync(path, 'create');
  try {
    file.writeSync(bytes, 0, BYTES, 0);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
  fileSystem.renameSync(path, `${group}/current`);
  fileSystem.syncDirectorySync(group);
}

/** Where the engine of a group is, for whoever looks from outside: nothing is made, nothing cleared away. Undefined: there is no group. */
export function engineOfGroup(fileSystem: FileSystem, path: string, hash: Hash64): string | undefined {
  const found = readCurrent(fileSystem, path, hash);
  return found === undefined ? undefined : `${path}/${found.slot}/files`;
}

/** The one with an engine, as far as that can be told: not the one in which a snapshot arrives. */
function slotInUse(fileSystem: FileSystem, group: string): Slot | undefined {
  const used = (slot: Slot): boolean => fileSystem.listSync(`${group}/${slot}/files`).some((name) => !name.startsWith('LOCK'));
  return SLOTS.find((slot) => used(slot) && !fileSystem.existsSync(`${group}/${slot}/head`));
}

function readCurrent(fileSystem: FileSystem, group: string, hash: Hash64): { slot: Slot; begin: SnapshotBegin } | undefined {
  const path = `${group}/current`;
  if (!fileSystem.existsSync(path)) return undefined;
  const file = fileSystem.openSync(path, 'read');
  const bytes = Buffer.alloc(BYTES + 1);
  let read: number;
  try {
    read = file.readSync(bytes, 0, bytes.length, 0);
  } finally {
    file.closeSync();
  }
  if (read < 12 || bytes.toString('latin1', 0, 8) !== MAGIC) throw corrupt(path, 'it is none');
  const format = bytes.readUInt32LE(8);
  if (format > FORMAT) throw newerFormat(path, format, FORMAT);
  const slot = SLOTS[bytes.readUInt32LE(12) - 1];
  if (read !== BYTES || bytes.readBigUInt64LE(32) !== hash(bytes.subarray(0, 32), 0n) || slot === undefined)
    throw corrupt(path, 'its check does not hold');
  return { slot, begin: { index: Number(bytes.readBigUInt64LE(16)), term: Number(bytes.readBigUInt64LE(24)) } };
}

function corrupt(file: string, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_GROUP', `${file} does not say where the group's engine is: ${what}`, { file, offset: 0 });
}
