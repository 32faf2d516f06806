/**
 * A long run of what crash.test.ts and the model test sample: node test/crash/campaign.ts --seed 1 --states 100000
 *
 * Each state is a random run of commands or the script, with power lost at a random operation (or the disk failing there), and again while
 * it recovers. Prints the seed of the first state that is wrong, and exits with 1.
 *
 * `--upkeep`: instead, every operation of every upkeep task in every form of loss, and again at a few operations of what is done about it.
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { anyRun } from '../model/commands.ts';
import { type End, Interpreter, type Trouble } from '../model/interpreter.ts';
import { CRASH_MODES } from '../sim/sim-file.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { layeredStore } from '../corruption/stores.ts';
import { SCRIPT_NAMES, scriptedRun } from './script.ts';
import { runTask } from './upkeep-life.ts';
import { UPKEEP_TASKS } from './upkeep-tasks.ts';

const MODES: readonly End[] = [...CRASH_MODES, 'process'];
const REPORT_EVERY = 500;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    states: { type: 'string', default: '10000' },
    upkeep: { type: 'boolean', default: false },
  },
});
if (values.upkeep) await loseInUpkeep();
const first = Number(values.seed);
const states = Number(values.states);

let crashes = 0;
let losses = 0;
for (let seed = first; seed < first + states; seed++) {
  const random = new SimRandom(seed);
  const run = random.chance(0.5)
    ? scriptedRun(seed, random.pick(SCRIPT_NAMES))
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

async function loseInUpkeep(): Promise<never> {
  const image = await layeredStore();
  let [losses, wrong] = [0, 0];
  for (const task of UPKEEP_TASKS) {
    const { operations } = await runTask(task, image);
    for (let at = 1; at <= operations + 1; at++) {
      for (const mode of CRASH_MODES) {
        for (const again of [undefined, 1 + (at % 5), 1 + ((at * 7) % 40)]) {
          losses++;
          const loss = { at, mode, ...(again !== undefined && { again }) };
          await runTask(task, image, loss).catch((error: unknown) => {
            wrong++;
            console.error(`${task.name}, ${JSON.stringify(loss)}: ${String(error)}`);
          });
        }
      }
    }
    console.log(`${task.name}: ${operations} operations`);
  }
  console.log(`${losses} power losses in ${UPKEEP_TASKS.length} kinds of upkeep, ${wrong} wrong`);
  process.exit(wrong > 0 ? 1 : 0);
}
