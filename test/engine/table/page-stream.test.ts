import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK_BYTES, PAGE_BYTES } from '../../../assembly/memory-map.ts';
import { nodeZstd } from '../../../base/node/index.ts';
import { PAGE_COMPRESSIONS, type PageCompression, PageStream } from '../../../engine/table/index.ts';
import { entriesArbitrary } from '../../assembly/entries.ts';
import { decodePage, type PageEntry } from '../../assembly/twins/page.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { DIRECTORY, entry, TableHarness } from './table-harness.ts';

const PATH = `${DIRECTORY}/000007.table`;
const NOISE = Buffer.from(Uint8Array.from({ length: 4000 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> (7 + (i % 17)))).toString('latin1');
/** Some hundred pages, of which some are worth packing and some are not. */
const MANY: PageEntry[] = Array.from({ length: 3000 }, (_, i) =>
  entry(`key${10_000 + i}`, i + 1, i % 400 < 100 ? NOISE.slice(i % 3000, (i % 3000) + 300) : 'tweet '.repeat(40 + (i % 20))),
);

/** All entries, and what the pages take in the file. */
function streamAll(harness: TableHarness): { entries: PageEntry[]; bytes: number } {
  const { memory } = harness;
  const buffer = memory.allocate(BLOCK_BYTES);
  const stream = new PageStream(memory, harness.fileSystem, DIRECTORY, 7, nodeZstd);
  const entries: PageEntry[] = [];
  try {
    while (!stream.done) {
      const pages = stream.next(buffer);
      for (let at = buffer; at < buffer + pages * PAGE_BYTES; at += PAGE_BYTES)
        entries.push(...decodePage(memory.u8.slice(at, at + PAGE_BYTES)));
    }
    return { entries, bytes: stream.bytesRead };
  } finally {
    stream.close();
    memory.free(buffer, BLOCK_BYTES);
  }
}

function written(
  compression: PageCompression,
  entries: readonly PageEntry[],
): { disk: SimFileSystem; harness: TableHarness; bytes: number } {
  const disk = new SimFileSystem();
  const harness = new TableHarness(disk);
  const { bytes } = harness.write(7, entries, [], { compression });
  return { disk, harness, bytes };
}

function shown(entries: readonly PageEntry[]): string {
  return entries
    .map(({ key, sequence, value }) => `${Buffer.from(key).toString('hex')} ${sequence} ${Buffer.from(value).toString('hex')}`)
    .join('\n');
}

describe('page stream', () => {
  test('brings every entry of a table in order', () => {
    fc.assert(
      fc.property(entriesArbitrary(60), fc.constantFrom(...PAGE_COMPRESSIONS), (entries, compression) => {
        expect(shown(streamAll(written(compression, entries).harness).entries)).toBe(shown(entries));
      }),
      { numRuns: 15 },
    );
  });

  test.each(PAGE_COMPRESSIONS)('goes over many blocks of packed and plain pages, and leaves nothing behind (%s)', (compression) => {
    const { harness, disk, bytes } = written(compression, MANY);
    const plain = written('none', MANY).bytes;
    expect(bytes < plain * 0.6).toBe(compression !== 'none');
    const used = harness.memory.usedBytes;
    expect(shown(streamAll(harness).entries) === shown(MANY)).toBe(true);
    expect([harness.memory.usedBytes, disk.openFiles]).toEqual([used, []]);
  });

  test.each(PAGE_COMPRESSIONS)('refuses damage wherever it is among the pages (%s)', (compression) => {
    const { harness, disk } = written(compression, MANY.slice(0, 200));
    const { bytes } = streamAll(harness);
    const used = harness.memory.usedBytes;
    for (let at = 0; at < bytes; at += 1 + (at % 29)) {
      disk.flip(PATH, at, 1 << (at % 8));
      expect(() => streamAll(harness)).toThrow(expect.objectContaining({ kind: 'corrupt', code: 'CORRUPT_TABLE' }));
      disk.flip(PATH, at, 1 << (at % 8));
    }
    expect([harness.memory.usedBytes, disk.openFiles]).toEqual([used, []]);
    expect(streamAll(harness).entries).toHaveLength(200);
  });
});
