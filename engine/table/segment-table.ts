/**
 * The host's side of assembly/segment-table.ts: which bytes of large values flush and merge keep and drop, by the segment that holds them.
 * Lives in linear memory while a job runs.
 */
import { SEGMENT_ENTRY_BYTES, SEGMENT_RELOCATE } from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { SegmentReference } from './table-meta.ts';

const ENTRIES_MIN = 16;
const FLAGS = 4;
const DEAD = 8;
const LIVE = 16;

export class SegmentTable {
  readonly address: number;
  /** A power of two with room to spare. */
  readonly entries: number;
  readonly #memory: LinearMemory;

  /** For at most `segments` different ones. */
  constructor(memory: LinearMemory, segments: number) {
    this.#memory = memory;
    let entries = ENTRIES_MIN;
    while (entries < segments * 2) entries *= 2;
    this.entries = entries;
    this.address = memory.allocate(this.#bytes);
    memory.u8.fill(0, this.address, this.address + this.#bytes);
  }

  /** The merge is to ask for a new place for each value in the segment. */
  markRelocate(segment: number): void {
    const entry = this.#memory.kernel['segmentEntry']!(this.address, this.entries, segment);
    assert(entry !== 0, 'the segment table has room');
    this.#memory.u32[(entry + FLAGS) >>> 2] = SEGMENT_RELOCATE;
  }

  /** Bytes kept since it was asked last, ascending by segment. */
  takeLive(): SegmentReference[] {
    return this.#take(LIVE);
  }

  /** Bytes dropped or moved away since it was asked last, ascending by segment. */
  takeDead(): SegmentReference[] {
    return this.#take(DEAD);
  }

  free(): void {
    this.#memory.free(this.address, this.#bytes);
  }

  get #bytes(): number {
    return this.entries * SEGMENT_ENTRY_BYTES;
  }

  #take(field: number): SegmentReference[] {
    const { u32, f64 } = this.#memory;
    const references: SegmentReference[] = [];
    for (let entry = this.address; entry < this.address + this.#bytes; entry += SEGMENT_ENTRY_BYTES) {
      const segment = u32[entry >>> 2]!;
      const bytes = f64[(entry + field) >>> 3]!;
      f64[(entry + field) >>> 3] = 0;
      if (segment !== 0 && bytes > 0) references.push({ segment, bytes });
    }
    return references.toSorted((a, b) => a.segment - b.segment);
  }
}
