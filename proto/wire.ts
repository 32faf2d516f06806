/**
 * The little of protobuf's wire format that the hand-written codecs need: varints up to 2^53 - 1, length-delimited bytes, skipping
 * of fields that are not known. Reading allocates nothing but the views; bytes alias the source.
 */
import { SparrowError } from '../base/errors.ts';
import { varintBytes, writeVarint } from '../base/varint.ts';

export const WIRE_VARINT = 0;
export const WIRE_BYTES = 2;

/** Length of a bytes field with a one-byte tag; an empty one is left out. */
export function bytesFieldBytes(value: Uint8Array): number {
  return value.length === 0 ? 0 : 1 + varintBytes(value.length) + value.length;
}

export function writeBytesField(target: Uint8Array, offset: number, tag: number, value: Uint8Array): number {
  if (value.length === 0) return offset;
  target[offset] = tag;
  const at = writeVarint(target, offset + 1, value.length);
  target.set(value, at);
  return at + value.length;
}

/** Length of a number field with a one-byte tag; a zero is left out. */
export function numberFieldBytes(value: number): number {
  return value === 0 ? 0 : 1 + varintBytes(value);
}

export function writeNumberField(target: Uint8Array, offset: number, tag: number, value: number): number {
  if (value === 0) return offset;
  target[offset] = tag;
  return writeVarint(target, offset + 1, value);
}

/** Reads fields one after another. Throws `invalid/WIRE_FORMAT` for bytes that are not protobuf. */
export class WireReader {
  readonly #source: Buffer;
  #at: number;
  readonly #end: number;

  constructor(source: Buffer, start: number = 0, end: number = source.length) {
    this.#source = source;
    this.#at = start;
    this.#end = end;
  }

  get more(): boolean {
    return this.#at < this.#end;
  }

  varint(): number {
    const source = this.#source;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      if (this.#at >= this.#end) throw wireError('a number is cut short');
      const byte = source[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw wireError('a number is larger than 2^53 - 1');
  }

  /** As the generated code reads it: the low 32 bits. */
  u32(): number {
    return this.varint() % 2 ** 32;
  }

  bytes(): Buffer {
    const length = this.varint();
    if (length > this.#end - this.#at) throw wireError('a field is longer than its message');
    const start = this.#at;
    this.#at = start + length;
    return this.#source.subarray(start, this.#at);
  }

  /** A message inside this one. */
  message(): WireReader {
    const length = this.varint();
    if (length > this.#end - this.#at) throw wireError('a field is longer than its message');
    const start = this.#at;
    this.#at = start + length;
    return new WireReader(this.#source, start, this.#at);
  }

  /** Passes over the value of a field whose tag was just read. */
  skip(tag: number): void {
    const wire = tag & 7;
    if (wire === WIRE_VARINT) {
      for (let i = 0; ; i++) {
        if (this.#at >= this.#end || i === 10) throw wireError('a number is cut short');
        if (this.#source[this.#at++]! < 0x80) return;
      }
    }
    const length = wire === 1 ? 8 : wire === 5 ? 4 : wire === WIRE_BYTES ? this.varint() : -1;
    if (length < 0 || tag < 8) throw wireError('an unknown wire type');
    if (length > this.#end - this.#at) throw wireError('a field is longer than its message');
    this.#at += length;
  }
}

function wireError(what: string): SparrowError {
  return new SparrowError('invalid', 'WIRE_FORMAT', `message: ${what}`);
}
