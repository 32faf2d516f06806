/**
 * How a directory tree lies in the store: which keys a file, a link and an empty directory have. Format: docs/formats/tree.md.
 *
 *   prefix path                                    a file of at most the value limit: the value is its content
 *   prefix path '/'                                an empty directory: the value is empty
 *   prefix path 00 01                              a larger file: the value is its manifest (manifest.ts)
 *   prefix path 00 02                              a symbolic link: the value is its target
 *   prefix path 00 03 | generation 8 | index u32 BE |   one chunk of a larger file
 *
 * `path` is the file's path below the imported directory, as the operating system gives it (bytes, not necessarily UTF-8), parted by '/'.
 * No path of a file system holds a zero byte, so what a value means is told by its key alone and never by its content: no value that a user
 * writes can be taken for a manifest. The zero byte sorts first, so all keys of one path are neighbours in a scan, the plain one in front.
 */
import { assert } from '../../base/assert.ts';

export const SLASH = 0x2f;
const ZERO = 0x00;
const MARK_MANIFEST = 0x01;
const MARK_LINK = 0x02;
const MARK_CHUNK = 0x03;

export const GENERATION_BYTES = 8;
const CHUNK_SUFFIX_BYTES = 2 + GENERATION_BYTES + 4;
/** The longest that a key of this layout gets beyond prefix and path. */
export const SUFFIX_BYTES_MAX: number = CHUNK_SUFFIX_BYTES;

/** What a key below the prefix stands for. `foreign`: a key that this layout never makes. */
export type TreeKey =
  | { kind: 'file' | 'directory' | 'manifest' | 'link'; path: Uint8Array }
  | { kind: 'chunk'; path: Uint8Array; generation: Uint8Array; index: number }
  | { kind: 'foreign' };

/** `key` without its prefix. A plain key's path may still be unfit as a file name: path-safety.ts judges that. */
export function parseTreeKey(key: Uint8Array): TreeKey {
  const zero = key.indexOf(ZERO);
  if (zero < 0) {
    return key.at(-1) === SLASH ? { kind: 'directory', path: key.subarray(0, -1) } : { kind: 'file', path: key };
  }
  const path = key.subarray(0, zero);
  const suffix = key.subarray(zero);
  if (suffix.length === 2 && suffix[1] === MARK_MANIFEST) return { kind: 'manifest', path };
  if (suffix.length === 2 && suffix[1] === MARK_LINK) return { kind: 'link', path };
  if (suffix.length === CHUNK_SUFFIX_BYTES && suffix[1] === MARK_CHUNK) {
    const index = new DataView(suffix.buffer, suffix.byteOffset, suffix.length).getUint32(2 + GENERATION_BYTES);
    return { kind: 'chunk', path, generation: suffix.subarray(2, 2 + GENERATION_BYTES), index };
  }
  return { kind: 'foreign' };
}

/** In these, `file` is prefix and path together. */
export function manifestKey(file: Uint8Array): Uint8Array {
  return concat(file, Uint8Array.of(ZERO, MARK_MANIFEST));
}

export function linkKey(file: Uint8Array): Uint8Array {
  return concat(file, Uint8Array.of(ZERO, MARK_LINK));
}

export function emptyDirectoryKey(directory: Uint8Array): Uint8Array {
  return concat(directory, Uint8Array.of(SLASH));
}

export function chunkKey(file: Uint8Array, generation: Uint8Array, index: number): Uint8Array {
  assert(generation.length === GENERATION_BYTES, 'a generation has its fixed length');
  const key = concat(file, new Uint8Array(CHUNK_SUFFIX_BYTES));
  key[file.length + 1] = MARK_CHUNK;
  key.set(generation, file.length + 2);
  new DataView(key.buffer).setUint32(key.length - 4, index);
  return key;
}

/** The ranges [from, to) that hold the file's chunks of every generation but `keep` (of all of them when it is absent). */
export function chunkRanges(file: Uint8Array, keep?: Uint8Array): [from: Uint8Array, to: Uint8Array][] {
  const from = concat(file, Uint8Array.of(ZERO, MARK_CHUNK));
  const to = concat(file, Uint8Array.of(ZERO, MARK_CHUNK + 1));
  if (keep === undefined) return [[from, to]];
  const first = concat(from, keep);
  // Greater than every chunk of `keep` (their suffix is 4 bytes) and smaller than those of any later generation.
  const last = concat(first, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x00));
  return [
    [from, first],
    [last, to],
  ];
}

/** The smallest key greater than all keys of this file. */
export function afterFile(file: Uint8Array): Uint8Array {
  return concat(file, Uint8Array.of(ZERO + 1));
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
