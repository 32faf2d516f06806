import { describe, expect, it } from 'vitest';
import { BLOCK_HEADER_BYTES, type PickerVersion } from '../../../engine/compaction/index.ts';
import { compactionDebt, reclaimable, type Situation } from '../../../engine/metrics/reclaimable.ts';
import { LEVELS_MAX } from '../../../engine/manifest/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';

const table = (overrides: Partial<TableMeta>): TableMeta => ({
  fileId: 1,
  bytes: 8000,
  pages: 1,
  entries: 100,
  tombstones: 0,
  smallest: Uint8Array.of(0),
  largest: Uint8Array.of(255),
  minSequence: 1,
  maxSequence: 100,
  densePages: 0,
  pinnedBytes: 0,
  clearedTo: 0,
  references: [],
  ...overrides,
});

function versionOf(
  levels: readonly (readonly TableMeta[])[],
  files: readonly { bytes: number; liveBytes: number }[] = [],
): Pick<PickerVersion, 'levels' | 'segments'> {
  return {
    levels: Array.from({ length: LEVELS_MAX }, (_, level) => levels[level] ?? []),
    segments: new Map(files.map(({ bytes, liveBytes }, i) => [i, { bytes: bytes + BLOCK_HEADER_BYTES, liveBytes }])),
  };
}

const SETTINGS = { garbageRatio: 0.3, expiryLagMs: 10_000 };
const NOW: Situation = { oldestSnapshot: Infinity, nowMs: 1000, debtBytes: 500, compactionBytesPerMs: 100 };
const NONE = { bytes: 0, due: false, inMs: undefined };

describe('what can be reclaimed', () => {
  it('is nothing in an empty store', () => {
    expect(reclaimable(versionOf([]), SETTINGS, NOW)).toEqual({ garbage: NONE, deleted: NONE, expired: NONE });
  });

  it('garbage: what block files hold beyond what is referred to; due when one is over the ratio, after its live values are moved', () => {
    const within = versionOf([], [{ bytes: 1000, liveBytes: 700 }]);
    expect(reclaimable(within, SETTINGS, NOW).garbage).toEqual({ bytes: 300, due: false, inMs: undefined });
    const over = versionOf(
      [],
      [
        { bytes: 1000, liveBytes: 700 },
        { bytes: 1000, liveBytes: 650 },
      ],
    );
    expect(reclaimable(over, SETTINGS, NOW).garbage).toEqual({ bytes: 650, due: true, inMs: (500 + 2 * 650) / 100 });
    expect(reclaimable(over, SETTINGS, { ...NOW, compactionBytesPerMs: undefined }).garbage).toEqual({
      bytes: 650,
      due: true,
      inMs: undefined,
    });
  });

  it('deletes: themselves, and one entry of the levels below for each, as long as there are any', () => {
    const below = table({ fileId: 2, entries: 10, bytes: 1000, references: [{ segment: 1, bytes: 9000 }] });
    // 5 x 80 bytes of the table's own, and 5 of 10 entries of 1,000 bytes.
    expect(reclaimable(versionOf([[table({ tombstones: 5 })], [], [below]]), SETTINGS, NOW).deleted).toMatchObject({ bytes: 400 + 5000 });
    expect(reclaimable(versionOf([[table({ tombstones: 50 })], [], [below]]), SETTINGS, NOW).deleted).toMatchObject({
      bytes: 4000 + 10_000,
    });
    // Nothing is below: they hide nothing.
    expect(reclaimable(versionOf([[], [table({ tombstones: 5 })]]), SETTINGS, NOW).deleted).toMatchObject({ bytes: 400, due: false });
  });

  it('deletes: due when a table below level 0 has little else and no snapshot keeps them', () => {
    const version = versionOf([[], [table({ tombstones: 51 })]]);
    expect(reclaimable(version, SETTINGS, NOW).deleted).toEqual({ bytes: 4080, due: true, inMs: (500 + 16_000) / 100 });
    expect(reclaimable(version, SETTINGS, { ...NOW, oldestSnapshot: 99 }).deleted).toMatchObject({ due: false });
    expect(reclaimable(versionOf([[table({ tombstones: 51 })]]), SETTINGS, NOW).deleted).toMatchObject({ due: false });
  });

  it.each([
    [500, 0],
    [1000, 0],
    [1500, 250],
    [3000, 1000],
    [9000, 1000],
  ])('expired at %i ms, of 1,000 bytes that expire from 1,000 to 3,000 ms: %i bytes', (nowMs, bytes) => {
    const version = versionOf([[table({ expiring: { entries: 10, bytes: 1000, earliestMs: 1000, latestMs: 3000 } })], [table({})]]);
    expect(reclaimable(version, SETTINGS, { ...NOW, nowMs }).expired).toMatchObject({ bytes, due: false });
  });

  it('expired: due where it is much, or long ago', () => {
    const version = versionOf([[table({ expiring: { entries: 10, bytes: 1000, earliestMs: 1000, latestMs: 3000 } })]]);
    const due = { due: true, inMs: (500 + 16_000) / 100 };
    expect(reclaimable(version, SETTINGS, { ...NOW, nowMs: 10_999 }).expired).toMatchObject({ due: false, inMs: undefined });
    expect(reclaimable(version, SETTINGS, { ...NOW, nowMs: 11_000 }).expired).toMatchObject(due);
    expect(reclaimable(version, { ...SETTINGS, garbageRatio: 0.1 }, { ...NOW, nowMs: 3000 }).expired).toMatchObject(due);
  });

  it('expires at once where everything has the same time', () => {
    const version = versionOf([[table({ expiring: { entries: 10, bytes: 70, earliestMs: 1000, latestMs: 1000 } })]]);
    expect(reclaimable(version, SETTINGS, NOW).expired.bytes).toBe(70);
  });
});

describe('the debt of compaction', () => {
  it('is level 0 once it is due, and what other levels hold beyond their share', () => {
    const level0 = { tables: 3, bytes: 300, bytesMax: undefined };
    const rest = [
      { tables: 9, bytes: 150, bytesMax: 100 },
      { tables: 9, bytes: 900, bytesMax: 1000 },
      { tables: 9, bytes: 9999, bytesMax: undefined },
    ];
    expect(compactionDebt([level0, ...rest], 4)).toBe(50);
    expect(compactionDebt([{ ...level0, tables: 4 }, ...rest], 4)).toBe(350);
    expect(compactionDebt([], 4)).toBe(0);
  });
});
