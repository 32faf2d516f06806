/**
 * Node's cache of compiled modules, for all processes and threads of a test run. Each engine starts a thread, and without the cache each thread
 * strips the types of the engine's sources anew, with a WebAssembly module of Node's own: 150 ms of a core, and in V8 13.6 a chance to meet its
 * `Check failed: jit_page.has_value()`, which ends the process, when several threads make that module's wrappers at once
 * (https://github.com/nodejs/node/issues/64500). What users install is compiled and does not go that way.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const COMPILE_CACHE: string = fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url));

/** Imports what tests run from source in processes of their own, and opens an engine, for its thread. */
const FILL = `
  import { mkdtempSync, rmSync } from 'node:fs';
  import { tmpdir } from 'node:os';
  import { join } from 'node:path';
  await import(${from('../cli/program.ts')});
  const { open } = await import(${from('../engine/index.ts')});
  const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-'));
  await (await open(directory)).close();
  rmSync(directory, { recursive: true });
`;

/** Fills the cache before the first test, so that no test depends on which others ran before it. */
export default function fillCompileCache(): void {
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', FILL], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the compile cache could not be filled: ${stderr}`);
}

function from(file: string): string {
  return JSON.stringify(new URL(file, import.meta.url).href);
}
