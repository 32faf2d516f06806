/** The bytes of a backup's manifest and the check of a file, version 1. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeBackup, encodeBackup, storedName, type BackupManifest } from '../../engine/upkeep/backup-format.ts';
import { FileCheck } from '../../engine/upkeep/file-check.ts';
import { xxh64 } from '../../base/xxh64.ts';

const GOLDEN = new URL('golden/backup-v1.txt', import.meta.url);
const PATH = '/backups/BACKUP-000003';

const BACKUP: BackupManifest = {
  id: 3,
  createdMs: 1_790_000_000_000,
  sequence: 42,
  store: 123_456_789,
  edit: Uint8Array.of(2, 1, 2, 4, 1, 9, 6, 1, 42, 8, 1, 7),
  files: [
    { name: '000005.table', bytes: 16_657, check: '21c0c0680854e198' },
    { name: '000007.log', bytes: 2_048, check: '00000000000000ff' },
  ],
};

test('a manifest is written as version 1 has it', () => {
  const bytes = Buffer.from(encodeBackup(BACKUP));
  if (process.env['UPDATE_GOLDEN']) writeFileSync(GOLDEN, bytes);
  expect(bytes.toString()).toBe(readFileSync(GOLDEN, 'utf8'));
});

test('a manifest of version 1 is read', () => {
  const bytes = readFileSync(GOLDEN);
  const read = decodeBackup(bytes, 3, PATH);
  expect({ ...read, edit: [...read.edit] }).toEqual({ ...BACKUP, edit: [...BACKUP.edit] });
  expect(read.files.map(storedName)).toEqual(['000005.table.21c0c0680854e198', '000007.log.00000000000000ff']);
  expect(() => decodeBackup(bytes, 4, PATH)).toThrow(expect.objectContaining({ code: 'CORRUPT_BACKUP' }));
});

test.each([
  ['a name that leads elsewhere', { files: [{ name: '../../etc/passwd', bytes: 1, check: '21c0c0680854e198' }] }],
  ['a length that is none', { files: [{ name: '000005.table', bytes: -1, check: '21c0c0680854e198' }] }],
  ['a moment that is none', { createdMs: 1.5 }],
])('%s is refused, its checksum right or not', (_what, change) => {
  expect(() => decodeBackup(encodeBackup({ ...BACKUP, ...change }), 3, PATH)).toThrow(expect.objectContaining({ code: 'CORRUPT_BACKUP' }));
});

test('the check of a file is the checks of its pieces, checked', () => {
  const bytes = Buffer.alloc(2 * 1024 * 1024 + 5, 'sparrow');
  const pieces = [0, 1, 2].map((i) => bytes.subarray(i * 1024 * 1024, (i + 1) * 1024 * 1024));
  const check = new FileCheck();
  for (const piece of pieces) check.add(piece);
  const checks = Buffer.alloc(24);
  for (const [i, piece] of pieces.entries()) {
    const { low, high } = xxh64(piece, 0, piece.length, i);
    checks.writeUInt32LE(low, 8 * i);
    checks.writeUInt32LE(high, 8 * i + 4);
  }
  const { low, high } = xxh64(checks, 0, 24, bytes.length);
  expect(check.take()).toBe([high, low].map((half) => half.toString(16).padStart(8, '0')).join(''));
});
