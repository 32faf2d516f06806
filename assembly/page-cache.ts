/**
 * The page cache: frames of PAGE_BYTES in which pages of tables are searched in place. Only the caller's thread uses it; any number of
 * tables (and engines of one memory) share one. A context finds its cache in the cell PAGE_CACHE.
 *
 *   cache, PAGE_CACHE_BYTES:
 *    0 frames u32        address of the first frame      4 descriptors u32    16 bytes a frame
 *    8 count u32         frames                         12 hand u32           the next candidate of CLOCK
 *   16 used u32          frames that hold a page        20 loads u32          pages linked, wraps
 *   24 evictions u32     wraps                          28 free u32           1 + a frame that held a page once; 0: none
 *   32 uses u64          pages found in their frames    40 fresh u32          frames from this one on have never held a page
 *   44 queue u32         of cold frames, u32 each       48 its capacity u32, 52 its first u32, 56 its length u32
 *   60 ghosts u32        marks of cold pages that went  64 buckets u32        1 + a frame, u32 each     68 mask u32 of the buckets; ghosts are twice as many
 *
 *   descriptor: | table u32 | page u32 | referenced u8 | cold u8 | stamp u16 | next u32 |
 *     table: 0: free    stamp: loads when it was linked    next: 1 + the next frame that is free, or of its bucket
 *
 * A frame is found by the table's array of frames (TABLE_FRAMES), or by the buckets where it has none because its index is not in memory.
 *
 * Replacement is CLOCK: each use of a page gives it another round. Scans must not put out what point reads use, so a page that a scan
 * brings is *cold*: cold pages have a queue of their own, a sixteenth of the frames, and replace each other, oldest first. A cold page that
 * is used again in time is one like the others when its turn comes; uses within CORRELATED_LOADS of its loading are those of the same scan
 * and do not count for a scan. A ghost is left of one that goes: if it is wanted again soon it is not cold any more, so that ranges that
 * are scanned again and again stay although they do not fit the queue. As long as there are free frames nothing is put out.
 *
 * `frameOf` takes the victim away from its page at once and `pageLink` links the new one: a caller that gives up in between leaves a free
 * frame behind. Cursors pin the frame in word 0 of each cursor of the context; there are fewer of them than frames that are not cold.
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
  TABLE_BUCKETED,
  TABLE_FILE_ID,
  TABLE_FRAMES,
  TABLE_PAGES,
} from './memory-map';
import { pageChecksum, pageSeed } from './page';

/** Cell of a context: how many cursors there are to pin frames (written by the scan). */
export const CURSOR_COUNT: usize = CELLS_FREE;
/** Cell of a context: whether the page in NEED_PAGE is for a scan. */
const NEED_COLD: usize = CELLS_FREE + 8;

const FRAMES: usize = 0;
const DESCRIPTORS: usize = 4;
const COUNT: usize = 8;
const HAND: usize = 12;
const USED: usize = 16;
const LOADS: usize = 20;
const EVICTIONS: usize = 24;
const FREE: usize = 28;
const USES: usize = 32;
const FRESH: usize = 40;
const QUEUE: usize = 44;
const QUEUE_CAPACITY: usize = 48;
const QUEUE_FIRST: usize = 52;
const QUEUE_LENGTH: usize = 56;
const GHOSTS: usize = 60;
const BUCKETS: usize = 64;
const MASK: usize = 68;

const PAGE: usize = 4;
const REFERENCED: usize = 8;
const COLD: usize = 9;
const STAMP: usize = 10;
const NEXT: usize = 12;

const PAGE_SHIFT: usize = 13;
const DESCRIPTOR_SHIFT: u32 = 4;
/** Of all frames, one in so many may be cold. */
const COLD_SHARE: u32 = 16;
const CORRELATED_LOADS: u32 = 32;

/** A power of two, at least the count. */
function slots(count: u32): u32 {
  return 1 << (32 - clz<u32>(count - 1));
}

/** Bytes of the arrays of a cache of `count` frames. */
export function cacheArrayBytes(count: u32): u32 {
  return (count << DESCRIPTOR_SHIFT) + (count / COLD_SHARE) * 4 + slots(count) * 12;
}

/** `arrays`: cacheArrayBytes, cleared; `count`: at least PAGE_CACHE_FRAMES_MIN. Frames must be followed by SLACK_BYTES. */
export function cacheInit(cache: usize, frames: usize, arrays: usize, count: u32): void {
  memory.fill(cache, 0, PAGE_CACHE_BYTES);
  const queue = arrays + ((<usize>count) << DESCRIPTOR_SHIFT);
  const ghosts = queue + <usize>(count / COLD_SHARE) * 4;
  const size = slots(count);
  store<u32>(cache, <u32>frames, FRAMES);
  store<u32>(cache, <u32>arrays, DESCRIPTORS);
  store<u32>(cache, count, COUNT);
  store<u32>(cache, <u32>queue, QUEUE);
  store<u32>(cache, count / COLD_SHARE, QUEUE_CAPACITY);
  store<u32>(cache, <u32>ghosts, GHOSTS);
  store<u32>(cache, <u32>ghosts + size * 8, BUCKETS);
  store<u32>(cache, size - 1, MASK);
}

/** The context reads through this cache from now on. */
export function cacheBind(context: usize, cache: usize): void {
  store<u32>(context, <u32>cache, PAGE_CACHE);
  store<u32>(context, 0, CURSOR_COUNT);
}

/**
 * The page's frame, for a point read; or 0 after filling NEED_TABLE_HEADER, NEED_PAGE and NEED_FRAME: load the page there, `pageLoaded` or
 * `pageLink`, ask again.
 */
export function frameOf(context: usize, table: usize, page: i32): usize {
  const cache = <usize>load<u32>(context, PAGE_CACHE);
  const frame = cachedFrame(cache, table, page);
  if (!frame) return need(context, cache, table, page, 0);
  store<u8>(descriptorOf(cache, frame), 1, REFERENCED);
  store<u64>(cache, load<u64>(cache, USES) + 1, USES);
  return frame;
}

/** The same for a scan. */
export function frameOfScan(context: usize, table: usize, page: i32): usize {
  const cache = <usize>load<u32>(context, PAGE_CACHE);
  const frame = cachedFrame(cache, table, page);
  if (!frame) return need(context, cache, table, page, 1);
  const descriptor = descriptorOf(cache, frame);
  const age = (load<u32>(cache, LOADS) - <u32>load<u16>(descriptor, STAMP)) & 0xffff;
  if (!load<u8>(descriptor, COLD) || age > CORRELATED_LOADS) store<u8>(descriptor, 1, REFERENCED);
  store<u64>(cache, load<u64>(cache, USES) + 1, USES);
  return frame;
}

/** The page's frame, or 0; that it was asked for leaves no trace. */
// @ts-ignore: decorator
@inline
export function cachedFrame(cache: usize, table: usize, page: i32): usize {
  const frames = <usize>load<u32>(table, TABLE_FRAMES);
  return frames ? <usize>load<u32>(frames + ((<usize>page) << 2)) : bucketFrame(cache, table, page);
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
  const cache = <usize>load<u32>(context, PAGE_CACHE);
  const table = <usize>load<u32>(context, NEED_TABLE_HEADER);
  const page = load<u32>(context, NEED_PAGE);
  const frame = <usize>load<u32>(context, NEED_FRAME);
  const number = <u32>((frame - <usize>load<u32>(cache, FRAMES)) >> PAGE_SHIFT);
  const descriptor = numbered(cache, number);
  take(cache, number);
  store<u32>(descriptor, <u32>table);
  store<u32>(descriptor, page, PAGE);
  store<u16>(descriptor, 0, REFERENCED);
  store<u16>(descriptor, <u16>load<u32>(cache, LOADS), STAMP);
  store<u32>(descriptor, 0, NEXT);
  if (load<u32>(context, NEED_COLD)) enterCold(cache, descriptor, number);
  const frames = <usize>load<u32>(table, TABLE_FRAMES);
  if (frames) store<u32>(frames + ((<usize>page) << 2), <u32>frame);
  else enterBucket(cache, descriptor, number);
  store<u32>(cache, load<u32>(cache, USED) + 1, USED);
  store<u32>(cache, load<u32>(cache, LOADS) + 1, LOADS);
}

/** Frees every frame of a table, before its arrays are freed. Of one without an array of frames it looks for them in all. */
export function cacheDropTable(cache: usize, table: usize): void {
  let owner = <usize>load<u32>(table, TABLE_FRAMES);
  if (owner) {
    for (const end = owner + ((<usize>load<u32>(table, TABLE_PAGES)) << 2); owner < end; owner += 4) {
      const frame = <usize>load<u32>(owner);
      if (frame) release(cache, <u32>((frame - <usize>load<u32>(cache, FRAMES)) >> PAGE_SHIFT));
    }
    return;
  }
  const fresh = load<u32>(cache, FRESH);
  for (let number: u32 = 0; number < fresh && load<u32>(table, TABLE_BUCKETED); number++) {
    if (load<u32>(numbered(cache, number)) == <u32>table) release(cache, number);
  }
}

/**
 * A table gets an array of frames at `frames`, for its `pages` pages of data: their frames go there from the buckets, and those of its
 * other pages are freed.
 */
export function cacheToArray(cache: usize, table: usize, frames: usize, pages: u32): void {
  memory.fill(frames, 0, (<usize>pages) << 2);
  const fresh = load<u32>(cache, FRESH);
  for (let number: u32 = 0; number < fresh && load<u32>(table, TABLE_BUCKETED); number++) {
    const descriptor = numbered(cache, number);
    if (load<u32>(descriptor) != <u32>table) continue;
    const page = load<u32>(descriptor, PAGE);
    if (page >= pages) release(cache, number);
    else {
      leaveBucket(cache, descriptor, number);
      store<u32>(descriptor, 0, NEXT);
      store<u32>(frames + ((<usize>page) << 2), <u32>frameAt(cache, number));
    }
  }
}

/** A table loses its array of frames, and its frames go to the buckets. */
export function cacheToBuckets(cache: usize, table: usize): void {
  let owner = <usize>load<u32>(table, TABLE_FRAMES);
  for (const end = owner + ((<usize>load<u32>(table, TABLE_PAGES)) << 2); owner < end; owner += 4) {
    const frame = <usize>load<u32>(owner);
    if (frame) enterBucket(cache, descriptorOf(cache, frame), <u32>((frame - <usize>load<u32>(cache, FRAMES)) >> PAGE_SHIFT));
  }
  store<u32>(table, 0, TABLE_FRAMES);
}

/** Fills the NEED cells, with a free frame. Returns 0. */
function need(context: usize, cache: usize, table: usize, page: i32, cold: u32): usize {
  store<u32>(context, <u32>table, NEED_TABLE_HEADER);
  store<i32>(context, page, NEED_PAGE);
  store<u32>(context, cold, NEED_COLD);
  const free = load<u32>(cache, FREE);
  const fresh = load<u32>(cache, FRESH);
  let number = free - 1;
  if (!free) {
    number = fresh;
    if (fresh == load<u32>(cache, COUNT)) {
      const oldest = cold ? oldestCold(context, cache) : -1;
      number = oldest >= 0 ? <u32>oldest : victim(context, cache);
      release(cache, number);
      store<u32>(cache, load<u32>(cache, EVICTIONS) + 1, EVICTIONS);
    }
  }
  store<u32>(context, <u32>frameAt(cache, number), NEED_FRAME);
  return 0;
}

/** A frame that is not cold, by CLOCK. Terminates: there are more of them than pins, and each is unreferenced in the second round. */
function victim(context: usize, cache: usize): u32 {
  const count = load<u32>(cache, COUNT);
  let hand = load<u32>(cache, HAND);
  let number: u32 = 0;
  while (true) {
    number = hand;
    const descriptor = numbered(cache, number);
    if (++hand == count) hand = 0;
    if (load<u8>(descriptor, COLD)) continue;
    if (load<u8>(descriptor, REFERENCED)) store<u8>(descriptor, 0, REFERENCED);
    else if (!pinned(context, frameAt(cache, number))) break;
  }
  store<u32>(cache, hand, HAND);
  return number;
}

/** When the queue is full: its first frame that was not used again, which leaves a ghost; the others before it are cold no more. Or -1. */
function oldestCold(context: usize, cache: usize): i32 {
  const capacity = load<u32>(cache, QUEUE_CAPACITY);
  while (load<u32>(cache, QUEUE_LENGTH) == capacity) {
    const first = load<u32>(cache, QUEUE_FIRST);
    const number = load<u32>(<usize>load<u32>(cache, QUEUE) + ((<usize>first) << 2));
    store<u32>(cache, first + 1 == capacity ? 0 : first + 1, QUEUE_FIRST);
    store<u32>(cache, capacity - 1, QUEUE_LENGTH);
    const descriptor = numbered(cache, number);
    // Freed in between, with its table, and maybe filled again.
    if (!load<u8>(descriptor, COLD)) continue;
    store<u8>(descriptor, 0, COLD);
    if (load<u8>(descriptor, REFERENCED) || pinned(context, frameAt(cache, number))) continue;
    const mark = markOf(<usize>load<u32>(descriptor), load<u32>(descriptor, PAGE));
    store<u32>(ghostOf(cache, mark), mark);
    return <i32>number;
  }
  return -1;
}

/** A page that a scan has brought: cold, unless it was so lately or the queue is full, which it is only while there are free frames. */
function enterCold(cache: usize, descriptor: usize, number: u32): void {
  const mark = markOf(<usize>load<u32>(descriptor), load<u32>(descriptor, PAGE));
  const ghost = ghostOf(cache, mark);
  if (load<u32>(ghost) == mark) {
    store<u32>(ghost, 0);
    store<u8>(descriptor, 1, REFERENCED);
    return;
  }
  const capacity = load<u32>(cache, QUEUE_CAPACITY);
  const length = load<u32>(cache, QUEUE_LENGTH);
  if (length == capacity) return;
  const at = load<u32>(cache, QUEUE_FIRST) + length;
  store<u32>(<usize>load<u32>(cache, QUEUE) + ((<usize>(at < capacity ? at : at - capacity)) << 2), number);
  store<u32>(cache, length + 1, QUEUE_LENGTH);
  store<u8>(descriptor, 1, COLD);
}

/** Takes a frame away from its page and puts it before the free ones. */
function release(cache: usize, number: u32): void {
  const descriptor = numbered(cache, number);
  const table = <usize>load<u32>(descriptor);
  const page = load<u32>(descriptor, PAGE);
  const frames = <usize>load<u32>(table, TABLE_FRAMES);
  if (frames) store<u32>(frames + ((<usize>page) << 2), 0);
  else leaveBucket(cache, descriptor, number);
  store<u32>(descriptor, 0);
  store<u16>(descriptor, 0, REFERENCED);
  store<u32>(descriptor, load<u32>(cache, FREE), NEXT);
  store<u32>(cache, number + 1, FREE);
  store<u32>(cache, load<u32>(cache, USED) - 1, USED);
}

/** Takes a frame out of the free ones, mostly the first. */
function take(cache: usize, number: u32): void {
  if (number == load<u32>(cache, FRESH)) {
    store<u32>(cache, number + 1, FRESH);
    return;
  }
  let link = cache + FREE;
  while (load<u32>(link) != number + 1) link = numbered(cache, load<u32>(link) - 1) + NEXT;
  store<u32>(link, load<u32>(numbered(cache, number), NEXT));
}

function enterBucket(cache: usize, descriptor: usize, number: u32): void {
  const bucket = bucketOf(cache, load<u32>(descriptor), load<i32>(descriptor, PAGE));
  store<u32>(descriptor, load<u32>(bucket), NEXT);
  store<u32>(bucket, number + 1);
  const table = <usize>load<u32>(descriptor);
  store<u32>(table, load<u32>(table, TABLE_BUCKETED) + 1, TABLE_BUCKETED);
}

function leaveBucket(cache: usize, descriptor: usize, number: u32): void {
  let link = bucketOf(cache, load<u32>(descriptor), load<i32>(descriptor, PAGE));
  while (load<u32>(link) != number + 1) link = numbered(cache, load<u32>(link) - 1) + NEXT;
  store<u32>(link, load<u32>(descriptor, NEXT));
  const table = <usize>load<u32>(descriptor);
  store<u32>(table, load<u32>(table, TABLE_BUCKETED) - 1, TABLE_BUCKETED);
}

function bucketFrame(cache: usize, table: usize, page: i32): usize {
  let next = load<u32>(bucketOf(cache, table, page));
  while (next) {
    const descriptor = numbered(cache, next - 1);
    if (load<u32>(descriptor) == <u32>table && load<i32>(descriptor, PAGE) == page) return frameAt(cache, next - 1);
    next = load<u32>(descriptor, NEXT);
  }
  return 0;
}

function pinned(context: usize, frame: usize): bool {
  let cursor = context + CURSORS;
  for (let left = load<u32>(context, CURSOR_COUNT); left > 0; left--, cursor += CURSOR_BYTES) {
    if (load<u32>(cursor) == <u32>frame) return true;
  }
  return false;
}

/** What a ghost remembers of a page; never 0. */
// @ts-ignore: decorator
@inline
function markOf(table: usize, page: u32): u32 {
  return mixed(load<u32>(table, TABLE_FILE_ID), page) | 1;
}
// @ts-ignore: decorator
@inline
function ghostOf(cache: usize, mark: u32): usize {
  return <usize>load<u32>(cache, GHOSTS) + ((<usize>((mark >> 1) & (load<u32>(cache, MASK) * 2 + 1))) << 2);
}
// @ts-ignore: decorator
@inline
function bucketOf(cache: usize, table: usize, page: i32): usize {
  return <usize>load<u32>(cache, BUCKETS) + ((<usize>(mixed(<u32>table, page) & load<u32>(cache, MASK))) << 2);
}
// @ts-ignore: decorator
@inline
function mixed(a: u32, b: u32): u32 {
  const product = (a ^ (b * 0x9e3779b1)) * 0x85ebca6b;
  return product ^ (product >> 15);
}
// @ts-ignore: decorator
@inline
function numbered(cache: usize, number: u32): usize {
  return <usize>load<u32>(cache, DESCRIPTORS) + ((<usize>number) << DESCRIPTOR_SHIFT);
}
// @ts-ignore: decorator
@inline
function frameAt(cache: usize, number: u32): usize {
  return <usize>load<u32>(cache, FRAMES) + ((<usize>number) << PAGE_SHIFT);
}
// @ts-ignore: decorator
@inline
function descriptorOf(cache: usize, frame: usize): usize {
  return <usize>load<u32>(cache, DESCRIPTORS) + (((frame - <usize>load<u32>(cache, FRAMES)) >> PAGE_SHIFT) << DESCRIPTOR_SHIFT);
}
