/** kill -9 of a real process that embeds the engine, with its worker thread and the real file system, again and again in one directory. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { open, type Durability } from '../../engine/index.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { contentsAfter, KILL_SETTINGS } from './kill-batches.ts';

const ROUNDS = Number(process.env['SPARROWKV_KILL_ROUNDS'] ?? 10);
const CHILD = fileURLToPath(new URL('./kill-process.ts', import.meta.url));
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-kill-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Writes until `count` batches are acknowledged, then kills; returns the numbers acknowledged. */
async function writeAndKill(durability: Durability, count: number): Promise<number[]> {
  const child = spawn(process.execPath, [CHILD, directory, durability], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, complaint, lines] = ['', '', 0];
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    lines += chunk.toString().split('\n').length - 1;
    if (lines >= count) child.kill('SIGKILL');
  });
  // Both ends of the pipe: what was printed before the kill still counts.
  await Promise.all([once(child, 'close'), once(child.stdout, 'end')]);
  expect({ complaint, signal: child.signalCode }).toEqual({ complaint: '', signal: 'SIGKILL' });
  return printed.split('\n').slice(0, -1).map(Number);
}

describe('a process that embeds the engine and is killed', () => {
  it.each<Durability>(['os', 'synced'])(
    'loses nothing that was acknowledged (%s), and no batch in part',
    { timeout: ROUNDS * 10_000 },
    async (durability) => {
      const random = new SimRandom(durability === 'os' ? 1 : 2);
      let before = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const acknowledged = await writeAndKill(durability, 1 + random.below(300));
        await using engine = await open(directory, KILL_SETTINGS);
        const { sequence } = engine;
        expect(acknowledged[0]).toBeGreaterThan(before);
        expect(sequence).toBeGreaterThanOrEqual(Math.max(...acknowledged));
        const expected = contentsAfter(sequence);
        const found = [...engine.scanSync()].map(([key, value]) => [Buffer.from(key).toString(), Buffer.from(value)] as const);
        expect(found.map(([key]) => key)).toEqual([...expected.keys()].sort());
        for (const [key, value] of found) expect(value.equals(expected.get(key)!), `round ${round}, ${key}`).toBe(true);
        before = sequence;
      }
    },
  );
});
