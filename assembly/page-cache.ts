/**
 * The page cache: frames of PAGE_BYTES in which pages of tables are searched in place. Only the caller's thread uses it; any number of
 * tables (and engines of one memory) share one. A context finds its cache in the cell PAGE_CACHE.
 *
 *   cache, 64 bytes:
 *    0 frames u32        address of the first frame      4 descriptors u32    8 bytes a frame
 *    8 count u32         frames                         12 hand u32           the next candidate of CLOCK
 *   16 used u32          frames that hold a page        20 loads u32          pages linked, wraps
 *   24 evictions u32     wraps         32 uses u64           frames given out
 *
 *   descriptor: | owner u32 | referenced u32 |     owner: address of the table's word for the page (TABLE_FRAMES), 0: frame is free
 *
 * A table's word and the frame's owner name each other or neither does. A page comes in unreferenced, so that one that is read once, as
 * scans do, goes first; each later use gives it another round. `frameOf` takes the victim away from its owner at once and links it only in
 * `pageLoaded`: a caller that gives up in between leaves a free frame behind.
 * Cursors pin the frame in word 0 of each cursor of the context; there are fewer of them than frames.
 * Twin: test/assembly/twins/page-cache.ts.
 */
import {
  BAD_PAGE,
  CELLS_FREE,
  CURSORS,
  CURSOR_BYTES,
  NEED_FRAME,
  NEED_PAGE,
  NEED_TABLE_HEADER,
  PAGE_CACHE,
  PAGE_CACHE_BYTES,
  TABLE_FILE_ID,
  TABLE_FRAMES,
  TABLE_PAGES,
} from './memory-map';
import { pageChecksum, pageSeed } from './page';

/** Cell of a context: how many cursors there are to pin frames (written by the scan). */
export const CURSOR_COUNT: usize = CELLS_FREE;

const FRAMES: usize = 0;
const DESCRIPTORS: usize = 4;
const COUNT: usize = 8;
const HAND: usize = 12;
const USED: usize = 16;
const LOADS: usize = 20;
const EVICTIONS: usize = 24;
const USES: usize = 32;
const PAGE_SHIFT: usize = 13;

/** `descriptors`: 8 bytes a frame; `count`: at least PAGE_CACHE_FRAMES_MIN. Frames must be followed by SLACK_BYTES. */
export function cacheInit(cache: usize, frames: usize, descriptors: usize, count: u32): void {
  memory.fill(cache, 0, PAGE_CACHE_BYTES);
  store<u32>(cache, <u32>frames, FRAMES);
  store<u32>(cache, <u32>descriptors, DESCRIPTORS);
  store<u32>(cache, count, COUNT);
  memory.fill(descriptors, 0, (<usize>count) << 3);
}

/** The context reads through this cache from now on. */
export function cacheBind(context: usize, cache: usize): void {
  store<u32>(context, <u32>cache, PAGE_CACHE);
  store<u32>(context, 0, CURSOR_COUNT);
}

/** The page's frame; or 0 after filling NEED_TABLE_HEADER, NEED_PAGE and NEED_FRAME: load the page there, call pageLoaded, ask again. */
export function frameOf(context: usize, table: usize, page: i32): usize {
  const owner = <usize>load<u32>(table, TABLE_FRAMES) + ((<usize>page) << 2);
  const cache = <usize>load<u32>(context, PAGE_CACHE);
  const frame = <usize>load<u32>(owner);
  if (frame) {
    store<u32>(descriptorOf(cache, frame), 1, 4);
    store<u64>(cache, load<u64>(cache, USES) + 1, USES);
    return frame;
  }
  store<u32>(context, <u32>table, NEED_TABLE_HEADER);
  store<i32>(context, page, NEED_PAGE);
  store<u32>(context, <u32>victim(context, cache), NEED_FRAME);
  return 0;
}

/** Verifies what was read into NEED_FRAME and makes it the page's frame: 1; or BAD_PAGE, and the frame is free. */
export function pageLoaded(context: usize): i32 {
  const table = <usize>load<u32>(context, NEED_TABLE_HEADER);
  const page = load<u32>(context, NEED_PAGE);
  const frame = <usize>load<u32>(context, NEED_FRAME);
  if (load<u64>(frame) != pageChecksum(frame, pageSeed(load<u32>(table, TABLE_FILE_ID), page))) return BAD_PAGE;
  pageLink(context);
  return 1;
}

/** Makes what has been put into NEED_FRAME, and verified, the page's frame. */
export function pageLink(context: usize): void {
  const table = <usize>load<u32>(context, NEED_TABLE_HEADER);
  const page = load<u32>(context, NEED_PAGE);
  const frame = <usize>load<u32>(context, NEED_FRAME);
  const cache = <usize>load<u32>(context, PAGE_CACHE);
  const owner = <usize>load<u32>(table, TABLE_FRAMES) + ((<usize>page) << 2);
  const descriptor = descriptorOf(cache, frame);
  store<u32>(descriptor, <u32>owner);
  store<u32>(descriptor, 0, 4);
  store<u32>(owner, <u32>frame);
  store<u32>(cache, load<u32>(cache, USED) + 1, USED);
  store<u32>(cache, load<u32>(cache, LOADS) + 1, LOADS);
}

/** Frees every frame of a table, before its arrays are freed. */
export function cacheDropTable(cache: usize, table: usize): void {
  const pages = load<u32>(table, TABLE_PAGES);
  let owner = <usize>load<u32>(table, TABLE_FRAMES);
  for (const end = owner + ((<usize>pages) << 2); owner < end; owner += 4) {
    const frame = <usize>load<u32>(owner);
    if (!frame) continue;
    store<u32>(descriptorOf(cache, frame), 0);
    store<u32>(owner, 0);
    store<u32>(cache, load<u32>(cache, USED) - 1, USED);
  }
}

/** A frame that nobody owns any more. Terminates: more frames than pins, and each is unreferenced in the second round. */
function victim(context: usize, cache: usize): usize {
  const count = load<u32>(cache, COUNT);
  let hand = load<u32>(cache, HAND);
  let frame: usize = 0;
  let descriptor: usize = 0;
  while (true) {
    descriptor = <usize>load<u32>(cache, DESCRIPTORS) + ((<usize>hand) << 3);
    frame = <usize>load<u32>(cache, FRAMES) + ((<usize>hand) << PAGE_SHIFT);
    if (++hand == count) hand = 0;
    if (!load<u32>(descriptor, 4) || !load<u32>(descriptor)) {
      if (!pinned(context, frame)) break;
    } else store<u32>(descriptor, 0, 4);
  }
  store<u32>(cache, hand, HAND);
  const owner = <usize>load<u32>(descriptor);
  if (owner) {
    store<u32>(owner, 0);
    store<u32>(descriptor, 0);
    store<u32>(cache, load<u32>(cache, USED) - 1, USED);
    store<u32>(cache, load<u32>(cache, EVICTIONS) + 1, EVICTIONS);
  }
  return frame;
}

function pinned(context: usize, frame: usize): bool {
  let cursor = context + CURSORS;
  for (let left = load<u32>(context, CURSOR_COUNT); left > 0; left--, cursor += CURSOR_BYTES) {
    if (load<u32>(cursor) == <u32>frame) return true;
  }
  return false;
}

// @ts-ignore: decorator
@inline
function descriptorOf(cache: usize, frame: usize): usize {
  return <usize>load<u32>(cache, DESCRIPTORS) + (((frame - <usize>load<u32>(cache, FRAMES)) >> PAGE_SHIFT) << 3);
}
