/**
 * Finds a key in a page (assembly/page.ts): 16 tags at a time are compared with the key's, and only entries whose tag is the same
 * are looked at. About 40 ns in a page that lies in the processor's cache. Twin: test/assembly/twins/page.ts.
 */
import { commonBytes, hashKey, hashTag } from './key';
import { bodySequence, pageCount, pagePrefix, pagePrefixBytes, pageSlots, pageTags } from './page';

/**
 * The entry with the newest version of the key whose sequence is at most `sequence`, or -1. `hash` is the key's hashKey.
 * Versions of the last key may go on in the next page: see tableKeyContinues.
 */
export function pageFind(page: usize, key: usize, keyBytes: i32, hash: u64, sequence: u64): i32 {
  const count = pageCount(page);
  const prefixBytes = pagePrefixBytes(page);
  const suffixBytes = keyBytes - prefixBytes;
  if (suffixBytes < 0) return -1;
  const suffix = key + prefixBytes;
  const tags = pageTags(page);
  const slots = pageSlots(page, count);
  const tag = i8x16.splat(<i8>hashTag(hash));
  for (let base = 0; base < count; base += 16) {
    let same = i8x16.bitmask(i8x16.eq(v128.load(tags + base), tag));
    while (same) {
      const entry = base + ctz(same);
      same &= same - 1;
      // The padding's tags are 0, which may be the key's.
      if (entry >= count) return -1;
      const slot = load<u32>(slots + ((<usize>entry) << 2));
      if (<i32>(slot >> 16) != suffixBytes) continue;
      const at = page + (slot & 0xffff);
      if (commonBytes(at, suffix, suffixBytes) != suffixBytes) continue;
      if (commonBytes(pagePrefix(page, count), key, prefixBytes) != prefixBytes) return -1;
      if (bodySequence(load<u64>(at + suffixBytes)) <= sequence) return entry;
    }
  }
  return -1;
}

/** Whether the key is the last one of the page. */
export function pageEndsWith(page: usize, key: usize, keyBytes: i32): bool {
  const count = pageCount(page);
  const prefixBytes = pagePrefixBytes(page);
  const slot = load<u32>(pageSlots(page, count) + ((<usize>(count - 1)) << 2));
  const suffixBytes = <i32>(slot >> 16);
  return (
    prefixBytes + suffixBytes == keyBytes &&
    commonBytes(page + (slot & 0xffff), key + prefixBytes, suffixBytes) == suffixBytes &&
    commonBytes(pagePrefix(page, count), key, prefixBytes) == prefixBytes
  );
}

/** pageFind for the host, whose numbers are f64. */
export function pageFindKey(page: usize, key: usize, keyBytes: i32, sequence: f64): i32 {
  return pageFind(page, key, keyBytes, hashKey(key, keyBytes), <u64>sequence);
}

/** Address of an entry's body word. */
// @ts-ignore: decorator
@inline
export function pageBody(page: usize, count: i32, entry: i32): usize {
  const slot = load<u32>(pageSlots(page, count) + ((<usize>entry) << 2));
  return page + (slot & 0xffff) + (slot >> 16);
}

/** Bytes of an entry's value, where `body` is its pageBody. */
// @ts-ignore: decorator
@inline
export function pageValueBytes(page: usize, count: i32, entry: i32, body: usize): i32 {
  const next = load<u32>(pageSlots(page, count) + ((<usize>entry) << 2), 4) & 0xffff;
  return <i32>(page + next - body) - 8;
}
