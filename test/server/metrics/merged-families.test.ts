import { expect, it } from 'vitest';
import { createResources, open } from '../../../engine/index.ts';
import { engineFamilies, family, labelled } from '../../../server/metrics/index.ts';
import { mergedFamilies } from '../../../server/metrics/merged-families.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';

it('families of several engines are summed, states and what is shared are not', () => {
  const engine = (tables: number, bytes: number): ReturnType<typeof mergedFamilies> => [
    labelled('sparrowkv_engine_tables', 'Tables.', [{ labels: { level: '0' }, value: tables }]),
    family('sparrowkv_engine_disk_bytes', 'Bytes.', bytes),
    family('sparrowkv_engine_linear_memory_bytes', 'Shared.', 1000),
    family('sparrowkv_engine_failed', 'State.', tables > 2 ? 1 : 0),
    labelled('sparrowkv_engine_cache_hits_total', 'Hits.', [
      { labels: { cache: 'page' }, value: 7 },
      { labels: { cache: 'value' }, value: tables },
    ]),
  ];
  const merged = mergedFamilies([engine(1, 10), engine(4, 30)]);
  const values = Object.fromEntries(
    merged.map(({ name, samples }) => [name.slice('sparrowkv_engine_'.length), samples.map(({ value }) => value)]),
  );
  expect(values).toEqual({ tables: [5], disk_bytes: [40], linear_memory_bytes: [1000], failed: [1], cache_hits_total: [7, 5] });
  expect(mergedFamilies([engine(1, 10)])).toEqual(engine(1, 10));
});

it('of real engines over shared resources, memory is that of the resources', async () => {
  const resources = createResources({ memoryBytes: 128 << 20, pageCacheBytes: 1 << 20, memtableBytesTotal: 16 << 20 });
  const fileSystem = new SimFileSystem();
  const settings = { memtableBytes: 64 << 10, maxValueBytes: 1 << 20, maxBatchBytes: 4 << 20 };
  const engines = await Promise.all(['/a', '/b'].map((path) => open(path, settings, { fileSystem, resources })));
  for (const each of engines) await each.put('key', 'value');
  const merged = mergedFamilies(engines.map((each) => engineFamilies(each.metrics())));
  const value = (name: string): number | undefined => merged.find((each) => each.name === `sparrowkv_engine_${name}`)?.samples[0]?.value;
  expect(value('write_operations_total')).toBe(2);
  expect(value('linear_memory_bytes')).toBe(resources.stats().linearMemoryBytes);
  for (const each of engines) await each.close();
  await resources.close();
});
