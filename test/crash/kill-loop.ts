/** kill -9 of the embedded engine, over and over: node test/crash/kill-loop.ts [--rounds 1000] [--seed 1] [--dir DIR] */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Durability } from '../../engine/index.ts';
import { killRounds } from './kill-rounds.ts';

/** A store is begun anew after so many kills: the model replays all batches for each. */
const ROUNDS_A_STORE = 25;

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' }, dir: { type: 'string' } },
});
const parent = values.dir ?? mkdtempSync(join(tmpdir(), 'sparrowkv-kill-'));
let [kills, acknowledged] = [0, 0];
for (let store = 0; kills < Number(values.rounds); store++) {
  const directory = join(parent, String(store));
  const durability: Durability = store % 2 === 0 ? 'os' : 'synced';
  const rounds = Math.min(ROUNDS_A_STORE, Number(values.rounds) - kills);
  const result = await killRounds({ directory, durability, rounds, seed: Number(values.seed) + store, anyMoment: true });
  kills += result.kills;
  acknowledged += result.acknowledged;
  console.log(`${kills} kills, ${acknowledged} batches acknowledged (store ${store}, ${durability}): nothing lost, nothing half`);
  rmSync(directory, { recursive: true });
}
if (values.dir === undefined) rmSync(parent, { recursive: true });
