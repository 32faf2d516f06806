/**
 * Puts faster than the background can take them, for as long as is asked: what writers feel of it (latency of each put, delay of the event
 * loop), and what becomes of the store (level 0, bytes on disk, speed second by second).
 *
 *   node bench/engine/overload.ts [--seconds 30] [--in-flight 16] [--value-bytes 100] [--keys 1000000] [--memtable-bytes 1048576]
 *                                 [--background-rate BYTES_PER_SECOND] [--dir DIR] [--verbose]
 *
 * The event loop is watched by a timer of a millisecond: its delay is by how much it comes late. On a machine that others use as well, most of that
 * is theirs; `own CPU` is what this thread itself computed between two ticks beyond the millisecond.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type EngineSettingsInput, open } from '../../engine/index.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    'in-flight': { type: 'string', default: '16' },
    'value-bytes': { type: 'string', default: '100' },
    keys: { type: 'string', default: '1000000' },
    'memtable-bytes': { type: 'string', default: String(2 ** 20) },
    'background-rate': { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    verbose: { type: 'boolean', default: false },
  },
});
const seconds = Number(options.seconds);
const keys = Number(options.keys);
const memtableBytes = Number(options['memtable-bytes']);
const directory = mkdtempSync(join(options.dir, 'sparrowkv-overload-'));
const settings: EngineSettingsInput = {
  memtableBytes,
  segmentBytes: Math.max(2 ** 20, memtableBytes * 2),
  tableBytes: memtableBytes,
  level1Bytes: memtableBytes * 4,
};
const rate = options['background-rate'];
const engine = await open(directory, { ...settings, ...(rate !== undefined && { backgroundBytesPerSecMax: Number(rate) }) });

/** Latencies in steps of 2 %, from a microsecond on. */
class Histogram {
  readonly #counts = new Float64Array(1200);
  #count = 0;
  max = 0;

  add(ms: number): void {
    this.#counts[Math.min(1199, Math.max(0, Math.floor(Math.log(Math.max(ms, 0.001) * 1000) / Math.log(1.02))))]!++;
    this.#count++;
    if (ms > this.max) this.max = ms;
  }

  at(share: number): number {
    let left = this.#count * share;
    for (let i = 0; i < 1200; i++) {
      left -= this.#counts[i]!;
      if (left <= 0) return 1.02 ** (i + 1) / 1000;
    }
    return this.max;
  }

  line(name: string): string {
    const ms = (value: number): string => value.toFixed(value < 1 ? 3 : 1).padStart(8);
    return `${name.padEnd(12)} p50 ${ms(this.at(0.5))}  p99 ${ms(this.at(0.99))}  p99.9 ${ms(this.at(0.999))}  max ${ms(this.max)} ms\n`;
  }
}

const puts = new Histogram();
const loop = new Histogram();
const value = new Uint8Array(Number(options['value-bytes'])).fill(118);
const begun = performance.now();
const endMs = begun + seconds * 1000;
let written = 0;
let state = 12345;

function nextKey(): string {
  // A generator of Park and Miller: the same keys in each run.
  state = (state * 48271) % 2147483647;
  return `user${String(state % keys).padStart(12, '0')}`;
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

async function writer(): Promise<void> {
  while (performance.now() < endMs) {
    const from = performance.now();
    await engine.put(nextKey(), value);
    puts.add(performance.now() - from);
    written++;
  }
}

const ownCpu = new Histogram();
let expected = performance.now() + 1;
let cpuBefore = threadCpuMs();
const watch = setInterval(() => {
  const now = performance.now();
  loop.add(Math.max(0, now - expected));
  expected = now + 1;
  const cpuNow = threadCpuMs();
  ownCpu.add(Math.max(0, cpuNow - cpuBefore - 1));
  cpuBefore = cpuNow;
}, 1);
let before = 0;
const stages: number[] = [];
const tell = setInterval(() => {
  stages.push(written - before);
  if (options.verbose) {
    const { tables: found, memtables } = engine.metrics();
    const tables = found.levels.map((level) => level.tables).join(' ');
    process.stderr.write(
      `${written - before} puts/s, tables by level: ${tables}, sealed ${memtables.sealed}, put max ${puts.max.toFixed(1)} ms\n`,
    );
  }
  before = written;
}, 1000);
const cpu = process.cpuUsage();
await Promise.all(Array.from({ length: Number(options['in-flight']) }, () => writer()));
const { user, system } = process.cpuUsage(cpu);
clearInterval(watch);
clearInterval(tell);
stages.sort((a, b) => a - b);
process.stdout.write(puts.line('put'));
process.stdout.write(loop.line('event loop'));
process.stdout.write(ownCpu.line('own CPU'));
const perSecond = written / seconds;
process.stdout.write(
  `${Math.round(perSecond)} puts/s, slowest second ${stages[0] ?? 0}, ${((user + system) / written).toFixed(1)} us of CPU a put, ` +
    `${engine.metrics().compactions.count} compactions\n`,
);
await engine.close();
rmSync(directory, { recursive: true, force: true });
