/** The twin of page layout and page search (assembly/page.ts, page-search.ts), written from docs/formats/table.md. */
import { xxh64 } from '../../../base/xxh64.ts';
import { hashKey, hashTag } from './hash-key.ts';

export const PAGE_BYTES = 8192;

export interface PageEntry {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly kind: number;
  readonly flags: number;
  readonly value: Uint8Array;
}

/** Key ascending, newest first. */
export function compareEntries(a: PageEntry, b: PageEntry): number {
  return Buffer.compare(a.key, b.key) || b.sequence - a.sequence;
}

export function commonPrefix(keys: readonly Uint8Array[]): number {
  const [first, last] = [keys[0]!, keys.at(-1)!];
  let bytes = 0;
  while (bytes < Math.min(first.length, last.length) && first[bytes] === last[bytes]) bytes++;
  return bytes;
}

function headBytes(count: number): number {
  return 16 + Math.ceil(count / 16) * 16 + (count + 1) * 4;
}

/** Bytes that the entries take in one page. */
export function pageBytesOf(entries: readonly PageEntry[]): number {
  const prefix = commonPrefix(entries.map((entry) => entry.key));
  return headBytes(entries.length) + prefix + entries.reduce((sum, { key, value }) => sum + key.length - prefix + 8 + value.length, 0);
}

/** `word`: what an index page has at 12. */
export function encodePage(entries: readonly PageEntry[], fileId: number, page: number, word = 0): Uint8Array {
  const bytes = new Uint8Array(PAGE_BYTES);
  const view = new DataView(bytes.buffer);
  const prefix = commonPrefix(entries.map((entry) => entry.key));
  view.setUint16(8, entries.length, true);
  view.setUint16(10, prefix, true);
  view.setUint32(12, word, true);
  const slots = headBytes(entries.length) - (entries.length + 1) * 4;
  let at = headBytes(entries.length);
  bytes.set(entries[0]!.key.subarray(0, prefix), at);
  at += prefix;
  for (const [i, { key, sequence, kind, flags, value }] of entries.entries()) {
    bytes[16 + i] = hashTag(hashKey(key));
    view.setUint16(slots + i * 4, at, true);
    view.setUint16(slots + i * 4 + 2, key.length - prefix, true);
    bytes.set(key.subarray(prefix), at);
    at += key.length - prefix;
    view.setBigUint64(at, BigInt(sequence) | (BigInt(kind) << 56n) | (BigInt(flags) << 60n), true);
    bytes.set(value, at + 8);
    at += 8 + value.length;
  }
  view.setUint16(slots + entries.length * 4, at, true);
  const check = xxh64(bytes, 8, PAGE_BYTES - 8, page, fileId);
  view.setUint32(0, check.low, true);
  view.setUint32(4, check.high, true);
  return bytes;
}

export function decodePage(bytes: Uint8Array): PageEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint16(8, true);
  const prefixBytes = view.getUint16(10, true);
  const slots = headBytes(count) - (count + 1) * 4;
  const prefix = bytes.subarray(headBytes(count), headBytes(count) + prefixBytes);
  return Array.from({ length: count }, (_, i) => {
    const at = view.getUint16(slots + i * 4, true);
    const body = at + view.getUint16(slots + i * 4 + 2, true);
    const word = view.getBigUint64(body, true);
    return {
      key: Uint8Array.from([...prefix, ...bytes.subarray(at, body)]),
      sequence: Number(word & 0x1fffffffffffffn),
      kind: Number((word >> 56n) & 15n),
      flags: Number(word >> 60n),
      value: Uint8Array.from(bytes.subarray(body + 8, view.getUint16(slots + (i + 1) * 4, true))),
    };
  });
}

/** The entry with the newest version of the key at or below `sequence`, or -1. */
export function findInPage(entries: readonly PageEntry[], key: Uint8Array, sequence: number): number {
  return entries.findIndex((entry) => Buffer.compare(entry.key, key) === 0 && entry.sequence <= sequence);
}
