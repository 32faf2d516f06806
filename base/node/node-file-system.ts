/**
 * FileSystem over node:fs. What it adds to the operating system's calls: reads and writes are whole (short ones are continued), a
 * directory can be synced, and `makeDirectorySync` leaves what it made durable. Errors are the operating system's, with their `code`.
 */
import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  read,
  readSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { open as openFile, unlink as unlinkFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { assert } from '../assert.ts';
import type { DirectoryLock, File, FileSystem, OpenMode } from '../env.ts';
import { lockDirectory } from './directory-lock.ts';

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  write: constants.O_RDWR,
};

export class NodeFileSystem implements FileSystem {
  openSync(path: string, mode: OpenMode): File {
    return new NodeFile(openSync(path, OPEN_FLAGS[mode], 0o644));
  }

  renameSync(from: string, to: string): void {
    renameSync(from, to);
  }

  linkSync(existing: string, path: string): void {
    linkSync(existing, path);
  }

  unlinkSync(path: string): void {
    unlinkSync(path);
  }

  unlink(path: string): Promise<void> {
    return unlinkFile(path);
  }

  existsSync(path: string): boolean {
    return existsSync(path);
  }

  stampSync(path: string): string {
    const { ino, mtimeNs } = statSync(path, { bigint: true });
    return `${ino}-${mtimeNs}`;
  }

  listSync(directory: string): string[] {
    return readdirSync(directory).sort();
  }

  makeDirectorySync(path: string): void {
    // Mostly it is there: asking is cheaper than the error that making it would throw.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
    const directory = resolve(path);
    const parent = dirname(directory);
    // One by one: node's recursive form never returns where an existing parent answers ENOENT, as in /proc.
    if (!existsSync(parent) && parent !== directory) this.makeDirectorySync(parent);
    try {
      mkdirSync(directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST' && statSync(directory).isDirectory()) return;
      throw error;
    }
    // A new directory is an entry of its parent: without this a power loss could take away a store that was synced inside.
    this.syncDirectorySync(parent);
  }

  removeDirectorySync(path: string): void {
    rmdirSync(path);
  }

  syncDirectorySync(path: string): void {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = await openFile(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  lockDirectory(path: string): DirectoryLock {
    return lockDirectory(path);
  }
}

class NodeFile implements File {
  /** -1 once closed: a stale use must not reach a descriptor that the system has given to another file. */
  #descriptor: number;
  #inFlight = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  readSync(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    const descriptor = this.#open();
    let done = 0;
    while (done < length) {
      const bytes = readSync(descriptor, target, targetOffset + done, length - done, position + done);
      if (bytes === 0) break;
      done += bytes;
    }
    return done;
  }

  async read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number> {
    const descriptor = this.#open();
    let done = 0;
    this.#inFlight++;
    try {
      while (done < length) {
        const bytes = await readPart(descriptor, target, targetOffset + done, length - done, position + done);
        if (bytes === 0) break;
        done += bytes;
      }
    } finally {
      this.#inFlight--;
    }
    return done;
  }

  writeSync(source: Uint8Array, sourceOffset: number, length: number, position: number): void {
    const descriptor = this.#open();
    let done = 0;
    while (done < length) done += writeSync(descriptor, source, sourceOffset + done, length - done, position + done);
  }

  writevSync(spans: readonly Uint8Array[], position: number): void {
    const descriptor = this.#open();
    let total = 0;
    for (const span of spans) total += span.byteLength;
    let done = writevSync(descriptor, spans, position);
    if (done === total) return;
    // A short write, rare: finish span by span.
    for (const span of spans) {
      const skipped = Math.min(done, span.byteLength);
      done -= skipped;
      if (skipped < span.byteLength) this.writeSync(span, skipped, span.byteLength - skipped, position + skipped);
      position += span.byteLength;
    }
  }

  datasyncSync(): void {
    fdatasyncSync(this.#open());
  }

  datasync(): Promise<void> {
    const descriptor = this.#open();
    this.#inFlight++;
    return new Promise((resolve, reject) => {
      fdatasync(descriptor, (error) => {
        this.#inFlight--;
        if (error) reject(error);
        else resolve();
      });
    });
  }

  truncateSync(bytes: number): void {
    ftruncateSync(this.#open(), bytes);
  }

  sizeSync(): number {
    return fstatSync(this.#open()).size;
  }

  linksSync(): number {
    return fstatSync(this.#open()).nlink;
  }

  closeSync(): void {
    const descriptor = this.#open();
    assert(this.#inFlight === 0, 'a file is closed only when its asynchronous calls have settled');
    this.#descriptor = -1;
    closeSync(descriptor);
  }

  #open(): number {
    assert(this.#descriptor >= 0, 'a closed file is not used');
    return this.#descriptor;
  }
}

function readPart(descriptor: number, target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, target, offset, length, position, (error, bytes) => {
      if (error) reject(error);
      else resolve(bytes);
    });
  });
}
