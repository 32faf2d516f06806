/**
 * A backup's manifest, `BACKUP-NNNNNN`: which files with which checks make up the store at one moment, and the version that they make. Text, so
 * that it can be read without us. Format: docs/formats/backup.md. Pure.
 *
 *   SPKVBKP1 CHECK LF          XXH64 of all that follows, seed: the backup's number, 16 hexadecimal digits
 *   JSON LF
 */
import { SparrowError } from '../../base/errors.ts';
import { xxh64 } from '../../base/xxh64.ts';
import { parseFileName } from '../manifest/index.ts';

const MAGIC = 'SPKVBKP1';
const BACKUP_VERSION = 1;
const CHECK = /^[0-9a-f]{16}$/;

export interface BackedUpFile {
  /** As in the store. */
  readonly name: string;
  readonly bytes: number;
  /** file-check.ts */
  readonly check: string;
  /** What told the file from its copies when it was taken (FileSystem.stampSync). */
  readonly stamp?: string | undefined;
}

export interface BackupManifest {
  readonly id: number;
  /** When it was begun, ms since the epoch. */
  readonly createdMs: number;
  /** Of the last write in it; undefined for a store that nobody had open: the end of its log was not looked for. */
  readonly sequence: number | undefined;
  /** The store's id; undefined: it has none. Files of one id, name and stamp are the same. */
  readonly store: number | undefined;
  /** The version edit that makes the version out of nothing (docs/formats/manifest.md). */
  readonly edit: Uint8Array;
  readonly files: readonly BackedUpFile[];
}

export function backupName(id: number): string {
  return `BACKUP-${String(id).padStart(6, '0')}`;
}

/** The number in a manifest's name; undefined for any other name. */
export function parseBackupName(name: string): number | undefined {
  const match = /^BACKUP-(\d{6,10})$/.exec(name);
  return match && backupName(Number(match[1])) === name ? Number(match[1]) : undefined;
}

/** Where a backup keeps a file: under its name and its check, so that different contents of one name are two files. */
export function storedName({ name, check }: BackedUpFile): string {
  return `${name}.${check}`;
}

export function encodeBackup(backup: BackupManifest): Uint8Array {
  const { id, createdMs, sequence, store, edit, files } = backup;
  const text = JSON.stringify(
    {
      format: BACKUP_VERSION,
      backup: id,
      createdMs,
      sequence: sequence ?? null,
      store: store ?? null,
      edit: Buffer.from(edit).toString('base64'),
      files: files.map(({ name, bytes, check, stamp }) => ({ name, bytes, check, stamp })),
    },
    null,
    1,
  );
  return Buffer.from(`${MAGIC} ${checkOf(`${text}\n`, id)}\n${text}\n`);
}

/** `corrupt/CORRUPT_BACKUP`, or `invalid/FORMAT_NEWER`. */
export function decodeBackup(bytes: Uint8Array, id: number, file: string): BackupManifest {
  const text = new TextDecoder().decode(bytes);
  const newline = text.indexOf('\n');
  const body = text.slice(newline + 1);
  if (newline < 0 || text.slice(0, newline) !== `${MAGIC} ${checkOf(body, id)}`)
    throw corruptBackup(file, 0, 'it does not match its checksum');
  const fields = JSON.parse(body) as Record<string, unknown>;
  if (typeof fields['format'] === 'number' && fields['format'] > BACKUP_VERSION) {
    const version = fields['format'];
    throw new SparrowError(
      'invalid',
      'FORMAT_NEWER',
      `${file} has format version ${version}; this version of SparrowKV reads up to ${BACKUP_VERSION}`,
      {
        file,
        version,
        limit: BACKUP_VERSION,
      },
    );
  }
  const { createdMs, sequence, store, edit, files } = fields;
  const sound =
    fields['format'] === BACKUP_VERSION &&
    fields['backup'] === id &&
    isCount(createdMs) &&
    (sequence === null || isCount(sequence)) &&
    (store === null || isCount(store)) &&
    typeof edit === 'string' &&
    Array.isArray(files) &&
    files.every(isFile);
  if (!sound) throw corruptBackup(file, newline + 1, 'it does not have the fields of a backup');
  return {
    id,
    createdMs,
    sequence: sequence ?? undefined,
    store: store ?? undefined,
    edit: Buffer.from(edit, 'base64'),
    files: files as BackedUpFile[],
  };
}

export function corruptBackup(file: string, offset: number, what: string, cause?: unknown): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_BACKUP', `${file} is damaged at offset ${offset}: ${what}`, { file, offset }, cause);
}

/** Names become paths: only those of a store's files are taken. */
function isFile(value: unknown): boolean {
  const { name, bytes, check, stamp } = (value ?? {}) as Record<string, unknown>;
  if (stamp !== undefined && typeof stamp !== 'string') return false;
  if (typeof name !== 'string' || !isCount(bytes) || typeof check !== 'string' || !CHECK.test(check)) return false;
  return ['log', 'block', 'link', 'table'].includes(parseFileName(name)?.kind ?? '');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkOf(text: string, id: number): string {
  const bytes = new TextEncoder().encode(text);
  const { high, low } = xxh64(bytes, 0, bytes.length, id);
  return [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');
}
