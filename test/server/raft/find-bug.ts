/** What finds the bug that is planted here: prints the first seed that fails, and the first script, each on a line; empty for none. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomRun } from './random-run.ts';
import { replay } from './replay.ts';

const scripts = join(import.meta.dirname, '../../scripts/raft');
console.log(failingSeed(Number(process.argv[2])));
console.log(readdirSync(scripts).find((name) => fails(readFileSync(join(scripts, name), 'utf8'))) ?? '');

function failingSeed(seeds: number): number | '' {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      randomRun(seed);
    } catch {
      return seed;
    }
  }
  return '';
}

function fails(text: string): boolean {
  try {
    return replay(text) !== text;
  } catch {
    return true;
  }
}
