import { describe, expect, test } from 'vitest';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';

const BYTES = 32 * 2 ** 20;
const UNIT = 65536;

describe('cleared memory', () => {
  test('is zeros, whatever part of it has been used before', () => {
    const memory = new LinearMemory(BYTES);
    const dirty = 3 * UNIT - 64;
    const first = memory.allocate(dirty);
    memory.u8.fill(0xff, first, first + dirty);
    memory.free(first, dirty);
    // The freed run is too small for it: together with what was never used it is not, once the two are merged.
    const bytes = memory.freeBytes - 2 * UNIT;
    const address = memory.allocateCleared(bytes);
    expect(address).toBe(first);
    expect(memory.u8.subarray(address, address + bytes).every((byte) => byte === 0)).toBe(true);
  });

  test('of a lent range is zeros too', () => {
    const owner = new LinearMemory(BYTES);
    const from = owner.allocate(8 * UNIT - 64);
    owner.u8.fill(0xff, from, from + 8 * UNIT);
    const borrower = new LinearMemory(BYTES, { memory: owner.memory, from, to: from + 8 * UNIT });
    const address = borrower.allocateCleared(UNIT);
    expect(owner.u8.subarray(address, address + UNIT).every((byte) => byte === 0)).toBe(true);
    expect(owner.u8[address + 2 * UNIT]).toBe(0xff);
  });
});

describe('freed memory', () => {
  test('is put together again before memory is taken that was never used', () => {
    const memory = new LinearMemory(BYTES);
    const bytes = UNIT - 64;
    const pieces = Array.from({ length: 12 }, () => memory.allocate(bytes));
    const behind = memory.allocate(bytes);
    const touched = memory.touchedBytes;
    for (const address of pieces) memory.free(address, bytes);
    for (let round = 0; round < 20; round++) {
      // Of other sizes each time: first fits alone would cut the pieces ever smaller.
      const sizes = [2 + (round % 3), 3, 1 + (round % 2)].map((units) => units * UNIT - 64);
      const taken = sizes.map((size) => [memory.allocate(size), size] as const);
      for (const [address, size] of taken) memory.free(address, size);
    }
    expect(memory.touchedBytes).toBe(touched);
    expect(memory.allocate(12 * UNIT - 64)).toBe(pieces[0]);
    expect(behind).toBe(pieces[11]! + UNIT);
  });
});
