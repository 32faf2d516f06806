import { expect, it } from 'vitest';

import { Slowness } from '../../../server/meta/slowness.ts';

/** Each second every node reports; returns what counts for each of them then. */
function reports(slowness: Slowness, seconds: number, of: (second: number) => readonly number[], fromSecond = 0): number[] {
  let counted: number[] = [];
  for (let second = fromSecond; second < fromSecond + seconds; second++) {
    counted = of(second).map((value, i) => slowness.amongOthers(i + 1, value, second * 1000));
  }
  return counted;
}

it('one of three that is slow for some time counts as slow', () => {
  const slowness = new Slowness();
  expect(reports(slowness, 9, () => [1, 1, 20])).toEqual([1, 1, 1]);
  expect(reports(slowness, 2, () => [1, 1, 20], 9)).toEqual([1, 1, 20]);
});

it('of two nodes the slow one counts as slow', () => {
  expect(reports(new Slowness(), 20, () => [1, 8])).toEqual([1, 8]);
});

it('when all are slow, none is; nor one by being somewhat slower', () => {
  expect(reports(new Slowness(), 30, () => [20, 22, 24])[2]).toBeLessThan(1.2);
});

it('a disk that is slow for moments, as each of them is on a busy machine, is not', () => {
  const slowness = new Slowness();
  for (let second = 0; second < 300; second++) {
    const counted = reports(slowness, 1, () => [0, 1, 2].map((node) => (Math.floor(second / 4) % 3 === node ? 12 : 1)), second);
    expect(counted).toEqual([1, 1, 1]);
  }
});

it('one that was slow counts as slow for a minute, also when it is well every now and then', () => {
  const slowness = new Slowness();
  reports(slowness, 20, () => [1, 1, 20]);
  expect(reports(slowness, 50, () => [1, 1, 1], 20)).toEqual([1, 1, 20]);
  expect(reports(slowness, 15, () => [1, 1, 1], 70)).toEqual([1, 1, 1]);
});

it('what a node said that is gone counts for the others no more', () => {
  const slowness = new Slowness();
  reports(slowness, 20, () => [1, 1, 20, 20, 20]);
  expect(reports(slowness, 60, () => [1, 1, 20], 60)).toEqual([1, 1, 20]);
});
