/**
 * A lock on a directory that no crash can leave behind, without native code: an SQLite transaction that is never committed holds an
 * fcntl lock on `LOCK` for as long as this process lives. Inside one process SQLite keeps its own table of locked inodes, so that two
 * openings there exclude each other too, through symbolic links as well.
 *
 * `LOCK` stays (removing it would let two processes hold two files of that name) and stays empty. Nothing else in the process may open
 * it: closing any descriptor of a file drops the process's fcntl locks on it. `LOCK.pid` names the holder, for the error message only.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { DirectoryLock } from '../env.ts';
import { SparrowError } from '../errors.ts';

export const LOCK_NAME = 'LOCK';
export const LOCK_OWNER_NAME = 'LOCK.pid';

const SQLITE_BUSY = 5;
/** The journal in memory: a lock must not leave a LOCK-journal behind. */
const TAKE = 'PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE';

/** Databases that hold a lock. A lock whose owner keeps no reference to it must not end when the collector finds its database. */
const held = new Set<DatabaseSync>();

export function lockDirectory(path: string): DirectoryLock {
  const ownerFile = join(path, LOCK_OWNER_NAME);
  let database: DatabaseSync | undefined;
  try {
    database = new (sqlite().DatabaseSync)(join(path, LOCK_NAME), { timeout: 0 });
    database.exec(TAKE);
    writeFileSync(ownerFile, `${process.pid}\n`);
  } catch (cause) {
    database?.close();
    throw refused(path, ownerFile, cause);
  }
  const holder = database;
  held.add(holder);
  return {
    release(): void {
      if (!held.delete(holder)) return;
      rmSync(ownerFile, { force: true });
      holder.close();
    },
  };
}

function refused(path: string, ownerFile: string, cause: unknown): SparrowError {
  if ((cause as { errcode?: number }).errcode !== SQLITE_BUSY) {
    return new SparrowError('unavailable', 'LOCK_FAILED', `${path} cannot be locked: ${String(cause)}`, { path }, cause);
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
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}
