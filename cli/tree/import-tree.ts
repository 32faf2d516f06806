/**
 * Puts the files of a directory into the store, as layout.ts lays them out.
 *
 * Small files travel together, in batches of up to 1 MiB where one shard has them all; each file is put whole or not at all. A file larger than the value limit is written in
 * chunks under a fresh generation, and the put of its manifest makes it visible: whoever reads meanwhile, or after an import that was killed,
 * finds the old file or the new one. An import adds and replaces, it never removes: files that are gone from the directory stay in the store.
 * Running an import again after it was interrupted completes it and clears the chunks that the interrupted one left.
 *
 * Modes, owners and times are not stored. A file that cannot be read, or whose key would be too long, is named and left out.
 */
import { createHash, randomBytes } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

import type { CallOptions, KeyValues, Limits } from '../../client/index.ts';
import { escapeBytes } from '../terminal/escape.ts';
import { Lanes } from './lanes.ts';
import { chunkKey, chunkRanges, emptyDirectoryKey, GENERATION_BYTES, linkKey, manifestKey, SUFFIX_BYTES_MAX } from './layout.ts';
import { encodeManifest } from './manifest.ts';
import { isSystemError, joinPath, walkTree, type TreeItem } from './walk.ts';
import { type Change, type Unit, writeUnits } from './write-units.ts';

const MIB: number = 1024 * 1024;
const CHUNK_BYTES_MAX = MIB;
const BATCH_BYTES_MAX = MIB;
const BATCH_ITEMS = 256;
const LANES = 8;
const LANES_BYTES = 48 * MIB;

export interface ImportOptions {
  /** Of the server. */
  limits: Limits;
  /** Put before each path, as it is: a prefix that is to look like a directory ends in '/'. */
  prefix: Uint8Array;
  /** For each call to the server. */
  call: CallOptions;
  onProgress(files: number, bytes: number): void;
  /** Something is left out, and why. */
  onProblem(line: string): void;
}

export interface ImportResult {
  files: number;
  bytes: number;
  links: number;
  emptyDirectories: number;
  /** Files of `files` that are stored in chunks. */
  chunkedFiles: number;
  /** Items that were left out. */
  problems: number;
}

export function importTree(store: KeyValues, root: Buffer, options: ImportOptions): Promise<ImportResult> {
  return new TreeImport(store, root, options).run();
}

/** Number and bytes of what an import would read: the measure of its progress. */
export async function measureTree(root: Buffer, signal?: AbortSignal): Promise<{ files: number; bytes: number }> {
  let files = 0;
  let bytes = 0;
  for await (const item of walkTree(root, signal)) {
    if (item.kind === 'skipped') continue;
    files++;
    if (item.kind === 'file') bytes += item.bytes;
  }
  return { files, bytes };
}

class TreeImport {
  readonly #store: KeyValues;
  readonly #root: Buffer;
  readonly #options: ImportOptions;
  readonly #limits: Limits;
  readonly #chunkBytes: number;
  readonly #batchBytesMax: number;
  readonly #lanes = new Lanes(LANES, LANES_BYTES);
  readonly #result: ImportResult = { files: 0, bytes: 0, links: 0, emptyDirectories: 0, chunkedFiles: 0, problems: 0 };
  /** Nothing lies below the prefix yet, so nothing of an earlier import has to make way. */
  #fresh = false;

  constructor(store: KeyValues, root: Buffer, options: ImportOptions) {
    const { limits } = options;
    this.#store = store;
    this.#root = root;
    this.#options = options;
    this.#limits = limits;
    this.#chunkBytes = Math.min(CHUNK_BYTES_MAX, limits.valueBytesMax);
    // The keys that have to make way come on top.
    this.#batchBytesMax = Math.min(BATCH_BYTES_MAX, Math.floor(limits.writeBytesMax / 8));
  }

  async run(): Promise<ImportResult> {
    this.#fresh = await this.#nothingBelowPrefix();
    let group: TreeItem[] = [];
    let groupBytes = 0;
    const sendGroup = async (): Promise<void> => {
      const items = group;
      const bytes = groupBytes;
      group = [];
      groupBytes = 0;
      if (items.length > 0) await this.#lanes.start(bytes, () => this.#importGroup(items));
    };
    try {
      for await (const item of walkTree(this.#root, this.#options.call.signal)) {
        if (item.kind === 'skipped') {
          this.#problem(item.path, item.why);
        } else if (this.#key(item.path).length + SUFFIX_BYTES_MAX > this.#limits.keyBytesMax) {
          this.#problem(item.path, `its key would be longer than ${this.#limits.keyBytesMax} bytes`);
        } else if (item.kind === 'file' && item.bytes > this.#limits.valueBytesMax) {
          await this.#lanes.start(this.#chunkBytes * LANES, () => this.#importChunked(item.path));
        } else {
          const bytes = item.path.length + (item.kind === 'file' ? item.bytes : 0);
          if (groupBytes + bytes > this.#batchBytesMax || group.length === BATCH_ITEMS) await sendGroup();
          group.push(item);
          groupBytes += bytes;
        }
      }
      await sendGroup();
    } finally {
      // Also when the walk failed: nothing may go on behind the caller's back. Its own failure is the one to tell.
      await this.#lanes.finish();
    }
    return this.#result;
  }

  async #importGroup(items: readonly TreeItem[]): Promise<void> {
    const puts: Change[] = [];
    const done: TreeItem[] = [];
    let bytes = 0;
    for (const item of items) {
      const file = this.#key(item.path);
      if (item.kind === 'file') {
        const content = await this.#readSmall(item.path);
        if (content === undefined) continue;
        puts.push({ key: file, value: content });
        bytes += content.length;
      } else if (item.kind === 'link') {
        puts.push({ key: linkKey(file), value: item.target });
      } else {
        puts.push({ key: emptyDirectoryKey(file), value: new Uint8Array(0) });
      }
      done.push(item);
    }
    if (done.length === 0) return;
    const { removals, cleared } = this.#fresh ? { removals: [], cleared: [] } : await this.#makeWay(done);
    const units = puts.map((put, i): Unit => [put, ...(removals[i] ?? [])]);
    await writeUnits(this.#store, units, this.#options.call);
    for (const file of cleared) await this.#deleteChunks(file);
    for (const item of done) {
      this.#result.files += item.kind === 'file' ? 1 : 0;
      this.#result.links += item.kind === 'link' ? 1 : 0;
      this.#result.emptyDirectories += item.kind === 'empty directory' ? 1 : 0;
    }
    this.#result.bytes += bytes;
    this.#options.onProgress(done.length, bytes);
  }

  /** What removes what an earlier import stored at these paths in another form, for each of them; and the keys of files whose chunks can go after it. */
  async #makeWay(items: readonly TreeItem[]): Promise<{ removals: Unit[]; cleared: Uint8Array[] }> {
    const chunked: Uint8Array[] = [];
    const removals = await Promise.all(
      items.map(async (item) => {
        const file = this.#key(item.path);
        const removed: Change[] = [];
        const removeIfPresent = async (key: Uint8Array): Promise<boolean> => {
          const present = (await this.#store.getVersion(key, this.#options.call)) !== undefined;
          if (present) removed.push({ key, value: undefined });
          return present;
        };
        await Promise.all([
          item.kind !== 'file' && removeIfPresent(file),
          item.kind !== 'link' && removeIfPresent(linkKey(file)),
          item.kind !== 'empty directory' && removeIfPresent(emptyDirectoryKey(file)),
          removeIfPresent(manifestKey(file)).then((present) => present && chunked.push(file)),
        ]);
        return removed;
      }),
    );
    return { removals, cleared: chunked };
  }

  async #importChunked(path: Buffer): Promise<void> {
    const file = this.#key(path);
    const handle = await this.#open(path);
    if (handle === undefined) return;
    try {
      const fileBytes = (await handle.stat()).size;
      const generation = randomBytes(GENERATION_BYTES);
      const hash = createHash('sha256');
      const window = new Lanes(LANES, Number.POSITIVE_INFINITY);
      const chunkBytes = this.#chunkBytes;
      const chunks = Math.ceil(fileBytes / chunkBytes);
      for (let index = 0; index < chunks; index++) {
        const expected = Math.min(chunkBytes, fileBytes - index * chunkBytes);
        const chunk = await readFully(handle, expected, index * chunkBytes);
        if (chunk.length < expected) {
          await window.finish();
          await this.#deleteChunks(file);
          return this.#problem(path, 'it became shorter while it was read');
        }
        hash.update(chunk);
        await window.start(chunk.length, async () => {
          await this.#store.put(chunkKey(file, generation, index), chunk, this.#options.call);
          this.#options.onProgress(0, chunk.length);
        });
      }
      await window.finish();
      const manifest = encodeManifest({ chunkBytes, chunks, fileBytes, generation, sha256: hash.digest() });
      const others = this.#fresh ? [] : [file, linkKey(file), emptyDirectoryKey(file)];
      const unit = [{ key: manifestKey(file), value: manifest }, ...others.map((key) => ({ key, value: undefined }))];
      await writeUnits(this.#store, [unit], this.#options.call);
      if (!this.#fresh) await this.#deleteChunks(file, generation);
      this.#result.files++;
      this.#result.chunkedFiles++;
      this.#result.bytes += fileBytes;
      this.#options.onProgress(1, 0);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#problem(path, error.message);
    } finally {
      await handle.close();
    }
  }

  async #deleteChunks(file: Uint8Array, keep?: Uint8Array): Promise<void> {
    for (const [gte, lt] of chunkRanges(file, keep)) await this.#store.deleteRange({ gte, lt }, this.#options.call);
  }

  async #readSmall(path: Buffer): Promise<Uint8Array | undefined> {
    const handle = await this.#open(path);
    if (handle === undefined) return undefined;
    try {
      const bytes = (await handle.stat()).size;
      if (bytes > this.#limits.valueBytesMax) {
        this.#problem(path, 'it grew over the value limit while it was imported; import again');
        return undefined;
      }
      return await readFully(handle, bytes, 0);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#problem(path, error.message);
      return undefined;
    } finally {
      await handle.close();
    }
  }

  async #open(path: Buffer): Promise<FileHandle | undefined> {
    try {
      return await open(joinPath(this.#root, path), 'r');
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#problem(path, error.message);
      return undefined;
    }
  }

  async #nothingBelowPrefix(): Promise<boolean> {
    for await (const _ of this.#store.scan({ prefix: this.#options.prefix, limit: 1, keysOnly: true, ...this.#options.call })) return false;
    return true;
  }

  #key(path: Uint8Array): Uint8Array {
    return Buffer.concat([this.#options.prefix, path]);
  }

  #problem(path: Uint8Array, why: string): void {
    this.#result.problems++;
    this.#options.onProblem(`left out ${escapeBytes(path)}: ${why}`);
  }
}

/** Up to `bytes` bytes from `position`: fewer only where the file ends before. */
async function readFully(handle: FileHandle, bytes: number, position: number): Promise<Uint8Array> {
  const target = new Uint8Array(bytes);
  let read = 0;
  while (read < bytes) {
    const { bytesRead } = await handle.read(target, read, bytes - read, position + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return target.subarray(0, read);
}
