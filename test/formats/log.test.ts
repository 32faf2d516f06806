/** The bytes of a log segment, version 2: what is on people's disks must stay readable. The file is the example of docs/formats/log.md. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FRAMES_OFFSET } from '../../engine/log/index.ts';
import { LogHarness, replayed } from '../engine/log/log-harness.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const GOLDEN = new URL('./golden/log-v2.hex', import.meta.url);

/** Offset and 16 bytes a line; runs of zero lines are left out. */
function dump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    if (row.every((byte) => byte === 0)) continue;
    lines.push(
      `${String(at).padStart(6, '0')}  ${Buffer.from(row)
        .toString('hex')
        .replaceAll(/(..)(?=.)/g, '$1 ')}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function undump(text: string, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (const line of text.trim().split('\n')) out.set(Buffer.from(line.slice(8).replaceAll(' ', ''), 'hex'), Number(line.slice(0, 6)));
  return out;
}

test('a segment is written as version 2 has it', async () => {
  const { writer, log, disk, path } = new LogHarness({ first: 3 });
  await writer.one(Buffer.from('bird'), Buffer.from('sparrow'), 'synced', undefined);
  await writer.batch(
    [
      { type: 'delete', key: 'bird' },
      { type: 'put', key: 'long', value: 'v'.repeat(1024) },
    ],
    'os',
    undefined,
  );
  await log.close();
  const written = dump(disk.contents(path(3)));
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(GOLDEN, written);
  expect(written).toBe(readFileSync(GOLDEN, 'utf8'));
});

test('a segment of version 2 is read', () => {
  const disk = new SimFileSystem();
  disk.makeDirectorySync('/log');
  disk.openSync('/log/000003.log', 'create').closeSync();
  disk.replace('/log/000003.log', undump(readFileSync(GOLDEN, 'utf8'), FRAMES_OFFSET + 24 + 32 + 24 + 72 + 1024));
  expect(replayed(disk)).toMatchObject({
    records: [
      { sequence: 1, key: 'bird', kind: 1, value: Buffer.from('sparrow').toString('hex') },
      { sequence: 2, key: 'bird', kind: 3 },
      { sequence: 2, key: 'long', kind: 2, value: '03000000000400009804000000000000' },
    ],
  });
});
