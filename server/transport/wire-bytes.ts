/**
 * Numbers and bytes written and read one after another, for the formats between nodes: little-endian, varints as in base/varint.ts. Pure.
 *
 * What is read comes from another machine: anything wrong throws `invalid/PEER_FORMAT` and nothing is read past the end.
 */
import { SparrowError } from '../../base/errors.ts';
import { VARINT_BYTES_MAX, writeVarint } from '../../base/varint.ts';

const TWO_28: number = 2 ** 28;

export class ByteWriter {
  /** Room is made by `reserve`; whoever reserves may write here and move `at`. */
  buffer: Buffer;
  at = 0;

  readonly #allocate: (bytes: number) => Buffer;

  /** `allocate`: returns memory of so many bytes or more. */
  constructor(bytes: number, allocate: (bytes: number) => Buffer = Buffer.allocUnsafe) {
    this.#allocate = allocate;
    this.buffer = allocate(bytes);
  }

  /** Makes room for so many bytes more. */
  reserve(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.buffer.length) return;
    const grown = this.#allocate(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.at);
    this.buffer = grown;
  }

  u8(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  u16(value: number): void {
    this.reserve(2);
    this.at = this.buffer.writeUInt16LE(value, this.at);
  }

  u32(value: number): void {
    this.reserve(4);
    this.at = this.buffer.writeUInt32LE(value, this.at);
  }

  u64(value: bigint): void {
    this.reserve(8);
    this.at = this.buffer.writeBigUInt64LE(value, this.at);
  }

  varint(value: number): void {
    this.reserve(VARINT_BYTES_MAX);
    this.at = writeVarint(this.buffer, this.at, value);
  }

  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Its length, then the bytes. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  text(text: string): void {
    this.bytes(Buffer.from(text, 'utf8'));
  }

  /** What was written. */
  written(): Buffer {
    return this.buffer.subarray(0, this.at);
  }
}

export class ByteReader {
  readonly #source: Buffer;
  readonly #end: number;
  #at: number;

  constructor(source: Buffer, start = 0) {
    this.#source = source;
    this.#at = start;
    this.#end = source.length;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    return this.#source[this.#take(1)]!;
  }

  u16(): number {
    return this.#source.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#source.readUInt32LE(this.#take(4));
  }

  u64(): bigint {
    return this.#source.readBigUInt64LE(this.#take(8));
  }

  varint(): number {
    const source = this.#source;
    let at = this.#at;
    // The common case, in integers.
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= this.#end) throw peerFormat('a number is cut short');
      const byte = source[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (byte === 0 && shift > 0) throw peerFormat('a number is not in its shortest form');
      this.#at = at;
      return value;
    }
    let scale = TWO_28;
    for (let i = 4; i < VARINT_BYTES_MAX; i++, scale *= 128) {
      if (at >= this.#end) throw peerFormat('a number is cut short');
      const byte = source[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      if (byte === 0) throw peerFormat('a number is not in its shortest form');
      if (value > Number.MAX_SAFE_INTEGER) break;
      this.#at = at;
      return value;
    }
    throw peerFormat('a number is larger than 2^53 - 1');
  }

  /** A count of things that take `bytesEach` at least: never more than there is room for. */
  count(bytesEach: number): number {
    const value = this.varint();
    if (value * bytesEach > this.left) throw peerFormat(`a count of ${value} is more than the message has room for`);
    return value;
  }

  raw(bytes: number): Buffer {
    const start = this.#take(bytes);
    return this.#source.subarray(start, start + bytes);
  }

  /** A length, then so many bytes. They alias the source. */
  bytes(): Buffer {
    return this.raw(this.varint());
  }

  text(): string {
    return this.bytes().toString('utf8');
  }

  /** Nothing may be left. */
  end(): void {
    if (this.left > 0) throw peerFormat(`${this.left} bytes follow the last field`);
  }

  #take(bytes: number): number {
    const start = this.#at;
    if (bytes > this.#end - start) throw peerFormat('a field is longer than the message');
    this.#at = start + bytes;
    return start;
  }
}

export function peerFormat(what: string): SparrowError {
  return new SparrowError('invalid', 'PEER_FORMAT', `message between nodes: ${what}`);
}
