/** Reads the bytes of a command one after another, as those who decode commands do: what is cut short or left over is corrupt. Used by command-codec.ts, shard-commands.ts. */
import { SparrowError } from '../../base/errors.ts';

const TWO_32: number = 2 ** 32;

export class CommandReader {
  readonly #source: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(source: Uint8Array) {
    this.#source = source;
    this.#view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  }

  get at(): number {
    return this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  zero(): void {
    if (this.u8() !== 0) throw corruptCommand('a reserved byte is not zero');
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    const at = this.#take(8);
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * TWO_32;
    if (value > Number.MAX_SAFE_INTEGER) throw corruptCommand('a number is above 2^53 - 1');
    return value;
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#source.subarray(at, at + length);
  }

  finish(): void {
    if (this.#at !== this.#source.length) throw corruptCommand('bytes are left over');
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
