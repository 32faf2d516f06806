/**
 * Plants each bug of planted-bugs.ts in a copy of the sources and says which seed of the simulation finds it first:
 *
 *   node test/sim/planted.ts [--only PATTERN] [--seeds 500] [--table FILE]
 *
 * Prints a table, and exits with 1 when a bug was not found or does not fit the sources any more. `--table` writes it as Markdown.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectFiles, ROOT } from '../project-files.ts';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';
import { PLANTED_CLUSTER_BUGS } from './planted-cluster-bugs.ts';

const { values } = parseArgs({
  options: { only: { type: 'string' }, seeds: { type: 'string', default: '500' }, table: { type: 'string' } },
});
/** Made beside the sources, not kept with them. */
const BUILT = ['assembly/engine.wasm', 'proto/gen'];

const copy = mkdtempSync(join(tmpdir(), 'sparrowkv-planted-'));
const rows: string[] = [];
let missed = 0;
try {
  for (const path of [...projectFiles(), ...BUILT]) cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  for (const bug of [...PLANTED_BUGS, ...PLANTED_CLUSTER_BUGS]) {
    if (values.only !== undefined && !new RegExp(values.only).test(bug.name)) continue;
    const { seed, as } = plantAndRun(bug);
    if (seed === undefined) missed++;
    console.log(`${bug.name}: ${seed === undefined ? as : `seed ${seed}: ${as}`}`);
    rows.push(`| ${bug.name} | \`${bug.file}\` | ${seed ?? `**${as}**`} |`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
if (values.table !== undefined) writeFileSync(values.table, ['| bug | planted in | first seed |', '|---|---|---|', ...rows, ''].join('\n'));
console.log(`${rows.length} bugs planted, ${rows.length - missed} found`);
process.exit(missed > 0 ? 1 : 0);

function plantAndRun(bug: PlantedBug): { seed: number | undefined; as: string } {
  const path = join(copy, bug.file);
  const source = readFileSync(path, 'utf8');
  if (source.split(bug.find).length !== 2) return { seed: undefined, as: `${bug.file} does not hold once what the bug replaces` };
  writeFileSync(
    path,
    source.replace(bug.find, () => bug.plant),
  );
  try {
    const campaign = join(copy, 'test/sim/campaign.ts');
    const args = [campaign, ...(bug.cluster ?? []), '--seed', '1', '--seeds', values.seeds, '--no-shrink'];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: copy, stdio: 'pipe', encoding: 'utf8' });
    if (status === 0) return { seed: undefined, as: `not found in ${values.seeds} seeds` };
    const found = /^seed (\d+) is wrong: (.*)$/m.exec(stderr);
    if (!found) return { seed: undefined, as: `the run ends with another error: ${stderr.slice(0, 500)}` };
    return { seed: Number(found[1]), as: found[2]! };
  } finally {
    writeFileSync(path, source);
  }
}
