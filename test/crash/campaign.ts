/**
 * A long run of what crash.test.ts and the model test sample: node test/crash/campaign.ts --seed 1 --states 100000
 *
 * Each state is a random run of commands or the script, with power lost at a random operation (or the disk failing there), and again while
 * it recovers. Prints the seed of the first state that is wrong, and exits with 1.
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { anyRun } from '../model/commands.ts';
import { type End, Interpreter, type Trouble } from '../model/interpreter.ts';
import { CRASH_MODES } from '../sim/sim-file.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { scriptedRun } from './script.ts';

const MODES: readonly End[] = [...CRASH_MODES, 'process'];
const REPORT_EVERY = 500;

const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' }, states: { type: 'string', default: '10000' } } });
const first = Number(values.seed);
const states = Number(values.states);

let crashes = 0;
let losses = 0;
for (let seed = first; seed < first + states; seed++) {
  const random = new SimRandom(seed);
  const run = random.chance(0.5)
    ? scriptedRun(seed, random.chance(0.5) ? 'life' : 'rangeDeletes')
    : { ...fc.sample(anyRun(60), { seed, numRuns: 1 })[0]!, seed };
  const trouble = drawTrouble(random);
  try {
    const reached = await new Interpreter(run, trouble).run();
    crashes += reached.crashes;
    losses += reached.losses;
  } catch (error) {
    console.error(`state ${seed} is wrong: ${String(error)}\n${JSON.stringify({ trouble, run })}`);
    console.error(`repeat it with: node test/crash/campaign.ts --seed ${seed} --states 1`);
    process.exit(1);
  }
  const done = seed - first + 1;
  if (done % REPORT_EVERY === 0 || done === states)
    console.log(`${done} states, ${crashes} crashes, ${losses} with unsynced writes lost: all right`);
}

function drawTrouble(random: SimRandom): Trouble {
  const mode = (): End => random.pick(MODES);
  if (random.chance(0.2)) {
    const error = random.pick(['EIO', 'ENOSPC', 'short'] as const);
    return { fault: { at: 1 + random.below(250), error, forGood: random.chance(0.5), on: random.chance(0.2) ? 'read' : 'operation' } };
  }
  return {
    powerLosses: [
      { after: random.below(250), mode: mode() },
      { after: random.below(20), mode: mode() },
      { after: random.below(100), mode: mode() },
    ],
  };
}
