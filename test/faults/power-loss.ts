/**
 * Power loss on a real file system, over and over in one store: node test/faults/power-loss.ts [--fs ext4|xfs] [--rounds 50] [--seed 1] [--lie]
 *
 * A process writes synced batches until the file system is cut off from its disk; the disk is mounted again, and the store must hold a whole
 * number of batches, no fewer than were acknowledged. With `--lie` every third fsync of the process does nothing and says that it has (strace):
 * then a store may be lost, but must be refused or hold a whole number of batches, and never give a wrong value.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SparrowError } from '../../base/errors.ts';
import { open } from '../../engine/index.ts';
import { contentsAfter, KILL_SETTINGS } from '../crash/kill-batches.ts';
import { expectContents } from '../crash/kill-rounds.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { LoopDisk, type LoopFileSystem } from './loop-disk.ts';

const CHILD = fileURLToPath(new URL('../crash/kill-process.ts', import.meta.url));
const STRACE = [
  'strace',
  '-f',
  '-qq',
  '--seccomp-bpf',
  '-o',
  '/dev/null',
  '-e',
  'trace=fsync,fdatasync',
  '-e',
  'inject=fsync,fdatasync:retval=0:when=9+3',
];
/** A store is begun anew after so many batches: the disk is small. */
const BATCHES_MAX = 20_000;

const { values } = parseArgs({
  options: {
    fs: { type: 'string', default: 'ext4' },
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    lie: { type: 'boolean', default: false },
  },
});
const random = new SimRandom(Number(values.seed));
let disk: LoopDisk;
try {
  disk = new LoopDisk(values.fs as LoopFileSystem);
} catch (error) {
  console.log(`SKIPPED: no power loss on ${values.fs} here: ${(error as Error).message}`);
  process.exit(0);
}
const store = join(disk.path, 'store');
let [acknowledged, batches, refused, lost] = [0, 0, 0, 0];
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    if (batches > BATCHES_MAX) {
      rmSync(store, { recursive: true });
      batches = 0;
    }
    const numbers = await writeUntilPowerIsLost(1 + random.below(400));
    acknowledged += numbers.length;
    disk.mount();
    const floor = values.lie ? 0 : Math.max(batches, ...numbers);
    try {
      await using engine = await open(store, KILL_SETTINGS);
      const { sequence } = engine;
      if (sequence < floor) throw new Error(`round ${round}: at ${sequence}, acknowledged were ${floor}`);
      if (sequence < Math.max(batches, ...numbers)) lost++;
      if (values.lie) expectNothingWrong(engine.scanSync(), sequence);
      else expectContents(engine, sequence);
      batches = sequence;
    } catch (error) {
      if (!values.lie || !(error instanceof SparrowError) || error.kind !== 'corrupt') throw error;
      refused++;
      rmSync(store, { recursive: true });
      batches = 0;
    }
    if ((round + 1) % 10 === 0) console.log(`${round + 1} rounds, ${acknowledged} batches acknowledged`);
  }
  const told = values.lie ? `${lost} lost batches, ${refused} refused the store; nothing wrong was read` : 'nothing lost, nothing half';
  console.log(`${values.rounds} power losses on ${values.fs}, ${acknowledged} batches acknowledged: ${told}`);
} finally {
  disk.remove();
}

async function writeUntilPowerIsLost(count: number): Promise<number[]> {
  const command = [...(values.lie ? STRACE : []), process.execPath, CHILD, store, 'synced'];
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  let [printed, lines, off] = ['', 0, false];
  child.stdout!.on('data', (chunk: Buffer) => {
    if (off) return;
    printed += chunk.toString();
    lines += chunk.toString().split('\n').length - 1;
    if (lines < count) return;
    // What is printed from here on was not acknowledged in time to count.
    off = true;
    disk.losePower();
    process.kill(-child.pid!, 'SIGKILL');
  });
  await once(child, 'close');
  if (!off) throw new Error(`the process ended by itself (${child.exitCode})`);
  disk.unmount();
  return printed.split('\n').slice(0, -1).map(Number);
}

/** A lying disk takes values away: then they are corrupt. What is read is what was written. */
function expectNothingWrong(entries: Iterable<[Uint8Array, Uint8Array]>, sequence: number): void {
  const expected = contentsAfter(sequence);
  for (const [key, value] of entries) {
    const wanted = expected.get(Buffer.from(key).toString());
    if (!wanted || Buffer.compare(wanted, value) !== 0)
      throw new Error(`${Buffer.from(key).toString()} is not what ${sequence} batches make it`);
  }
}
