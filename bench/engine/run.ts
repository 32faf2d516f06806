/**
 * `node bench/engine/run.ts`: runs the workloads for each engine in turn, each group of workloads in a process and an empty directory of its
 * own, prints a table, and appends a JSON line a result to --json FILE. Exit code 1 when an engine failed a workload.
 */
import { fork } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Request } from './child.ts';
import type { Group } from './group.ts';
import { chooseVariants, FAMILIES, OURS } from './engines.ts';
import { aligned, bytes, cellOf, rate, ratioCell, rowsOf, time } from './report.ts';
import type { Result } from './result.ts';
import type { Variant } from './store.ts';
import { GROUPS, WORKLOADS, wantedOf } from './workloads.ts';

const RECORDS = 1_000_000;
const RECORDS_QUICK = 100_000;
const MILLISECONDS = 10_000;
const MILLISECONDS_QUICK = 300;

const HELP = `node bench/engine/run.ts [options]
  --quick            ${RECORDS_QUICK} records and ${MILLISECONDS_QUICK} ms a measurement (else ${RECORDS} and ${MILLISECONDS / 1000} s)
  --records N        size of the database
  --seconds N        longest time of a measurement
  --only A,B         workloads or groups
  --engines A,B      engines (all their variants) or variants, e.g. sparrowkv,lmdb:sync; default: all
  --json FILE        append results as JSON lines
  --dir DIR          where to put the databases (default: a temporary directory); it must be on a disk for bytes written to be known
  --profile DIR      write CPU profiles of our engine's processes
  --verbose          a line for each result: latency, CPU, memory, bytes
  --list             what there is`;

export interface RunOptions {
  records: number;
  milliseconds: number;
  only: string[];
  engines: string[];
  directory: string;
  profile: string | undefined;
  onResult: (result: Result) => void;
  onFailure: (variant: Variant, group: Group, reason: string) => void;
}

export async function runAll(options: RunOptions): Promise<void> {
  const variants = await chooseVariants(options.engines);
  for (const group of GROUPS) {
    for (const variant of variants) {
      const wanted = wantedOf(group, variant, options.only);
      if (wanted.length === 0) continue;
      const directory = mkdtempSync(join(options.directory, `${variant.family}-`));
      const { records, milliseconds } = options;
      const profile = variant.family === OURS ? options.profile : undefined;
      try {
        await runGroup({ group: group.name, variant, wanted, records, milliseconds, directory }, profile, options.onResult);
      } catch (error) {
        options.onFailure(variant, group, (error as Error).message);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }
  }
}

function runGroup(request: Request, profile: string | undefined, onResult: (result: Result) => void): Promise<void> {
  const execArgv = profile
    ? ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${request.group}-${process.hrtime.bigint()}.cpuprofile`]
    : [];
  const child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), { execArgv, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.on('message', (message) => onResult(message as Result));
  child.send(request);
  return new Promise((settled, failed) => {
    child.once('error', failed);
    child.once('close', (code, signal) =>
      code === 0 ? settled() : failed(new Error(stderr.trim() || `ended by ${signal ?? `code ${code}`}`)),
    );
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      records: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      engines: { type: 'string' },
      json: { type: 'string' },
      dir: { type: 'string' },
      profile: { type: 'string' },
      verbose: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  if (values.list) return list();
  const only = names(values.only);
  for (const name of only) {
    if (![...GROUPS, ...WORKLOADS].some((known) => known.name === name)) throw new Error(`no workload or group '${name}' (see --list)`);
  }
  const parent = resolve(values.dir ?? tmpdir());
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, 'sparrowkv-bench-'));
  if (values.json) mkdirSync(dirname(resolve(values.json)), { recursive: true });
  const results: Result[] = [];
  const progress = new Progress();
  const started = performance.now();
  const records = values.records ? Number(values.records) : values.quick ? RECORDS_QUICK : RECORDS;
  if (!Number.isSafeInteger(records) || records < 100) throw new Error('--records is a whole number of 100 or more');
  const milliseconds = values.seconds ? Number(values.seconds) * 1000 : values.quick ? MILLISECONDS_QUICK : MILLISECONDS;
  if (!(milliseconds > 0)) throw new Error('--seconds is a number above 0');
  console.log(
    `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.versions.node}, ${records} records, ${new Date().toISOString()}`,
  );
  try {
    await runAll({
      records,
      milliseconds,
      only,
      engines: values.engines ? names(values.engines) : [...FAMILIES],
      directory,
      profile: values.profile ? resolve(values.profile) : undefined,
      onResult(result) {
        results.push(result);
        if (values.json) appendFileSync(values.json, `${JSON.stringify(result)}\n`);
        if (values.verbose) console.log(lineOf(result));
        else progress.show(`${result.workload} ${result.engine}`);
      },
      onFailure(variant, group, reason) {
        progress.clear();
        console.error(`${variant.name} failed ${group.name}: ${reason}`);
        process.exitCode = 1;
      },
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  progress.clear();
  printTable(results);
  console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s`);
}

function printTable(results: readonly Result[]): void {
  const ran = FAMILIES.filter((family) => results.some((result) => result.engine.split(':')[0] === family));
  const rows = rowsOf(results).map(({ workload, best, ratio }) => [
    workload.title,
    ...FAMILIES.map((_, i) => cellOf(best[i], workload)).filter((_, i) => ran.includes(FAMILIES[i]!)),
    ratioCell(ratio),
  ]);
  if (rows.length > 0) console.log(`\n${aligned([['operations a second, or median time', ...ran, 'ours/best'], ...rows])}`);
}

function lineOf(result: Result): string {
  const { workload, engine, opsPerSec, p50Us, p99Us, maxUs, cpuUsPerOp, peakRssBytes, bytesWritten, bytesOnDisk } = result;
  return [
    workload.padEnd(20),
    engine.padEnd(19),
    `${rate(opsPerSec)}/s`.padStart(8),
    `p50 ${time(p50Us)} p99 ${time(p99Us)} max ${time(maxUs)}`.padEnd(42),
    `cpu ${cpuUsPerOp.toFixed(2)} us`.padStart(14),
    `rss ${bytes(peakRssBytes)}`,
    `written ${bytesWritten === null ? 'unknown' : bytes(bytesWritten)} disk ${bytes(bytesOnDisk)}`,
  ].join('  ');
}

async function list(): Promise<void> {
  const variants = await chooseVariants(FAMILIES);
  console.log(
    aligned([['engine', ''], ...variants.map(({ name, note }) => [name, note])].map(([name, note]) => [`${name!.padEnd(22)}${note}`])),
  );
  for (const group of GROUPS) {
    console.log(`\n${group.name}`);
    for (const { name, title } of group.workloads) console.log(`  ${name.padEnd(22)}${title}`);
  }
}

function names(text: string | undefined): string[] {
  return text ? text.split(',').filter((name) => name !== '') : [];
}

/** One line that is written over on a terminal, nothing elsewhere. */
class Progress {
  show(text: string): void {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}

if (import.meta.main) await main();
