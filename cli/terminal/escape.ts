/**
 * How bytes are shown as text, and read back.
 *
 * A key or value is printed as its UTF-8 text. What a terminal or a line-based script would stumble over is escaped byte by byte:
 *   - backslash as `\\`, newline `\n`, carriage return `\r`, tab `\t`;
 *   - every other control, format or unassigned character, and every byte that is not UTF-8, as `\xNN` (two hex digits for each byte).
 * So one entry is one line, columns are parted by a tab, and `unescapeText(escapeBytes(b))` is `b` for all bytes.
 */
import { isUtf8 } from 'node:buffer';

import { SparrowError } from '../../base/errors.ts';

const SUSPECT = /[\\\p{C}\p{Zl}\p{Zp}]/u;
const BACKSLASH = 0x5c;
const DIGITS = '0123456789abcdef';
/** `\xNN` */
const ESCAPE_BYTES = 4;
/** Letters that stand for bytes: those of LETTERS, the other way round. */
const NAMED: ReadonlyMap<number, number> = new Map([
  [BACKSLASH, BACKSLASH],
  [0x0a, 0x6e],
  [0x0d, 0x72],
  [0x09, 0x74],
]);
const LETTERS: Readonly<Record<string, number>> = { '\\': 0x5c, n: 0x0a, r: 0x0d, t: 0x09 };

export function escapeBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) {
    const text = buffer.toString('utf8');
    if (!SUSPECT.test(text)) return text;
  }
  // Into bytes and not into a string: one that grows by a few characters at a time costs many times its length.
  const shown = Buffer.allocUnsafe(buffer.length * ESCAPE_BYTES);
  let end = 0;
  for (let at = 0; at < buffer.length;) {
    const length = sequenceBytes(buffer, at);
    if (length > 0 && isShown(buffer, at, length)) {
      for (const sequenceEnd = at + length; at < sequenceEnd; at++) shown[end++] = buffer[at]!;
      continue;
    }
    for (const sequenceEnd = at + Math.max(1, length); at < sequenceEnd; at++) end = escapeByte(buffer[at]!, shown, end);
  }
  return shown.toString('utf8', 0, end);
}

/** The bytes of a text in which `\\`, `\n`, `\r`, `\t` and `\xNN` are escapes. */
export function unescapeText(text: string): Uint8Array {
  const parts: Buffer[] = [];
  let plainFrom = 0;
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', at)) {
    parts.push(Buffer.from(text.slice(plainFrom, at), 'utf8'));
    const letter = text[at + 1] ?? '';
    const digits = text.slice(at + 2, at + 4);
    if (letter in LETTERS) {
      parts.push(Buffer.of(LETTERS[letter]));
      at += 2;
    } else if (letter === 'x' && /^[0-9a-fA-F]{2}$/.test(digits)) {
      parts.push(Buffer.from(digits, 'hex'));
      at += 4;
    } else {
      throw new SparrowError('invalid', 'ESCAPE_INVALID', `not an escape: ${text.slice(at, at + 4)} (use \\\\ \\n \\r \\t or \\xNN)`, {
        offset: at,
      });
    }
    plainFrom = at;
  }
  parts.push(Buffer.from(text.slice(plainFrom), 'utf8'));
  return Buffer.concat(parts);
}

/** How many bytes the UTF-8 sequence at `at` has; 0 when none begins there or it is not whole. */
function sequenceBytes(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  for (let i = at + 1; i < at + length; i++) if ((bytes[i]! & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1]!;
  // Longer than need be, a surrogate, or beyond the last character.
  if ((first === 0xe0 && second < 0xa0) || (first === 0xed && second >= 0xa0)) return 0;
  return (first === 0xf0 && second < 0x90) || (first === 0xf4 && second >= 0x90) ? 0 : length;
}

function isShown(bytes: Buffer, at: number, length: number): boolean {
  if (length > 1) return !SUSPECT.test(bytes.toString('utf8', at, at + length));
  const byte = bytes[at]!;
  return byte >= 0x20 && byte < 0x7f && byte !== BACKSLASH;
}

/** Writes the escape of a byte to `shown`; returns where it ends. */
function escapeByte(byte: number, shown: Uint8Array, end: number): number {
  shown[end] = BACKSLASH;
  const named = NAMED.get(byte);
  if (named !== undefined) {
    shown[end + 1] = named;
    return end + 2;
  }
  shown[end + 1] = 0x78;
  shown[end + 2] = DIGITS.charCodeAt(byte >> 4);
  shown[end + 3] = DIGITS.charCodeAt(byte & 15);
  return end + ESCAPE_BYTES;
}
