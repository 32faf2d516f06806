/** The twin of the page builder (assembly/page-builder.ts): fills each page as far as it goes. */
import { hashKey } from './hash-key.ts';
import { encodePage, pageBytesOf, PAGE_BYTES, type PageEntry } from './page.ts';

export interface BuiltPages {
  readonly groups: readonly (readonly PageEntry[])[];
  readonly pages: readonly Uint8Array[];
  readonly index: Uint8Array;
  /** One for each distinct key; one for neighbours whose hashes are equal, as those of [0, 128] and [1, 128, 0] are. */
  readonly hashes: readonly bigint[];
}

export function buildPages(entries: readonly PageEntry[], fileId: number): BuiltPages {
  const groups: PageEntry[][] = [];
  for (const entry of entries) {
    const open = groups.at(-1);
    if (open && pageBytesOf([...open, entry]) <= PAGE_BYTES) open.push(entry);
    else groups.push([entry]);
  }
  const index = groups.flatMap((group, page) => {
    const { key, flags } = indexKey(page === 0 ? undefined : groups[page - 1]!.at(-1)!.key, group[0]!.key);
    return [key.length & 255, key.length >>> 8, flags, 0, ...key];
  });
  const hashes = entries.map((entry) => hashKey(entry.key));
  return {
    groups,
    pages: groups.map((group, page) => encodePage(group, fileId, page)),
    index: Uint8Array.from(index),
    hashes: hashes.filter((hash, i) => i === 0 || hash !== hashes[i - 1]),
  };
}

/** The shortest key above `before` that is at most `first`; all of `first` for the first page, and where it is `before` again. */
function indexKey(before: Uint8Array | undefined, first: Uint8Array): { key: Uint8Array; flags: number } {
  if (before === undefined) return { key: first, flags: 0 };
  if (Buffer.compare(before, first) === 0) return { key: first, flags: 1 };
  let bytes = 1;
  while (Buffer.compare(before, first.subarray(0, bytes)) >= 0) bytes++;
  return { key: first.subarray(0, bytes), flags: 0 };
}
