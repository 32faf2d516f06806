/**
 * One sorted input of a compaction: a table of level 0, or the chosen tables of a level one behind another. Pages come in blocks of 128 KiB
 * into a buffer that the merge reads in place; every page has been verified before the merge sees it.
 */
import { BLOCK_BYTES, WORK } from '../../assembly/memory-map.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { PageStream } from '../table/index.ts';
import type { CompactionInput } from './compaction.ts';

export class InputStream {
  /** The merge's number for this input. */
  readonly #number: number;
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  readonly #zstd: Zstd | undefined;
  readonly #directory: string;
  readonly #inputs: readonly CompactionInput[];
  readonly #buffer: number;
  #table = 0;
  #pages: PageStream | undefined;

  /** `sharedBytes`: leading bytes that all keys of all inputs have in common. */
  constructor(
    number: number,
    memory: LinearMemory,
    files: { fileSystem: FileSystem; directory: string; zstd: Zstd | undefined },
    inputs: readonly CompactionInput[],
    sharedBytes: number,
  ) {
    this.#number = number;
    this.#memory = memory;
    this.#fileSystem = files.fileSystem;
    this.#directory = files.directory;
    this.#zstd = files.zstd;
    this.#inputs = inputs;
    this.#buffer = memory.allocate(BLOCK_BYTES);
    memory.kernel['mergeInput']!(WORK, number, sharedBytes);
  }

  /** Gives the merge the next block. Returns the bytes that were read for it. */
  feed(): number {
    const { table, pages: range } = this.#inputs[this.#table]!;
    const stream = (this.#pages ??= new PageStream(this.#memory, this.#fileSystem, this.#directory, table.fileId, this.#zstd, range));
    const before = stream.bytesRead;
    const pages = stream.next(this.#buffer);
    const bytes = stream.bytesRead - before;
    if (stream.done) {
      this.close();
      this.#table++;
    }
    this.#memory.kernel['mergeFeed']!(WORK, this.#number, this.#buffer, pages, this.#table === this.#inputs.length ? 1 : 0);
    return bytes;
  }

  close(): void {
    this.#pages?.close();
    this.#pages = undefined;
  }
}
