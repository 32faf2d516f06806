/**
 * The files of an engine's directory, pure. Ids come from one counter and are never used twice.
 *
 *   NNNNNN.log         log segment, or block file once it is flushed     NNNNNN.table       table
 *   NNNNNN.block       block file made by compaction                      NNNNNN.link        block file that is a segment of a host's log
 *   MANIFEST-NNNNNN    version edits                                      CURRENT            names the manifest that counts
 *   CURRENT.tmp        CURRENT before its renaming                        LOCK, LOCK.pid     the directory's lock (base/node)
 *   INCOMPLETE         the directory is being made out of another store, or was when its maker died
 */
export type FileKind = 'log' | 'block' | 'link' | 'table' | 'manifest' | 'current' | 'temporary' | 'incomplete';

/** Ids from here on are random: of block files that were made outside of any engine (engine/upkeep/table-files.ts). The counter stays below. */
export const EXTERNAL_ID_FROM: number = 2 ** 30;

/** Kinds whose ids come from the one counter. */
const FILES_WITH_IDS: ReadonlySet<FileKind> = new Set(['log', 'block', 'link', 'table']);

export interface ParsedName {
  readonly kind: FileKind;
  /** 0 where the name has none. */
  readonly id: number;
}

export const CURRENT_NAME = 'CURRENT';
export const CURRENT_TEMPORARY_NAME = 'CURRENT.tmp';
export const INCOMPLETE_NAME = 'INCOMPLETE';

export function logName(id: number): string {
  return `${padded(id)}.log`;
}

export function blockName(id: number): string {
  return `${padded(id)}.block`;
}

/** A hard link to a segment of a host's log. */
export function linkName(id: number): string {
  return `${padded(id)}.link`;
}

export function tableName(id: number): string {
  return `${padded(id)}.table`;
}

export function manifestName(id: number): string {
  return `MANIFEST-${padded(id)}`;
}

/** What a name in the directory stands for; undefined when it is none of ours. */
export function parseFileName(name: string): ParsedName | undefined {
  if (name === CURRENT_NAME) return { kind: 'current', id: 0 };
  if (name === CURRENT_TEMPORARY_NAME) return { kind: 'temporary', id: 0 };
  if (name === INCOMPLETE_NAME) return { kind: 'incomplete', id: 0 };
  const match = /^(?:(?<manifest>MANIFEST-)(?<manifestId>\d{6,10})|(?<id>\d{6,10})\.(?<suffix>log|block|link|table))$/.exec(name);
  if (!match) return undefined;
  const { manifest, manifestId, id, suffix } = match.groups!;
  const parsed: ParsedName = manifest ? { kind: 'manifest', id: Number(manifestId) } : { kind: suffix as FileKind, id: Number(id) };
  const canonical = manifest ? manifestName(parsed.id) : `${padded(parsed.id)}.${suffix}`;
  return canonical === name ? parsed : undefined;
}

/** The largest id of a log, a block file (a link too) or a table in the listing; 0 when there is none. New ids begin above it. */
export function highestFileId(listing: readonly string[]): number {
  let highest = 0;
  for (const name of listing) {
    const parsed = parseFileName(name);
    if (parsed && FILES_WITH_IDS.has(parsed.kind) && parsed.id < EXTERNAL_ID_FROM) highest = Math.max(highest, parsed.id);
  }
  return highest;
}

function padded(id: number): string {
  return String(id).padStart(6, '0');
}
