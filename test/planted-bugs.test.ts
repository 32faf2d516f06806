/** Planted bugs must fit the sources: one whose place is gone is planted nowhere, and nobody would notice until the next campaign. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PLANTED_BUGS as OF_THE_ENGINE } from './faults/planted-bugs.ts';
import { ROOT } from './project-files.ts';
import { PLANTED_BUGS as OF_THE_SERVER } from './sim/planted-bugs.ts';
import { PLANTED_CLUSTER_BUGS as OF_THE_CLUSTER } from './sim/planted-cluster-bugs.ts';

describe.each([
  ['engine', OF_THE_ENGINE],
  ['server', OF_THE_SERVER],
  ['cluster', OF_THE_CLUSTER],
])('bugs planted in the %s', (_, bugs) => {
  it('each have one place in the sources', () => {
    const misfits = bugs.filter(({ file, find, plant }) => {
      const pieces = readFileSync(join(ROOT, file), 'utf8').split(find).length - 1;
      return pieces !== 1 || plant === find;
    });
    expect(misfits.map(({ name, file }) => `${file}: ${name}`)).toEqual([]);
    expect(new Set(bugs.map(({ name }) => name)).size).toBe(bugs.length);
  });
});
