/** Whether what pointers lead to is there and matches its checksum: reads values out of log segments and block files. */
import type { File, FileSystem } from '../../base/env.ts';
import { POINTER_BYTES } from '../../assembly/memory-map.ts';
import { openValueFile, valueFilePath } from '../compaction/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { SparrowError } from '../../base/errors.ts';
import { isSystemError } from './findings.ts';

const WINDOW_BYTES = 1024 * 1024;
const OPEN_FILES_MAX = 64;

export interface ValuePlace {
  readonly segment: number;
  readonly bytes: number;
  readonly offset: number;
}

/** The 24 bytes of a pointer (docs/formats/log.md). */
export function decodePointer(pointer: Uint8Array): ValuePlace {
  const view = new DataView(pointer.buffer, pointer.byteOffset, pointer.byteLength);
  return { segment: view.getUint32(0, true), bytes: view.getUint32(4, true), offset: view.getUint32(8, true) };
}

export class ValueCheck {
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** Least recently used first; a string: why the file cannot be read. */
  readonly #files = new Map<number, File | string>();
  readonly #missing: ReadonlySet<number>;
  readonly #headless: ReadonlySet<number>;
  readonly #pointer: number;
  #window = 0;
  #windowBytes = 0;

  /**
   * `missing`: segments whose files are known to be gone, of which nothing more is said. `headless`: block files whose header is known to be
   * damaged; the values behind it have checksums of their own.
   */
  constructor(
    memory: LinearMemory,
    fileSystem: FileSystem,
    directory: string,
    { missing = new Set(), headless = new Set() }: { missing?: ReadonlySet<number>; headless?: ReadonlySet<number> } = {},
  ) {
    this.#memory = memory;
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#missing = missing;
    this.#headless = headless;
    this.#pointer = memory.allocateSmall(POINTER_BYTES);
  }

  /** The path that messages about a value of this segment name. */
  pathOf(segment: number): string {
    return valueFilePath(this.#fileSystem, this.#directory, segment);
  }

  /** What is wrong with the value that the pointer's 24 bytes refer to; undefined: nothing. */
  check(pointer: Uint8Array): string | undefined {
    const { segment, bytes, offset } = decodePointer(pointer);
    if (this.#missing.has(segment)) return undefined;
    const file = this.#open(segment);
    if (typeof file === 'string') return file;
    const { u8, kernel } = this.#memory;
    this.#reserve(bytes);
    u8.set(pointer.subarray(0, POINTER_BYTES), this.#pointer);
    let got: number;
    try {
      got = file.readSync(u8, this.#window, bytes, offset);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return `it cannot be read: ${error.message}`;
    }
    if (got !== bytes) return `the file ends within it`;
    return kernel['checkPointer']!(this.#pointer, this.#window) === 1 ? undefined : 'it does not match its checksum';
  }

  close(): void {
    for (const file of this.#files.values()) if (typeof file !== 'string') file.closeSync();
    this.#files.clear();
    this.#memory.freeSmall(this.#pointer, POINTER_BYTES);
    if (this.#windowBytes > 0) this.#memory.free(this.#window, this.#windowBytes);
    this.#windowBytes = 0;
  }

  #open(segment: number): File | string {
    let file = this.#files.get(segment);
    if (file !== undefined) this.#files.delete(segment);
    else {
      try {
        file = this.#headless.has(segment)
          ? this.#fileSystem.openSync(this.pathOf(segment), 'read')
          : openValueFile(this.#fileSystem, this.#directory, segment).file;
      } catch (error) {
        if (!isSystemError(error) && !(error instanceof SparrowError && error.kind === 'corrupt')) throw error;
        file = isSystemError(error) ? `its file cannot be read: ${error.message}` : error.message;
      }
    }
    this.#files.set(segment, file);
    if (this.#files.size > OPEN_FILES_MAX) {
      const [oldest, other] = this.#files.entries().next().value!;
      if (typeof other !== 'string') other.closeSync();
      this.#files.delete(oldest);
    }
    return file;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#windowBytes) return;
    if (this.#windowBytes > 0) this.#memory.free(this.#window, this.#windowBytes);
    this.#windowBytes = Math.max(bytes, WINDOW_BYTES);
    this.#window = this.#memory.allocate(this.#windowBytes);
  }
}
