/**
 * The files of a node's log: segments in use, oldest first, and spare files that are written over.
 *
 * A segment gets its name when its header and all that it begins with are durable: it is made under the name of a spare file,
 * `spare-NNNNNN.raft`, and renamed. So a file with the name of a segment always is one.
 *
 * A segment that no group needs any more goes from the front, one after another, each with a sync of the directory. Its file becomes a spare
 * when nothing else refers to it: an engine may have linked it (for large values that lie in it), or somebody may be reading it.
 *
 * Called by log-writer.ts and entry-reader.ts.
 */
import { join } from 'node:path';
import type { File, FileSystem } from '../../../base/env.ts';
import { NoRoom, noRoom } from './no-room.ts';
import { encodeSegmentHeader, type Hash64, type Seal, sealOf, SEGMENT_HEADER_BYTES, segmentName } from './log-format.ts';

export interface Segment {
  number: number;
  /** End of its frames. */
  bytes: number;
  /** Reads that are under way. */
  readers: number;
}

export interface LogFiles {
  fileSystem: FileSystem;
  directory: string;
  hash: Hash64;
}

const SPARES_MAX = 2;
const SPARE_NAME = /^spare-\d{6,}\.raft$/;

export class SegmentFiles {
  readonly #files: LogFiles;
  readonly #salt: bigint;
  readonly #segments: Segment[];
  readonly #spares: string[];

  /** `segments`: those that were found, oldest first. */
  constructor(files: LogFiles, salt: bigint, segments: Segment[]) {
    this.#files = files;
    this.#salt = salt;
    this.#segments = segments;
    this.#spares = files.fileSystem.listSync(files.directory).filter((name) => SPARE_NAME.test(name));
  }

  get count(): number {
    return this.#segments.length;
  }

  get oldest(): number {
    return this.#segments[0]?.number ?? Infinity;
  }

  /** The one that is written to. */
  get last(): Segment | undefined {
    return this.#segments.at(-1);
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  seal(segment: number): Seal {
    return sealOf(this.#salt, segment, this.#files.hash);
  }

  path(segment: number): string {
    return join(this.#files.directory, segmentName(segment));
  }

  /** Opens a segment for reading; undefined when it has been removed. `close` it: until then its file is not written over. */
  openForReading(number: number): { file: File; path: string; close: () => void } | undefined {
    const segment = this.#segments.find((each) => each.number === number);
    if (segment === undefined) return undefined;
    const path = this.path(number);
    const file = this.#files.fileSystem.openSync(path, 'read');
    segment.readers++;
    return {
      file,
      path,
      close: () => {
        segment.readers--;
        file.closeSync();
      },
    };
  }

  /**
   * The next segment, durable with what it begins with: a header, and what `begin` makes. Throws NoRoom when the disk is full: nothing
   * of it is left then but, perhaps, a spare file.
   */
  async create(number: number, begin: (seal: Seal) => Buffer): Promise<{ file: File; fileBytes: number }> {
    const { fileSystem, directory, hash } = this.#files;
    const contents = begin(this.seal(number));
    const found = this.#takeSpare();
    const spare = found?.name ?? `spare-${segmentName(number)}`;
    const file = found?.file ?? noRoom(() => fileSystem.openSync(join(directory, spare), 'create'));
    try {
      noRoom(() => file.writevSync([encodeSegmentHeader(number, this.#salt, hash), contents], 0));
      await file.datasync();
      fileSystem.renameSync(join(directory, spare), this.path(number));
      await fileSystem.syncDirectory(directory);
    } catch (error) {
      if (error instanceof NoRoom) this.#spares.push(spare);
      file.closeSync();
      throw error;
    }
    const bytes = SEGMENT_HEADER_BYTES + contents.length;
    this.#segments.push({ number, bytes, readers: 0 });
    return { file, fileBytes: Math.max(file.sizeSync(), bytes) };
  }

  /** Removes segments before this one, never the last. */
  async removeBefore(number: number): Promise<void> {
    const { fileSystem, directory } = this.#files;
    while (this.#segments.length > 1 && this.#segments[0]!.number < number) {
      const { number: gone, readers } = this.#segments[0]!;
      if (readers === 0 && this.#spares.length < SPARES_MAX) {
        const spare = `spare-${segmentName(gone)}`;
        fileSystem.renameSync(this.path(gone), join(directory, spare));
        this.#spares.push(spare);
        this.#segments.shift();
      } else {
        this.#segments.shift();
        await fileSystem.unlink(this.path(gone));
      }
      await fileSystem.syncDirectory(directory);
    }
  }

  /** A spare file that has no other name; others are given up, what they hold belongs to whoever links them. */
  #takeSpare(): { name: string; file: File } | undefined {
    const { fileSystem, directory } = this.#files;
    for (let name = this.#spares.shift(); name !== undefined; name = this.#spares.shift()) {
      const file = fileSystem.openSync(join(directory, name), 'write');
      if (file.linksSync() === 1) return { name, file };
      file.closeSync();
      fileSystem.unlinkSync(join(directory, name));
    }
    return undefined;
  }
}
