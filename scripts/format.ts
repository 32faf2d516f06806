/**
 * Formats the sources with oxfmt, or with --check tells which are not formatted.
 *
 *   node scripts/format.ts [--check] [FILE ...]
 *
 * AssemblyScript puts decorators on functions, where TypeScript's grammar has none: for the kernels each decorator becomes a comment while
 * oxfmt looks, and a decorator again after.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const OXFMT = join(dirname(createRequire(import.meta.url).resolve('oxfmt/package.json')), 'bin', 'oxfmt');
const CONFIG = join(ROOT, '.oxfmtrc.json');

const DECORATOR = /^([ \t]*)@(inline|unmanaged|unsafe)$/gm;
const DISGUISED = /^([ \t]*)\/\/ :(inline|unmanaged|unsafe):$/gm;

const check = process.argv.includes('--check');
const named = process.argv.slice(2).filter((operand) => operand !== '--check');
const isKernel = (path: string): boolean => /^assembly\/(?!memory-map\.ts$)[\w-]+(?<!\.d)\.ts$/.test(path);

const plain = named.filter((path) => !isKernel(path));
const kernels = named.length > 0 ? named.filter(isKernel) : globSync('assembly/*.ts', { cwd: ROOT }).filter(isKernel);
const sound = (named.length > 0 && plain.length === 0) || oxfmt(ROOT, [...(check ? ['--check'] : []), ...plain]);
const unformatted = formatKernels(kernels);
for (const path of unformatted) process.stdout.write(`${path}${check ? ': not formatted, run npm run format' : ' formatted'}\n`);
process.exitCode = sound && !(check && unformatted.length > 0) ? 0 : 1;

/** The kernels that differ from their formatted form; without --check they are written. */
function formatKernels(paths: readonly string[]): string[] {
  if (paths.length === 0) return [];
  const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-format-'));
  try {
    for (const path of paths) {
      writeFileSync(join(directory, basename(path)), readFileSync(join(ROOT, path), 'utf8').replace(DECORATOR, '$1// :$2:'));
    }
    if (!oxfmt(directory, ['-c', CONFIG, '.'])) throw new Error('oxfmt cannot read a kernel');
    return paths.filter((path) => {
      const formatted = readFileSync(join(directory, basename(path)), 'utf8').replace(DISGUISED, '$1@$2');
      if (formatted === readFileSync(join(ROOT, path), 'utf8')) return false;
      if (!check) writeFileSync(join(ROOT, path), formatted);
      return true;
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function oxfmt(directory: string, operands: readonly string[]): boolean {
  return spawnSync(process.execPath, [OXFMT, ...operands], { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
}
