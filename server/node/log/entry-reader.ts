/**
 * Reads entries of one group again: out of the cache, else out of the segments, with one read for what lies close together. What is read is
 * verified: checksum, group, index and term.
 *
 * Called by group-log.ts.
 */
import type { LogEntry } from '../../raft/index.ts';
import type { EntryCache } from './entry-cache.ts';
import type { EntryPlace } from './entry-places.ts';
import { decodeEntry, isEntry } from './frame-kinds.ts';
import type { GroupState } from './group-state.ts';
import { decodeFrame, FRAME_HEADER_BYTES, frameBytes } from './log-format.ts';
import { corruptLog } from './recovery.ts';
import type { SegmentFiles } from './segment-files.ts';

/** Frames of other groups in between are read along when they take no more than this. */
const GAP_BYTES: number = 16 * 1024;
const READ_BYTES_MAX: number = 4 * 1024 * 1024;

/** Entries from `from` to `to` at most, as many as fit in `bytesMax`, at least one. They are in the log. */
export async function readEntries(
  state: GroupState,
  from: number,
  to: number,
  bytesMax: number,
  cache: EntryCache,
  segments: SegmentFiles,
): Promise<LogEntry[]> {
  const wanted: { index: number; term: number; place: EntryPlace; cached: LogEntry | undefined }[] = [];
  let bytes = 0;
  for (let index = from; index <= to && state.has(index); index++) {
    const place = state.place(index);
    bytes += place.bytes;
    if (wanted.length > 0 && bytes > bytesMax) break;
    wanted.push({ index, term: state.term(index)!, place, cached: cache.get(state.id, index) });
  }
  const entries: LogEntry[] = [];
  for (let i = 0; i < wanted.length;) {
    const { cached, place } = wanted[i]!;
    if (cached !== undefined) {
      entries.push(cached);
      i++;
      continue;
    }
    let end = place.offset + frameBytes(place.bytes);
    let count = 1;
    for (; i + count < wanted.length; count++) {
      const { place: next, cached: held } = wanted[i + count]!;
      const nextEnd = next.offset + frameBytes(next.bytes);
      if (held !== undefined || next.segment !== place.segment || next.offset < end || next.offset - end > GAP_BYTES) break;
      if (nextEnd - place.offset > READ_BYTES_MAX) break;
      end = nextEnd;
    }
    const opened = segments.openForReading(place.segment);
    // Compacted away since: nobody needs it any more.
    if (opened === undefined) break;
    const { file, path, close } = opened;
    try {
      const source = Buffer.allocUnsafe(end - place.offset);
      const read = await file.read(source, 0, source.length, place.offset);
      const seal = segments.seal(place.segment);
      for (const each of wanted.slice(i, i + count)) {
        const { offset, bytes: dataBytes } = each.place;
        const at = offset - place.offset;
        const found = at + FRAME_HEADER_BYTES + dataBytes <= read ? decodeFrame(source.subarray(0, read), at, seal) : undefined;
        if (
          found === undefined ||
          !isEntry(found.kind) ||
          found.group !== state.id ||
          found.index !== each.index ||
          found.term !== each.term
        )
          throw corruptLog(path, offset, `entry ${each.index} of group ${state.id} does not verify`);
        entries.push(decodeEntry(found));
      }
    } finally {
      close();
    }
    i += count;
  }
  return entries;
}
