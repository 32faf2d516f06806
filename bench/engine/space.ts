/**
 * What a store takes on disk when it is left alone after its values were overwritten at random, and how long it takes to come to that. The goal is at most 1.3 times the
 * keys and values that are there.
 *
 *   node bench/engine/space.ts [--megabytes 512] [--rounds 2] [--value-bytes 100,1024,16384,131072] [--dir DIR]
 *
 * Writes a line of JSON for each size:
 *   { "valueBytes", "megabytes": keys and values that are there, "written": disk over them after the last write, "atRest": when nothing has changed for twenty seconds,
 *     "secondsToRest" }
 *
 * Disk is allocated blocks of the store's directory.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type BatchOperation, open } from '../../engine/index.ts';
import { Choice, Keys, Values } from './data.ts';

const { values: options } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '512' },
    rounds: { type: 'string', default: '2' },
    'value-bytes': { type: 'string', default: '100,1024,16384,131072' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const KEY_BYTES = 16;
const BLOCK_BYTES = 512;
/** Longer than a store waits before it takes itself for idle. */
const QUIET_MS = 20_000;
const BATCH_BYTES = 1024 * 1024;

function diskBytes(directory: string): number {
  let blocks = 0;
  for (const name of readdirSync(directory)) blocks += statSync(join(directory, name), { throwIfNoEntry: false })?.blocks ?? 0;
  return blocks * BLOCK_BYTES;
}

async function measure(valueBytes: number): Promise<void> {
  const records = Math.ceil((Number(options.megabytes) * 2 ** 20) / (KEY_BYTES + valueBytes));
  const liveBytes = records * (KEY_BYTES + valueBytes);
  const directory = mkdtempSync(join(options.dir, 'sparrowkv-space-'));
  const engine = await open(directory);
  const keys = new Keys('random', records);
  const values = new Values(valueBytes);
  const choice = new Choice(1);
  const inBatch = Math.max(1, Math.min(100, Math.floor(BATCH_BYTES / valueBytes)));
  const write = async (pick: (i: number) => number): Promise<void> => {
    for (let i = 0; i < records; i += inBatch) {
      const batch: BatchOperation[] = [];
      for (let n = i; n < Math.min(records, i + inBatch); n++) batch.push({ type: 'put', key: keys.at(pick(n)), value: values.of(n) });
      await engine.write(batch);
    }
  };
  await write((i) => i);
  for (let round = 0; round < Number(options.rounds); round++) await write(() => choice.below(records));
  const ratio = (bytes: number): number => Math.round((bytes / liveBytes) * 100) / 100;
  const written = diskBytes(directory);
  const begun = performance.now();
  let changed = begun;
  for (let before = written; performance.now() - changed < QUIET_MS;) {
    await sleep(100);
    const now = diskBytes(directory);
    if (now !== before) changed = performance.now();
    before = now;
  }
  const figures = {
    valueBytes,
    megabytes: Math.round(liveBytes / 2 ** 20),
    written: ratio(written),
    atRest: ratio(diskBytes(directory)),
    secondsToRest: Math.round((changed - begun) / 100) / 10,
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
}

for (const bytes of options['value-bytes'].split(',')) await measure(Number(bytes));
