/**
 * Divides a large compaction into parts of about as many bytes, by key, so that several workers can run it. Pure: it goes by where the inputs'
 * pages begin, which their indexes say (table/page-keys.ts).
 *
 *   keys      ────────────┬──────────────┬───────────▶       cuts: keys at which some page begins
 *   level 0    ▓▓▓▓▓▓▓▓▓▓▓│▓▓▓▓▓▓▓▓▓▓▓▓▓▓│▓▓▓▓▓▓
 *   level 1        ▓▓▓▓▓▓▓│▓▓▓▓▓▓▓▓▓▓▓▓▓▓│▓▓▓▓▓▓▓▓▓
 *                part 1       part 2         part 3
 *
 * A part has the keys from one cut up to, but without, the next, with all of their versions; so what a merge decides key by key (which versions
 * stay, which values died) it decides for each part as it would for the whole. A page with a cut in its midst is read by both parts, and each takes its
 * own keys of it.
 */
import type { TableMeta } from '../table/index.ts';
import type { CompactionInput } from './compaction.ts';

/** Where pages of a table begin. */
export interface PagesOf {
  readonly count: number;
  /** At or below every key of the page and, unless its first key is the last of the page before, above every key before it. */
  key(page: number): Uint8Array;
  /** Where the page begins in the file, bytes; of `count`: where the pages end. */
  position(page: number): number;
}

export interface SplitInput {
  readonly level: number;
  readonly table: TableMeta;
  readonly pages: PagesOf;
}

export interface CompactionPart {
  /** Undefined: from the first key on, to the last. */
  readonly from: Uint8Array | undefined;
  readonly to: Uint8Array | undefined;
  /** With the pages that it reads; in the order of the compaction's. */
  readonly inputs: readonly CompactionInput[];
  /** Of those pages. */
  readonly bytes: number;
}

/** Of a table so many places are looked at, at most, to find cuts. */
const PLACES_MAX = 256;

/** At most `partsMax` parts, none of much less than `partBytesMin`; one when there is nothing to divide. */
export function splitCompaction(inputs: readonly SplitInput[], partsMax: number, partBytesMin: number): CompactionPart[] {
  const total = inputs.reduce((sum, { pages }) => sum + pages.position(pages.count), 0);
  const parts = Math.min(partsMax, Math.floor(total / partBytesMin));
  const cuts = parts < 2 ? [] : cutsOf(inputs, total, parts);
  const bounds = [undefined, ...cuts, undefined];
  return bounds.slice(1).map((to, i) => partOf(inputs, bounds[i], to));
}

/** Ascending, at most one fewer than there are to be parts. */
function cutsOf(inputs: readonly SplitInput[], total: number, parts: number): Uint8Array[] {
  const places = inputs.flatMap(placesOf).toSorted((a, b) => Buffer.compare(a.key, b.key));
  const cuts: Uint8Array[] = [];
  let before = 0;
  for (const { key, bytes } of places) {
    const last = cuts.at(-1) ?? places[0]!.key;
    if (before >= (total / parts) * (cuts.length + 1) && Buffer.compare(last, key) < 0) cuts.push(key);
    if (cuts.length === parts - 1) break;
    before += bytes;
  }
  return cuts;
}

function placesOf({ pages }: SplitInput): { key: Uint8Array; bytes: number }[] {
  const step = Math.ceil(pages.count / PLACES_MAX);
  const places = [];
  for (let page = 0; page < pages.count; page += step) {
    const end = Math.min(page + step, pages.count);
    places.push({ key: pages.key(page), bytes: pages.position(end) - pages.position(page) });
  }
  return places;
}

function partOf(inputs: readonly SplitInput[], from: Uint8Array | undefined, to: Uint8Array | undefined): CompactionPart {
  const chosen: CompactionInput[] = [];
  let bytes = 0;
  for (const { level, table, pages } of inputs) {
    if (from && Buffer.compare(table.largest, from) < 0) continue;
    if (to && Buffer.compare(table.smallest, to) >= 0) continue;
    // Versions of the key at which a page begins may stand at the end of the page before.
    const first = from ? Math.max(0, pagesBelow(pages, from) - 1) : 0;
    const end = to ? pagesBelow(pages, to) : pages.count;
    chosen.push({ level, table, pages: { first, end, position: pages.position(first) } });
    bytes += pages.position(end) - pages.position(first);
  }
  return { from, to, inputs: chosen, bytes };
}

/** How many pages begin below the key. */
function pagesBelow(pages: PagesOf, key: Uint8Array): number {
  let low = 0;
  for (let high = pages.count; low < high;) {
    const middle = (low + high) >> 1;
    if (Buffer.compare(pages.key(middle), key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
