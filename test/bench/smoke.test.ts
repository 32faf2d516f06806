/** The engine bench runs from its command line for every engine, on a tiny database, and its results have the shape that is promised. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FAMILIES } from '../../bench/engine/engines.ts';
import { rowsOf } from '../../bench/engine/report.ts';
import { parseResults, type Result } from '../../bench/engine/result.ts';
import { tablesOf, withTables } from '../../bench/engine/table.ts';

const RECORDS = 2000;
// One of each kind: the others differ in numbers only.
const WORKLOADS = ['put-synced-64', 'put-random', 'reads', 'insert-1m', 'ycsb-e', 'queue-head', 'open-killed'];

const FIELDS = 'workload,engine,records,valueBytes,opsPerSec,p50Us,p99Us,cpuUsPerOp,peakRssBytes,bytesWritten,bytesOnDisk'.split(',');

let directory = '';
let results: Result[] = [];
let printed = '';

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-test-'));
  const file = join(directory, 'results.jsonl');
  const options = ['--quick', '--records', String(RECORDS), '--only', WORKLOADS.join(','), '--json', file, '--dir', directory];
  // A wrong read-back or a failed workload is exit code 1, which rejects here with what the run said.
  ({ stdout: printed } = await promisify(execFile)(process.execPath, ['bench/engine/run.ts', ...options]));
  results = parseResults(readFileSync(file, 'utf8'));
}, 180_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('every engine has a figure for every workload', () => {
  const rows = rowsOf(results);
  expect(rows.map(({ workload }) => workload.name)).toEqual(
    expect.arrayContaining(['put-synced-64', 'put-random', 'get', 'seek-100', 'read-while-writing', 'insert-1m', 'ycsb-e', 'open-killed']),
  );
  expect(rows.filter(({ best }) => best.includes(undefined)).map(({ workload }) => workload.name)).toEqual([]);
  expect(rows.filter(({ ratio }) => !(ratio! > 0)).map(({ workload }) => workload.name)).toEqual([]);
  for (const { workload } of rows) expect(printed).toContain(workload.title);
});

test('a result names its workload and engine and carries every figure', () => {
  for (const result of results) {
    expect(FAMILIES).toContain(result.engine.split(':')[0]);
    expect(Object.keys(result)).toEqual(expect.arrayContaining(FIELDS));
    for (const figure of [result.records, result.valueBytes, result.opsPerSec, result.p50Us, result.p99Us, result.operations]) {
      expect(figure).toBeGreaterThan(0);
    }
    expect(result.p99Us).toBeGreaterThanOrEqual(result.p50Us);
    expect(result.peakRssBytes).toBeGreaterThan(2 ** 20);
    expect(result.bytesOnDisk).toBeGreaterThan(0);
    expect(result.cpuUsPerOp).toBeGreaterThan(0);
  }
});

test('the page is made of the results', () => {
  const tables = tablesOf(results, 'a machine');
  const page = withTables(readFileSync('docs/benchmarks.md', 'utf8'), tables);
  expect(page).toContain(tables);
  expect(withTables(page, tables)).toBe(page);
  expect(tables).toMatch(/\| put one by one, awaited, random keys \|/);
});
