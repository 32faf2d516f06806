/** Keys of a directory tree, their manifest, and which paths may become files. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  afterFile,
  chunkKey,
  chunkRanges,
  emptyDirectoryKey,
  linkKey,
  manifestKey,
  parseTreeKey,
  SUFFIX_BYTES_MAX,
} from '../../cli/tree/layout.ts';
import { chunkLength, decodeManifest, encodeManifest } from '../../cli/tree/manifest.ts';
import { pathProblem } from '../../cli/tree/path-safety.ts';

const path = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => bytes.map((byte) => (byte === 0 ? 1 : byte)))
  .filter((bytes) => bytes.at(-1) !== 0x2f);
const generation = fc.uint8Array({ minLength: 8, maxLength: 8 });
const below = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) < 0;

describe('keys', () => {
  it('are told apart by themselves', () => {
    fc.assert(
      fc.property(path, generation, fc.nat(0xffffffff), (file, generation, index) => {
        expect(parseTreeKey(file)).toEqual({ kind: 'file', path: file });
        expect(parseTreeKey(emptyDirectoryKey(file))).toEqual({ kind: 'directory', path: file });
        expect(parseTreeKey(manifestKey(file))).toEqual({ kind: 'manifest', path: file });
        expect(parseTreeKey(linkKey(file))).toEqual({ kind: 'link', path: file });
        expect(parseTreeKey(chunkKey(file, generation, index))).toEqual({ kind: 'chunk', path: file, generation, index });
        expect(chunkKey(file, generation, index).length - file.length).toBeLessThanOrEqual(SUFFIX_BYTES_MAX);
      }),
    );
  });

  it('of no file are foreign', () => {
    for (const key of ['a\0', 'a\0\x04', 'a\0\x01x', 'a\0\x03short', '\0', `a\0\x03${'x'.repeat(13)}`]) {
      expect(parseTreeKey(Buffer.from(key))).toEqual({ kind: 'foreign' });
    }
  });

  it('of one file are neighbours in order, and its chunk ranges hold what they say', () => {
    fc.assert(
      fc.property(path, generation, generation, fc.nat(1000), (file, one, other, index) => {
        const keys = [file, manifestKey(file), linkKey(file), chunkKey(file, one, index), chunkKey(file, one, index + 1), afterFile(file)];
        for (let i = 1; i < keys.length; i++) expect(below(keys[i - 1], keys[i])).toBe(true);
        const held = (key: Uint8Array, keep?: Uint8Array): boolean =>
          chunkRanges(file, keep).some(([from, to]) => !below(key, from) && below(key, to));
        expect(held(chunkKey(file, one, index))).toBe(true);
        expect(held(chunkKey(file, one, index), one)).toBe(false);
        expect(held(chunkKey(file, one, 0xffffffff), one)).toBe(false);
        expect(held(chunkKey(file, other, index), one)).toBe(Buffer.compare(one, other) !== 0);
        for (const key of [file, manifestKey(file), linkKey(file)]) expect(held(key)).toBe(false);
      }),
    );
  });
});

describe('manifests', () => {
  const manifest = {
    chunkBytes: 10,
    chunks: 3,
    fileBytes: 25,
    generation: new Uint8Array(8).fill(7),
    sha256: new Uint8Array(32).fill(9),
  };

  it('are read back', () => {
    expect(decodeManifest(encodeManifest(manifest), 'x')).toEqual(manifest);
    expect([0, 1, 2].map((index) => chunkLength(manifest, index))).toEqual([10, 10, 5]);
    const vast = { ...manifest, chunkBytes: 2 ** 24, chunks: 2 ** 29, fileBytes: 2 ** 53 - 2 ** 24 };
    expect(() => decodeManifest(encodeManifest(vast), 'x')).toThrow(/chunks/);
  });

  it('are refused when anything about them is wrong', () => {
    const good = encodeManifest(manifest);
    const changed = (at: number, value: number): Uint8Array => good.with(at, value);
    for (const bad of [
      good.subarray(1),
      new Uint8Array(0),
      changed(0, 0),
      changed(4, 2),
      changed(8, 0),
      changed(12, 4),
      changed(22, 255),
    ]) {
      expect(() => decodeManifest(bad, 'x')).toThrow(expect.objectContaining({ kind: 'corrupt', code: 'TREE_MANIFEST' }));
    }
  });
});

describe('paths', () => {
  it.each(['a', 'a/b', '...', '.a', 'a.', 'a b', 'ä/\n', '-', 'a\\b', `${'x'.repeat(255)}/y`])('%j is fit', (path) => {
    expect(pathProblem(Buffer.from(path))).toBeUndefined();
  });

  it.each(['', '/', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/../b', 'a/.', './a', 'a\0b', 'x'.repeat(256)])('%j is not', (path) => {
    expect(pathProblem(Buffer.from(path))).toBeTypeOf('string');
  });
});
