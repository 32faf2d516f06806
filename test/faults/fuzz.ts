/**
 * Many more cases of decoders.ts than the tests run: node test/faults/fuzz.ts [--seed 1] [--cases 10000] [--decoder NAME]
 *
 * Prints how many cases each decoder had and how many it took for sound; exits with 1 at the first that goes wrong, with its seed.
 */
import { parseArgs } from 'node:util';
import { keyspacesStore, layeredStore } from '../corruption/stores.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { DECODERS } from './decoders.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, cases: { type: 'string', default: '10000' }, decoder: { type: 'string' } },
});
const images = [await layeredStore(), await keyspacesStore()];
for (const [name, decode] of Object.entries(DECODERS)) {
  if (values.decoder !== undefined && values.decoder !== name) continue;
  let sound = 0;
  const [first, cases] = [Number(values.seed), Number(values.cases)];
  for (let seed = first; seed < first + cases; seed++) {
    try {
      if (await decode(new SimRandom(seed), images[seed % images.length]!)) sound++;
    } catch (error) {
      console.error(`${name}, seed ${seed}:`, error);
      console.error(`repeat it with: node test/faults/fuzz.ts --decoder '${name}' --seed ${seed} --cases 1`);
      process.exit(1);
    }
  }
  console.log(`${name}: ${cases} cases, ${sound} taken for sound`);
}
