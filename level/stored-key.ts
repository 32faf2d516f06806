/**
 * Keys as the engine stores them. Level has an empty key and the engine has none, so keys that are nothing but zero bytes, the empty one
 * included, are stored one zero byte longer; every other key is stored as it is:
 *
 *   given    ''    00      00 00      00 01    61
 *   stored   00    00 00   00 00 00   00 01    61
 *
 * Order is kept: a run of n zeros comes before whatever it is the beginning of, with one zero more too, because what follows it there is
 * either a longer run, which grows as well, or a byte above zero. So bounds and seek targets map in the same way as keys. The longest
 * key, and with it the longest run of zeros, is the engine's `maxKeyBytes`. Pure.
 */

/** What Level hands down and takes back: text for the format `utf8`, bytes for `buffer` and `view`. */
export type Encoded = string | Uint8Array;

export function storedKey(key: Encoded): Encoded {
  if (typeof key === 'string') return isZeros(key) ? `${key}\0` : key;
  // What is neither text nor bytes is refused by the engine.
  if (!(key instanceof Uint8Array) || !areZeros(key)) return key;
  return new Uint8Array(key.length + 1);
}

/** The key that `stored` stands for: the array itself, or a part of it. */
export function givenKey(stored: Uint8Array): Uint8Array {
  return areZeros(stored) ? stored.subarray(0, -1) : stored;
}

function isZeros(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== 0) return false;
  return true;
}

function areZeros(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}
