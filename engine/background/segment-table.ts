/** The host's side of assembly/segment-table.ts: how large to make it, and what it counted. */
import { SEGMENT_ENTRY_BYTES } from '../../assembly/memory-map.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { SegmentReference } from '../table/index.ts';

/** A power of two with room to spare for `segments`. */
export function segmentTableEntries(segments: number): number {
  let entries = 16;
  while (entries < segments * 2) entries *= 2;
  return entries;
}

/** Live bytes by segment, ascending, those with none left out. */
export function segmentReferences(memory: LinearMemory, table: number, entries: number): SegmentReference[] {
  const references: SegmentReference[] = [];
  for (let entry = table; entry < table + entries * SEGMENT_ENTRY_BYTES; entry += SEGMENT_ENTRY_BYTES) {
    const segment = memory.u32[entry >>> 2]!;
    const bytes = memory.f64[(entry + 16) >>> 3]!;
    if (segment !== 0 && bytes > 0) references.push({ segment, bytes });
  }
  return references.toSorted((a, b) => a.segment - b.segment);
}
