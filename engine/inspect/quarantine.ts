/**
 * Where a repair puts the originals of what it replaces: a directory `repair-NNN` within the store's, which nothing of the store looks into. A file
 * gets a second name there before the store's manifest forgets it, and loses its first one after.
 */
import type { FileSystem } from '../../base/env.ts';
import { isSystemError } from './findings.ts';

const NAME = /^repair-\d{3,}$/;
const PIECE_BYTES = 1024 * 1024;

/** The name of the next quarantine in the directory. */
export function nextQuarantine(fileSystem: FileSystem, directory: string): string {
  const numbers = fileSystem.listSync(directory).flatMap((name) => (NAME.test(name) ? [Number(name.slice('repair-'.length))] : []));
  return `${directory}/repair-${String(Math.max(0, ...numbers) + 1).padStart(3, '0')}`;
}

/** Makes the quarantine and puts the named files there, under second names or as copies; all on disk when it returns. */
export function putAside(fileSystem: FileSystem, directory: string, quarantine: string, names: readonly string[]): void {
  fileSystem.makeDirectorySync(quarantine);
  for (const name of names) {
    try {
      fileSystem.linkSync(`${directory}/${name}`, `${quarantine}/${name}`);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      copyWhole(fileSystem, `${directory}/${name}`, `${quarantine}/${name}`);
    }
  }
  fileSystem.syncDirectorySync(quarantine);
}

/** For file systems without links. Pieces that cannot be read are zeros in the copy. */
function copyWhole(fileSystem: FileSystem, from: string, to: string): void {
  const source = fileSystem.openSync(from, 'read');
  try {
    const target = fileSystem.openSync(to, 'create');
    try {
      const bytes = source.sizeSync();
      for (let at = 0; at < bytes; at += PIECE_BYTES) {
        const piece = new Uint8Array(Math.min(PIECE_BYTES, bytes - at));
        try {
          source.readSync(piece, 0, piece.length, at);
        } catch (error) {
          if (!isSystemError(error)) throw error;
        }
        target.writeSync(piece, 0, piece.length, at);
      }
      target.datasyncSync();
    } finally {
      target.closeSync();
    }
  } finally {
    source.closeSync();
  }
}
