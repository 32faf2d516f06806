/** A file system that counts what is read from and written to its files, for whoever must account for it. */
import type { DirectoryLock, File, FileSystem, OpenMode } from '../../base/env.ts';

export class CountingFiles implements FileSystem {
  readonly #fs: FileSystem;
  #bytes = 0;

  constructor(fileSystem: FileSystem) {
    this.#fs = fileSystem;
  }

  /** Bytes read and written since the last call. */
  takeBytes(): number {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return bytes;
  }

  openSync(path: string, mode: OpenMode): File {
    const file = this.#fs.openSync(path, mode);
    const count = (bytes: number): number => {
      this.#bytes += bytes;
      return bytes;
    };
    return {
      readSync: (target, offset, length, position) => count(file.readSync(target, offset, length, position)),
      read: async (target, offset, length, position) => count(await file.read(target, offset, length, position)),
      writeSync(source, offset, length, position): void {
        count(length);
        file.writeSync(source, offset, length, position);
      },
      writevSync(spans, position): void {
        for (const span of spans) count(span.byteLength);
        file.writevSync(spans, position);
      },
      datasyncSync: () => file.datasyncSync(),
      datasync: () => file.datasync(),
      truncateSync: (bytes) => file.truncateSync(bytes),
      sizeSync: () => file.sizeSync(),
      linksSync: () => file.linksSync(),
      closeSync: () => file.closeSync(),
    };
  }

  renameSync(from: string, to: string): void {
    this.#fs.renameSync(from, to);
  }
  linkSync(existing: string, path: string): void {
    this.#fs.linkSync(existing, path);
  }
  unlinkSync(path: string): void {
    this.#fs.unlinkSync(path);
  }
  unlink(path: string): Promise<void> {
    return this.#fs.unlink(path);
  }
  stampSync(path: string): string | undefined {
    return this.#fs.stampSync?.(path);
  }

  existsSync(path: string): boolean {
    return this.#fs.existsSync(path);
  }
  listSync(directory: string): string[] {
    return this.#fs.listSync(directory);
  }
  makeDirectorySync(path: string): void {
    this.#fs.makeDirectorySync(path);
  }
  syncDirectorySync(path: string): void {
    this.#fs.syncDirectorySync(path);
  }
  syncDirectory(path: string): Promise<void> {
    return this.#fs.syncDirectory(path);
  }
  lockDirectory(path: string): DirectoryLock {
    return this.#fs.lockDirectory(path);
  }
}
