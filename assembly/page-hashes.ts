/**
 * The hashes of a page's keys, for whoever checks a table against itself: the tags of the page and the filter are made of them.
 * Twin: test/assembly/twins/hash-key.ts.
 */
import { copy, hashKey } from './key';
import { pageCount, pagePrefix, pagePrefixBytes, pageSlots } from './page';

/**
 * Stores hashKey of each entry's whole key (u64 x count) at `hashes`; returns the count. `key`: room for the longest key and SLACK_BYTES,
 * in which keys are put together. The page is well-formed.
 */
export function pageHashes(page: usize, key: usize, hashes: usize): i32 {
  const count = pageCount(page);
  const prefixBytes = pagePrefixBytes(page);
  const slots = pageSlots(page, count);
  copy(key, pagePrefix(page, count), prefixBytes);
  for (let entry: usize = 0; entry < <usize>count; entry++) {
    const slot = load<u32>(slots + (entry << 2));
    const suffixBytes = <i32>(slot >> 16);
    copy(key + prefixBytes, page + (slot & 0xffff), suffixBytes);
    store<u64>(hashes + (entry << 3), hashKey(key, prefixBytes + suffixBytes));
  }
  return count;
}
