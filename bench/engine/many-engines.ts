/**
 * What an engine costs that does nothing: opens many in one process over shared resources, and reports for each of them memory, descriptors
 * and time, as they are opened, after a write to each, after a flush of each, and closed.
 *
 *   node --expose-gc bench/engine/many-engines.ts [engines, default 1000]
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createResources, type Engine, open } from '../../engine/index.ts';

const count = Number(process.argv[2] ?? 1000);
const collect = globalThis.gc;
if (!collect) throw new Error('run it with --expose-gc');
const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-many-'));
const resources = createResources({ memoryBytes: 2 ** 30 });

interface Sample {
  rss: number;
  heap: number;
  outside: number;
  linear: number;
  descriptors: number;
  ms: number;
}

function sample(): Sample {
  collect!();
  const { rss, heapUsed, external } = process.memoryUsage();
  const { linearMemoryBytes } = resources.stats();
  return {
    rss,
    heap: heapUsed,
    outside: external,
    linear: linearMemoryBytes,
    descriptors: readdirSync('/proc/self/fd').length,
    ms: performance.now(),
  };
}

let last: Sample;
function report(what: string, base: Sample): void {
  const now = sample();
  const kib = (field: 'rss' | 'heap' | 'outside' | 'linear'): string => ((now[field] - base[field]) / count / 1024).toFixed(1).padStart(8);
  const descriptors = ((now.descriptors - base.descriptors) / count).toFixed(2);
  process.stdout.write(
    `${what.padEnd(10)} rss ${kib('rss')}  heap ${kib('heap')}  external ${kib('outside')}  linear ${kib('linear')} KiB  ` +
      `descriptors ${descriptors}  ${((now.ms - last.ms) / count).toFixed(2)} ms\n`,
  );
  last = sample();
}

// The first one brings code and the lock's library into memory.
const warm = await open(join(directory, 'warm'), {}, { resources });
await warm.put('k', 'v');
await warm.flush();
const base = (last = sample());
const engines: Engine[] = [];
for (let i = 0; i < count; i++) engines.push(await open(join(directory, String(i)), {}, { resources }));
report('opened', base);
for (const engine of engines) await engine.put('key', 'value');
for (const engine of engines) if (engine.getSync('key') === undefined) throw new Error('a write is lost');
report('written', base);
await Promise.all(engines.map((engine) => engine.sync()));
report('synced', base);
await Promise.all(engines.map((engine) => engine.flush()));
for (const engine of engines) if (engine.getSync('key') === undefined) throw new Error('a write is lost');
report('flushed', base);
await Promise.all(engines.map((engine) => engine.close()));
report('closed', base);
await warm.close();
await resources.close();
rmSync(directory, { recursive: true, force: true });
