/**
 * The system's fsync fails in a real process (strace): node test/faults/failed-sync.ts [--rounds 40] [--seed 1]
 *
 * A process writes synced batches while its n-th fsync or fdatasync answers EIO. It must say so at once and refuse all that follows; the store
 * then opens, and holds a whole number of batches, no fewer than were acknowledged. (Without power loss in between: power-loss.ts has that.)
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { open } from '../../engine/index.ts';
import { KILL_SETTINGS } from '../crash/kill-batches.ts';
import { expectContents } from '../crash/kill-rounds.ts';
import { SimRandom } from '../sim/sim-random.ts';

const CHILD = fileURLToPath(new URL('write-until-refused.ts', import.meta.url));
const BATCHES_MAX = 10_000;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '40' }, seed: { type: 'string', default: '1' } } });
if (spawnSync('strace', ['-V']).status !== 0) {
  console.log('SKIPPED: strace is not installed');
  process.exit(0);
}
const random = new SimRandom(Number(values.seed));
const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-sync-'));
const counts = { acknowledged: 0, openings: 0, writes: 0, background: 0 };
let batches = 0;
for (let round = 0; round < Number(values.rounds); round++) {
  if (batches > BATCHES_MAX) {
    rmSync(join(directory, 'store'), { recursive: true });
    batches = 0;
  }
  // Each thread of the process is counted by itself: the pool's threads share the log's syncs.
  const at = 1 + random.below(random.chance(0.5) ? 6 : 60);
  const { acknowledged, end } = await writeWithFailingSync(join(directory, 'store'), at);
  counts[end]++;
  counts.acknowledged += acknowledged.length;
  await using engine = await open(join(directory, 'store'), KILL_SETTINGS);
  const { sequence } = engine;
  const floor = Math.max(batches, ...acknowledged);
  if (sequence < floor) throw new Error(`round ${round}: at ${sequence}, acknowledged were ${floor}`);
  expectContents(engine, sequence);
  batches = sequence;
}
rmSync(directory, { recursive: true });
const { acknowledged, openings, writes, background } = counts;
console.log(
  `${values.rounds} failed syncs (${openings} openings, ${writes} writes, ${background} background work), ${acknowledged} batches acknowledged: nothing lost`,
);

type End = 'openings' | 'writes' | 'background';

async function writeWithFailingSync(store: string, at: number): Promise<{ acknowledged: number[]; end: End }> {
  const inject = `inject=fsync,fdatasync:error=EIO:when=${at}+`;
  const args = [
    '-f',
    '-qq',
    '--seccomp-bpf',
    '-o',
    '/dev/null',
    '-e',
    'trace=fsync,fdatasync',
    '-e',
    inject,
    process.execPath,
    CHILD,
    store,
  ];
  const child = spawn('strace', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await Promise.all([once(child, 'close'), once(child.stdout, 'end')]);
  const lines = printed.split('\n').slice(0, -1);
  const last = lines.pop();
  const end = { OPENING: 'openings', WRITER_FAILED: 'writes', BACKGROUND_FAILED: 'background' }[last ?? ''] as End | undefined;
  if (child.exitCode !== 0 || end === undefined) throw new Error(`the process ended with ${child.exitCode} and '${last}'`);
  return { acknowledged: lines.map(Number), end };
}
