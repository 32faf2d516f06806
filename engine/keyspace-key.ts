/**
 * Internal keys: what memtables, log, tables and kernels know as a key. A keyspace is a range of them, so that batches and snapshots
 * span keyspaces by nature and one that rests costs nothing. Pure.
 *
 *   | keyspace id: u8 when below 240, else 0xf0, u16 big-endian | key as the caller gave it |
 *
 * Order is by id, then by the caller's key. The default keyspace has id 0. Ids are never used again (manifest/version.ts).
 */
export const DEFAULT_KEYSPACE = 0;
export const KEYSPACE_ID_MAX = 0xffff;
/** Ids from here on take three bytes. */
const LONG_FROM = 240;

/** Bytes in front of the caller's key. */
export function prefixBytesOf(id: number): number {
  return id < LONG_FROM ? 1 : 3;
}

/** Writes the prefix at `to[at]`. */
export function writePrefix(to: Uint8Array, at: number, id: number): void {
  if (id < LONG_FROM) {
    to[at] = id;
    return;
  }
  to[at] = LONG_FROM;
  to[at + 1] = id >>> 8;
  to[at + 2] = id & 0xff;
}

export function internalKey(id: number, key: Uint8Array): Uint8Array<ArrayBuffer> {
  const prefixBytes = prefixBytesOf(id);
  const internal = new Uint8Array(prefixBytes + key.length);
  writePrefix(internal, 0, id);
  internal.set(key, prefixBytes);
  return internal;
}

/** The first internal key of a keyspace, which no entry has. */
export function keyspaceBegin(id: number): Uint8Array<ArrayBuffer> {
  return internalKey(id, EMPTY);
}

/** The first internal key behind a keyspace. */
export function keyspaceEnd(id: number): Uint8Array<ArrayBuffer> {
  const end = keyspaceBegin(id);
  let last = end.length - 1;
  while (end[last] === 0xff) last--;
  end[last]!++;
  return end.subarray(0, last + 1);
}

/** The id of the keyspace that an internal key lies in. */
export function keyspaceOf(key: Uint8Array): number {
  return key[0]! < LONG_FROM ? key[0]! : (key[1]! << 8) | key[2]!;
}

const EMPTY = new Uint8Array(0);
