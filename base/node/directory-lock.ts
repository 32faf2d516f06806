/**
 * A lock on a directory that no crash can leave behind, without native code: SQLite holds an fcntl lock on `LOCK` for as long as this
 * process lives, because it is told to keep its locks (`locking_mode=EXCLUSIVE`) and then to take the exclusive one. Inside one process
 * SQLite keeps its own table of locked inodes, so that two openings there exclude each other too, through symbolic links as well.
 *
 * A connection for each lock would take 150 KiB. So a few connections hold ten locks each, as attached databases with the smallest pages and
 * cache there are: 15 KiB a lock.
 *
 * `LOCK` stays, and stays empty: were it ever removed, one process could hold the file that has lost the name and another the one that has got it.
 * Nothing else in the process may open it: closing any descriptor of a file drops the process's fcntl locks on it. `LOCK.pid` names the holder,
 * for the error message only.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { DirectoryLock } from '../env.ts';
import { SparrowError } from '../errors.ts';

export const LOCK_NAME = 'LOCK';
export const LOCK_OWNER_NAME = 'LOCK.pid';

/** As in package.json. What is needed here comes first of all that an older one has not. */
const NODE_OLDEST = '22.18';
const SQLITE_BUSY = 5;
/** What SQLite is compiled with: so many databases can be attached to a connection. */
const LOCKS_MAX = 10;

/** A connection and which of its places are taken. */
interface Connection {
  readonly database: DatabaseSync;
  readonly taken: Set<number>;
}

/** Connections that hold locks. A lock whose owner keeps no reference to it must not end when the collector finds its connection. */
const connections = new Set<Connection>();

export function lockDirectory(path: string): DirectoryLock {
  const ownerFile = join(path, LOCK_OWNER_NAME);
  // Absolute: SQLite takes a name that begins with `file:` for something else.
  const file = resolve(path, LOCK_NAME);
  let release: (() => void) | undefined;
  try {
    release = lockFile(file);
    writeFileSync(ownerFile, `${process.pid}\n`);
  } catch (cause) {
    release?.();
    throw refused(path, ownerFile, cause);
  }
  let held = true;
  return {
    release(): void {
      if (!held) return;
      held = false;
      rmSync(ownerFile, { force: true });
      release();
    },
  };
}

/** Takes the lock on a file, made when it is not there; throws what SQLite says when that cannot be. Returns what gives it back. */
function lockFile(file: string): () => void {
  const connection = connectionWithRoom();
  const { database, taken } = connection;
  let place = 0;
  while (taken.has(place)) place++;
  taken.add(place);
  const name = `lock${place}`;
  let attached = false;
  const release = (): void => {
    if (attached) database.exec(`DETACH ${name}`);
    taken.delete(place);
    if (taken.size > 0) return;
    connections.delete(connection);
    database.close();
  };
  try {
    database.prepare(`ATTACH ? AS ${name}`).run(file);
    attached = true;
    // The journal in memory: a lock must not leave a LOCK-journal behind. Nothing is written: the transaction is rolled back, its lock stays.
    database.exec(
      `PRAGMA ${name}.page_size=512; PRAGMA ${name}.cache_size=1; PRAGMA ${name}.journal_mode=MEMORY; PRAGMA ${name}.locking_mode=EXCLUSIVE; ` +
        'BEGIN EXCLUSIVE; ROLLBACK',
    );
  } catch (error) {
    release();
    throw error;
  }
  return release;
}

function connectionWithRoom(): Connection {
  for (const connection of connections) if (connection.taken.size < LOCKS_MAX) return connection;
  const connection = { database: new (sqlite().DatabaseSync)(':memory:', { timeout: 0 }), taken: new Set<number>() };
  connections.add(connection);
  return connection;
}

function refused(path: string, ownerFile: string, cause: unknown): SparrowError {
  if (cause instanceof SparrowError) return cause;
  if ((cause as { errcode?: number }).errcode !== SQLITE_BUSY) {
    return new SparrowError('unavailable', 'LOCK_FAILED', `${path} cannot be locked: ${(cause as Error).message}`, { path }, cause);
  }
  const pid = readOwner(ownerFile);
  const holder = pid === process.pid ? 'in this process' : pid === undefined ? 'in another process' : `in another process (pid ${pid})`;
  return new SparrowError(
    'unavailable',
    'LOCKED',
    `${path} is already open ${holder}; one directory serves one engine at a time`,
    { path, pid: pid ?? null },
    cause,
  );
}

function readOwner(ownerFile: string): number | undefined {
  try {
    const pid = Number(readFileSync(ownerFile, 'utf8'));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    // The holder has not written it yet, or is letting go: the message does without.
    return undefined;
  }
}

/**
 * Loaded at the first lock, because Node 22 announces on stderr that node:sqlite is experimental. Exclusive transactions are as old as
 * SQLite itself, so that the user of a store need not read that; every other warning passes.
 */
function sqlite(): typeof import('node:sqlite') {
  const emitWarning = process.emitWarning;
  process.emitWarning = (...operands: unknown[]): void => {
    const [, type] = operands as [unknown, string | { type?: string } | undefined];
    if ((typeof type === 'object' ? type.type : type) === 'ExperimentalWarning') return;
    Reflect.apply(emitWarning, process, operands);
  };
  try {
    // Before 22.13 it is behind a flag, before 22.5 not there at all, and before 22.3 neither is what asks for it.
    const found = process.getBuiltinModule?.('node:sqlite') as typeof import('node:sqlite') | undefined;
    if (found) return found;
  } finally {
    process.emitWarning = emitWarning;
  }
  const { version } = process;
  throw new SparrowError(
    'invalid',
    'NODE_TOO_OLD',
    `sparrowkv needs Node ${NODE_OLDEST} or newer, this is ${version} (${process.execPath})`,
    {
      version,
      needed: NODE_OLDEST,
    },
  );
}
