import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keyHash } from '../../base/key-hash.ts';
import { hashKey } from '../assembly/twins/hash-key.ts';

test('the hash by which keys are spread is the lower half of the one that tables use', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (key) => {
      expect(keyHash(key)).toBe(Number(hashKey(key) & 0xffffffffn));
    }),
    {
      numRuns: 2000,
    },
  );
  expect(keyHash(new Uint8Array(0))).toBe(Number(hashKey(new Uint8Array(0)) & 0xffffffffn));
});
