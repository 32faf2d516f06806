/**
 * Every byte of every file flipped, every length: node test/corruption/campaign.ts [--store layers|log|lz4|zstd|keyspaces] [--masks one|all] [--stride 1] [--from 0]
 *
 * Prints how many cases had which outcome, by kind of file, and every case that is wrong; exits with 1 when there is one.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { damaged, describeDamage, everyDamage, vouchedFor } from './damage.ts';
import { examine, type Outcome } from './examine.ts';
import { allStores } from './stores.ts';

const { values } = parseArgs({
  options: {
    store: { type: 'string' },
    masks: { type: 'string', default: 'one' },
    stride: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
  },
});
const masks = (position: number): number[] => (values.masks === 'all' ? [1, 2, 4, 8, 16, 32, 64, 128, 255] : [1 << (position % 8)]);
const WRONG_MAX = 20;
/** Each store takes a WebAssembly memory, of which a process can have some thousands; those of stores that are closed go when they are collected. */
const STORES_PER_COLLECTION = 500;
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

let wrong = 0;
let cases = 0;
const began = performance.now();
for (const image of await allStores()) {
  if (values.store !== undefined && values.store !== image.name) continue;
  const counts = new Map<string, Map<Outcome, number>>();
  let number = 0;
  for (const damage of everyDamage(image, masks)) {
    if ((number++ - Number(values.from)) % Number(values.stride) !== 0) continue;
    if (++cases % STORES_PER_COLLECTION === 0) collect();
    let outcome: Outcome;
    try {
      outcome = await examine(image, damaged(image, damage), vouchedFor(image, damage));
    } catch (error) {
      console.error(`${image.name}: ${describeDamage(damage)}: ${String(error)}`);
      if (++wrong === WRONG_MAX) process.exit(1);
      continue;
    }
    const kind = `${damage.file.replace(/\d+/, 'N')} ${'flip' in damage ? 'flipped' : 'length' in damage ? 'cut' : 'gone'}`;
    const of = counts.get(kind) ?? new Map<Outcome, number>();
    counts.set(kind, of.set(outcome, (of.get(outcome) ?? 0) + 1));
  }
  for (const [kind, of] of counts)
    console.log(`${image.name}: ${kind}: ${[...of].map(([outcome, count]) => `${count} ${outcome}`).join(', ')}`);
}
console.log(`${cases} cases in ${Math.round((performance.now() - began) / 1000)} s, ${wrong} wrong`);
process.exit(wrong > 0 ? 1 : 0);
