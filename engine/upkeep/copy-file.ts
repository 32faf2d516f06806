/** Copies the beginning of a file into a new one, a piece at a time, so that whoever else uses the thread gets on in between. */
import type { File, FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';

const PIECE_BYTES = 1024 * 1024;

/**
 * Copies `bytes` from the start of `path` to `target` and makes them durable there; the caller closes it. `onPiece` sees each piece before it
 * is written, and may throw to give up. A file that ends early is `corrupt/CORRUPT_FILE`.
 */
export async function copyFile(
  fileSystem: FileSystem,
  path: string,
  bytes: number,
  target: File,
  onPiece: (piece: Uint8Array) => void = () => undefined,
): Promise<void> {
  const source = fileSystem.openSync(path, 'read');
  try {
    const buffer = new Uint8Array(Math.min(bytes, PIECE_BYTES));
    for (let at = 0; at < bytes;) {
      const wanted = Math.min(buffer.length, bytes - at);
      const got = await source.read(buffer, 0, wanted, at);
      if (got !== wanted) throw endsEarly(path, at + got, bytes);
      onPiece(buffer.subarray(0, wanted));
      target.writeSync(buffer, 0, wanted, at);
      at += wanted;
    }
    await target.datasync();
  } finally {
    source.closeSync();
  }
}

export function endsEarly(path: string, offset: number, bytes: number): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_FILE', `${path} ends at ${offset}, ${bytes - offset} bytes early`, {
    file: path,
    offset,
    bytes,
  });
}
