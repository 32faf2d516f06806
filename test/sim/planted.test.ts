/** The lists of planted bugs fit the sources, and the simulation finds what it is to find: a sample; planted.ts plants all of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../project-files.ts';
import { PlantingGround } from './plant.ts';
import { edits, PLANTED_BUGS } from './planted-bugs.ts';
import { PLANTED_CLUSTER_BUGS } from './planted-cluster-bugs.ts';
import { PLANTED_SHARD_BUGS } from './planted-shard-bugs.ts';

const ALL = [...PLANTED_BUGS, ...PLANTED_CLUSTER_BUGS, ...PLANTED_SHARD_BUGS];
/** Of each kind of check one that finds something soon. */
const SAMPLE: readonly { readonly name: string; readonly seeds: number }[] = [
  { name: 'two votes in one term', seeds: 30 },
  { name: 'entries are acknowledged before they are durable', seeds: 30 },
  { name: 'a majority is one less', seeds: 30 },
];

describe('planted bugs', () => {
  it.each(ALL.map((bug) => [`${bug.name} (${bug.cluster?.join(' ') ?? 'one server'})`, bug] as const))('%s', (_, bug) => {
    for (const { file, find, plant } of edits(bug)) {
      expect(readFileSync(join(ROOT, file), 'utf8').split(find), file).toHaveLength(2);
      expect(plant).not.toBe(find);
    }
  });
});

describe('a cluster in the simulation finds', () => {
  for (const { name, seeds } of SAMPLE) {
    it(`that ${name}`, { timeout: 180_000 }, async () => {
      const ground = new PlantingGround();
      try {
        const bug = PLANTED_CLUSTER_BUGS.find((each) => each.name === name)!;
        expect((await ground.plant(bug, 1, seeds)).seed).toBeDefined();
      } finally {
        ground.clear();
      }
    });
  }
});
