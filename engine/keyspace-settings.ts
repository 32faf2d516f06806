/**
 * Names and settings of keyspaces: checked where a caller gives them, and as the manifest keeps them, which is a number by name. Pure.
 * A setting that this version does not know is kept as it is: a later version wrote it.
 */
import { SparrowError } from '../base/errors.ts';
import type { KeyspaceSettings } from './api.ts';
import { checkTtl } from './expiry.ts';
import { checkSetting } from './settings.ts';

export const KEYSPACE_NAME_BYTES_MAX = 255;
const KNOWN: readonly (keyof KeyspaceSettings)[] = ['inlineThreshold', 'ttlMs'];

/** Settings as the manifest keeps them. */
export type StoredSettings = Readonly<Record<string, number>>;

/** `invalid/KEYSPACE_NAME`. */
export function checkKeyspaceName(name: string): string {
  const bytes = typeof name === 'string' ? Buffer.byteLength(name) : 0;
  if (bytes >= 1 && bytes <= KEYSPACE_NAME_BYTES_MAX && name.isWellFormed()) return name;
  throw new SparrowError(
    'invalid',
    'KEYSPACE_NAME',
    `a keyspace's name is a string of 1 to ${KEYSPACE_NAME_BYTES_MAX} bytes in UTF-8, not ${typeof name === 'string' ? `one of ${bytes}` : typeof name}`,
    { field: 'name', min: 1, max: KEYSPACE_NAME_BYTES_MAX },
  );
}

/** `invalid/OPTION_UNKNOWN` or `invalid/OPTION_RANGE`. */
export function storedSettings(settings: KeyspaceSettings): StoredSettings {
  const stored: Record<string, number> = {};
  for (const [field, value] of Object.entries(settings) as [keyof KeyspaceSettings, unknown][]) {
    if (!KNOWN.includes(field)) {
      const known = KNOWN.join(', ');
      throw new SparrowError('invalid', 'OPTION_UNKNOWN', `unknown setting '${field}' of a keyspace; known are: ${known}`, { field });
    }
    if (value === undefined) continue;
    stored[field] = field === 'ttlMs' ? checkTtl(value as number) : checkSetting(field, value as number);
  }
  return stored;
}

/** What a caller is shown. */
export function shownSettings(stored: StoredSettings): Readonly<KeyspaceSettings> {
  const shown: KeyspaceSettings = {};
  for (const field of KNOWN) if (stored[field] !== undefined) shown[field] = stored[field];
  return Object.freeze(shown);
}

export function sameSettings(a: StoredSettings, b: StoredSettings): boolean {
  const fields = Object.keys(a);
  return fields.length === Object.keys(b).length && fields.every((field) => a[field] === b[field]);
}
