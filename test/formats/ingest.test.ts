/** The bytes of INGEST, version 1. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { decodeIngest, encodeIngest, type IngestManifest } from '../../engine/upkeep/ingest-format.ts';

const GOLDEN = new URL('golden/ingest-v1.txt', import.meta.url);
const MANIFEST: IngestManifest = {
  entries: 12,
  tables: [
    { fileId: 1, bytes: 16_657, keyspace: null },
    { fileId: 2, bytes: 8_400, keyspace: 'birds' },
  ],
  segments: [{ segment: 1_234_567_890, bytes: 40_064 }],
};

test('INGEST is written as version 1 has it, and read', () => {
  const bytes = encodeIngest(MANIFEST);
  if (process.env['UPDATE_GOLDEN']) writeFileSync(GOLDEN, bytes);
  expect(Buffer.from(bytes).toString()).toBe(readFileSync(GOLDEN, 'utf8'));
  expect(decodeIngest(readFileSync(GOLDEN), '/made/INGEST')).toEqual(MANIFEST);
});

test('any changed byte of it is refused', () => {
  for (let at = 0; at < encodeIngest(MANIFEST).length; at++) {
    const bytes = encodeIngest(MANIFEST);
    bytes[at]! ^= 1;
    expect(() => decodeIngest(bytes, '/made/INGEST')).toThrow(expect.objectContaining({ code: 'CORRUPT_INGEST' }));
  }
});
