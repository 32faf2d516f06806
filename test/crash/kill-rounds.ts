/**
 * kill -9 of a real process that embeds the engine, with its worker thread and the real file system, again and again in one directory; after
 * each kill the store must hold a whole number of batches, no fewer than were acknowledged.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Durability, type Engine, open } from '../../engine/index.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { contentsAfter, KILL_SETTINGS } from './kill-batches.ts';

const CHILD = fileURLToPath(new URL('kill-process.ts', import.meta.url));

export interface KillRounds {
  readonly directory: string;
  readonly durability: Durability;
  readonly rounds: number;
  readonly seed: number;
  /** Kills that come at any moment, opening and recovery included, rather than after a number of acknowledged writes. */
  readonly anyMoment?: boolean;
  readonly onRound?: (round: number, batches: number) => void;
}

export interface KillResult {
  readonly kills: number;
  /** Batches that were acknowledged, and those that the store holds in the end. */
  readonly acknowledged: number;
  readonly batches: number;
}

/** Throws at the first thing that is not as it must be. */
export async function killRounds({ directory, durability, rounds, seed, anyMoment = false, onRound }: KillRounds): Promise<KillResult> {
  const random = new SimRandom(seed);
  let [batches, acknowledged] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    const when = anyMoment && random.chance(0.5) ? { afterMs: random.below(700) } : { afterWrites: 1 + random.below(300) };
    const numbers = await writeAndKill(directory, durability, when);
    acknowledged += numbers.length;
    await using engine = await open(directory, KILL_SETTINGS);
    const { sequence } = engine;
    expectTrue(numbers.length === 0 || numbers[0]! > batches, `round ${round}: batch ${numbers[0]} was there before`);
    expectTrue(sequence >= Math.max(batches, ...numbers), `round ${round}: at ${sequence}, acknowledged were ${Math.max(...numbers)}`);
    expectContents(engine, sequence);
    batches = sequence;
    onRound?.(round, batches);
  }
  return { kills: rounds, acknowledged, batches };
}

/** Every key and value is what the first `batches` make. */
export function expectContents(engine: Engine, batches: number): void {
  const expected = contentsAfter(batches);
  let count = 0;
  for (const [key, value] of engine.scanSync()) {
    const name = Buffer.from(key).toString();
    const wanted = expected.get(name);
    expectTrue(wanted !== undefined && Buffer.compare(wanted, value) === 0, `${name} is not what ${batches} batches make it`);
    count++;
  }
  expectTrue(count === expected.size, `${count} keys, not the ${expected.size} that ${batches} batches make`);
  for (const [key, value] of expected)
    expectTrue(Buffer.compare(engine.getSync(key) ?? Buffer.alloc(0), value) === 0, `${key} reads otherwise than a scan`);
}

/** Numbers of the batches that were acknowledged before the kill. */
async function writeAndKill(
  directory: string,
  durability: Durability,
  when: { afterWrites?: number; afterMs?: number },
): Promise<number[]> {
  const child = spawn(process.execPath, [CHILD, directory, durability], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, complaint, lines] = ['', '', 0];
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    lines += chunk.toString().split('\n').length - 1;
    if (when.afterWrites !== undefined && lines >= when.afterWrites) child.kill('SIGKILL');
  });
  const timer = when.afterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), when.afterMs);
  // Both ends of the pipe: what was printed before the kill still counts.
  await Promise.all([once(child, 'close'), once(child.stdout, 'end')]);
  clearTimeout(timer);
  expectTrue(complaint === '' && child.signalCode === 'SIGKILL', `the process ended by itself (${child.exitCode}): ${complaint}`);
  return printed.split('\n').slice(0, -1).map(Number);
}

function expectTrue(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
