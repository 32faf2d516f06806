/** Figures that an operator is told to watch are figures of /metrics. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../../project-files.ts';

it('figures that docs/operations.md names are there', () => {
  const named = new Set(readFileSync(join(ROOT, 'docs/operations.md'), 'utf8').match(/sparrowkv_[a-z_]+/g));
  const sources = globSync('server/{metrics/*,client-listener}.ts', { cwd: ROOT }).map((path) => readFileSync(join(ROOT, path), 'utf8'));
  const there = new Set(sources.join('\n').match(/sparrowkv_[a-z_]+/g));
  expect(named.size).toBeGreaterThan(8);
  expect([...named].filter((name) => !there.has(name))).toEqual([]);
});
