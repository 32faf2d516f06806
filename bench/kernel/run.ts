/** `node bench/kernel/run.ts [name ...]`: runs the kernels' benchmarks (`*.bench.ts` beside this file), all or those whose name is given. */
import { readdirSync } from 'node:fs';
import { run } from 'mitata';

const SUFFIX = '.bench.ts';
const wanted = process.argv.slice(2);

for (const file of readdirSync(import.meta.dirname).toSorted()) {
  if (!file.endsWith(SUFFIX)) continue;
  if (wanted.length > 0 && !wanted.includes(file.slice(0, -SUFFIX.length))) continue;
  // Each registers its groups with mitata; they run together below.
  await import(`./${file}`);
}
await run({ colors: process.stdout.isTTY === true });
