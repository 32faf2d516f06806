/** A file system that hands everything on to another: for those that have something of their own to do with some of it. */
import type { DirectoryLock, File, FileSystem, OpenMode } from '../base/env.ts';

export class ForwardedFiles implements FileSystem {
  readonly #fs: FileSystem;

  constructor(fileSystem: FileSystem) {
    this.#fs = fileSystem;
  }

  openSync(path: string, mode: OpenMode): File {
    return this.#fs.openSync(path, mode);
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

/** A file that hands everything on to another, but for `own`. */
export function forwardedFile(file: File, own: Partial<File>): File {
  return {
    readSync: (target, offset, length, position) => file.readSync(target, offset, length, position),
    read: (target, offset, length, position) => file.read(target, offset, length, position),
    writeSync: (source, offset, length, position) => file.writeSync(source, offset, length, position),
    writevSync: (spans, position) => file.writevSync(spans, position),
    datasyncSync: () => file.datasyncSync(),
    datasync: () => file.datasync(),
    truncateSync: (bytes) => file.truncateSync(bytes),
    sizeSync: () => file.sizeSync(),
    linksSync: () => file.linksSync(),
    closeSync: () => file.closeSync(),
    ...own,
  };
}
