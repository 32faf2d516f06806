/**
 * Value bytes by log segment, which flush and merge count as they keep or drop pointers; the host adds them to the manifest.
 *
 *   | segment id u32 | reserved u32 | bytes f64 | x count, ordered by segment id        the host lists every segment that can appear
 *
 * A pointer: | segment id u32 | value bytes u32 | offset u32 | reserved u32 | check u64 |   (docs/formats/log.md)
 */

/** Adds `sign` times the value bytes of a pointer to its segment. False when the segment is not listed: the caller's bug. */
export function liveBytesAdd(table: usize, count: i32, pointer: usize, sign: f64): bool {
  const segment = load<u32>(pointer);
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u32>(table + (<usize>middle << 4)) < segment) low = middle + 1;
    else high = middle;
  }
  const entry = table + (<usize>low << 4);
  if (low == count || load<u32>(entry) != segment) return false;
  store<f64>(entry, load<f64>(entry, 8) + sign * <f64>load<u32>(pointer, 4), 8);
  return true;
}
