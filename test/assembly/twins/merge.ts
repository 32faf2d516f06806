/** The twin of assembly/merge.ts: which versions a merge keeps, and the bytes that pointers hold. */
import { KIND_DELETE, KIND_POINTER } from '../../../assembly/memory-map.ts';
import type { SegmentReference } from '../../../engine/table/index.ts';
import type { KeyspaceRule } from '../../../engine/compaction/index.ts';
import type { RangeTombstone } from '../../../engine/manifest/index.ts';
import { compareVersions, type Version } from '../sources.ts';
import { asOf, plainValue } from './expiry.ts';
import { isLeftOut } from './keep-rules.ts';
import { oldestAbove } from './range-tombstones.ts';

/** In order. `snapshots`: sequence numbers that somebody reads at. */
export function survivors(
  versions: readonly Version[],
  snapshots: readonly number[],
  dropDeletes: boolean,
  nowMs: number = 0,
  tombstones: readonly RangeTombstone[] = [],
  rules: readonly KeyspaceRule[] = [],
): Version[] {
  const kept: Version[] = [];
  let newer: Version | undefined;
  for (const version of versions.map((each) => asOf(each, nowMs)).toSorted(compareVersions)) {
    const newest = newer && Buffer.compare(newer.key, version.key) === 0 ? newer.sequence : Infinity;
    const above = Math.min(newest, oldestAbove(tombstones, version.key, version.sequence));
    newer = version;
    // Who sees it: everybody from its sequence up to the one before the next newer version. `Infinity` stands for reads of the present.
    const seen = above === Infinity || snapshots.some((snapshot) => snapshot >= version.sequence && snapshot < above);
    const hides = !dropDeletes || snapshots.some((snapshot) => snapshot < version.sequence);
    if (!seen) continue;
    const isRead = snapshots.some((snapshot) => snapshot >= version.sequence && snapshot < above);
    const left = !isRead && isLeftOut(rules, version.key) ? { ...version, kind: KIND_DELETE, value: new Uint8Array(0), flags: 0 } : version;
    if (left.kind !== KIND_DELETE || hides) kept.push(version.kind === KIND_DELETE ? version : left);
  }
  return kept;
}

/** Bytes of values that the versions point to, by segment, ascending. */
export function bytesBySegment(versions: readonly Version[]): SegmentReference[] {
  const sums = new Map<number, number>();
  for (const version of versions) {
    if (version.kind !== KIND_POINTER) continue;
    const value = plainValue(version);
    const view = new DataView(value.buffer, value.byteOffset);
    sums.set(view.getUint32(0, true), (sums.get(view.getUint32(0, true)) ?? 0) + view.getUint32(4, true));
  }
  return [...sums].map(([segment, bytes]) => ({ segment, bytes })).toSorted((a, b) => a.segment - b.segment);
}
