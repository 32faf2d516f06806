/**
 * Reads and copies files a piece at a time, so that whoever else uses the thread gets on in between; and, with a `Pause`, whoever else uses the
 * disk.
 */
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';

export const PIECE_BYTES: number = 1024 * 1024;

/** Called after each piece; settles when the next may be done, throws to give up (background/upkeep-io.ts). */
export type Pause = () => Promise<void>;

/**
 * Hands over the first `bytes` of `path`, PIECE_BYTES at a time; a piece is valid during the call. `onPiece` may throw to give up. A file that
 * ends early is `corrupt/CORRUPT_FILE`.
 */
export async function readPieces(
  fileSystem: FileSystem,
  path: string,
  bytes: number,
  onPiece: (piece: Uint8Array, at: number) => void,
  pause?: Pause,
): Promise<void> {
  const source = fileSystem.openSync(path, 'read');
  try {
    const buffer = new Uint8Array(Math.min(bytes, PIECE_BYTES));
    for (let at = 0; at < bytes;) {
      const wanted = Math.min(buffer.length, bytes - at);
      const got = await source.read(buffer, 0, wanted, at);
      if (got !== wanted) {
        throw new SparrowError('corrupt', 'CORRUPT_FILE', `${path} ends at ${at + got}, ${bytes - at - got} bytes early`, {
          file: path,
          offset: at + got,
          bytes,
        });
      }
      onPiece(buffer.subarray(0, wanted), at);
      at += wanted;
      await pause?.();
    }
  } finally {
    source.closeSync();
  }
}

/** Copies `bytes` from the start of `path` to `target` and makes them durable there; the caller closes it. `onPiece` sees each piece before it is written. */
export async function copyFile(
  fileSystem: FileSystem,
  path: string,
  bytes: number,
  target: File,
  onPiece: (piece: Uint8Array) => void = () => undefined,
  pause?: Pause,
): Promise<void> {
  const onEach = (piece: Uint8Array, at: number): void => {
    onPiece(piece);
    target.writeSync(piece, 0, piece.length, at);
  };
  await readPieces(fileSystem, path, bytes, onEach, pause);
  await target.datasync();
}

/** A small file. */
export function readWhole(fileSystem: FileSystem, path: string): Uint8Array {
  const file = fileSystem.openSync(path, 'read');
  try {
    const bytes = new Uint8Array(file.sizeSync());
    return bytes.subarray(0, file.readSync(bytes, 0, bytes.length, 0));
  } finally {
    file.closeSync();
  }
}
