/** Whoever meets damage learns where it is and what can be done about it. */
import { expect, it } from 'vitest';
import { open, SparrowError } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const SETTINGS = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20, valueCacheBytes: 0, memoryBytes: 2 ** 27 };

/** A store with a table and a large value, closed. */
async function stored(): Promise<SimFileSystem> {
  const fileSystem = new SimFileSystem();
  const engine = await open('/store', SETTINGS, { fileSystem });
  for (let i = 0; i < 100; i++) await engine.put(`key ${i}`, 'v'.repeat(100));
  await engine.put('large', 'l'.repeat(5000));
  await engine.flush();
  await engine.close();
  return fileSystem;
}

function failureOf(work: () => unknown): SparrowError {
  try {
    work();
  } catch (error) {
    if (error instanceof SparrowError) return error;
    throw error;
  }
  throw new Error('nothing was found to be damaged');
}

const NEXT =
  "engine.verify() lists what is damaged, repair('/store'), once it is closed, keeps what is sound (from a shell: sparrowkv engine verify|repair /store)";

it('of a page', async () => {
  const fileSystem = await stored();
  const table = fileSystem.listSync('/store').find((name) => name.endsWith('.table'))!;
  fileSystem.flip(`/store/${table}`, 3000);
  const engine = await open('/store', SETTINGS, { fileSystem });
  for (const read of [() => engine.getSync('key 7'), () => engine.getManySync(['key 7']), () => [...engine.scanSync()]]) {
    const failure = failureOf(read);
    expect(failure).toMatchObject({
      kind: 'corrupt',
      code: 'CORRUPT_TABLE',
      details: { directory: '/store', file: `/store/${table}`, offset: 0 },
    });
    expect(failure.message).toContain(`/store/${table}`);
    expect(failure.message.endsWith(NEXT)).toBe(true);
    expect(failure.message.split('engine.verify()')).toHaveLength(2);
  }
  await expect(engine.get('key 7')).rejects.toThrow('lists what is damaged');
  await engine.close();
});

it('of a large value', async () => {
  const fileSystem = await stored();
  const segment = fileSystem.listSync('/store').find((name) => name.endsWith('.log'))!;
  fileSystem.flip(`/store/${segment}`, fileSystem.contents(`/store/${segment}`).length - 100);
  const engine = await open('/store', SETTINGS, { fileSystem });
  const failure = failureOf(() => engine.getSync('large'));
  expect(failure).toMatchObject({ kind: 'corrupt', code: 'CORRUPT_VALUE', details: { file: `/store/${segment}` } });
  expect(failure.message.endsWith(NEXT)).toBe(true);
  await engine.close();
});

it('at opening, of a manifest', async () => {
  const fileSystem = await stored();
  fileSystem.flip('/store/MANIFEST-000001', 40);
  await expect(open('/store', SETTINGS, { fileSystem })).rejects.toThrow(
    "verify('/store') lists what is damaged, repair('/store') keeps what is sound (from a shell: sparrowkv engine verify|repair /store)",
  );
});
