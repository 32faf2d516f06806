/** Keys map one to one onto the engine's, in the same order, and come back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { givenKey, storedKey } from '../../level/stored-key.ts';

const key = fc.oneof(
  fc.uint8Array({ maxLength: 6 }),
  fc.array(fc.constantFrom(0, 1), { maxLength: 6 }).map((bytes) => Uint8Array.from(bytes)),
);
const stored = (given: Uint8Array): Uint8Array => storedKey(given) as Uint8Array;

describe('stored keys', () => {
  it('are those given, but for runs of zeros', () => {
    expect(storedKey('')).toBe('\0');
    expect(storedKey('\0\0')).toBe('\0\0\0');
    expect(storedKey('\0a')).toBe('\0a');
    expect(storedKey('a')).toBe('a');
    expect(stored(Uint8Array.of())).toEqual(Uint8Array.of(0));
    expect(stored(Uint8Array.of(0, 0))).toEqual(Uint8Array.of(0, 0, 0));
    expect(stored(Uint8Array.of(0, 1))).toEqual(Uint8Array.of(0, 1));
  });

  it('are never empty, and stand for the key they were made from', () => {
    fc.assert(
      fc.property(key, (given) => {
        expect(stored(given).length).toBeGreaterThan(0);
        expect(Buffer.compare(givenKey(stored(given)), given)).toBe(0);
      }),
    );
  });

  it('have the order of those given', () => {
    fc.assert(fc.property(key, key, (one, other) => Buffer.compare(stored(one), stored(other)) === Buffer.compare(one, other)));
  });

  it('are the same for text and for its bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('\0', 'é') })), (text) => {
        expect(Buffer.from(storedKey(text) as string).equals(stored(Buffer.from(text)))).toBe(true);
      }),
    );
  });
});
