/** The bytes of a manifest, version 2, with keyspaces and their settings: what is on people's disks must stay readable, and mean the same. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type KeyspaceSettings, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const GOLDEN = new URL('./golden/manifest-v2.hex', import.meta.url);
const MANIFEST = '/store/MANIFEST-000001';
const SETTINGS: Record<string, KeyspaceSettings> = {
  birds: { inlineThreshold: 256, ttlMs: 3_600_000, filterBitsPerKey: 16, compression: 'lz4' },
  fish: { compression: { bottom: 'zstd' }, filterBitsPerKey: 0 },
  rocks: {},
};

test('a manifest is written as version 2 has it', async () => {
  const fileSystem = new SimFileSystem();
  await using engine = await open('/store', {}, { fileSystem });
  await engine.keyspace('birds');
  for (const [name, settings] of Object.entries(SETTINGS)) await engine.keyspace(name, settings);
  const written = Buffer.from(fileSystem.contents(MANIFEST))
    .toString('hex')
    .replaceAll(/(.{32})/g, '$1\n')
    .trimEnd();
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(GOLDEN, `${written}\n`);
  expect(`${written}\n`).toBe(readFileSync(GOLDEN, 'utf8'));
});

test('a manifest of version 2 is read', async () => {
  const fileSystem = new SimFileSystem();
  await (await open('/store', {}, { fileSystem })).close();
  fileSystem.replace(MANIFEST, Buffer.from(readFileSync(GOLDEN, 'utf8').replaceAll('\n', ''), 'hex'));
  await using engine = await open('/store', {}, { fileSystem });
  expect(engine.keyspaces()).toEqual(Object.keys(SETTINGS));
  for (const [name, settings] of Object.entries(SETTINGS)) expect((await engine.keyspace(name)).settings).toEqual(settings);
});
