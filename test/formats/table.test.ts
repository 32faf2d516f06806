/** The bytes of a table file, version 2: what is on people's disks must stay readable. The file is the example of docs/formats/table.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readTableMeta } from '../../engine/table/index.ts';
import type { PageEntry } from '../assembly/twins/page.ts';
import { DIRECTORY, entry, TableHarness } from '../engine/table/table-harness.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const GOLDEN = new URL('./golden/table-v2.hex', import.meta.url);
const GOLDEN_PACKED = new URL('./golden/table-lz4-v2.hex', import.meta.url);
const PATH = `${DIRECTORY}/000007.table`;

/** A pointer to 4,096 bytes at 1,176 of segment 3. */
const POINTER = Buffer.from('03000000001000009804000000000000efcdab8967452301', 'hex');
/** Two pages; the key that ends the first begins the second. */
const ENTRIES: PageEntry[] = [
  entry('bird/robin', 5, '', 3),
  entry('bird/sparrow', 9, 'tweet'),
  entry('bird/sparrow', 2, 'chirp'),
  { key: Buffer.from('bird/swan'), sequence: 7, kind: 2, flags: 0, value: POINTER },
  entry('bird/wren', 8, '8'.repeat(4000)),
  entry('bird/wren', 6, '6'.repeat(4000)),
  entry('bird/wren', 4, '4'.repeat(4000)),
];
const REFERENCES = [{ segment: 3, bytes: 4096 }];

/** Offset and 16 bytes a line; a line that repeats the one before is left out, unless it is the last. */
function dump(bytes: Uint8Array): string {
  const lines: string[] = [];
  let before = '';
  for (let at = 0; at < bytes.length; at += 16) {
    const row = Buffer.from(bytes.subarray(at, at + 16)).toString('hex');
    if (row !== before || at + 16 >= bytes.length) lines.push(`${String(at).padStart(6, '0')}  ${row.replaceAll(/(..)(?=.)/g, '$1 ')}`);
    before = row;
  }
  return `${lines.join('\n')}\n`;
}

function undump(text: string): Uint8Array {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => ({ at: Number(line.slice(0, 6)), row: Buffer.from(line.slice(8).replaceAll(' ', ''), 'hex') }));
  const last = lines.at(-1)!;
  const out = new Uint8Array(last.at + last.row.length);
  for (const [i, { at, row }] of lines.entries()) {
    const end = lines[i + 1]?.at ?? at + row.length;
    for (let to = at; to < end; to += 16) out.set(row.subarray(0, Math.min(16, end - to)), to);
  }
  return out;
}

test.each([
  ['none', GOLDEN],
  ['lz4', GOLDEN_PACKED],
] as const)('a table is written as version 2 has it (%s)', (compression, golden) => {
  const disk = new SimFileSystem();
  new TableHarness(disk).write(7, ENTRIES, REFERENCES, { compression });
  const written = dump(disk.contents(PATH));
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, written);
  expect(written).toBe(readFileSync(golden, 'utf8'));
});

test.each([GOLDEN, GOLDEN_PACKED])('a table of version 2 is read (%s)', (golden) => {
  const disk = new SimFileSystem();
  const harness = new TableHarness(disk);
  disk.replace(PATH, undump(readFileSync(golden, 'utf8')));
  const meta = readTableMeta(disk, DIRECTORY, 7);
  expect(meta).toMatchObject({ fileId: 7, pages: 2, entries: 7, tombstones: 1, minSequence: 2, maxSequence: 9, references: REFERENCES });
  expect([Buffer.from(meta.smallest).toString(), Buffer.from(meta.largest).toString()]).toEqual(['bird/robin', 'bird/wren']);
  const table = harness.open(meta);
  for (const { key, sequence, kind, value } of ENTRIES) {
    expect(harness.find(table, key, sequence)).toEqual({ kind, sequence, value: Uint8Array.from(value) });
  }
  expect(harness.find(table, Buffer.from('bird/stork'))).toBeUndefined();
  table.close();
});
