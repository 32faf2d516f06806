/**
 * Where etcd is: on the PATH, or unpacked from Debian's package `etcd-server` into a folder of ours. The package is not installed: that would start a service. Needs apt-get, dpkg
 * and the network for the latter, once.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const PACKAGE = 'etcd-server';
const COMMAND_MS_MAX = 120_000;

export interface EtcdProgram {
  readonly path: string;
  readonly version: string;
}

/** Throws with the reason when there is none and it cannot be had. */
export function findEtcd(cache: string): EtcdProgram {
  const path = onPath() ?? unpackedIn(cache) ?? unpack(cache);
  const said = run(path, ['--version'], process.cwd());
  const version = /^etcd Version: (\S+)/m.exec(said)?.[1];
  if (version === undefined) throw new Error(`${path} does not tell its version: ${said}`);
  return { path, version };
}

function onPath(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, 'etcd')).find((path) => existsSync(path));
}

function unpackedIn(cache: string): string | undefined {
  const path = join(cache, 'usr', 'bin', 'etcd');
  return existsSync(path) ? path : undefined;
}

/** By a folder beside, so that what is cut short is not taken for the whole. */
function unpack(cache: string): string {
  const fresh = `${cache}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  try {
    run('apt-get', ['download', PACKAGE], fresh);
  } catch (error) {
    // The lists of packages may be missing, or older than what the mirrors have.
    if (process.getuid?.() !== 0) throw error;
    run('apt-get', ['update'], fresh);
    run('apt-get', ['download', PACKAGE], fresh);
  }
  const archive = readdirSync(fresh).find((name) => name.startsWith(`${PACKAGE}_`) && name.endsWith('.deb'));
  if (archive === undefined) throw new Error(`apt-get brought no ${PACKAGE}`);
  run('dpkg', ['-x', archive, '.'], fresh);
  rmSync(join(fresh, archive));
  rmSync(cache, { recursive: true, force: true });
  renameSync(fresh, cache);
  const path = unpackedIn(cache);
  if (path === undefined) throw new Error(`the package ${PACKAGE} has no usr/bin/etcd`);
  return path;
}

function run(program: string, operands: readonly string[], cwd: string): string {
  const { status, signal, stdout, stderr, error } = spawnSync(program, operands, {
    cwd,
    encoding: 'utf8',
    timeout: COMMAND_MS_MAX,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (status === 0) return stdout;
  const reason = error?.message ?? (stderr.trim() || (signal ?? `exit code ${status}`));
  throw new Error(`${program} ${operands.join(' ')}: ${reason}`, { cause: error });
}
