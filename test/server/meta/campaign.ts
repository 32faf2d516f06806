/**
 * What holds whatever happens to a cluster (whatever-happens.ts), on many lists of events: node test/server/meta/campaign.ts --seed 1 --seeds 1000
 *
 * A seed that fails is named, with its list of events, shrunk, and what is wrong; then it goes on. Exits with 1 if there was one.
 *
 *   --runs N          lists of events of each seed, 25 unless told
 *   --property NAME   rest-3, rest-4, rest-means or indices; all unless told
 *   --no-shrink       the list as it was drawn: shrinking may take minutes
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { PROPERTIES } from './whatever-happens.ts';

const REPORT_EVERY = 100;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1000' },
    runs: { type: 'string', default: '25' },
    property: { type: 'string', multiple: true, default: Object.keys(PROPERTIES) },
    'no-shrink': { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const last = first + Number(values.seeds) - 1;

let failures = 0;
for (let seed = first; seed <= last; seed++) {
  for (const name of values.property) {
    const make = PROPERTIES[name];
    if (make === undefined) throw new Error(`there is no property ${name}: ${Object.keys(PROPERTIES).join(', ')}`);
    const { failed, counterexample, errorInstance } = fc.check(make(), {
      numRuns: Number(values.runs),
      seed,
      endOnFailure: values['no-shrink'],
    });
    if (!failed) continue;
    failures++;
    console.log(`seed ${seed}, ${name}: ${errorInstance instanceof Error ? errorInstance.message : String(errorInstance)}`);
    for (const event of counterexample?.[0] ?? []) console.log(`  ${JSON.stringify(event)},`);
  }
  if ((seed - first + 1) % REPORT_EVERY === 0 || seed === last) console.log(`seeds ${first} to ${seed}: ${failures} failed`);
}
process.exitCode = failures > 0 ? 1 : 0;
