/**
 * `node bench/engine/table.ts results.jsonl [--machine TEXT]`: writes the tables of docs/benchmarks.md, between its markers, from the lines
 * that run.ts recorded. Run it where the figures were taken, or say where with --machine.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { KEY_BYTES } from './data.ts';
import { FAMILIES, OURS } from './engines.ts';
import type { Workload } from './group.ts';
import { markdown, replaceBetween } from './markdown.ts';
import { bytes, cellOf, ratioCell, rowsOf, time, type Row } from './report.ts';
import { parseResults, type Result } from './result.ts';

const PAGE: string = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));
const BEGIN = '<!-- engine tables: begin (made by bench/engine/table.ts) -->';
const END = '<!-- engine tables: end -->';

/** The page with what stands between the markers replaced. */
export function withTables(page: string, tables: string): string {
  return replaceBetween(page, BEGIN, END, tables);
}

export function tablesOf(results: readonly Result[], machine: string): string {
  const records = Math.max(...results.map((result) => result.records));
  const rows = rowsOf(results);
  return [
    `${machine}. Databases of ${records.toLocaleString('en')} records of 16-byte keys and 100-byte values unless said; larger values take about as many bytes, 512 MiB at most.`,
    'Operations a second, or the median time where a time is shown. The best variant of each engine stands in the cell (`sync`: its synchronous calls).',
    markdown([['Workload', ...FAMILIES.map(title), 'ours / best peer'], ...rows.map(speeds)]),
    'What it costs, ours and the best peer by speed. Written: in brackets, times the keys and values that were written. On disk, at rest: in brackets, times the keys and values that are there.',
    markdown([['Workload', 'Engine', 'p50', 'p99', 'CPU an operation', 'Peak memory', 'Written', 'On disk'], ...rows.flatMap(costs)]),
  ].join('\n\n');
}

function speeds({ workload, best, ratio }: Row): string[] {
  return [workload.title, ...best.map((result) => cellOf(result, workload)), ratioCell(ratio)];
}

function costs(row: Row): string[][] {
  const ours = row.best[FAMILIES.indexOf(OURS)];
  return [ours, row.peer]
    .filter((result) => result !== undefined)
    .map((result, i) => [
      i === 0 ? row.workload.title : '',
      result.engine,
      time(result.p50Us),
      time(result.p99Us),
      `${result.cpuUsPerOp.toFixed(2)} us`,
      bytes(result.peakRssBytes),
      written(result, row.workload),
      onDisk(result, row.workload),
    ]);
}

/** With how many times as much as the caller wrote, where the workload only writes. */
function written({ bytesWritten, operations, valueBytes }: Result, { role }: Workload): string {
  if (bytesWritten === null) return 'unknown';
  if (role !== 'write' && role !== 'synced') return bytes(bytesWritten);
  return `${bytes(bytesWritten)} (${(bytesWritten / (operations * (KEY_BYTES + valueBytes))).toFixed(2)}x)`;
}

/** With how many times as much as the records take, where all of them are there and the engine has come to rest. */
function onDisk({ bytesOnDisk, records, valueBytes }: Result, { role }: Workload): string {
  if (role !== 'read' && role !== 'point' && role !== 'scan') return bytes(bytesOnDisk);
  return `${bytes(bytesOnDisk)} (${(bytesOnDisk / (records * (KEY_BYTES + valueBytes))).toFixed(2)}x)`;
}

function title(family: string): string {
  return (
    { sparrowkv: 'SparrowKV', classic: 'classic-level', lmdb: 'lmdb', rocksdb: '@nxtedition/rocksdb', sqlite: 'better-sqlite3' }[family] ??
    family
  );
}

function main(): void {
  const { values, positionals } = parseArgs({ options: { machine: { type: 'string' } }, allowPositionals: true });
  if (positionals.length === 0) throw new Error('usage: node bench/engine/table.ts results.jsonl [--machine TEXT]');
  const results = positionals.flatMap((file) => parseResults(readFileSync(file, 'utf8')));
  const machine =
    values.machine ?? `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.versions.node}`;
  writeFileSync(PAGE, withTables(readFileSync(PAGE, 'utf8'), tablesOf(results, machine)));
}

if (import.meta.main) main();
