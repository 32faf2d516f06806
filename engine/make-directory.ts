/** Making a directory that a caller has named. */
import type { FileSystem } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';

/** Answers that are about the name. What is about the disk (it is full, it fails) stays the operating system's error. */
const NAME_ERRORS: ReadonlySet<string> = new Set(['EEXIST', 'ENOTDIR', 'ENOENT', 'EACCES', 'EPERM', 'EROFS', 'ELOOP', 'ENAMETOOLONG']);

/** Nothing where it is there already. `invalid/NO_DIRECTORY` where there can be none: a file is in its place, or the rights are missing. */
export function makeDirectory(fileSystem: FileSystem, path: string): void {
  try {
    fileSystem.makeDirectorySync(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (typeof code !== 'string' || !NAME_ERRORS.has(code)) throw cause;
    const why = code === 'EEXIST' ? 'there is a file of that name' : message;
    throw new SparrowError('invalid', 'NO_DIRECTORY', `${path} cannot be a directory: ${why}`, { path, code }, cause);
  }
}
