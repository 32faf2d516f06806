/**
 * Writes what lies below a prefix into a directory: the inverse of import-tree.ts.
 *
 * The keys come from a scan. Chunks are not read by it: at a manifest the file is read chunk by chunk, and the scan begins anew behind its keys.
 * Where a plain value and a manifest of one path are both there, the plain value is the newer one and counts (layout.ts).
 *
 * Nothing is written outside the directory, whatever the keys say: a path is refused unless all of its parts are plain names (path-safety.ts),
 * the directories above a file are made one by one and must be directories, not links, and files are created new, never written through a link.
 */
import { lstat, mkdir, open, rm, symlink, unlink } from 'node:fs/promises';

import type { CallOptions, KeyValues } from '../../client/index.ts';
import { SparrowError } from '../../base/errors.ts';
import { escapeBytes } from '../terminal/escape.ts';
import { Lanes } from './lanes.ts';
import { afterFile, parseTreeKey, SLASH, type TreeKey } from './layout.ts';
import { decodeManifest, type Manifest } from './manifest.ts';
import { pathProblem } from './path-safety.ts';
import { getManifest, readChunks } from './read-chunks.ts';
import { isSystemError, joinPath } from './walk.ts';

const LANES = 16;
const LANES_BYTES = 48 * 1024 * 1024;
const KNOWN_DIRECTORIES_MAX = 10_000;

export interface ExportOptions {
  prefix: Uint8Array;
  /** Replace files that are there already. */
  overwrite: boolean;
  /** For each call to the server. */
  call: CallOptions;
  onProgress(files: number, bytes: number): void;
  /** A key is left out, and why. */
  onProblem(line: string): void;
}

export interface ExportResult {
  files: number;
  bytes: number;
  links: number;
  emptyDirectories: number;
  /** Keys that were left out. */
  problems: number;
  /** Files whose chunks are there without a manifest: left by an import that was interrupted. */
  unfinishedFiles: number;
}

/** `out` must exist. */
export async function exportTree(store: KeyValues, out: Buffer, options: ExportOptions): Promise<ExportResult> {
  return new TreeExport(store, out, options).run();
}

class TreeExport {
  readonly #store: KeyValues;
  readonly #out: Buffer;
  readonly #options: ExportOptions;
  readonly #lanes = new Lanes(LANES, LANES_BYTES);
  readonly #result: ExportResult = { files: 0, bytes: 0, links: 0, emptyDirectories: 0, problems: 0, unfinishedFiles: 0 };
  /** Directories that are known to be there, by path. Several files ask at once: the promise is shared. */
  readonly #directories: Map<string, Promise<void>> = new Map();

  constructor(store: KeyValues, out: Buffer, options: ExportOptions) {
    this.#store = store;
    this.#out = out;
    this.#options = options;
  }

  async run(): Promise<ExportResult> {
    try {
      let from: Uint8Array | undefined = this.#options.prefix;
      while (from !== undefined) from = await this.#scanFrom(from);
    } finally {
      await this.#lanes.finish();
    }
    return this.#result;
  }

  /** Returns the key at which to go on, or `undefined` at the end. */
  async #scanFrom(from: Uint8Array): Promise<Uint8Array | undefined> {
    const { prefix, call } = this.#options;
    const bounds = from.length > prefix.length ? { prefix, gte: from } : { prefix };
    let plainPath: Uint8Array | undefined;
    for await (const [key, value] of this.#store.scan({ ...bounds, ...call })) {
      const item = parseTreeKey(key.subarray(prefix.length));
      if (item.kind === 'foreign') {
        this.#problem(key, 'it is not the key of a file');
        continue;
      }
      const shadowed = plainPath !== undefined && item.kind !== 'directory' && Buffer.compare(plainPath, item.path) === 0;
      if (item.kind === 'file') plainPath = item.path;
      else if (item.kind === 'manifest' && !shadowed) {
        const file = key.subarray(0, prefix.length + item.path.length);
        await this.#writeChunked(item.path, file, value);
        return afterFile(file);
      } else if (item.kind === 'manifest' || item.kind === 'chunk') {
        if (!shadowed) this.#result.unfinishedFiles++;
        return afterFile(key.subarray(0, prefix.length + item.path.length));
      } else if (shadowed) continue;
      // A link is made before anything begins that would lie below it, so that which of them is left out does not depend on which is faster.
      if (item.kind === 'link') await this.#write(key, item, value);
      else await this.#lanes.start(value.length, () => this.#write(key, item, value));
    }
    return undefined;
  }

  async #writeChunked(path: Uint8Array, file: Uint8Array, manifestBytes: Uint8Array): Promise<void> {
    let manifest: Manifest;
    try {
      manifest = decodeManifest(manifestBytes, escapeBytes(file));
    } catch (error) {
      return this.#corrupt(file, error);
    }
    await this.#lanes.start(manifest.chunkBytes * 8, () =>
      this.#guarded(file, path, async () => {
        await this.#writeChunks(path, file, manifest);
        this.#result.files++;
        this.#options.onProgress(1, 0);
      }),
    );
  }

  /** Again from the beginning when a newer import has replaced the file meanwhile. */
  async #writeChunks(path: Uint8Array, file: Uint8Array, first: Manifest): Promise<void> {
    const { call } = this.#options;
    for (let manifest = first; ;) {
      try {
        return await this.#writeFile(path, readChunks(this.#store, file, manifest, call));
      } catch (error) {
        const newer = error instanceof SparrowError && error.code === 'TREE_CHUNK' ? await getManifest(this.#store, file, call) : undefined;
        if (newer === undefined || Buffer.compare(newer.generation, manifest.generation) === 0) throw error;
        manifest = newer;
      }
    }
  }

  async #write(key: Uint8Array, item: TreeKey, value: Uint8Array): Promise<void> {
    if (item.kind === 'foreign') return;
    await this.#guarded(key, item.path, async () => {
      if (item.kind === 'directory') {
        await this.#makeDirectory(item.path);
        this.#result.emptyDirectories++;
      } else if (item.kind === 'link') {
        await this.#makeLink(item.path, value);
        this.#result.links++;
      } else {
        await this.#writeFile(item.path, [value]);
        this.#result.files++;
      }
      this.#options.onProgress(1, 0);
    });
  }

  /** Turns what concerns this one path into a problem; anything else ends the export. */
  async #guarded(key: Uint8Array, path: Uint8Array, work: () => Promise<void>): Promise<void> {
    const unsafe = pathProblem(path);
    if (unsafe !== undefined) return this.#problem(key, unsafe);
    try {
      await work();
    } catch (error) {
      if (error instanceof NotADirectory) this.#problem(key, error.message);
      else if (isSystemError(error) && error.code !== 'ENOSPC' && error.code !== 'EIO') this.#problem(key, error.message);
      else this.#corrupt(key, error);
    }
  }

  async #writeFile(path: Uint8Array, pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    await this.#makeParents(path);
    const full = joinPath(this.#out, path);
    const handle = await this.#createFile(full);
    let whole = false;
    let bytes = 0;
    try {
      for await (const piece of pieces) {
        await handle.writeFile(piece);
        bytes += piece.length;
        this.#options.onProgress(0, piece.length);
      }
      whole = true;
      this.#result.bytes += bytes;
    } finally {
      await handle.close();
      if (!whole) await rm(full, { force: true });
    }
  }

  async #createFile(full: Buffer): Promise<Awaited<ReturnType<typeof open>>> {
    try {
      return await open(full, 'wx');
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'EEXIST' || !this.#options.overwrite) throw error;
      await unlink(full);
      return open(full, 'wx');
    }
  }

  async #makeLink(path: Uint8Array, target: Uint8Array): Promise<void> {
    await this.#makeParents(path);
    const full = joinPath(this.#out, path);
    if (target.length === 0 || target.includes(0)) throw new NotADirectory('the target of the link is not a path');
    try {
      await symlink(Buffer.from(target), full);
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'EEXIST' || !this.#options.overwrite) throw error;
      await unlink(full);
      await symlink(Buffer.from(target), full);
    }
  }

  async #makeParents(path: Uint8Array): Promise<void> {
    const slash = path.lastIndexOf(SLASH);
    if (slash > 0) await this.#makeDirectory(path.subarray(0, slash));
  }

  #makeDirectory(path: Uint8Array): Promise<void> {
    const name = Buffer.from(path).toString('latin1');
    let made = this.#directories.get(name);
    if (made === undefined) {
      if (this.#directories.size >= KNOWN_DIRECTORIES_MAX) this.#directories.clear();
      made = this.#makeDirectoryAnew(path);
      this.#directories.set(name, made);
    }
    return made;
  }

  async #makeDirectoryAnew(path: Uint8Array): Promise<void> {
    await this.#makeParents(path);
    const full = joinPath(this.#out, path);
    try {
      await mkdir(full);
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'EEXIST') throw error;
      if (!(await lstat(full)).isDirectory()) throw new NotADirectory(`${escapeBytes(path)} is not a directory`);
    }
  }

  #corrupt(key: Uint8Array, error: unknown): void {
    if (!(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
    this.#problem(key, error.message);
  }

  #problem(key: Uint8Array, why: string): void {
    this.#result.problems++;
    this.#options.onProblem(`left out ${escapeBytes(key)}: ${why}`);
  }
}

class NotADirectory extends Error {}
