/** The bytes of a directory tree in keys, version 1, as docs/formats/tree.md shows them: what was imported must stay readable. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { chunkKey, linkKey, manifestKey } from '../../cli/tree/layout.ts';
import { decodeManifest, encodeManifest } from '../../cli/tree/manifest.ts';
import { ROOT } from '../project-files.ts';

const MANIFEST = `
53 4b 54 4d 01 00 00 00 00 00 10 00 11 00 00 00
01 00 00 01 00 00 00 00 01 02 03 04 05 06 07 08
a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae af
b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 ba bb bc bd be bf`;
const LAST_CHUNK_KEY = `
64 6f 63 73 2f 66 69 6c 6d 2e 6d 70 34 00 03 01
02 03 04 05 06 07 08 00 00 00 10`;

const generation = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const sha256 = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
const manifest = { chunkBytes: 1024 * 1024, chunks: 17, fileBytes: 16 * 1024 * 1024 + 1, generation, sha256 };
const film = Buffer.from('docs/film.mp4');

function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
}

test('manifest and keys are written as version 1 has them', () => {
  expect(encodeManifest(manifest)).toEqual(fromHex(MANIFEST));
  expect(chunkKey(film, generation, 16)).toEqual(fromHex(LAST_CHUNK_KEY));
  expect(manifestKey(film)).toEqual(new Uint8Array([...film, 0, 1]));
  expect(linkKey(film)).toEqual(new Uint8Array([...film, 0, 2]));
});

test('a manifest of version 1 is read', () => {
  expect(decodeManifest(fromHex(MANIFEST), 'docs/film.mp4')).toEqual(manifest);
});

test('the page shows these bytes', () => {
  const page = readFileSync(join(ROOT, 'docs/formats/tree.md'), 'utf8');
  for (const line of [...MANIFEST.trim().split('\n'), ...LAST_CHUNK_KEY.trim().split('\n')]) expect(page).toContain(line);
});
