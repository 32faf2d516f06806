/** Frames that nobody of ours wrote, behind checksums that hold: what the kernel lets nobody walk. */
import { describe, expect, test } from 'vitest';
import { FRAME_HEADER_BYTES, KIND_PUT, RECORD_HEADER_BYTES } from '../../assembly/memory-map.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';

const RECORD_BYTES: number = RECORD_HEADER_BYTES + 8;
const memory: LinearMemory = new LinearMemory(32 * 2 ** 20);

/** Whether a frame of one put, of key `k` and value `v`, is sound with this sequence number. */
function soundWith(sequence: bigint): boolean {
  const { kernel, u8, view } = memory;
  const frame = memory.allocate(FRAME_HEADER_BYTES + RECORD_BYTES);
  const record = frame + FRAME_HEADER_BYTES;
  u8.fill(0, record, record + RECORD_BYTES);
  view.setUint32(record, 1, true);
  view.setUint16(record + 4, 1, true);
  view.setUint8(record + 6, KIND_PUT);
  view.setBigUint64(record + 8, sequence, true);
  u8.set(Buffer.from('kv'), record + RECORD_HEADER_BYTES);
  kernel['sealFrame']!(frame, RECORD_BYTES, 0, 0, 1, 1);
  const sound = kernel['checkRecords']!(frame) === 1;
  memory.free(frame, FRAME_HEADER_BYTES + RECORD_BYTES);
  return sound;
}

describe('records of a frame', () => {
  test('have sequence numbers that can be counted on from', () => {
    expect(soundWith(1n)).toBe(true);
    expect(soundWith(2n ** 53n - 2n)).toBe(true);
    for (const sequence of [0n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) expect(soundWith(sequence)).toBe(false);
  });
});
