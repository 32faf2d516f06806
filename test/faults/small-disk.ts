/**
 * A real disk that gets full and is emptied, again and again: node test/faults/small-disk.ts [--on tmpfs|ext4] [--rounds 20] [--seed 1]
 *
 * A ballast file leaves the store a few mebibytes; writes go on until they are refused, everything is read, the ballast goes, and the same
 * engine must take writes, flush and settle without being opened again. Needs root, to mount.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Engine, open, SparrowError } from '../../engine/index.ts';
import { batchOf, contentsAfter, KILL_SETTINGS } from '../crash/kill-batches.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { LoopDisk } from './loop-disk.ts';

const { values } = parseArgs({
  options: { on: { type: 'string', default: 'tmpfs' }, rounds: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
});
const MIB = 1024 * 1024;
const DISK_BYTES = 128 * MIB;
const random = new SimRandom(Number(values.seed));
let place: { path: string; remove(): void };
try {
  place = values.on === 'tmpfs' ? mountTmpfs() : new LoopDisk('ext4', DISK_BYTES);
} catch (error) {
  console.log(`SKIPPED: no small disk here: ${(error as Error).message}`);
  process.exit(0);
}
const store = join(place.path, 'store');
const ballast = join(place.path, 'ballast');
let refusals = 0;
/** Numbers of the batches that are in the store, in order. */
const written: number[] = [];
let number = 0;
try {
  let engine = await open(store, KILL_SETTINGS);
  for (let round = 0; round < Number(values.rounds); round++) {
    const { bavail, bsize } = statfsSync(place.path);
    writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - (1 + random.below(6)) * MIB), 1));
    const before = refusals;
    for (let tries = 0; tries < 4000 && refusals < before + 5; tries++) await write(engine, round % 2 === 0 ? 'os' : 'synced');
    if (refusals === before) throw new Error(`round ${round}: the disk never gets full`);
    compare(engine, `round ${round}, full`);
    unlinkSync(ballast);
    await eventually(() => write(engine, 'synced'));
    await engine.flush();
    await engine.settled();
    compare(engine, `round ${round}, with room`);
    if (round % 5 !== 4) continue;
    await engine.close();
    engine = await open(store, KILL_SETTINGS);
    compare(engine, `round ${round}, opened again`);
  }
  await engine.close();
  console.log(
    `${values.rounds} times full on ${values.on}, ${written.length} batches written, ${refusals} refused: all right, never opened for it`,
  );
} finally {
  place.remove();
}

/** Whether it was taken. What is refused without being there is tried again under its number. */
async function write(engine: Engine, durability: 'os' | 'synced'): Promise<boolean> {
  const sequence = engine.sequence;
  try {
    await engine.write(batchOf(number + 1), { durability });
    number++;
    return true;
  } catch (error) {
    if (!(error instanceof SparrowError) || error.code !== 'DISK_FULL') throw error;
    refusals++;
    // The one that met the full disk is visible and stays; those after it changed nothing.
    if (engine.sequence > sequence) number++;
    return false;
  }
}

async function eventually(attempt: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (await attempt()) return;
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
  throw new Error('with room on the disk, writes are still refused after 5 s');
}

function compare(engine: Engine, when: string): void {
  const expected = contentsAfter(number);
  const found = new Map([...engine.scanSync()].map(([key, value]) => [Buffer.from(key).toString(), value]));
  for (const [key, value] of expected) {
    const has = found.get(key);
    if (!has || Buffer.compare(has, value) !== 0) throw new Error(`${when}: ${key} is not what ${number} batches make it`);
  }
  if (found.size !== expected.size) throw new Error(`${when}: ${found.size} keys, not ${expected.size}`);
  written.length = number;
}

function mountTmpfs(): { path: string; remove(): void } {
  if (process.getuid?.() !== 0) throw new Error('mounting takes root');
  const path = mkdtempSync(join(tmpdir(), 'sparrowkv-small-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', path], { encoding: 'utf8' });
  if (mounted.status !== 0) throw new Error(mounted.stderr);
  return {
    path,
    remove() {
      spawnSync('umount', [path]);
      rmSync(path, { recursive: true });
    },
  };
}
