/**
 * Counts bytes of large values by the segment that holds them, for flush and merge. An open-addressed table of a power of two of entries,
 * which the host makes larger than the number of segments that can appear, and clears:
 *
 *   | segment id u32 | flags u32 | dead bytes f64 | live bytes f64 | reserved u64 |      an entry; segment id 0: free
 *
 * A pointer's first words are segment id u32 and value bytes u32 (docs/formats/log.md).
 */
import { SEGMENT_ENTRY_BYTES } from './memory-map';

/** The entry of a segment, made when there is none yet; 0 when the table is full. */
export function segmentEntry(table: usize, entries: u32, segment: u32): usize {
  const mask = entries - 1;
  let at = (segment * 0x9e3779b1) >> 7;
  for (let probes: u32 = 0; probes < entries; probes++, at++) {
    const entry = table + <usize>(at & mask) * SEGMENT_ENTRY_BYTES;
    const owner = load<u32>(entry);
    if (owner == segment) return entry;
    if (owner == 0) {
      store<u32>(entry, segment);
      return entry;
    }
  }
  return 0;
}

// @ts-ignore: decorator
@inline
export function segmentFlags(entry: usize): i32 {
  return load<i32>(entry, 4);
}
/** A version that pointed to `bytes` of the segment is dropped, or points elsewhere now. */
// @ts-ignore: decorator
@inline
export function segmentDied(entry: usize, bytes: u32): void {
  store<f64>(entry, load<f64>(entry, 8) + <f64>bytes, 8);
}
/** A version that points to `bytes` of the segment is in the output. */
// @ts-ignore: decorator
@inline
export function segmentLives(entry: usize, bytes: u32): void {
  store<f64>(entry, load<f64>(entry, 16) + <f64>bytes, 16);
}
