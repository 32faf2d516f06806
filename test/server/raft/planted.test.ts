/** The list of planted bugs fits the sources: an edit that moves what a bug replaces has to move the bug with it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../project-files.ts';
import { PLANTED_BUGS } from './planted-bugs.ts';

describe('planted bugs of the core', () => {
  it.each(PLANTED_BUGS.map((bug) => [bug.name, bug] as const))('%s', (_, { file, find, plant }) => {
    expect(readFileSync(join(ROOT, 'server/raft', file), 'utf8').split(find)).toHaveLength(2);
    expect(plant).not.toBe(find);
  });
});
