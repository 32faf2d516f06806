/**
 * A file system in memory: nothing outlives the process, and no disk is touched. It keeps the promises of base/env.ts that do not concern
 * power: a rename is atomic and replaces, a file has as many names as it was linked to, and one that is removed stays for those who have it
 * open. Syncing does nothing, asynchronous calls have settled when they return.
 *
 * Paths are absolute or relative to `/`; there are no symbolic links. Errors carry the operating system's `code`. With a bound
 * (`bytesMax`) a write that finds no room is refused whole with ENOSPC, as a full disk would. What counts is memory: whole chunks
 * (memory-file.ts) of files that have a name or are open. It lives on one thread: the engine above it works `inline`.
 */
import { posix } from 'node:path';
import { assert } from './assert.ts';
import type { DirectoryLock, File, FileSystem, OpenMode } from './env.ts';
import { SparrowError } from './errors.ts';
import { MemoryFile, Space } from './memory-file.ts';

export interface MemoryFileSystemOptions {
  /** All files together take no more memory than this, in bytes; then ENOSPC. Default: no bound. */
  readonly bytesMax?: number;
}

export class MemoryFileSystem implements FileSystem {
  readonly #space: Space;
  readonly #root: Directory = new Map();
  readonly #locked = new Set<Directory>();

  constructor(options: MemoryFileSystemOptions = {}) {
    const { bytesMax = Infinity } = options;
    if (!(bytesMax > 0)) {
      throw new SparrowError('invalid', 'OPTION_RANGE', `bytesMax is a number above 0, not ${String(bytesMax)}`, {
        field: 'bytesMax',
        min: 1,
      });
    }
    this.#space = new Space(bytesMax);
  }

  get heldBytes(): number {
    return this.#space.usedBytes;
  }

  /** May be changed at any time. */
  get bytesMax(): number {
    return this.#space.bytesMax;
  }
  set bytesMax(bytes: number) {
    this.#space.bytesMax = bytes;
  }

  openSync(path: string, mode: OpenMode): File {
    const [directory, name] = this.#place(path, 'open');
    let node = this.#fileIn(directory, name, path, 'open');
    if (mode === 'create') {
      if (node) throw systemError('EEXIST', 'open', path);
      node = { file: new MemoryFile(this.#space), names: 1, handles: 0 };
      directory.set(name, node);
    } else if (!node) throw systemError('ENOENT', 'open', path);
    return new MemoryHandle(path, node, mode !== 'read');
  }

  /** Files only; a directory answers EISDIR. */
  renameSync(from: string, to: string): void {
    const [source, sourceName] = this.#place(from, 'rename');
    const [target, targetName] = this.#place(to, 'rename');
    const node = this.#fileIn(source, sourceName, from, 'rename');
    if (!node) throw systemError('ENOENT', 'rename', from);
    const replaced = this.#fileIn(target, targetName, to, 'rename');
    // As rename(2) says: two names of one file stay as they are.
    if (replaced === node) return;
    target.set(targetName, node);
    source.delete(sourceName);
    if (replaced) nameGone(replaced);
  }

  linkSync(existing: string, path: string): void {
    const [source, sourceName] = this.#place(existing, 'link');
    const node = this.#fileIn(source, sourceName, existing, 'link');
    if (!node) throw systemError('ENOENT', 'link', existing);
    const [directory, name] = this.#place(path, 'link');
    if (directory.has(name)) throw systemError('EEXIST', 'link', path);
    directory.set(name, node);
    node.names++;
  }

  unlinkSync(path: string): void {
    const [directory, name] = this.#place(path, 'unlink');
    const node = this.#fileIn(directory, name, path, 'unlink');
    if (!node) throw systemError('ENOENT', 'unlink', path);
    directory.delete(name);
    nameGone(node);
  }

  async unlink(path: string): Promise<void> {
    this.unlinkSync(path);
  }

  existsSync(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  listSync(directory: string): string[] {
    return [...this.#directory(directory, 'scandir').keys()].sort();
  }

  makeDirectorySync(path: string): void {
    let directory = this.#root;
    for (const name of partsOf(path)) {
      let entry = directory.get(name);
      if (entry === undefined) directory.set(name, (entry = new Map()));
      if (!isDirectory(entry)) throw systemError(entry === this.#find(path) ? 'EEXIST' : 'ENOTDIR', 'mkdir', path);
      directory = entry;
    }
  }

  syncDirectorySync(path: string): void {
    this.#directory(path, 'fsync');
  }

  async syncDirectory(path: string): Promise<void> {
    this.syncDirectorySync(path);
  }

  lockDirectory(path: string): DirectoryLock {
    const directory = this.#directory(path, 'open');
    if (this.#locked.has(directory)) {
      throw new SparrowError(
        'unavailable',
        'LOCKED',
        `${path} is already open in this process; one directory serves one engine at a time`,
        {
          path,
          pid: null,
        },
      );
    }
    this.#locked.add(directory);
    let held = true;
    return {
      release: () => {
        if (held) this.#locked.delete(directory);
        held = false;
      },
    };
  }

  #find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root;
    for (const name of partsOf(path)) {
      if (entry === undefined || !isDirectory(entry)) return undefined;
      entry = entry.get(name);
    }
    return entry;
  }

  #directory(path: string, call: string): Directory {
    const entry = this.#find(path);
    if (entry === undefined) throw systemError('ENOENT', call, path);
    if (!isDirectory(entry)) throw systemError('ENOTDIR', call, path);
    return entry;
  }

  /** The directory that a path's last name is in, and that name. */
  #place(path: string, call: string): [Directory, string] {
    const whole = posix.resolve('/', path);
    return [this.#directory(posix.dirname(whole), call), posix.basename(whole)];
  }

  #fileIn(directory: Directory, name: string, path: string, call: string): Node | undefined {
    const entry = directory.get(name);
    if (name === '' || (entry && isDirectory(entry))) throw systemError('EISDIR', call, path);
    return entry;
  }
}

/** A file, and what keeps it: when it has neither names nor handles its memory is free. */
interface Node {
  readonly file: MemoryFile;
  names: number;
  handles: number;
}
type Directory = Map<string, Entry>;
type Entry = Node | Directory;

function isDirectory(entry: Entry): entry is Directory {
  return entry instanceof Map;
}

function nameGone(node: Node): void {
  node.names--;
  freeIfGone(node);
}

function freeIfGone(node: Node): void {
  if (node.names === 0 && node.handles === 0) node.file.free();
}

function partsOf(path: string): string[] {
  return posix
    .resolve('/', path)
    .split('/')
    .filter((name) => name !== '');
}

class MemoryHandle implements File {
  readonly #path: string;
  readonly #node: Node;
  readonly #file: MemoryFile;
  readonly #writable: boolean;
  #closed = false;

  constructor(path: string, node: Node, writable: boolean) {
    this.#path = path;
    this.#node = node;
    this.#file = node.file;
    this.#writable = writable;
    node.handles++;
  }

  readSync(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    this.#use(false);
    return this.#file.read(target, targetOffset, length, position);
  }

  async read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number> {
    return this.readSync(target, targetOffset, length, position);
  }

  writeSync(source: Uint8Array, sourceOffset: number, length: number, position: number): void {
    this.#use(true);
    assert(sourceOffset + length <= source.length, 'what is written is there');
    this.#reserve(position, length);
    this.#file.write(source, sourceOffset, length, position);
  }

  writevSync(spans: readonly Uint8Array[], position: number): void {
    this.#use(true);
    let total = 0;
    for (const span of spans) total += span.length;
    this.#reserve(position, total);
    let at = position;
    for (const span of spans) {
      this.#file.write(span, 0, span.length, at);
      at += span.length;
    }
  }

  datasyncSync(): void {
    this.#use(false);
  }

  async datasync(): Promise<void> {
    this.#use(false);
  }

  truncateSync(bytes: number): void {
    this.#use(true);
    this.#file.truncate(bytes);
  }

  sizeSync(): number {
    this.#use(false);
    return this.#file.bytes;
  }

  linksSync(): number {
    this.#use(false);
    return this.#node.names;
  }

  closeSync(): void {
    this.#use(false);
    this.#closed = true;
    this.#node.handles--;
    freeIfGone(this.#node);
  }

  #reserve(position: number, length: number): void {
    if (!this.#file.reserve(position, length)) throw systemError('ENOSPC', 'write', this.#path);
  }

  #use(writing: boolean): void {
    assert(!this.#closed, 'a closed file is not used');
    if (writing && !this.#writable) throw systemError('EBADF', 'write', this.#path);
  }
}

function systemError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} ${path} (in memory)`), { code, syscall: call });
}
