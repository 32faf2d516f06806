/** Frames: a batch sealed for the log, and found sound again at recovery. 100 records of 16-byte keys and 100-byte values; one of a put. */
import { bench, do_not_optimize, group } from 'mitata';
import { FRAME_HEADER_BYTES, KIND_PUT, RECORD_HEADER_BYTES } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';

const KEY_BYTES = 16;
const VALUE_BYTES = 100;
const RECORD_BYTES = (RECORD_HEADER_BYTES + KEY_BYTES + VALUE_BYTES + 7) & ~7;
const SEGMENT = 7;
const memory = new LinearMemory(64 * 2 ** 20);
const { kernel, u8, u32 } = memory;

/** A frame with its records laid out, as the writer leaves it. */
function frameOf(records: number): { frame: number; bytes: number } {
  const bytes = records * RECORD_BYTES;
  const frame = memory.allocate(FRAME_HEADER_BYTES + bytes);
  for (let i = 0; i < records; i++) {
    const record = frame + FRAME_HEADER_BYTES + i * RECORD_BYTES;
    u32[record >>> 2] = VALUE_BYTES;
    u32[(record >>> 2) + 1] = KEY_BYTES | (KIND_PUT << 16);
    u8.fill(i, record + RECORD_HEADER_BYTES, record + RECORD_BYTES);
  }
  return { frame, bytes };
}

for (const records of [1, 100]) {
  const { frame, bytes } = frameOf(records);
  const seal = (): number => kernel['sealFrame']!(frame, bytes, 0, 0, records, SEGMENT);
  seal();
  group(`frame of ${records} records`, () => {
    bench('sealed', () => do_not_optimize(seal()));
    bench('checked at recovery', () =>
      do_not_optimize(kernel['checkFrame']!(frame, bytes + FRAME_HEADER_BYTES, SEGMENT) + kernel['checkRecords']!(frame)));
  });
}
