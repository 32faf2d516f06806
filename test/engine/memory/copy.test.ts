import { expect, test } from 'vitest';
import { copyIn, copyOut } from '../../../engine/memory/copy.ts';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';

const SIZES = [0, 1, 7, 64, 511, 512, 513, 2047, 2048, 2049, 16_384, 100_001];

test.each(SIZES)('%i bytes go in and out of linear memory at any place, and nothing beside them', (bytes) => {
  const memory = new LinearMemory(16 * 2 ** 20);
  const area = memory.allocate(2 ** 18);
  // A view into something larger, as callers' values mostly are.
  const value = Uint8Array.from({ length: bytes + 8 }, (_, i) => (i * 31 + 7) & 0xff).subarray(3, 3 + bytes);
  for (const offset of [64, 65, 71, 4093]) {
    memory.u8.fill(0xee, area, area + 2 ** 18);
    copyIn(value, memory, area + offset);
    const around = memory.u8.slice(area, area + offset + bytes + 64);
    expect(Buffer.compare(around.subarray(offset, offset + bytes), value)).toBe(0);
    around.fill(0xee, offset, offset + bytes);
    expect(around.every((byte) => byte === 0xee)).toBe(true);

    const target = new Uint8Array(bytes + 16).fill(0xdd);
    copyOut(memory, area + offset, bytes, target, 5);
    expect(Buffer.compare(target.subarray(5, 5 + bytes), value)).toBe(0);
    target.fill(0xdd, 5, 5 + bytes);
    expect(target.every((byte) => byte === 0xdd)).toBe(true);
  }
});
