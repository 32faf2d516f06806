/**
 * A snapshot that arrives, as files in a directory:
 *
 *   head     what it is (snapshot-codec.ts, HEAD). While it is not there, the rest is nothing
 *   checks   one record for each file that is whole and durable, in order: | file u32 | zero u32 | check u64 | XXH64 of those 16 bytes u64 |
 *   files/   the files
 *
 * In this order, each on disk before the next: all files, empty, and their names; head, by rename. Then file after file: its bytes, its record.
 * So the snapshot is complete when `checks` has a record for each file, and whatever a crash leaves is either gone on with or nothing:
 *
 *   - a file without a record may hold anything behind a power failure. What it has is hashed again and gone on with; when the check at its
 *     end does not match, it is emptied and fetched anew. It is never trusted for its length.
 *   - a failed write or sync makes all of it nothing: what is in the system's cache after that proves nothing.
 *   - `discard` removes the head first.
 *
 * To install it, a host renames `files` to where it belongs, and discards the rest. Used by whoever answers Transport.onSnapshot.
 */
import { assert } from '../../base/assert.ts';
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { decodeSnapshotMessage, encodeSnapshotMessage } from './snapshot-codec.ts';
import type { Hash64, RunningHash64, SnapshotHead, SnapshotPosition, SnapshotSink } from './transport.ts';

const HEAD_NAME = 'head';
const HEAD_NEW_NAME = 'head.new';
const CHECKS_NAME = 'checks';
const FILES_NAME = 'files';
const RECORD_BYTES = 24;
const READ_BYTES: number = 1024 * 1024;

export interface IncomingParts {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly hash: Hash64;
  readonly createHash: () => RunningHash64;
}

/** What a directory holds. */
export interface FoundSnapshot {
  readonly head: SnapshotHead;
  /** Of how many files, from the first on, it is known that they are whole and durable. */
  readonly whole: number;
  readonly complete: boolean;
}

export class IncomingSnapshot implements SnapshotSink {
  readonly head: SnapshotHead;
  readonly #parts: IncomingParts;
  readonly #checks: File;
  #file: File | undefined;
  #running: RunningHash64;
  #number: number;
  #offset = 0;
  #closed = false;
  /** A call on one of the files is under way. */
  #busy = false;

  /** Where the files of a complete snapshot are. */
  static filesOf(directory: string): string {
    return `${directory}/${FILES_NAME}`;
  }

  /** Nothing, when there is nothing that could be gone on with or installed. */
  static found({ fileSystem, directory, hash }: IncomingParts): FoundSnapshot | undefined {
    if (!fileSystem.existsSync(`${directory}/${HEAD_NAME}`)) return undefined;
    const message = decodeSnapshotMessage(readWhole(fileSystem, `${directory}/${HEAD_NAME}`), hash);
    if (message.kind !== 'head') throw corrupt(`${directory}/${HEAD_NAME} is no head of a snapshot`, HEAD_NAME);
    const { head } = message;
    // Installed: the files have gone to their place.
    if (head.files.some(({ name }) => !fileSystem.existsSync(`${directory}/${FILES_NAME}/${name}`))) return undefined;
    const whole = countRecords(readWhole(fileSystem, `${directory}/${CHECKS_NAME}`), head.files.length, hash);
    return { head, whole, complete: whole === head.files.length };
  }

  /** Goes on with what is there when it is the same snapshot, and begins it otherwise. What was there is gone then. */
  static async open(parts: IncomingParts, head: SnapshotHead): Promise<IncomingSnapshot> {
    const { fileSystem, directory } = parts;
    let whole = IncomingSnapshot.#sameAsFound(parts, head);
    if (whole === undefined) {
      IncomingSnapshot.discard(fileSystem, directory);
      begin(parts, head);
      whole = 0;
    }
    const checks = fileSystem.openSync(`${directory}/${CHECKS_NAME}`, 'write');
    const incoming = new IncomingSnapshot(parts, head, checks, whole);
    try {
      await incoming.#openFile();
    } catch (error) {
      incoming.close();
      throw error;
    }
    return incoming;
  }

  /** Removes what is there; the empty directories stay. */
  static discard(fileSystem: FileSystem, directory: string): void {
    if (!fileSystem.existsSync(directory)) return;
    if (fileSystem.existsSync(`${directory}/${HEAD_NAME}`)) {
      fileSystem.unlinkSync(`${directory}/${HEAD_NAME}`);
      fileSystem.syncDirectorySync(directory);
    }
    for (const name of [HEAD_NEW_NAME, CHECKS_NAME]) {
      if (fileSystem.existsSync(`${directory}/${name}`)) fileSystem.unlinkSync(`${directory}/${name}`);
    }
    const files = `${directory}/${FILES_NAME}`;
    if (fileSystem.existsSync(files)) for (const name of fileSystem.listSync(files)) fileSystem.unlinkSync(`${files}/${name}`);
  }

  static #sameAsFound(parts: IncomingParts, head: SnapshotHead): number | undefined {
    const there = IncomingSnapshot.found(parts);
    if (there === undefined) return undefined;
    const [theirs, ours] = [there.head, head].map((each) =>
      encodeSnapshotMessage({ kind: 'head', head: { ...each, term: 0 } }, parts.hash),
    );
    return theirs!.equals(ours!) ? there.whole : undefined;
  }

  private constructor(parts: IncomingParts, head: SnapshotHead, checks: File, whole: number) {
    this.#parts = parts;
    this.head = head;
    this.#checks = checks;
    this.#number = whole;
    this.#running = parts.createHash();
  }

  get position(): SnapshotPosition {
    return { file: this.#number, offset: this.#offset };
  }

  get complete(): boolean {
    return this.#number === this.head.files.length;
  }

  write(bytes: Uint8Array): void {
    assert(!this.#closed && this.#file !== undefined, 'a snapshot that is open and not complete is written to');
    const { name, bytes: size } = this.head.files[this.#number]!;
    if (this.#offset + bytes.length > size) throw corrupt(`${name} has ${size} bytes, and more than that arrive`, name);
    const file = this.#file;
    this.#orDiscard(() => file.writeSync(bytes, 0, bytes.length, this.#offset));
    this.#running.update(bytes);
    this.#offset += bytes.length;
  }

  async endFile(check: bigint): Promise<void> {
    assert(!this.#closed && this.#file !== undefined, 'a snapshot that is open and not complete is written to');
    const file = this.#file;
    const { name, bytes } = this.head.files[this.#number]!;
    if (this.#offset !== bytes || this.#running.digest() !== check) {
      this.#orDiscard(() => file.truncateSync(0));
      this.#offset = 0;
      this.#running = this.#parts.createHash();
      throw corrupt(`${name} is not what was sent, and has to be sent again`, name);
    }
    await this.#durable(file, check);
    this.#closeFile();
    this.#number++;
    this.#offset = 0;
    await this.#openFile();
  }

  async finish(): Promise<void> {
    const { files, id } = this.head;
    if (!this.complete) throw corrupt(`snapshot ${id} has ${files.length} files, and ${this.#number} of them are there`, FILES_NAME);
    this.close();
  }

  /** Nothing in the directory is touched any more, also by what is still under way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#busy) this.#closeFiles();
  }

  #closeFiles(): void {
    this.#closeFile();
    this.#checks.closeSync();
  }

  /** Files stay open for as long as a call on one of them is under way. Throws when the snapshot was given up meanwhile. */
  async #settled<T>(call: Promise<T>): Promise<T> {
    this.#busy = true;
    const [outcome] = await Promise.allSettled([call]);
    this.#busy = false;
    if (this.#closed) {
      this.#closeFiles();
      throw givenUp(this.head);
    }
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }

  /** The file first, then the record that says so. */
  async #durable(file: File, check: bigint): Promise<void> {
    try {
      await this.#settled(file.datasync());
      const record = recordOf(this.#number, check, this.#parts.hash);
      this.#checks.writeSync(record, 0, RECORD_BYTES, this.#number * RECORD_BYTES);
      await this.#settled(this.#checks.datasync());
    } catch (error) {
      throw this.#discarded(error);
    }
  }

  async #openFile(): Promise<void> {
    if (this.complete) return;
    const { fileSystem, directory, createHash } = this.#parts;
    const { name, bytes } = this.head.files[this.#number]!;
    const file = fileSystem.openSync(`${directory}/${FILES_NAME}/${name}`, 'write');
    this.#file = file;
    this.#running = createHash();
    if (file.sizeSync() > bytes) this.#orDiscard(() => file.truncateSync(0));
    const there = file.sizeSync();
    const buffer = new Uint8Array(Math.min(there, READ_BYTES));
    for (this.#offset = 0; this.#offset < there;) {
      const length = await this.#settled(file.read(buffer, 0, Math.min(READ_BYTES, there - this.#offset), this.#offset));
      this.#running.update(buffer.subarray(0, length));
      this.#offset += length;
    }
  }

  #closeFile(): void {
    this.#file?.closeSync();
    this.#file = undefined;
  }

  #orDiscard(action: () => void): void {
    try {
      action();
    } catch (error) {
      throw this.#discarded(error);
    }
  }

  /** After a failed write or sync nothing of it is believed, and a full disk gets its space back. */
  #discarded(cause: unknown): unknown {
    // Given up while the disk was busy: the directory is another transfer's by now, or an engine's.
    if (this.#closed) return cause;
    this.close();
    const { fileSystem, directory } = this.#parts;
    try {
      IncomingSnapshot.discard(fileSystem, directory);
    } catch {
      // A disk that does not even remove: what is left is found again, with no more records than were durable.
    }
    const { code } = cause as { code?: unknown };
    if (code !== 'ENOSPC' && code !== 'EDQUOT') return cause;
    return new SparrowError('exhausted', 'DISK_FULL', `${directory}: the disk has no room for the snapshot`, { directory }, cause);
  }
}

function begin({ fileSystem, directory, hash }: IncomingParts, head: SnapshotHead): void {
  const files = `${directory}/${FILES_NAME}`;
  fileSystem.makeDirectorySync(files);
  for (const { name } of head.files) fileSystem.openSync(`${files}/${name}`, 'create').closeSync();
  fileSystem.syncDirectorySync(files);
  fileSystem.openSync(`${directory}/${CHECKS_NAME}`, 'create').closeSync();
  const encoded = encodeSnapshotMessage({ kind: 'head', head }, hash);
  const file = fileSystem.openSync(`${directory}/${HEAD_NEW_NAME}`, 'create');
  try {
    file.writeSync(encoded, 0, encoded.length, 0);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
  // The name of `checks` first: without it there is no head either.
  fileSystem.syncDirectorySync(directory);
  fileSystem.renameSync(`${directory}/${HEAD_NEW_NAME}`, `${directory}/${HEAD_NAME}`);
  fileSystem.syncDirectorySync(directory);
}

function recordOf(file: number, check: bigint, hash: Hash64): Buffer {
  const record = Buffer.alloc(RECORD_BYTES);
  record.writeUInt32LE(file, 0);
  record.writeBigUInt64LE(check, 8);
  record.writeBigUInt64LE(hash(record.subarray(0, 16), 0n), 16);
  return record;
}

/** Records from the first on that are whole. A torn one is the last. */
function countRecords(bytes: Buffer, files: number, hash: Hash64): number {
  let count = 0;
  for (; count < files && (count + 1) * RECORD_BYTES <= bytes.length; count++) {
    const record = bytes.subarray(count * RECORD_BYTES, (count + 1) * RECORD_BYTES);
    if (record.readUInt32LE(0) !== count || record.readBigUInt64LE(16) !== hash(record.subarray(0, 16), 0n)) break;
  }
  return count;
}

function readWhole(fileSystem: FileSystem, path: string): Buffer {
  const file = fileSystem.openSync(path, 'read');
  try {
    const bytes = Buffer.alloc(file.sizeSync());
    file.readSync(bytes, 0, bytes.length, 0);
    return bytes;
  } finally {
    file.closeSync();
  }
}

function givenUp({ id }: SnapshotHead): SparrowError {
  return new SparrowError('unavailable', 'SNAPSHOT_GIVEN_UP', `snapshot ${id} was given up meanwhile`);
}

function corrupt(message: string, file: string): SparrowError {
  return new SparrowError('corrupt', 'SNAPSHOT_CHECK', `snapshot: ${message}`, { file });
}
