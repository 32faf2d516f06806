/**
 * Builds the package: kernels to assembly/engine.wasm, the protocol to proto/gen/, everything to dist/.
 *
 *   node scripts/build.ts               builds
 *   node scripts/build.ts --if-needed   builds unless dist/ is from these very sources (their digest stands in build/inputs)
 *
 * dist/ is made beside the old one and swapped in at the end: a failed build leaves the old one, and no file of it outlives its source.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const DIST = join(ROOT, 'dist');
const FRESH = join(ROOT, 'build', 'dist');
const STAMP = join(ROOT, 'build', 'inputs');

/** What runs in a browser: a project of its own, since there are other things there than here. */
const PAGE = 'server/dashboard/page';

/** All that decides what dist/ holds. */
const INPUTS: readonly string[] = [
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
  `${PAGE}/*`,
  'index.ts',
  'scripts/build*.ts',
  'assembly/*.ts',
  'proto/buf*.yaml',
  'proto/sparrowkv/**/*.proto',
  'proto/*.ts',
  '{base,engine,client,server,cli,level}/**/*.ts',
];

/** What tsc does not write itself: files that the code finds beside it at run time. */
const COPIED: readonly string[] = ['assembly/engine.wasm', 'proto/sparrowkv/**/*.proto', `${PAGE}/*.{html,css,svg}`];

const digest = digestOfInputs();
if (process.argv.includes('--if-needed') && digestOfBuild() === digest) process.exit(0);

const started = performance.now();
process.stdout.write('building the kernels, the protocol and dist/ ...\n');
rmSync(FRESH, { recursive: true, force: true });
runScript('kernels', 'build-kernels.ts');
runScript('protocol', 'build-proto.ts');
compile('dist', 'tsconfig.build.json', []);
compile('page', join(PAGE, 'tsconfig.json'), ['--noEmit', 'false', '--declaration', 'false', '--isolatedDeclarations', 'false']);
for (const file of COPIED.flatMap((pattern) => globSync(pattern, { cwd: ROOT }))) {
  mkdirSync(join(FRESH, dirname(file)), { recursive: true });
  copyFileSync(join(ROOT, file), join(FRESH, file));
}
chmodSync(join(FRESH, 'cli', 'main.js'), 0o755);
rmSync(DIST, { recursive: true, force: true });
renameSync(FRESH, DIST);
writeFileSync(STAMP, digest);
process.stdout.write(`built dist/ in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);

function runScript(step: string, script: string): void {
  run(step, process.execPath, [join(ROOT, 'scripts', script)]);
}

function compile(step: string, project: string, options: readonly string[]): void {
  run(step, process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', project, '--outDir', FRESH, ...options]);
}

function run(step: string, program: string, operands: string[]): void {
  const { status, signal } = spawnSync(program, operands, { cwd: ROOT, stdio: 'inherit' });
  if (status === 0) return;
  process.stderr.write(`build failed at ${step} (${signal ?? `exit code ${status}`})\n`);
  process.exit(1);
}

function digestOfInputs(): string {
  const hash = createHash('sha256');
  for (const file of INPUTS.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).sort()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(ROOT, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

function digestOfBuild(): string | undefined {
  return existsSync(DIST) && existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : undefined;
}
