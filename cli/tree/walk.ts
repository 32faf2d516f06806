/**
 * The files of a directory tree, in an order by name that is the same each time. Paths are bytes, as the file system has them: a name need not be
 * UTF-8. Links are reported, never followed. Sockets, pipes and devices are reported as skipped.
 */
import { type Dirent } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';

import { SparrowError } from '../../base/errors.ts';
import { SLASH } from './layout.ts';

export type TreeItem =
  | { kind: 'file'; path: Buffer; bytes: number }
  | { kind: 'link'; path: Buffer; target: Buffer }
  | { kind: 'empty directory'; path: Buffer }
  | { kind: 'skipped'; path: Buffer; why: string };

/** `path` of each item is below `root`, parted by '/'. What cannot be read is `skipped` with the reason; an unreadable root throws. */
export async function* walkTree(root: Buffer, signal?: AbortSignal): AsyncGenerator<TreeItem> {
  let entries: Dirent<Buffer>[];
  try {
    entries = await readNames(root);
  } catch (error) {
    throw unreadable('directory', root.toString(), error);
  }
  yield* walkEntries(root, Buffer.alloc(0), entries, signal);
}

async function* walkEntries(root: Buffer, below: Buffer, entries: Dirent<Buffer>[], signal?: AbortSignal): AsyncGenerator<TreeItem> {
  for (const entry of entries) {
    signal?.throwIfAborted();
    const path = below.length === 0 ? entry.name : joinPath(below, entry.name);
    const full = joinPath(root, path);
    try {
      if (entry.isDirectory()) {
        const inside = await readNames(full);
        if (inside.length === 0) yield { kind: 'empty directory', path };
        else yield* walkEntries(root, path, inside, signal);
      } else if (entry.isFile()) {
        yield { kind: 'file', path, bytes: (await lstat(full)).size };
      } else if (entry.isSymbolicLink()) {
        yield { kind: 'link', path, target: await readlink(full, { encoding: 'buffer' }) };
      } else {
        yield { kind: 'skipped', path, why: 'it is a socket, a pipe or a device' };
      }
    } catch (error) {
      if (!isSystemError(error)) throw error;
      yield { kind: 'skipped', path, why: error.message };
    }
  }
}

export function joinPath(directory: Uint8Array, name: Uint8Array): Buffer {
  return Buffer.concat([directory, Buffer.of(SLASH), name]);
}

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

/** What a command line names cannot be read. */
export function unreadable(what: 'directory' | 'file', path: string, error: unknown): SparrowError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: `there is no ${what} ${path}`,
    ENOTDIR: `${path} is not a directory`,
    EISDIR: `${path} is a directory`,
    EACCES: `${path} may not be read by this user`,
  };
  const why = reasons[code ?? ''] ?? `cannot read the ${what} ${path}: ${message}`;
  return new SparrowError('invalid', `${what === 'file' ? 'FILE' : 'DIRECTORY'}_UNREADABLE`, why, {}, error);
}

async function readNames(directory: Buffer): Promise<Dirent<Buffer>[]> {
  const entries = (await readdir(directory, { encoding: 'buffer', withFileTypes: true })) as unknown as Dirent<Buffer>[];
  return entries.sort((a, b) => Buffer.compare(a.name, b.name));
}
