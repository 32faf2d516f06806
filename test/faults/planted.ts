/**
 * Plants each bug of planted-bugs.ts in a copy of the sources and says which test finds it:
 *
 *   node test/faults/planted.ts [--only PATTERN] [--table FILE]
 *
 * The tests that found a bug the last time are asked first, then suites, cheapest first; a run ends at the first failure. Prints a table, and exits with 1 when a bug was found by nothing or does not fit the
 * sources any more. `--table` writes the table as Markdown.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectFiles, ROOT } from '../project-files.ts';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';

/** Cheapest first. */
const SUITES: readonly { readonly name: string; readonly paths: readonly string[] }[] = [
  {
    name: 'parts',
    paths: ['test/assembly', 'test/formats', 'test/engine/table', 'test/engine/log', 'test/engine/manifest', 'test/engine/compaction'],
  },
  { name: 'unit', paths: ['test/engine', 'test/assembly', 'test/formats', 'test/base'] },
  {
    name: 'crash',
    paths: ['test/crash/failed-sync.test.ts', 'test/crash/found-in-cache.test.ts', 'test/crash/upkeep.test.ts', 'test/crash/crash.test.ts'],
  },
  { name: 'corruption', paths: ['test/corruption'] },
  { name: 'faults', paths: ['test/faults'] },
  { name: 'model', paths: ['test/model'] },
  { name: 'rest', paths: ['test/level', 'test/crash/kill.test.ts'] },
];
const SUITE_MS_MAX = 15 * 60_000;
/** A busy machine is no bug. */
const TEST_MS_MAX = 5 * 60_000;

const { values } = parseArgs({ options: { only: { type: 'string' }, table: { type: 'string' } } });
const copy = mkdtempSync(join(tmpdir(), 'sparrowkv-planted-'));
const results: { bug: PlantedBug; suite: string; test: string }[] = [];
try {
  copySources();
  const kernels = readFileSync(join(copy, 'assembly/engine.wasm'));
  for (const bug of PLANTED_BUGS) {
    if (values.only !== undefined && !new RegExp(values.only).test(bug.name)) continue;
    const found = plantAndRun(bug, kernels);
    results.push({ bug, ...found });
    console.log(`${bug.name}: ${found.suite}: ${found.test}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const missed = results.filter(({ suite }) => suite === 'nothing' || suite === 'stale');
console.log(`${results.length} bugs planted, ${results.length - missed.length} found`);
if (values.table !== undefined) writeFileSync(values.table, table());
process.exit(missed.length > 0 ? 1 : 0);

function copySources(): void {
  for (const path of projectFiles()) cpSync(join(ROOT, path), join(copy, path));
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  for (const script of ['scripts/build-kernels.ts', 'scripts/build-proto.ts']) run(process.execPath, [script]);
}

function plantAndRun(bug: PlantedBug, kernels: Uint8Array): { suite: string; test: string } {
  const path = join(copy, bug.file);
  const source = readFileSync(path, 'utf8');
  if (source.split(bug.find).length !== 2) return { suite: 'stale', test: `${bug.file} does not hold once what the bug replaces` };
  writeFileSync(
    path,
    source.replace(bug.find, () => bug.plant),
  );
  try {
    if (bug.file.startsWith('assembly/')) run(process.execPath, ['scripts/build-kernels.ts']);
    for (const { name, paths } of [{ name: 'as before', paths: [bug.foundBy] }, ...SUITES]) {
      const test = firstFailure(paths);
      if (test !== undefined) return { suite: name, test };
    }
    return { suite: 'nothing', test: '' };
  } finally {
    writeFileSync(path, source);
    writeFileSync(join(copy, 'assembly/engine.wasm'), kernels);
  }
}

/** Name of the first test that fails, or undefined. It must fail once more by itself: a busy machine fails tests too. */
function firstFailure(paths: readonly string[], without: readonly string[] = []): string | undefined {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const vitest = join(copy, 'node_modules/vitest/vitest.mjs');
  const options = ['--bail', '1', '--testTimeout', String(TEST_MS_MAX), '--reporter', 'json', '--outputFile', report];
  const args = [vitest, 'run', ...options, ...paths, ...without.flatMap((path) => ['--exclude', path])];
  const ended = spawnSync(process.execPath, args, { cwd: copy, stdio: 'pipe', timeout: SUITE_MS_MAX, killSignal: 'SIGKILL' });
  if (ended.status === 0) return undefined;
  if (ended.signal !== null) return 'runs for too long';
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  for (const { name, assertionResults } of testResults) {
    const failed = assertionResults.find(({ status }) => status === 'failed');
    if (!failed) continue;
    const path = name.slice(copy.length + 1);
    const found = `${path}: ${failed.fullName}`;
    if (paths.includes(path)) return found;
    return firstFailure([path]) ?? firstFailure(paths, [...without, path]);
  }
  const file = testResults.find(({ status }) => status === 'failed');
  return file ? file.name.slice(copy.length + 1) : 'the run ends with an error outside of a test';
}

interface Report {
  testResults: { name: string; status: string; assertionResults: { fullName: string; status: string }[] }[];
}

function run(command: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: copy, stdio: 'pipe', encoding: 'utf8' });
  if (status !== 0) throw new Error(`${args.join(' ')} failed in the copy:\n${stdout}${stderr}`);
}

function table(): string {
  const rows = results.map(({ bug, suite, test }) => `| ${bug.name} | ${bug.file} | ${suite === 'nothing' ? '**nothing**' : test} |`);
  return ['| bug | planted in | found by |', '|---|---|---|', ...rows, ''].join('\n');
}
