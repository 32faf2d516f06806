/**
 * Fields, of which a version edit and what it says of a table are made. Pure. Called by version-edit.ts and table-fields.ts.
 *
 *   field:     | tag varint | bytes varint | content |
 *   setting:   | name bytes varint | name | value varint |
 *   tombstone: | sequence varint | start bytes varint | start | end bytes varint | end |
 *   rule:      | id varint | gte bytes varint | gte | lt bytes varint | lt | hash mask varint | hash value varint |      no bytes, no mask: not given
 *
 * A tag is `number << 1 | optional`. A reader that does not know a tag skips the field when it is optional and refuses the edit when it
 * is not, so that a field that must not be overlooked can be added later.
 */
import { SparrowError } from '../../base/errors.ts';
import { readVarint, writeVarint, VARINT_BYTES_MAX, type VarintCursor } from '../../base/varint.ts';
import type { StoredKeepRule } from '../keep-rule.ts';
import type { StoredSettings } from '../keyspace-settings.ts';
import type { RangeTombstone } from './range-tombstone.ts';

/** Of a tag: who does not know it passes over the field. */
export const OPTIONAL = 1;
export const LEVELS_MAX = 16;
const NO_BYTES = new Uint8Array(0);
const NO_HASH = { mask: 0, value: 0 };

export class FieldEncoder {
  #bytes = new Uint8Array(256);
  #end = 0;
  /** For the contents of fields, one after another: a version has one for each table, and details in it. */
  #body: FieldEncoder | undefined;

  varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    this.#end = writeVarint(this.#bytes, this.#end, value);
  }

  /** Length and content. */
  bytes(content: Uint8Array): void {
    this.varint(content.length);
    this.#reserve(content.length);
    this.#bytes.set(content, this.#end);
    this.#end += content.length;
  }

  setting(name: string, value: number): void {
    this.bytes(new TextEncoder().encode(name));
    this.varint(value);
  }

  tombstone({ sequence, start, end }: RangeTombstone): void {
    this.varint(sequence);
    this.bytes(start);
    this.bytes(end);
  }

  rule({ id, gte = NO_BYTES, lt = NO_BYTES, hash = NO_HASH }: StoredKeepRule): void {
    this.varint(id);
    this.bytes(gte);
    this.bytes(lt);
    this.varint(hash.mask);
    this.varint(hash.value);
  }

  field(tag: number, write: (body: FieldEncoder) => void): void {
    const body = (this.#body ??= new FieldEncoder());
    body.#end = 0;
    write(body);
    this.varint(tag);
    this.bytes(body.finish());
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end + bytes));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

export class FieldDecoder {
  readonly #cursor: VarintCursor;

  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.#cursor = { bytes, offset, end };
  }

  get done(): boolean {
    return this.#cursor.offset === this.#cursor.end;
  }

  varint(what: string): number {
    const value = readVarint(this.#cursor);
    if (value === undefined) throw malformed(what);
    return value;
  }

  level(): number {
    const level = this.varint('level');
    if (level >= LEVELS_MAX) throw malformed('level');
    return level;
  }

  /** The field's only content, a varint; a second field of its kind is refused. */
  once(what: string, before: number | undefined): number {
    if (before !== undefined) throw malformed(`second ${what}`);
    return this.varint(what);
  }

  tombstone(): RangeTombstone {
    return { sequence: this.varint('sequence'), start: this.bytes('start of a range'), end: this.bytes('end of a range') };
  }

  /** What is left. */
  rule(): StoredKeepRule | undefined {
    if (this.done) return undefined;
    const [id, gte, lt] = [this.varint('rule'), this.bytes('gte of a rule'), this.bytes('lt of a rule')];
    const hash = { mask: this.varint('mask of a rule'), value: this.varint('value of a rule') };
    return { id, ...(gte.length > 0 && { gte }), ...(lt.length > 0 && { lt }), ...(hash.mask !== 0 && { hash }) };
  }

  text(what: string): string {
    return new TextDecoder().decode(this.bytes(what));
  }

  setting(into: Record<string, number>): void {
    into[this.text('name')] = this.varint('value');
  }

  /** Those up to the end. */
  settings(): StoredSettings {
    const settings: Record<string, number> = {};
    while (!this.done) this.setting(settings);
    return settings;
  }

  /** A copy: what is decoded outlives the buffer. */
  bytes(what: string): Uint8Array {
    const { offset, end } = this.part(what).#cursor;
    return this.#cursor.bytes.slice(offset, end);
  }

  /** Length and content, to be decoded by itself. */
  part(what: string): FieldDecoder {
    const length = this.varint(what);
    const { bytes, offset, end } = this.#cursor;
    if (length > end - offset) throw malformed(what);
    this.#cursor.offset += length;
    return new FieldDecoder(bytes, offset, offset + length);
  }

  expectDone(): void {
    if (!this.done) throw malformed('field with bytes left over');
  }
}

/** Of a tag that is not optional. */
export function unknownField(tag: number): SparrowError {
  return new SparrowError(
    'invalid',
    'FORMAT_NEWER',
    `the manifest holds a field (${tag >> 1}) that this version does not know; use the version that wrote it or a later one`,
    {
      field: tag >> 1,
    },
  );
}

function malformed(what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_MANIFEST', `a version edit is malformed (${what})`, { what });
}
