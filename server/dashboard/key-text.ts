/** Keys of a shard as an operator reads them. Pure. */
import type { ShardKeys } from '../../proto/index.ts';

const LENGTH_MAX = 48;
/** What can be read as it is: all but control, format, private and unassigned characters. */
const READABLE = /^[^\p{C}\p{Zl}\p{Zp}]*$/u;

/** `all keys`, `from "a" to "m"`, `hash 3 of 8`. */
export function textOfKeys(keys: ShardKeys | undefined): string {
  const { keys: either } = keys ?? {};
  if (either === undefined) return '';
  if (either.$case === 'hash') {
    const { bits, index } = either.value;
    return bits === 0 ? 'all keys' : `hash ${index} of ${2 ** bits}`;
  }
  const { start, end } = either.value;
  if (end === undefined) return start.length === 0 ? 'all keys' : `from ${textOfKey(start)}`;
  return start.length === 0 ? `up to ${textOfKey(end)}` : `${textOfKey(start)} to ${textOfKey(end)}`;
}

/** In quotes when it is text, or mostly, with other bytes as \xNN; otherwise its bytes in hexadecimal digits; its beginning when it is long. */
export function textOfKey(key: Uint8Array): string {
  const text = decoded(key);
  if (text !== undefined && READABLE.test(text)) return JSON.stringify(text.length > LENGTH_MAX ? `${text.slice(0, LENGTH_MAX)}...` : text);
  if (key.length > 0 && 2 * key.filter(isPrintable).length > key.length) {
    const shown = Array.from(key.length > LENGTH_MAX ? key.subarray(0, LENGTH_MAX) : key, escaped).join('');
    return `"${shown}${key.length > LENGTH_MAX ? '...' : ''}"`;
  }
  const hex = Buffer.from(key).toString('hex');
  return hex.length > LENGTH_MAX ? `0x${hex.slice(0, LENGTH_MAX)}...` : `0x${hex}`;
}

/** Of ASCII. */
function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f;
}

function escaped(byte: number): string {
  if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  return isPrintable(byte) ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
