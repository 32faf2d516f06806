/**
 * What an engine costs that does nothing: opens many in one process over shared resources, and reports for each of them memory, descriptors
 * and time, as they are opened, after a write to each, after a flush of each, and closed.
 *
 *   node --expose-gc bench/engine/many-engines.ts [engines, default 1000] [--hosted: under a host's log]
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createResources, type Engine, open } from '../../engine/index.ts';

const { values: options, positionals } = parseArgs({ options: { hosted: { type: 'boolean', default: false } }, allowPositionals: true });
const count = Number(positionals[0] ?? 1000);
const collect = globalThis.gc;
if (!collect) throw new Error('run it with --expose-gc');
const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-many-'));
const resources = createResources({ memoryBytes: 2 ** 30 });

/** A log of one segment, in which all engines have a value. */
const VALUE = Buffer.alloc(4096, 'value');
const segment = join(directory, 'segment');
if (options.hosted) writeFileSync(segment, VALUE);

function openOne(name: string): Promise<Engine> {
  const path = join(directory, name);
  return options.hosted ? open(path, {}, { resources, hosted: { segmentPath: () => segment } }) : open(path, {}, { resources });
}

function put(engine: Engine): Promise<unknown> {
  if (!options.hosted) return engine.put('key', 'value');
  const operation = { type: 'put', key: 'key', value: VALUE, at: { segment: 1, offset: 0 } } as const;
  return engine.write([operation], { sequence: 1 });
}

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
const warm = await openOne('warm');
await put(warm);
await warm.flush();
const base = (last = sample());
const engines: Engine[] = [];
for (let i = 0; i < count; i++) engines.push(await openOne(String(i)));
report('opened', base);
for (const engine of engines) await put(engine);
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
