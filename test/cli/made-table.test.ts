import { expect, it } from 'vitest';
import { splitKeysOf } from '../../cli/start/made-table.ts';

const named = (...sizes: readonly (readonly [string, number])[]): { name: Buffer; bytes: number }[] =>
  sizes.map(([name, bytes]) => ({ name: Buffer.from(name), bytes }));
const texts = (keys: readonly Uint8Array[]): string[] => keys.map((key) => Buffer.from(key).toString());

it('the table of the guided start is divided where about the same is on both sides', () => {
  expect(texts(splitKeysOf(named(['a', 10], ['b', 10], ['c', 10], ['d', 10]), 2))).toEqual(['c']);
  expect(texts(splitKeysOf(named(['a', 10], ['b', 10], ['c', 10], ['d', 10]), 4))).toEqual(['b', 'c', 'd']);
  // A directory is not divided, however much of all it has.
  expect(texts(splitKeysOf(named(['a', 1], ['b', 97], ['c', 1], ['d', 1]), 4))).toEqual(['c', 'd']);
  expect(splitKeysOf([], 4)).toEqual([]);
  expect(splitKeysOf(named(['a', 0], ['b', 0]), 4)).toEqual([]);
});
