/**
 * The check of a whole file: XXH64 of the checks of its pieces of a mebibyte, so that a file of any size is hashed by the kernel a window at a time.
 *
 *   piece check: XXH64 of the piece, seed: its number, from 0
 *   file check:  XXH64 of the piece checks, 8 bytes little-endian each, one after another; seed: the file's bytes
 *
 * Written as 16 hexadecimal digits, most significant first. Format: docs/formats/backup.md.
 */
import { HEAP } from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import { xxh64 } from '../../base/xxh64.ts';
import { LinearMemory } from '../memory/linear-memory.ts';
import { PIECE_BYTES } from './copy-file.ts';

const MEMORY_BYTES: number = HEAP + 4 * 1024 * 1024;

/** One window of linear memory for any number of files, one after another. */
export class FileCheck {
  readonly #memory = new LinearMemory(MEMORY_BYTES);
  readonly #window = this.#memory.allocate(PIECE_BYTES + 8);
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /** The next piece: PIECE_BYTES, only the last one of a file less. */
  add(piece: Uint8Array): void {
    assert(this.#bytes % PIECE_BYTES === 0 && piece.length <= PIECE_BYTES, 'all pieces but the last are whole');
    const { u8, kernel } = this.#memory;
    const out = this.#window + PIECE_BYTES;
    u8.set(piece, this.#window);
    kernel['checksumInto']!(this.#window, piece.length, this.#pieces.length, 0, out);
    this.#pieces.push(u8.slice(out, out + 8));
    this.#bytes += piece.length;
  }

  /** The check of what was added since the last call. */
  take(): string {
    const { high, low } = xxh64(
      Buffer.concat(this.#pieces),
      0,
      this.#pieces.length * 8,
      this.#bytes >>> 0,
      Math.floor(this.#bytes / 2 ** 32),
    );
    this.#pieces = [];
    this.#bytes = 0;
    return [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');
  }

  /** Forgets what was added. */
  reset(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }
}
