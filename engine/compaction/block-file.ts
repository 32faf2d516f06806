/**
 * A block file that compaction makes, `NNNNNN.block`: live values moved out of segments that were mostly garbage. Segments of the log
 * that outlive their flush are block files too and keep their name, `NNNNNN.log`; so are segments of a host's log under a name of the engine's,
 * `NNNNNN.link` (engine/hosted/). Ids are unique over all. Format: docs/formats/block-file.md.
 *
 *   | header, 64 bytes | value | value | ...        values one after another, without padding; their pointers know where and how long
 *
 *   header: | magic "SPKVBLK1" | version u32 | segment u32 | reserved 40 | check u64 |      XXH64 of the 56 bytes before, seed = segment
 *
 * The file counts once a manifest names it; a name of this kind that no manifest knows was left by a crash. A value is covered by the
 * checksum in its pointer.
 */
import { POINTER_BYTES } from '../../assembly/memory-map.ts';
import { SparrowError } from '../../base/errors.ts';
import type { File, FileSystem } from '../../base/env.ts';
import { xxh64 } from '../../base/xxh64.ts';
import { logFileName } from '../log/index.ts';
import { linkName } from '../manifest/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';

export const BLOCK_HEADER_BYTES = 64;
export const BLOCK_VERSION = 1;
const MAGIC: Uint8Array = new TextEncoder().encode('SPKVBLK1');
const WINDOW_BYTES = 1024 * 1024;
/** Offsets in pointers are 32 bits. A full file takes no more; what is left stays where it is until the next compaction. */
const FILE_BYTES_MAX = 2 ** 31;

/** `000042.block` */
export function blockFileName(segment: number): string {
  return `${String(segment).padStart(6, '0')}.block`;
}

/** The file that holds a segment's values, under whichever name. */
export function valueFilePath(fileSystem: FileSystem, directory: string, segment: number): string {
  const block = `${directory}/${blockFileName(segment)}`;
  if (fileSystem.existsSync(block)) return block;
  const link = `${directory}/${linkName(segment)}`;
  return fileSystem.existsSync(link) ? link : `${directory}/${logFileName(segment)}`;
}

/**
 * Opens the file that holds a segment's values. `corrupt/CORRUPT_BLOCK_FILE` when it is a block file of compaction and does not begin as
 * one of this segment and version. Other failures keep the operating system's code.
 */
export function openValueFile(fileSystem: FileSystem, directory: string, segment: number): { file: File; path: string } {
  const path = valueFilePath(fileSystem, directory, segment);
  const file = fileSystem.openSync(path, 'read');
  if (!path.endsWith(blockFileName(segment))) return { file, path };
  try {
    const header = new Uint8Array(BLOCK_HEADER_BYTES);
    file.readSync(header, 0, BLOCK_HEADER_BYTES, 0);
    const expected = encodeBlockHeader(segment);
    if (header.some((byte, i) => byte !== expected[i])) {
      throw new SparrowError(
        'corrupt',
        'CORRUPT_BLOCK_FILE',
        `${path} does not begin as the block file ${segment}, version ${BLOCK_VERSION}`,
        {
          file: path,
          offset: 0,
        },
      );
    }
  } catch (error) {
    file.closeSync();
    throw error;
  }
  return { file, path };
}

export function encodeBlockHeader(segment: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(8, BLOCK_VERSION, true);
  view.setUint32(12, segment, true);
  const { low, high } = xxh64(bytes, 0, 56, segment, 0);
  view.setUint32(56, low, true);
  view.setUint32(60, high, true);
  return bytes;
}

/** Moves values, one by one, into a new block file, which is made with the first. */
export class BlockFileWriter {
  readonly segment: number;
  readonly #path: string;
  readonly #memory: LinearMemory;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #sources = new Map<number, { file: File; path: string }>();
  /** The new pointer, for the kernel. */
  readonly #pointer: number;
  #file: File | undefined;
  #window = 0;
  #windowBytes = 0;
  #pending = 0;
  /** Bytes written to the file. */
  #position = 0;
  #bytesRead = 0;
  #finished = false;

  constructor(memory: LinearMemory, fileSystem: FileSystem, directory: string, segment: number) {
    this.segment = segment;
    this.#path = `${directory}/${blockFileName(segment)}`;
    this.#memory = memory;
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#pointer = memory.allocateSmall(POINTER_BYTES);
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /**
   * Copies the value of the pointer at `pointer` behind the others. Returns the address of its new pointer, valid until the next move; or
   * `pointer` itself when the file is full. `corrupt/CORRUPT_VALUE` when the value does not match its checksum.
   */
  move(pointer: number): number {
    const { u8, view, kernel } = this.#memory;
    const from = view.getUint32(pointer, true);
    const bytes = view.getUint32(pointer + 4, true);
    const offset = view.getUint32(pointer + 8, true);
    this.#begin();
    if (this.#position + this.#pending + bytes > FILE_BYTES_MAX) return pointer;
    this.#reserve(bytes);
    const value = this.#window + this.#pending;
    const { file, path } = this.#source(from);
    const got = file.readSync(u8, value, bytes, offset);
    if (got !== bytes || kernel['checkPointer']!(pointer, value) !== 1) {
      throw new SparrowError('corrupt', 'CORRUPT_VALUE', `the value of ${bytes} bytes at ${path}@${offset} does not match its checksum`, {
        file: path,
        offset,
        bytes,
        segment: from,
      });
    }
    this.#bytesRead += bytes;
    kernel['sealPointer']!(this.#pointer, this.segment, value, bytes, this.#position + this.#pending);
    this.#pending += bytes;
    return this.#pointer;
  }

  /** Makes the file's content durable and closes it; its size, or undefined when nothing was moved. The directory is the caller's to sync. */
  finish(): number | undefined {
    this.#closeSources();
    if (!this.#file) return undefined;
    this.#flush();
    this.#file.datasyncSync();
    this.#file.closeSync();
    this.#finished = true;
    return this.#position;
  }

  /** Gives the file up and removes it, finished or not. */
  discard(): void {
    this.#closeSources();
    if (!this.#file) return;
    if (!this.#finished) this.#file.closeSync();
    this.#file = undefined;
    this.#fileSystem.unlinkSync(this.#path);
  }

  #begin(): void {
    if (this.#file) return;
    this.#file = this.#fileSystem.openSync(this.#path, 'create');
    this.#file.writeSync(encodeBlockHeader(this.segment), 0, BLOCK_HEADER_BYTES, 0);
    this.#position = BLOCK_HEADER_BYTES;
  }

  #reserve(bytes: number): void {
    if (this.#pending + bytes <= this.#windowBytes) return;
    this.#flush();
    if (bytes <= this.#windowBytes) return;
    if (this.#windowBytes > 0) this.#memory.free(this.#window, this.#windowBytes);
    this.#windowBytes = Math.max(bytes, WINDOW_BYTES);
    this.#window = this.#memory.allocate(this.#windowBytes);
  }

  #flush(): void {
    if (this.#pending === 0) return;
    this.#file!.writeSync(this.#memory.u8, this.#window, this.#pending, this.#position);
    this.#position += this.#pending;
    this.#pending = 0;
  }

  #source(segment: number): { file: File; path: string } {
    let source = this.#sources.get(segment);
    if (!source) {
      source = openValueFile(this.#fileSystem, this.#directory, segment);
      this.#sources.set(segment, source);
    }
    return source;
  }

  #closeSources(): void {
    for (const { file } of this.#sources.values()) file.closeSync();
    this.#sources.clear();
  }
}
