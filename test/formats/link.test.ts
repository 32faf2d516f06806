/** The bytes of a manifest that names a link into a host's log. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type HostedOperation, open } from '../../engine/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const GOLDEN = new URL('./golden/manifest-link-v2.hex', import.meta.url);
const MANIFEST = '/store/MANIFEST-000001';
const VALUE = Buffer.alloc(2000, 'sparrow');
const OFFSET = 77;

/** A host's log whose segment 7 has the value. */
function fileSystemWithLog(): SimFileSystem {
  const fileSystem = new SimFileSystem();
  fileSystem.makeDirectorySync('/log');
  const file = fileSystem.openSync('/log/7', 'create');
  file.writeSync(VALUE, 0, VALUE.length, OFFSET);
  file.closeSync();
  return fileSystem;
}

const hosted = { segmentPath: (segment: number): string => `/log/${segment}` };

test('a link is written to the manifest, and read', async () => {
  const fileSystem = fileSystemWithLog();
  const engine = await open('/store', {}, { fileSystem, hosted });
  const put: HostedOperation = { type: 'put', key: 'bird', value: VALUE, at: { segment: 7, offset: OFFSET } };
  await engine.write([put], { sequence: 42 });
  await engine.flush();
  const contents = Buffer.from(fileSystem.contents(MANIFEST)).toString('hex');
  await engine.close();
  const written = contents.replaceAll(/(.{32})/g, '$1\n').trimEnd();
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(GOLDEN, `${written}\n`);
  expect(`${written}\n`).toBe(readFileSync(GOLDEN, 'utf8'));
  fileSystem.replace(MANIFEST, Buffer.from(readFileSync(GOLDEN, 'utf8').replaceAll('\n', ''), 'hex'));
  const again = await open('/store', {}, { fileSystem, hosted });
  expect(again.getSync('bird')).toEqual(Uint8Array.from(VALUE));
  expect(again.hostSegments()).toEqual([{ segment: 7, bytes: 2000, liveBytes: 2000, end: 2077 }]);
  await again.close();
});
