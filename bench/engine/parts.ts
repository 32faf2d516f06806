/**
 * A full compaction by one background thread and by several: the same store, linked for each round, the variants in turn. What the machine does
 * beside counts for the wall clock, so look at several rounds; CPU time is the whole process's.
 *
 *   node bench/engine/parts.ts [--records 1000000] [--value-bytes 100] [--threads 1,2] [--rounds 3] [--busy] [--dir DIR]
 *
 * --busy: the caller's thread reads at random meanwhile. Writes one line of JSON for each round, then the medians:
 *   { "threads", "parts", "wallMs", "cpuMs", "reads" }      reads: of the busy caller, a second
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { open } from '../../engine/index.ts';

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    'value-bytes': { type: 'string', default: '100' },
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '3' },
    busy: { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
  },
});
const records = Number(options.records);
const variants = options.threads.split(',').map(Number);
const root = mkdtempSync(join(options.dir, 'sparrowkv-parts-'));

interface Round {
  readonly threads: number;
  readonly parts: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly reads: number;
}

function keyOf(i: number): string {
  // Scattered: each flushed table has keys of the whole range.
  return `user${String((i * 7919) % records).padStart(12, '0')}`;
}

async function fill(directory: string): Promise<void> {
  await using engine = await open(directory, { level0Compact: 16, level0Stop: 32, durability: 'buffered', level1Bytes: 2 ** 34 });
  const value = new Uint8Array(Number(options['value-bytes']));
  for (let i = 0; i < records; i++) {
    const written = engine.put(keyOf(i), value.fill(i & 0xff));
    if (i % 100 === 0) await written;
  }
  await engine.flush();
}

async function compacted(source: string, threads: number, round: number): Promise<Round> {
  const directory = join(root, `round-${round}-${threads}`);
  {
    await using engine = await open(source, { level0Compact: 16 });
    await engine.checkpoint(directory);
  }
  const engine = await open(directory, { level0Compact: 16, backgroundThreads: threads });
  let parts = 0;
  engine.events.on('compaction-ended', (event) => (parts = Math.max(parts, event.parts)));
  const cpu = process.cpuUsage();
  const begun = performance.now();
  let done = false;
  const compacting = engine.compact().then(() => (done = true));
  let reads = 0;
  while (options.busy && !done) {
    for (let i = 0; i < 200; i++) engine.getSync(keyOf((reads++ * 104_729) % records));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await compacting;
  const wallMs = performance.now() - begun;
  const { user, system } = process.cpuUsage(cpu);
  await engine.close();
  rmSync(directory, { recursive: true, force: true });
  return {
    threads,
    parts,
    wallMs: Math.round(wallMs),
    cpuMs: Math.round((user + system) / 1000),
    reads: Math.round((reads / wallMs) * 1000),
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

try {
  const source = join(root, 'source');
  await fill(source);
  const all: Round[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const threads of variants) {
      const one = await compacted(source, threads, round);
      all.push(one);
      process.stdout.write(`${JSON.stringify(one)}\n`);
    }
  }
  for (const threads of variants) {
    const of = (field: 'wallMs' | 'cpuMs' | 'reads'): number =>
      median(all.filter((one) => one.threads === threads).map((one) => one[field]));
    process.stdout.write(`median ${JSON.stringify({ threads, wallMs: of('wallMs'), cpuMs: of('cpuMs'), reads: of('reads') })}\n`);
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
