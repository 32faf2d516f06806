/**
 * What code below the edge may know of the outside world. The real ones stand in base/node/, the simulated ones in test/sim/;
 * memory-file-system.ts beside this file does without a disk.
 * Nothing below the edge touches node:fs, a clock, randomness or threads except through these.
 */

/**
 * An open file. Positions and lengths are bytes. Synchronous calls block the caller's thread; the engine uses them
 * where the data is at hand (page cache, log buffer) and in its background thread.
 * Errors keep the operating system's `code` (EIO, ENOSPC ...).
 */
export interface File {
  /** Reads up to `length` bytes at `position` into `target[targetOffset..]`; returns how many there were (short only at the end of the file). */
  readSync(target: Uint8Array, targetOffset: number, length: number, position: number): number;
  /** As readSync, off the caller's thread. */
  read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number>;
  /** Writes all of `source[sourceOffset .. sourceOffset+length]` at `position`, or throws. */
  writeSync(source: Uint8Array, sourceOffset: number, length: number, position: number): void;
  /** Writes the spans one after another from `position`, or throws. */
  writevSync(spans: readonly Uint8Array[], position: number): void;
  /** fdatasync: content and size are durable when it returns. A failure is final for this file's writer. */
  datasyncSync(): void;
  /** As datasyncSync, off the caller's thread. */
  datasync(): Promise<void>;
  truncateSync(bytes: number): void;
  sizeSync(): number;
  /** How many names the file has: 1, and one more for each hard link. */
  linksSync(): number;
  closeSync(): void;
}

/** `read`: must exist. `create`: must not exist, read and write. `write`: must exist, read and write. */
export type OpenMode = 'read' | 'create' | 'write';

/** A directory held against every other process and every other holder in this one. */
export interface DirectoryLock {
  /** Idempotent. */
  release(): void;
}

export interface FileSystem {
  /** Memory that the contents of all files take, in bytes; not there when they are on a disk. */
  readonly heldBytes?: number;
  openSync(path: string, mode: OpenMode): File;
  /** Atomic; replaces `to`. Durable after syncDirectorySync of the directories. */
  renameSync(from: string, to: string): void;
  /** A second name for a file (hard link). */
  linkSync(existing: string, path: string): void;
  unlinkSync(path: string): void;
  /** As unlinkSync, off the caller's thread: freeing a large file can take a disk hundreds of milliseconds. */
  unlink(path: string): Promise<void>;
  existsSync(path: string): boolean;
  /** Tells a file from its copies: another for each file that was ever made, as long as nobody writes to it. Absent: no two files are copies by others' hands. */
  stampSync?(path: string): string | undefined;
  /** Names in a directory, sorted. */
  listSync(directory: string): string[];
  /** Creates the directory and its parents where they are missing. */
  makeDirectorySync(path: string): void;
  /** Removes a directory that is empty. Absent: empty ones cost nothing. */
  removeDirectorySync?(path: string): void;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectorySync(path: string): void;
  /** As syncDirectorySync, off the caller's thread. */
  syncDirectory(path: string): Promise<void>;
  /** Takes the directory or throws `unavailable/LOCKED`. Ends with the process, however it dies. */
  lockDirectory(path: string): DirectoryLock;
}

export interface Clock {
  /** Milliseconds since the epoch. May jump. For expiry and display. */
  wallMs(): number;
  /** Milliseconds of a monotonic clock. For durations and leases. */
  monotonicMs(): number;
}

/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** When to run things later. The simulator owns it there, the event loop in production. */
export interface Scheduler {
  /** Runs `task` once after at least `delayMs`. Does not keep the process alive when `background` is set. */
  after(delayMs: number, task: () => void, background?: boolean): Timer;
  /** Runs `task` soon, after what is queued now (setImmediate). */
  soon(task: () => void): void;
}

/** Uniform randomness. */
export interface Random {
  /** A 32-bit unsigned integer. */
  u32(): number;
  /** Fills `target` with random bytes. */
  fill(target: Uint8Array): void;
}

/** Compression by zstd (RFC 8878). */
export interface Zstd {
  /** One frame. */
  compressSync(bytes: Uint8Array): Uint8Array;
  /** What is in the frame. Throws when it is damaged, or holds more than `bytesMax`. */
  decompressSync(frame: Uint8Array, bytesMax: number): Uint8Array;
}
