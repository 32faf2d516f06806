/** A bit that changed in a file while nobody had it open, and how it is turned back: only where what is around it still is what it was. */
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { SimRandom } from '../sim/sim-random.ts';

/** Before and behind the byte: what somebody else wrote there since then differs somewhere. */
const AROUND = 16;

export class FlippedBit {
  readonly text: string;
  readonly #file: string;
  readonly #offset: number;
  readonly #mask: number;
  readonly #after: Buffer;

  /** Of any byte of any file in the directory. */
  static draw(directory: string, random: SimRandom): FlippedBit {
    const files = readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith('LOCK'))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => statSync(file).size > 0)
      .sort();
    const file = random.pick(files);
    const offset = random.below(statSync(file).size);
    const bit = random.below(8);
    return new FlippedBit(file, offset, 1 << bit, `bit ${bit} of byte ${offset} of ${relative(directory, file)}`);
  }

  private constructor(file: string, offset: number, mask: number, text: string) {
    this.#file = file;
    this.#offset = offset;
    this.#mask = mask;
    this.text = text;
    this.#flip();
    this.#after = this.#around();
  }

  restore(): void {
    if (existsSync(this.#file) && this.#around().equals(this.#after)) this.#flip();
  }

  #flip(): void {
    const file = openSync(this.#file, 'r+');
    try {
      const byte = Buffer.alloc(1);
      readSync(file, byte, 0, 1, this.#offset);
      byte[0]! ^= this.#mask;
      writeSync(file, byte, 0, 1, this.#offset);
    } finally {
      closeSync(file);
    }
  }

  #around(): Buffer {
    const file = openSync(this.#file, 'r');
    try {
      const bytes = Buffer.alloc(2 * AROUND);
      const begin = Math.max(0, this.#offset - AROUND);
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, begin));
    } finally {
      closeSync(file);
    }
  }
}
