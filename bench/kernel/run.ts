/**
 * `node bench/kernel/run.ts [--table] [name ...]`: runs the kernels' benchmarks (`*.bench.ts` beside this file), all or those whose name is
 * given. `--table` writes what was measured, which is all of them then, into docs/kernels.md.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { run } from 'mitata';

const SUFFIX = '.bench.ts';
const DOCUMENT = join(import.meta.dirname, '../../docs/kernels.md');
const BEGIN = '<!-- kernel table: begin (made by bench/kernel/run.ts --table) -->';
const END = '<!-- kernel table: end -->';

const table = process.argv.includes('--table');
const wanted = process.argv.slice(2).filter((name) => name !== '--table');
if (table && wanted.length > 0) throw new Error(`--table writes the whole table: it is not for ${wanted.join(', ')} alone`);

for (const file of readdirSync(import.meta.dirname).toSorted()) {
  if (!file.endsWith(SUFFIX)) continue;
  if (wanted.length > 0 && !wanted.includes(file.slice(0, -SUFFIX.length))) continue;
  // Each registers its groups with mitata; they run together below.
  await import(`./${file}`);
}
/** What `run` returns, of which mitata's types tell a part. */
interface Measured {
  layout: { name: string | null }[];
  benchmarks: { group: number; runs: { name: string; stats?: { p50: number; p99: number } }[] }[];
}

const { layout, benchmarks } = (await run({ colors: process.stdout.isTTY === true })) as unknown as Measured;
if (table) writeTable();

function writeTable(): void {
  const rows = benchmarks.flatMap(({ group, runs }) =>
    runs.flatMap(({ name, stats }) =>
      stats ? [`| ${layout[group]?.name ?? ''} | ${name} | ${time(stats.p50)} | ${time(stats.p99)} |`] : [],
    ),
  );
  const text = readFileSync(DOCUMENT, 'utf8');
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`${DOCUMENT} has no place for the table`);
  const machine = `${cpus()[0]!.model.trim()}, Node ${process.versions.node}.`;
  const lines = [BEGIN, '', machine, '', '| What | Step | p50 | p99 |', '| --- | --- | ---: | ---: |', ...rows, '', END];
  writeFileSync(DOCUMENT, `${before}${lines.join('\n')}${after}`);
}

function time(nanoseconds: number): string {
  if (nanoseconds < 1000) return `${nanoseconds < 10 ? nanoseconds.toFixed(1) : Math.round(nanoseconds)} ns`;
  return nanoseconds < 1e6 ? `${(nanoseconds / 1000).toFixed(1)} us` : `${(nanoseconds / 1e6).toFixed(1)} ms`;
}
