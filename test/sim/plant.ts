/**
 * A copy of the sources in which bugs are planted, one at a time, and campaigns that look for them. The project's own files are never touched.
 *
 * Used by planted.ts and planted.test.ts.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectFiles, ROOT } from '../project-files.ts';
import { edits, type PlantedBug } from './planted-bugs.ts';

export interface Found {
  /** The first one that fails; undefined: none does. */
  readonly seed: number | undefined;
  /** What noticed the bug (SimulationResult.foundBy); without a seed why there is none. */
  readonly by: string;
  /** The first line of what the run said. */
  readonly as: string;
}

/** Made beside the sources, not kept with them. */
const BUILT = ['assembly/engine.wasm', 'proto/gen'];
/** All that the simulation runs on. */
const NEEDED = /^(?:package\.json|(?:assembly|base|client|engine|proto|server)\/|test\/(?:sim|server|project-files))/;

export class PlantingGround {
  readonly #copy: string = mkdtempSync(join(tmpdir(), 'sparrowkv-planted-'));

  constructor() {
    const paths = projectFiles().filter((path) => NEEDED.test(path));
    for (const path of [...paths, ...BUILT]) cpSync(join(ROOT, path), join(this.#copy, path), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(this.#copy, 'node_modules'));
  }

  /** Runs so many seeds from the first one on with the bug in place. */
  async plant(bug: PlantedBug, first: number, seeds: number): Promise<Found> {
    const before: Map<string, string> = new Map();
    try {
      for (const { file, find, plant } of edits(bug)) {
        const path = join(this.#copy, file);
        const source = readFileSync(path, 'utf8');
        if (source.split(find).length !== 2) return { seed: undefined, by: `${file} does not hold once what the bug replaces`, as: '' };
        if (!before.has(path)) before.set(path, source);
        writeFileSync(
          path,
          source.replace(find, () => plant),
        );
      }
      return await this.#campaign(bug.cluster ?? [], first, seeds);
    } finally {
      for (const [path, source] of before) writeFileSync(path, source);
    }
  }

  /** Throws when runs fail without any bug: whatever was found then would say nothing. */
  async assertSound(cluster: readonly string[], seeds: number): Promise<void> {
    const { seed, by, as } = await this.#campaign(cluster, 1, seeds);
    if (seed !== undefined || as !== '') throw new Error(`without a bug, ${cluster.join(' ')}: seed ${seed} by ${by}: ${as}`);
  }

  clear(): void {
    rmSync(this.#copy, { recursive: true, force: true });
  }

  async #campaign(cluster: readonly string[], first: number, seeds: number): Promise<Found> {
    const campaign = join(this.#copy, 'test/sim/campaign.ts');
    const args = [campaign, ...cluster, '--seed', String(first), '--seeds', String(seeds), '--no-shrink'];
    const { status, said } = await run(args, this.#copy);
    if (status === 0) return { seed: undefined, by: `not found in ${seeds} seeds`, as: '' };
    const found = /^seed (\d+) is wrong \((.*?)\): (.*)$/m.exec(said);
    if (!found) return { seed: undefined, by: 'another error', as: said.slice(0, 500) };
    return { seed: Number(found[1]), by: found[2]!, as: found[3]! };
  }
}

function run(args: readonly string[], cwd: string): Promise<{ status: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, said }));
  });
}
