/**
 * Files of which is known afterwards whether the disk gave what was asked of it. An inspection reports a piece that cannot be read like any other
 * damage and goes on; whoever refuses something for being damaged must not do so when a disk does not answer: it may answer the next time.
 */
import type { File, OpenMode } from '../../base/env.ts';
import { ForwardedFiles, forwardedFile } from '../forwarded-files.ts';
import { isSystemError } from '../inspect/index.ts';

export class WatchedReads extends ForwardedFiles {
  #failure: Error | undefined;

  /** Throws the first error of the system that reading met, with the file's name in its message; that a file is not there is none. */
  assertAnswered(): void {
    if (this.#failure) throw this.#failure;
  }

  override openSync(path: string, mode: OpenMode): File {
    try {
      const file = super.openSync(path, mode);
      return forwardedFile(file, {
        readSync: (target, offset, length, position) => {
          try {
            return file.readSync(target, offset, length, position);
          } catch (error) {
            throw this.#met(error, path);
          }
        },
        read: async (target, offset, length, position) => {
          try {
            return await file.read(target, offset, length, position);
          } catch (error) {
            throw this.#met(error, path);
          }
        },
      });
    } catch (error) {
      throw this.#met(error, path);
    }
  }

  #met(error: unknown, path: string): unknown {
    if (!isSystemError(error) || error.code === 'ENOENT') return error;
    const { code, syscall } = error;
    this.#failure ??= Object.assign(new Error(`${path} cannot be read: ${error.message}`, { cause: error }), { code, syscall, path });
    return error;
  }
}
