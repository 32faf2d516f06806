/**
 * Reads the bytes of a command one after another, as those who decode commands do: what is cut short or left over is corrupt. Used by command-codec.ts, shard-commands.ts.
 *
 * Every command is read on every node: numbers are put together from bytes, as a DataView for each command would cost more than reading it does.
 */
import { SparrowError } from '../../base/errors.ts';

const TWO_32: number = 2 ** 32;

export class CommandReader {
  readonly #source: Uint8Array;
  #at = 0;

  constructor(source: Uint8Array) {
    this.#source = source;
  }

  get at(): number {
    return this.#at;
  }

  u8(): number {
    return this.#source[this.#take(1)]!;
  }

  zero(): void {
    if (this.u8() !== 0) throw corruptCommand('a reserved byte is not zero');
  }

  u16(): number {
    const at = this.#take(2);
    return this.#source[at]! + this.#source[at + 1]! * 0x100;
  }

  u32(): number {
    return this.#u32At(this.#take(4));
  }

  u64(): number {
    const at = this.#take(8);
    const value = this.#u32At(at) + this.#u32At(at + 4) * TWO_32;
    if (value > Number.MAX_SAFE_INTEGER) throw corruptCommand('a number is above 2^53 - 1');
    return value;
  }

  /** Alias the source. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#source.buffer, this.#source.byteOffset + at, length);
  }

  finish(): void {
    if (this.#at !== this.#source.length) throw corruptCommand('bytes are left over');
  }

  #u32At(at: number): number {
    const source = this.#source;
    return (source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24)) >>> 0;
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#source.length - at) throw corruptCommand('it is cut short');
    this.#at = at + length;
    return at;
  }
}

export function corruptCommand(what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_COMMAND', `command: ${what}`);
}
