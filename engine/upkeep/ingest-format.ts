/**
 * What a table writer leaves beside its files, `INGEST`: which files belong together, and whose keys they hold. It is written last, so a directory
 * with it is whole. Format: docs/formats/ingest.md. Pure.
 *
 *   SPKVING1 CHECK LF          XXH64 of all that follows, seed 0, 16 hexadecimal digits
 *   JSON LF
 */
import { SparrowError } from '../../base/errors.ts';
import { xxh64 } from '../../base/xxh64.ts';

export const INGEST_NAME = 'INGEST';
const MAGIC = 'SPKVING1';
const INGEST_VERSION = 1;

export interface IngestTable {
  readonly fileId: number;
  readonly bytes: number;
  /** The name of the keyspace whose keys it holds; null: the default one. */
  readonly keyspace: string | null;
}

export interface IngestManifest {
  readonly entries: number;
  /** In the order of their keys, keyspace by keyspace. */
  readonly tables: readonly IngestTable[];
  /** Block files, under ids that no other has. */
  readonly segments: readonly { readonly segment: number; readonly bytes: number }[];
}

export function encodeIngest({ entries, tables, segments }: IngestManifest): Uint8Array {
  const text = `${JSON.stringify({ format: INGEST_VERSION, entries, tables, segments }, null, 1)}\n`;
  return Buffer.from(`${MAGIC} ${checkOf(text)}\n${text}`);
}

/** `corrupt/CORRUPT_INGEST`, or `invalid/FORMAT_NEWER`. */
export function decodeIngest(bytes: Uint8Array, file: string): IngestManifest {
  const text = new TextDecoder().decode(bytes);
  const newline = text.indexOf('\n');
  const body = text.slice(newline + 1);
  if (newline < 0 || text.slice(0, newline) !== `${MAGIC} ${checkOf(body)}`) throw corrupt(file, 'it does not match its checksum');
  const fields = JSON.parse(body) as Record<string, unknown>;
  const { format, entries, tables, segments } = fields;
  if (typeof format === 'number' && format > INGEST_VERSION) {
    throw new SparrowError(
      'invalid',
      'FORMAT_NEWER',
      `${file} has format version ${format}; this version of SparrowKV reads up to ${INGEST_VERSION}`,
      {
        file,
        version: format,
        limit: INGEST_VERSION,
      },
    );
  }
  const sound = format === INGEST_VERSION && isCount(entries) && isList(tables, isTable) && isList(segments, isSegment);
  if (!sound) throw corrupt(file, 'it does not have the fields that it should');
  return { entries, tables: tables as IngestTable[], segments: segments as IngestManifest['segments'] };
}

function corrupt(file: string, what: string): SparrowError {
  return new SparrowError('corrupt', 'CORRUPT_INGEST', `${file} is damaged: ${what}`, { file, offset: 0 });
}

function isList(value: unknown, isOne: (each: Record<string, unknown>) => boolean): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'object' && each !== null && isOne(each as Record<string, unknown>));
}

function isTable({ fileId, bytes, keyspace }: Record<string, unknown>): boolean {
  return isCount(fileId) && isCount(bytes) && (keyspace === null || typeof keyspace === 'string');
}

function isSegment({ segment, bytes }: Record<string, unknown>): boolean {
  return isCount(segment) && isCount(bytes);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkOf(text: string): string {
  const bytes = new TextEncoder().encode(text);
  const { high, low } = xxh64(bytes, 0, bytes.length, 0);
  return [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');
}
