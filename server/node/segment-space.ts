/**
 * Which segments of the node's log are worth emptying. The log has dropped them, and engines keep them under names of their own, for the large values in
 * them: whole, though some of those values are of no use any more, and what lay between them, small values and the frames, never was.
 *
 *   segment    | frame, value ....... | value, overwritten | small values ...... | value ....... |
 *              <---- live ----------->                                           <--- live ----->      the rest is waste
 *
 * An engine empties its own part of a segment when most of that is garbage; here all that a segment costs is looked at, whoever wrote it. As in the engine
 * (compaction/picker.ts) more waste is borne while the log is written to, as moving values costs the writers; and of all bytes a part at a time.
 * So where large values are less than two thirds of what is written they are written twice, and the space is theirs alone.
 *
 * Pure. Used by log-space.ts.
 */

export interface HeldSegment {
  readonly segment: number;
  /** What it takes on the disk. */
  readonly bytes: number;
  /** What engines still point to. */
  readonly liveBytes: number;
}

/** So much of a segment may be waste at rest, and of all of them together under load. */
const WASTE_RESTING = 0.3;
const WASTE_LOADED = 0.4;
/** Live values of so many bytes for each byte that is held are moved at a time. */
const MOVED_SHARE_MAX = 1 / 8;

/** Segments that are to be emptied now, the emptiest first. Each time it is carried out, something else is left. */
export function wasteful(held: readonly HeldSegment[], loaded: boolean): number[] {
  const bytes = held.reduce((sum, segment) => sum + segment.bytes, 0);
  const liveBytes = held.reduce((sum, segment) => sum + segment.liveBytes, 0);
  const share = loaded ? WASTE_LOADED : WASTE_RESTING;
  if (loaded && liveBytes >= bytes * (1 - share)) return [];
  const over = held.filter((segment) => segment.liveBytes < segment.bytes * (1 - share));
  over.sort((a, b) => a.liveBytes / a.bytes - b.liveBytes / b.bytes || a.segment - b.segment);
  const chosen: number[] = [];
  let moved = 0;
  for (const segment of over) {
    if (chosen.length > 0 && moved + segment.liveBytes > bytes * MOVED_SHARE_MAX) break;
    moved += segment.liveBytes;
    chosen.push(segment.segment);
  }
  return chosen;
}
