/**
 * A small file that is there whole or not at all: complete and durable under another name before it has its own. What was there under that name stays until then.
 *
 *   PATH.new written, synced -> renamed to PATH -> the directory synced
 */
import { dirname } from 'node:path';
import type { FileSystem } from './env.ts';

/** Durable when it returns. */
export function writeWholeFile(fileSystem: FileSystem, path: string, bytes: Uint8Array): void {
  const unfinished = `${path}.new`;
  if (fileSystem.existsSync(unfinished)) fileSystem.unlinkSync(unfinished);
  const file = fileSystem.openSync(unfinished, 'create');
  try {
    file.writeSync(bytes, 0, bytes.length, 0);
    file.datasyncSync();
  } finally {
    file.closeSync();
  }
  fileSystem.renameSync(unfinished, path);
  fileSystem.syncDirectorySync(dirname(path));
}

/** Undefined: there is none. No more than `bytesMax` of it. */
export function readWholeFile(fileSystem: FileSystem, path: string, bytesMax: number): Buffer | undefined {
  if (!fileSystem.existsSync(path)) return undefined;
  const file = fileSystem.openSync(path, 'read');
  try {
    const bytes = Buffer.alloc(Math.min(file.sizeSync(), bytesMax));
    return bytes.subarray(0, file.readSync(bytes, 0, bytes.length, 0));
  } finally {
    file.closeSync();
  }
}
