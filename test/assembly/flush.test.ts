import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BUILDER_BYTES,
  BUILDER_OUT,
  BUILDER_PINNED_BYTES,
  FLUSH_DONE,
  FLUSH_FAILED,
  PAGE_BYTES,
  SEGMENT_ENTRY_BYTES,
  WINDOW_FULL,
  WORK,
} from '../../assembly/memory-map.ts';
import { keyArbitrary } from './entries.ts';
import { KIND_DELETE, KIND_POINTER, KIND_PUT, Sources, pointer, put, type Version } from './sources.ts';
import type { RangeTombstone } from '../../engine/manifest/index.ts';
import { RangeTombstones } from '../../engine/range-tombstones.ts';
import { withExpiry } from './twins/expiry.ts';
import { bytesBySegment, survivors } from './twins/merge.ts';
import { decodePage } from './twins/page.ts';

const SEGMENT_ENTRIES = 16;
const NOW = 50;

interface Flushed {
  status: number;
  versions: Version[];
  /** Live bytes by segment. */
  live: Record<number, number>;
  pinnedBytes: number;
  steps: number;
}

/** Flushes a memtable through a window of a single page. */
function flush(
  versions: readonly Version[],
  snapshots: readonly number[],
  segmentEntries = SEGMENT_ENTRIES,
  nowMs = 0,
  tombstones: readonly RangeTombstone[] = [],
): Flushed {
  const sources = new Sources(80, 64 * 1024 * 1024);
  const { memory } = sources;
  const { kernel, u8, u32, f64 } = memory;
  const memtable = sources.addMemtable(versions);
  const builder = memory.allocateSmall(BUILDER_BYTES);
  const window = memory.allocate(3 * PAGE_BYTES);
  const areaBytes = 8 * 1024 * 1024;
  kernel['builderBegin']!(builder, 1, window, 3 * PAGE_BYTES, memory.allocate(areaBytes), areaBytes, memory.allocate(areaBytes), areaBytes);
  const snapshotsAt = memory.allocate(snapshots.length * 8 + 8);
  f64.set(snapshots, snapshotsAt >>> 3);
  const segments = memory.allocate(SEGMENT_ENTRIES * SEGMENT_ENTRY_BYTES);
  u8.fill(0, segments, segments + SEGMENT_ENTRIES * SEGMENT_ENTRY_BYTES);
  const ranges = new RangeTombstones(memory);
  ranges.reset(tombstones, snapshots);
  const flushed: Version[] = [];
  let steps = 0;
  const take = (): void => {
    const out = u32[(builder + BUILDER_OUT) >>> 2]!;
    for (let page = window; page < out; page += PAGE_BYTES) {
      for (const { flags, ...entry } of decodePage(u8.slice(page, page + PAGE_BYTES))) flushed.push({ ...entry, ...(flags && { flags }) });
    }
    kernel['builderRewind']!(builder);
  };
  kernel['flushBegin']!(WORK, memtable.address, nowMs, ranges.address);
  let status: number;
  do {
    status = kernel['flushStep']!(WORK, builder, snapshotsAt, snapshots.length, segments, segmentEntries);
    steps++;
    if (status === WINDOW_FULL) take();
  } while (status === WINDOW_FULL);
  kernel['builderFinish']!(builder);
  take();
  const live: Record<number, number> = {};
  for (let entry = segments; entry < segments + SEGMENT_ENTRIES * SEGMENT_ENTRY_BYTES; entry += SEGMENT_ENTRY_BYTES) {
    const segment = u32[entry >>> 2]!;
    if (segment !== 0) live[segment] = f64[(entry + 16) >>> 3]!;
  }
  const pinnedBytes = Number(memory.view.getBigUint64(builder + BUILDER_PINNED_BYTES, true));
  return { status, versions: flushed, live, pinnedBytes, steps };
}

const rangesArbitrary = fc.oneof(fc.constant([]), fc.array(fc.tuple(fc.nat(59), fc.nat(59), fc.nat(1200)), { maxLength: 6 }));

describe('flush', () => {
  test('keeps the newest version of each key and what snapshots can see', () => {
    const draft = fc.record({
      key: keyArbitrary,
      kind: fc.constantFrom(KIND_PUT, KIND_PUT, KIND_POINTER, KIND_DELETE),
      bytes: fc.nat(600),
      expiry: fc.option(fc.nat(100), { nil: undefined }),
      repeat: fc.integer({ min: 1, max: 30 }),
    });
    const snapshots = fc.uniqueArray(fc.nat(1200), { maxLength: 12 }).map((all) => all.sort((a, b) => a - b));
    fc.assert(
      fc.property(
        fc.array(draft, { minLength: 1, maxLength: 60, size: 'max' }),
        snapshots,
        rangesArbitrary,
        (drafts, seen, rangeDrafts) => {
          const versions = drafts
            .flatMap(({ repeat, ...each }) => Array.from({ length: repeat }, () => each))
            .map(({ key, kind, bytes, expiry }, i): Version => {
              const sequence = 2 * i + 1;
              const plain: Version =
                kind === KIND_POINTER
                  ? { ...pointer('', sequence, 1 + (i % 5), bytes), key }
                  : { key, sequence, kind, value: new Uint8Array(kind === KIND_DELETE ? 0 : bytes).fill(i) };
              return expiry === undefined || kind === KIND_DELETE ? plain : withExpiry(plain, expiry);
            });
          const tombstones = rangeDrafts.flatMap(([i, j, sequence]): RangeTombstone[] => {
            const [a, b] = [drafts[i % drafts.length]!.key, drafts[j % drafts.length]!.key].toSorted((x, y) => Buffer.compare(x, y));
            return Buffer.compare(a!, b!) === 0 ? [] : [{ start: a!, end: b!, sequence: sequence + 1 }];
          });
          const kept = survivors(versions, seen, false, NOW, tombstones);
          const live: Record<number, number> = {};
          for (const { segment, bytes } of bytesBySegment(kept)) live[segment] = bytes;
          const newest = new Set(
            survivors(versions, [], false, NOW, tombstones).map(({ key, sequence }) => `${Buffer.from(key).toString('hex')} ${sequence}`),
          );
          const older = kept.filter(({ key, sequence }) => !newest.has(`${Buffer.from(key).toString('hex')} ${sequence}`));
          const pinned = older.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
          const flushed = flush(versions, seen, SEGMENT_ENTRIES, NOW, tombstones);
          expect(flushed.pinnedBytes).toBe(pinned + bytesBySegment(older).reduce((sum, { bytes }) => sum + bytes, 0));
          expect(flushed.status).toBe(FLUSH_DONE);
          expect(flushed.versions).toEqual(kept);
          expect(flushed.live).toEqual(live);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('goes on within the versions of one key when the window is full', () => {
    const versions = Array.from({ length: 200 }, (_, i) => put('k', i + 1, 'v'.repeat(900)));
    const flushed = flush(
      versions,
      versions.map(({ sequence }) => sequence),
    );
    expect(flushed.versions).toEqual(versions.toReversed());
    expect(flushed.steps).toBeGreaterThan(20);
  });

  test('of a memtable without records is done at once', () => {
    expect(flush([], [])).toEqual({ status: FLUSH_DONE, versions: [], live: {}, pinnedBytes: 0, steps: 1 });
  });

  test('says when the segment table is full', () => {
    expect(flush([pointer('a', 1, 1, 10), pointer('b', 2, 2, 10), pointer('c', 3, 3, 10)], [], 2).status).toBe(FLUSH_FAILED);
    expect(flush([put('a', 1)], [], 2).status).toBe(FLUSH_DONE);
  });
});
