/**
 * Names and settings of keyspaces: checked where a caller gives them, as the manifest keeps them, which is a number by name, and what they come to
 * for tables. Pure. A setting that this version does not know is kept as it is: a later version wrote it.
 *
 *   inlineThreshold, ttlMs, filterBitsPerKey     as the caller gives them
 *   compressionUpper, compressionBottom          numbers of codecs, as in a packed page (docs/formats/table.md); 0: none
 */
import type { Zstd } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { checkTtl } from './expiry.ts';
import type { KeyspaceSettings } from './keyspaces-api.ts';
import { checkCompression, checkSetting, type EngineSettings } from './settings.ts';
import { CODECS, type LevelCompression, PAGE_COMPRESSIONS, type PageCompression, requireZstd, type TableForms } from './table/index.ts';

export const KEYSPACE_NAME_BYTES_MAX = 255;
/** Settings that are numbers. */
const NUMBERS = ['inlineThreshold', 'ttlMs', 'filterBitsPerKey'] as const satisfies readonly (keyof KeyspaceSettings)[];
const KNOWN: readonly (keyof KeyspaceSettings)[] = [...NUMBERS, 'compression'];
const COMPRESSION_FIELDS = { upper: 'compressionUpper', bottom: 'compressionBottom' } as const satisfies Record<
  keyof LevelCompression,
  string
>;

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
    if (field === 'compression') {
      const levels = checkCompression(value as PageCompression);
      for (const [level, codec] of Object.entries(levels)) stored[COMPRESSION_FIELDS[level as keyof LevelCompression]] = CODECS[codec];
    } else stored[field] = field === 'ttlMs' ? checkTtl(value as number) : checkSetting(field, value as number);
  }
  return stored;
}

/** What a caller is shown: those that were given. Compression is one where it is the same for all levels. */
export function shownSettings(stored: StoredSettings): Readonly<KeyspaceSettings> {
  const shown: KeyspaceSettings = {};
  for (const field of NUMBERS) if (stored[field] !== undefined) shown[field] = stored[field];
  const compression = compressionOf(stored);
  const { upper, bottom } = compression;
  if (upper !== undefined && upper === bottom) shown.compression = upper;
  else if (upper !== undefined || bottom !== undefined) shown.compression = Object.freeze(compression);
  return Object.freeze(shown);
}

export function sameSettings(a: StoredSettings, b: StoredSettings): boolean {
  const fields = Object.keys(a);
  return fields.length === Object.keys(b).length && fields.every((field) => a[field] === b[field]);
}

/** Keyspaces by id, as a version has them. */
type KeyspacesById = ReadonlyMap<number, { readonly settings: StoredSettings }>;

/** How tables are written: `bottom` in the deepest level that has any, `upper` above. The engine's settings hold where a keyspace has none. */
export function tableForms(
  keyspaces: KeyspacesById,
  engine: Pick<EngineSettings, 'compression' | 'filterBitsPerKey'>,
  place: keyof LevelCompression,
): TableForms {
  const own = { compression: engine.compression[place], filterBitsPerKey: engine.filterBitsPerKey };
  const others = [...keyspaces].flatMap(([id, { settings }]) => {
    const compression = compressionOf(settings)[place] ?? own.compression;
    const filterBitsPerKey = settings['filterBitsPerKey'] ?? own.filterBitsPerKey;
    const same = compression === own.compression && filterBitsPerKey === own.filterBitsPerKey;
    return same ? [] : [[id, { compression, filterBitsPerKey }] as const];
  });
  return { own, keyspaces: new Map(others) };
}

/**
 * Refuses settings that a store has and that tables cannot be written by: `invalid/ZSTD_MISSING` in a runtime without it, `invalid/FORMAT_NEWER` for values
 * that only a later version takes.
 */
export function assertWritable(
  { name, settings }: { readonly name: string; readonly settings: StoredSettings },
  zstd: Zstd | undefined,
): void {
  try {
    storedSettings(shownSettings(settings));
  } catch (cause) {
    const what = `keyspace '${name}' has settings that only a later version takes: ${(cause as Error).message}`;
    throw new SparrowError('invalid', 'FORMAT_NEWER', what, { keyspace: name }, cause);
  }
  if (Object.values(compressionOf(settings)).includes('zstd')) requireZstd(zstd, `keyspace '${name}'`);
}

/** By level, as far as it is set. */
function compressionOf(stored: StoredSettings): Partial<LevelCompression> {
  const levels: Partial<LevelCompression> = {};
  for (const level of ['upper', 'bottom'] as const) {
    const codec = stored[COMPRESSION_FIELDS[level]];
    if (codec !== undefined) levels[level] = compressionOfCodec(codec);
  }
  return levels;
}

function compressionOfCodec(codec: number): PageCompression {
  const compression = PAGE_COMPRESSIONS.find((each) => CODECS[each] === codec);
  if (compression !== undefined) return compression;
  throw new SparrowError('invalid', 'FORMAT_NEWER', `a keyspace is to be compressed by codec ${codec}, which only a later version has`, {
    codec,
  });
}
