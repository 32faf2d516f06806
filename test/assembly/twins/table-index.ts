/** The twin of the table index (assembly/table-index.ts): walks all entries. */
export interface IndexEntry {
  readonly key: Uint8Array;
  readonly continues: boolean;
}

export function decodeIndex(bytes: Uint8Array): IndexEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: IndexEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const keyBytes = view.getUint16(at, true);
    entries.push({ key: bytes.slice(at + 4, at + 4 + keyBytes), continues: view.getUint16(at + 2, true) === 1 });
    at += 4 + keyBytes;
  }
  return entries;
}

export function encodeIndex(entries: readonly IndexEntry[]): Uint8Array {
  return Uint8Array.from(entries.flatMap(({ key, continues }) => [key.length & 255, key.length >>> 8, continues ? 1 : 0, 0, ...key]));
}

/** The first page that may hold the key, -1 when it is before all. */
export function findPage(entries: readonly IndexEntry[], key: Uint8Array): number {
  let page = entries.findLastIndex((entry) => Buffer.compare(entry.key, key) <= 0);
  while (page > 0 && entries[page]!.continues && Buffer.compare(entries[page]!.key, key) === 0) page--;
  return page;
}
