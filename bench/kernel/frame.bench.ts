/**
 * Frames: a batch sealed for the log, found sound again at recovery, and taken into a memtable there. 100 records of 16-byte keys and 100-byte values; one of
 * a put.
 */
import { bench, do_not_optimize, group } from 'mitata';
import { FRAME_HEADER_BYTES, KIND_PUT, RECORD_HEADER_BYTES } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { Memtable } from '../../engine/memtable/index.ts';

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
  group(records === 1 ? 'frame of one record' : `frame of ${records} records`, () => {
    bench('sealed', () => do_not_optimize(seal()));
    bench('checked at recovery', () =>
      do_not_optimize(kernel['checkFrame']!(frame, bytes + FRAME_HEADER_BYTES, SEGMENT) + kernel['checkRecords']!(frame)));
  });
}

/** So many records in frames of so many each, keys in random order, as a log has them. */
const LOG_RECORDS = 20_000;

function logOf(recordsEach: number): Uint8Array {
  const bytes = recordsEach * RECORD_BYTES;
  const image = new Uint8Array((LOG_RECORDS / recordsEach) * (FRAME_HEADER_BYTES + bytes));
  const { frame } = frameOf(recordsEach);
  for (let i = 0, at = 0, state = 12345; i < LOG_RECORDS; i += recordsEach, at += FRAME_HEADER_BYTES + bytes) {
    for (let j = 0; j < recordsEach; j++) {
      // A generator of Park and Miller: the same keys in each run.
      state = (state * 48271) % 2147483647;
      const record = frame + FRAME_HEADER_BYTES + j * RECORD_BYTES;
      u8.set(Buffer.from(String(state).padStart(KEY_BYTES, '0')), record + RECORD_HEADER_BYTES);
      memory.view.setBigUint64(record + 8, BigInt(i + 1), true);
    }
    kernel['sealFrame']!(frame, bytes, 0, 0, recordsEach, SEGMENT);
    image.set(u8.subarray(frame, frame + FRAME_HEADER_BYTES + bytes), at);
  }
  return image;
}

group(`${LOG_RECORDS.toLocaleString('en')} records, replayed`, () => {
  for (const recordsEach of [1, 100]) {
    const image = logOf(recordsEach);
    bench(`in frames of ${recordsEach}`, () => {
      const memtable = new Memtable(memory, SEGMENT);
      const from = memtable.reserve(image.length);
      u8.set(image, from);
      for (let done = 0; done < image.length;) {
        done += memtable.replay(from + done, image.length - done, SEGMENT, 0).bytes;
        memtable.addNodeChunk();
      }
      memtable.free();
    });
  }
});
