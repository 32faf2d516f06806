/**
 * Plants each bug of planted-bugs.ts in a copy of the core and says what finds it: random lives up to 500 seeds, then the golden scripts.
 *
 *   node test/server/raft/planted.ts [--only PATTERN] [--seeds 500] [--table FILE]
 *
 * Prints a line for each, and exits with 1 when a bug was found by nothing or does not fit the sources any more. `--table` writes Markdown.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../project-files.ts';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';

const RUN_MS_MAX = 120_000;

const { values } = parseArgs({
  options: { only: { type: 'string' }, seeds: { type: 'string', default: '500' }, table: { type: 'string' } },
});
const copy = mkdtempSync(join(tmpdir(), 'sparrowkv-raft-planted-'));
const results: { bug: PlantedBug; seed: string; script: string }[] = [];
try {
  mkdirSync(join(copy, 'server'));
  for (const path of ['package.json', 'base', 'server/raft', 'test/server/raft', 'test/scripts/raft'])
    cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  const whole = find();
  if (whole.seed !== '' || whole.script !== '') throw new Error(`without a bug: ${whole.seed} ${whole.script}`);
  for (const bug of PLANTED_BUGS) {
    if (values.only !== undefined && !new RegExp(values.only).test(bug.name)) continue;
    const found = plantAndRun(bug);
    results.push({ bug, ...found });
    console.log(`${bug.name}: ${found.seed || 'no seed'}; ${found.script || 'no script'}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const missed = results.filter(({ seed, script }) => seed === 'stale' || (seed === '' && script === ''));
console.log(`${results.length} bugs planted, ${results.length - missed.length} found`);
if (values.table !== undefined) {
  const rows = results.map(({ bug, seed, script }) => `| ${bug.name} | ${bug.file} | ${seed || '-'} | ${script || '-'} |`);
  writeFileSync(values.table, ['| bug | planted in | found by seed | and by script |', '|---|---|---|---|', ...rows, ''].join('\n'));
}
process.exit(missed.length > 0 ? 1 : 0);

function plantAndRun(bug: PlantedBug): { seed: string; script: string } {
  const path = join(copy, 'server/raft', bug.file);
  const source = readFileSync(path, 'utf8');
  if (source.split(bug.find).length !== 2) return { seed: 'stale', script: '' };
  writeFileSync(
    path,
    source.replace(bug.find, () => bug.plant),
  );
  try {
    return find();
  } finally {
    writeFileSync(path, source);
  }
}

/** In a process of its own: a planted bug may run for ever. */
function find(): { seed: string; script: string } {
  const { status, stdout } = spawnSync(process.execPath, ['test/server/raft/find-bug.ts', values.seeds], {
    cwd: copy,
    encoding: 'utf8',
    timeout: RUN_MS_MAX,
    killSignal: 'SIGKILL',
  });
  const [seed = '', script = ''] = stdout.split('\n');
  return { seed: status === null && seed === '' ? 'runs for too long' : seed, script };
}
