/**
 * Five nodes in three zones under load, with splits, moves, merges, dead nodes and zones that are cut off (zones.ts):
 *
 *   node test/cluster/five-nodes.ts [--rounds 1] [--minutes 60] [--seed 1] [--calm-ms 5000] [--from dist]
 *
 * Prints the times of the load in each part. Exits with 1 at the first thing that is not as it must be, and names the directory with data and logs.
 */
import { parseArgs } from 'node:util';
import { exitOnSignals, type RunFrom } from './node-process.ts';
import { type Part, runZones } from './zones.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    'calm-ms': { type: 'string', default: '5000' },
    from: { type: 'string', default: 'source' },
  },
});
exitOnSignals();
console.log('part         took s   calls  writes  p50 ms  p99 ms  slowest ms  what');
const { parts, audit } = await runZones({
  seed: Number(values.seed),
  rounds: Number(values.rounds),
  secondsMax: Number(values.minutes) * 60,
  calmMs: Number(values['calm-ms']),
  from: values.from as RunFrom,
  onPart: (part) => console.log(lineOf(part)),
});
const acknowledged = parts.reduce((sum, { times }) => sum + times.acknowledged, 0);
console.log(`${parts.length} parts: linearizable; ${acknowledged} writes of the ledger acknowledged, none lost`);
console.log(`${audit.replicas} replicas of ${audit.shards} shards, alike: ${audit.entries} entries`);

function lineOf({ name, what, tookMs, times }: Part): string {
  const { calls, acknowledged: writes, p50Ms, p99Ms, slowestMs, failures } = times;
  const figures = [(tookMs / 1000).toFixed(1), calls, writes, ...[p50Ms, p99Ms, slowestMs].map(Math.round)];
  const widths = [8, 7, 7, 7, 7, 11];
  const failed = [...failures].map(([kind, count]) => `; ${count} ${kind}`).join('');
  return `${name.padEnd(11)}${figures.map((figure, i) => String(figure).padStart(widths[i]!)).join(' ')}  ${what}${failed}`;
}
