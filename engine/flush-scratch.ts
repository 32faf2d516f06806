/**
 * What a flush takes beside its memtable: window and builder; for each record its hash (twice) and share of the filter; for each byte its
 * share of the index, which is a guess: when it was too small, the flush is done again with twice as much (maintenance/flushes.ts).
 */
const BYTES = 4 * 1024 * 1024;
const BYTES_PER_RECORD = 20;
const SHARE = 1 / 16;
/** Range tombstones: fragments in pieces of a few sizes, up to two for each. */
const BYTES_FOR_RANGES = 1024 * 1024;
const BYTES_PER_RANGE = 512;
/** The smallest record: header and key. */
const RECORD_BYTES_MIN = 24;
const UNIT_BYTES = 65536;
/** What an allocation of whole units has at its end. */
const SLACK_BYTES = 64;

export function flushScratchBytes(memtable: { records: number; bytes: number; rangeTombstones: number }): number {
  const { records, rangeTombstones } = memtable;
  const ranges = rangeTombstones === 0 ? 0 : BYTES_FOR_RANGES + rangeTombstones * BYTES_PER_RANGE;
  const bytes = BYTES + records * BYTES_PER_RECORD + memtable.bytes * SHARE + ranges;
  return Math.ceil(bytes / UNIT_BYTES) * UNIT_BYTES - SLACK_BYTES;
}

/** For any memtable of so many bytes that has but a few range deletes: what is set aside for it. */
export function flushScratchBytesMax(memtableBytes: number): number {
  return flushScratchBytes({ records: memtableBytes / RECORD_BYTES_MIN, bytes: memtableBytes, rangeTombstones: 1 });
}
