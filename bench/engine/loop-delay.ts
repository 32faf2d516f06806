/**
 * How long the event loop of a process is held up that writes at a steady rate, while flushes and compactions go on behind: first without writing, which
 * tells what the machine itself does to a timer, then with. The goal is a p99 below 5 ms.
 *
 *   node bench/engine/loop-delay.ts [--rate 20000] [--seconds 20] [--value-bytes 100] [--keys 1000000] [--memtable-bytes 4194304] [--threads 1] [--dir DIR]
 *
 * Writes one line of JSON:
 *   { "rate": puts a second that were made, "flushes", "compactions",
 *     "idle" and "writing": { "delayMs", "ownMs": { "p50", "p99", "p999", "max" } } }
 *
 *   delayMs   by how much a timer of a millisecond came late (perf_hooks' monitorEventLoopDelay, less its resolution)
 *   ownMs     processor time that the writing thread itself took between two turns of a millisecond, the writes of that turn included: what is left when others keep the
 *             machine busy
 *
 * What takes long: node --cpu-prof --cpu-prof-interval 100 bench/engine/loop-delay.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { type Engine, open } from '../../engine/index.ts';

const { values: options } = parseArgs({
  options: {
    rate: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '20' },
    'value-bytes': { type: 'string', default: '100' },
    keys: { type: 'string', default: '1000000' },
    'memtable-bytes': { type: 'string', default: String(4 * 2 ** 20) },
    threads: { type: 'string', default: '1' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const rate = Number(options.rate);
const keys = Number(options.keys);
const memtableBytes = Number(options['memtable-bytes']);
const value = new Uint8Array(Number(options['value-bytes'])).fill(118);
const RESOLUTION_MS = 1;
/** A turn that came late makes up for at most so much of what it has missed. */
const CATCH_UP_MS = 20;

interface Delays {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

function delaysOf(histogram: { readonly max: number; percentile(percent: number): number }, lessMs = 0): Delays {
  const ms = (ns: number): number => Math.round(Math.max(0, ns / 1e6 - lessMs) * 1000) / 1000;
  const at = (percent: number): number => ms(histogram.percentile(percent));
  return { p50: at(50), p99: at(99), p999: at(99.9), max: ms(histogram.max) };
}

function threadCpuNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

/** Watches the loop for so long, with `turn` called each millisecond with how many have passed. */
async function watched(seconds: number, turn: (ms: number) => void): Promise<{ delayMs: Delays; ownMs: Delays }> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const own = createHistogram();
  delay.enable();
  const endMs = performance.now() + seconds * 1000;
  await new Promise<void>((resolve) => {
    let before = performance.now();
    let cpuBefore = threadCpuNs();
    const timer = setInterval(() => {
      const now = performance.now();
      turn(Math.min(CATCH_UP_MS, now - before));
      before = now;
      const cpu = threadCpuNs();
      own.record(Math.max(1, cpu - cpuBefore));
      cpuBefore = cpu;
      if (now < endMs) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  delay.disable();
  return { delayMs: delaysOf(delay, RESOLUTION_MS), ownMs: delaysOf(own) };
}

let state = 12345;
function nextKey(): string {
  // A generator of Park and Miller: the same keys in each run.
  state = (state * 48271) % 2147483647;
  return `user${String(state % keys).padStart(12, '0')}`;
}

let made = 0;
let owed = 0;
function write(engine: Engine, ms: number): void {
  owed += (rate * ms) / 1000;
  for (; owed >= 1; owed--, made++) void engine.put(nextKey(), value);
}

const directory = mkdtempSync(join(options.dir, 'sparrowkv-loop-'));
const engine = await open(directory, {
  memtableBytes,
  segmentBytes: 4 * memtableBytes,
  tableBytes: memtableBytes,
  level1Bytes: 4 * memtableBytes,
  backgroundThreads: Number(options.threads),
});
try {
  const idle = await watched(3, () => undefined);
  const seconds = Number(options.seconds);
  // Until everything has been compiled and a thread started, a run says something else.
  await watched(3, (ms) => write(engine, ms));
  made = 0;
  const before = engine.metrics();
  const writing = await watched(seconds, (ms) => write(engine, ms));
  const { flushes, compactions } = engine.metrics();
  const counts = { flushes: flushes.count - before.flushes.count, compactions: compactions.count - before.compactions.count };
  process.stdout.write(`${JSON.stringify({ rate: Math.round(made / seconds), ...counts, idle, writing })}\n`);
} finally {
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
}
