/**
 * `node bench/cluster/table.ts results.jsonl [--machine TEXT]`: writes the tables of docs/benchmarks.md, between its markers, from the lines that run.ts recorded. Run it
 * where the figures were taken, or say where with --machine.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { markdown, replaceBetween } from '../engine/markdown.ts';
import { partTablesOf } from './part-report.ts';
import { isPartResult, type PartResult } from './part-result.ts';
import { COST_TITLES, costs, rowsOf, SPEED_TITLES, speeds } from './report.ts';
import type { Result } from './result.ts';
import { parseResults } from './results-file.ts';

const PAGE: string = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));
const BEGIN = '<!-- cluster tables: begin (made by bench/cluster/table.ts) -->';
const END = '<!-- cluster tables: end -->';

export function withClusterTables(page: string, tables: string): string {
  return replaceBetween(page, BEGIN, END, tables);
}

export function clusterTablesOf(lines: readonly (Result | PartResult)[], machine: string): string {
  const rows = rowsOf(lines.filter((line): line is Result => !isPartResult(line)));
  return [
    `${machine}. Servers and client share the machine. Operations a second, by calls in flight. Where a ratio falls short of what is aimed at, the goal stands behind it.`,
    markdown([SPEED_TITLES, ...rows.map(speeds)]),
    "What it costs. Servers' CPU: of all of them together, an operation; the client's is not in it. Written by a replica: times the value, an operation. Both in the order session, unary, etcd.",
    markdown([COST_TITLES, ...rows.map(costs)]),
    ...partTablesOf(lines.filter(isPartResult)).flatMap(({ title, rows: cells }) => [title, markdown(cells)]),
  ].join('\n\n');
}

function main(): void {
  const { values, positionals } = parseArgs({ options: { machine: { type: 'string' } }, allowPositionals: true });
  if (positionals.length === 0) throw new Error('usage: node bench/cluster/table.ts results.jsonl [--machine TEXT]');
  const results = positionals.flatMap((file) => parseResults(readFileSync(file, 'utf8')));
  const machine =
    values.machine ?? `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.versions.node}`;
  writeFileSync(PAGE, withClusterTables(readFileSync(PAGE, 'utf8'), clusterTablesOf(results, machine)));
}

if (import.meta.main) main();
