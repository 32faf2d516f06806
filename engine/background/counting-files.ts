/** A file system that counts what is read from and written to its files, for whoever must account for it. */
import type { File, OpenMode } from '../../base/env.ts';
import { ForwardedFiles, forwardedFile } from '../forwarded-files.ts';

export class CountingFiles extends ForwardedFiles {
  #bytes = 0;

  /** Bytes read and written since the last call. */
  takeBytes(): number {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return bytes;
  }

  override openSync(path: string, mode: OpenMode): File {
    const file = super.openSync(path, mode);
    const count = (bytes: number): number => {
      this.#bytes += bytes;
      return bytes;
    };
    return forwardedFile(file, {
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
    });
  }
}
