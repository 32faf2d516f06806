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
const NAMED: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const LETTERS: Readonly<Record<string, number>> = { '\\': 0x5c, n: 0x0a, r: 0x0d, t: 0x09 };

export function escapeBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) {
    const text = buffer.toString('utf8');
    if (!SUSPECT.test(text)) return text;
  }
  let shown = '';
  for (let at = 0; at < buffer.length;) {
    const length = sequenceBytes(buffer[at]);
    const piece = buffer.subarray(at, at + length);
    if (length > 0 && piece.length === length && isUtf8(piece)) {
      const character = piece.toString('utf8');
      shown += NAMED[character] ?? (SUSPECT.test(character) ? hex(piece) : character);
      at += length;
    } else {
      shown += hex(buffer.subarray(at, at + 1));
      at++;
    }
  }
  return shown;
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

/** How many bytes a UTF-8 sequence with this first byte has; 0 when none begins so. */
function sequenceBytes(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

function hex(bytes: Uint8Array): string {
  let shown = '';
  for (const byte of bytes) shown += `\\x${byte.toString(16).padStart(2, '0')}`;
  return shown;
}
