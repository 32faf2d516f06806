import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readVarint, VARINT_BYTES_MAX, varintBytes, writeVarint } from '../../base/varint.ts';

describe('varint', () => {
  it('comes back as it was, in the bytes that were announced', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.maxSafeNat(),
          fc.nat(300),
          fc.nat(53).map((bits) => 2 ** bits - 1),
        ),
        (value) => {
          const bytes = new Uint8Array(12);
          const end = writeVarint(bytes, 2, value);
          expect(end - 2).toBe(varintBytes(value));
          expect(end - 2).toBeLessThanOrEqual(VARINT_BYTES_MAX);
          const cursor = { bytes, offset: 2, end };
          expect(readVarint(cursor)).toBe(value);
          expect(cursor.offset).toBe(end);
          expect(readVarint({ bytes, offset: 2, end: end - 1 })).toBeUndefined();
        },
      ),
    );
  });

  it('has golden bytes', () => {
    const bytes = new Uint8Array(8);
    expect([...bytes.subarray(0, writeVarint(bytes, 0, 300))]).toEqual([0xac, 0x02]);
    expect([...bytes.subarray(0, writeVarint(bytes, 0, Number.MAX_SAFE_INTEGER))]).toEqual([255, 255, 255, 255, 255, 255, 255, 15]);
  });

  it('refuses what is too large, endless or not the shortest form', () => {
    const read = (...bytes: number[]): number | undefined => readVarint({ bytes: Uint8Array.from(bytes), offset: 0, end: bytes.length });
    expect(read(255, 255, 255, 255, 255, 255, 255, 16)).toBeUndefined();
    expect(read(255, 255, 255, 255, 255, 255, 255, 255, 1)).toBeUndefined();
    expect(read(0x80, 0)).toBeUndefined();
    expect(read()).toBeUndefined();
    expect(() => writeVarint(new Uint8Array(8), 0, -1)).toThrow('a varint holds');
    expect(() => writeVarint(new Uint8Array(8), 0, 2 ** 53)).toThrow('a varint holds');
  });
});
