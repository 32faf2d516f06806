/** A file of results: those of the comparison, and those of the parts about shards. */
import type { PartResult } from './part-result.ts';
import type { Result } from './result.ts';

export function parseResults(text: string): (Result | PartResult)[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Result | PartResult);
}
