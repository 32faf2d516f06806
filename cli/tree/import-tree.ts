/**
 * Puts the files of a directory into the store, as layout.ts lays them out.
 *
 * Small files travel together, in batches of up to 1 MiB; each file is put whole or not at all. A file larger than the value limit is written in
 * chunks under a fresh generation, and the put of its manifest makes it visible: whoever reads meanwhile, or after an import that was killed,
 * finds the old file or the new one. An import adds and replaces, it never removes: files that are gone from the directory stay in the store.
 * Running an import again after it was interrupted completes it and clears the chunks that the interrupted one left.
 *
 * Modes, owners and times are not stored. A file that cannot be read, or whose key would be too long, is named and left out.
 */
import { createHash, randomBytes } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

import type { Batch, CallOptions, Client } from '../../client/index.ts';
import { escapeBytes } from '../terminal/escape.ts';
import { Lanes } from './lanes.ts';
import { chunkKey, chunkRanges, emptyDirectoryKey, GENERATION_BYTES, linkKey, manifestKey, SUFFIX_BYTES_MAX } from './layout.ts';
import { encodeManifest } from './manifest.ts';
import { isSystemError, joinPath, walkTree, type TreeItem } from './walk.ts';

/** A file larger than this is stored in chunks. The server's default limit of a value. */
export const PLAIN_FILE_BYTES_MAX: number = 16 * 1024 * 1024;
export const CHUNK_BYTES: number = 1024 * 1024;
const BATCH_BYTES = 1024 * 1024;
const BATCH_ITEMS = 256;
const LANES = 8;
const LANES_BYTES = 48 * 1024 * 1024;
/** The server's default limit of a key. */
const KEY_BYTES_MAX = 4_000;

export interface ImportOptions {
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

export async function importTree(client: Client, root: Buffer, options: ImportOptions): Promise<ImportResult> {
  return new TreeImport(client, root, options).run();
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
  readonly #client: Client;
  readonly #root: Buffer;
  readonly #options: ImportOptions;
  readonly #lanes = new Lanes(LANES, LANES_BYTES);
  readonly #result: ImportResult = { files: 0, bytes: 0, links: 0, emptyDirectories: 0, chunkedFiles: 0, problems: 0 };
  /** Nothing lies below the prefix yet, so nothing of an earlier import has to make way. */
  #fresh = false;

  constructor(client: Client, root: Buffer, options: ImportOptions) {
    this.#client = client;
    this.#root = root;
    this.#options = options;
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
        } else if (this.#key(item.path).length + SUFFIX_BYTES_MAX > KEY_BYTES_MAX) {
          this.#problem(item.path, `its key would be longer than ${KEY_BYTES_MAX} bytes`);
        } else if (item.kind === 'file' && item.bytes > PLAIN_FILE_BYTES_MAX) {
          await this.#lanes.start(CHUNK_BYTES * LANES, () => this.#importChunked(item.path));
        } else {
          const bytes = item.kind === 'file' ? item.bytes : 0;
          if (groupBytes + bytes > BATCH_BYTES || group.length === BATCH_ITEMS) await sendGroup();
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
    const batch = this.#client.batch();
    const done: TreeItem[] = [];
    let bytes = 0;
    for (const item of items) {
      const file = this.#key(item.path);
      if (item.kind === 'file') {
        const content = await this.#readSmall(item.path);
        if (content === undefined) continue;
        batch.put(file, content);
        bytes += content.length;
      } else if (item.kind === 'link') {
        batch.put(linkKey(file), item.target);
      } else {
        batch.put(emptyDirectoryKey(file), new Uint8Array(0));
      }
      done.push(item);
    }
    if (done.length === 0) return;
    const cleared = this.#fresh ? [] : await this.#makeWay(batch, done);
    await this.#client.write(batch, this.#options.call);
    for (const file of cleared) await this.#deleteChunks(file);
    for (const item of done) {
      this.#result.files += item.kind === 'file' ? 1 : 0;
      this.#result.links += item.kind === 'link' ? 1 : 0;
      this.#result.emptyDirectories += item.kind === 'empty directory' ? 1 : 0;
    }
    this.#result.bytes += bytes;
    this.#options.onProgress(done.length, bytes);
  }

  /** Has the batch remove what an earlier import stored at these paths in another form; returns the keys of files whose chunks can go after it. */
  async #makeWay(batch: Batch, items: readonly TreeItem[]): Promise<Uint8Array[]> {
    const chunked: Uint8Array[] = [];
    await Promise.all(
      items.map(async (item) => {
        const file = this.#key(item.path);
        const removeIfPresent = async (key: Uint8Array): Promise<boolean> => {
          const present = (await this.#client.getVersion(key, this.#options.call)) !== undefined;
          if (present) batch.delete(key);
          return present;
        };
        await Promise.all([
          item.kind !== 'file' && removeIfPresent(file),
          item.kind !== 'link' && removeIfPresent(linkKey(file)),
          item.kind !== 'empty directory' && removeIfPresent(emptyDirectoryKey(file)),
          removeIfPresent(manifestKey(file)).then((present) => present && chunked.push(file)),
        ]);
      }),
    );
    return chunked;
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
      const chunks = Math.ceil(fileBytes / CHUNK_BYTES);
      for (let index = 0; index < chunks; index++) {
        const chunk = await readFully(handle, Math.min(CHUNK_BYTES, fileBytes - index * CHUNK_BYTES), index * CHUNK_BYTES);
        if (index * CHUNK_BYTES + chunk.length < Math.min(fileBytes, (index + 1) * CHUNK_BYTES)) {
          await window.finish();
          await this.#deleteChunks(file);
          return this.#problem(path, 'it became shorter while it was read');
        }
        hash.update(chunk);
        await window.start(chunk.length, async () => {
          await this.#client.put(chunkKey(file, generation, index), chunk, this.#options.call);
          this.#options.onProgress(0, chunk.length);
        });
      }
      await window.finish();
      const manifest = encodeManifest({ chunkBytes: CHUNK_BYTES, chunks, fileBytes, generation, sha256: hash.digest() });
      const batch = this.#client.batch().put(manifestKey(file), manifest);
      if (!this.#fresh) batch.delete(file).delete(linkKey(file)).delete(emptyDirectoryKey(file));
      await this.#client.write(batch, this.#options.call);
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
    for (const [gte, lt] of chunkRanges(file, keep)) await this.#client.deleteRange({ gte, lt }, this.#options.call);
  }

  async #readSmall(path: Buffer): Promise<Uint8Array | undefined> {
    const handle = await this.#open(path);
    if (handle === undefined) return undefined;
    try {
      const bytes = (await handle.stat()).size;
      if (bytes > PLAIN_FILE_BYTES_MAX) {
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
    for await (const _ of this.#client.scan({ prefix: this.#options.prefix, limit: 1, keysOnly: true, ...this.#options.call }))
      return false;
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
