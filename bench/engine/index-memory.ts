/**
 * `node bench/engine/index-memory.ts`: what indexes and filters take in memory, and what point reads cost, by how much of them may be in memory
 * as a whole (`indexBytes`) and by the page cache. Loads the records once, then opens the store with one setting after another and reads
 * uniformly random keys, present ones and missing ones in turn. CPU per read is what counts: the disk is the operating system's cache.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { open } from '../../engine/index.ts';

const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '2000000' },
    reads: { type: 'string', default: '400000' },
    compression: { type: 'string', default: 'none' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const records = Number(options.records);
const reads = Number(options.reads);
const compression = options.compression as 'none' | 'lz4' | 'zstd';
const MIB = 2 ** 20;
const value = Buffer.alloc(100);
const key = Buffer.alloc(16);
const setKey = (i: number): Buffer => {
  key.writeDoubleBE(i * 2, 8);
  return key;
};
const directory = mkdtempSync(join(options.dir, 'sparrowkv-index-memory-'));

try {
  const loading = await open(directory, { compression, maxBatchBytes: MIB });
  for (let i = 0; i < records; i++) {
    value.writeUInt32LE(Math.imul(i, 0x9e3779b1) >>> 0, (i % 24) * 4);
    await loading.put(setKey(i), value, { durability: 'buffered' });
  }
  await loading.flush();
  await loading.settled();
  const { tables } = loading.metrics();
  await loading.close();
  console.log(
    `${records} records of ${key.length} + ${value.length} bytes, ${(tables.bytes / MIB).toFixed(0)} MiB of tables, compression ${compression}`,
  );
  console.log('indexBytes  page cache  whole/paged tables  indexes in memory  CPU us/read  reads/s  pages read/read');
  for (const pageCacheBytes of [320 * MIB, 32 * MIB]) {
    for (const indexBytes of [128 * MIB, Math.round(tables.bytes * 0.004), 0]) {
      const engine = await open(directory, { pageCacheBytes, indexBytes, compression, maxBatchBytes: MIB });
      let state = 88_172_645;
      const read = (i: number): void => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        const at = (state >>> 0) % records;
        const found = engine.getSync(i % 2 === 0 ? setKey(at) : setKey(at + 0.25));
        if ((found !== undefined) !== (i % 2 === 0)) throw new Error(`record ${at} is ${found ? '' : 'not '}found`);
      };
      for (let i = 0; i < reads; i++) read(i);
      const before = engine.metrics();
      const cpu = process.cpuUsage();
      const begun = performance.now();
      for (let i = 0; i < reads; i++) read(i);
      const seconds = (performance.now() - begun) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      const after = engine.metrics();
      const { bytes, wholeTables, pagedTables } = after.indexes;
      const cells = [
        `${(indexBytes / MIB).toFixed(1)} MiB`.padStart(10),
        `${pageCacheBytes / MIB} MiB`.padStart(10),
        `${wholeTables} / ${pagedTables}`.padStart(18),
        `${(bytes / MIB).toFixed(2)} MiB`.padStart(17),
        ((user + system) / reads).toFixed(2).padStart(11),
        Math.round(reads / seconds)
          .toLocaleString('en')
          .padStart(8),
        ((after.reads.pageReads - before.reads.pageReads) / reads).toFixed(3).padStart(15),
      ];
      console.log(cells.join('  '));
      await engine.close();
    }
  }
} finally {
  rmSync(directory, { recursive: true });
}
