/** Reads a file that is stored in chunks, in order, a few chunks ahead, and proves that it is whole. */
import { createHash } from 'node:crypto';

import { SparrowError } from '../../base/errors.ts';
import type { CallOptions, KeyValues } from '../../client/index.ts';
import { escapeBytes } from '../terminal/escape.ts';
import { chunkKey, manifestKey } from './layout.ts';
import { chunkLength, decodeManifest, type Manifest } from './manifest.ts';

const AHEAD = 8;

/** The manifest of the file with this key (prefix and path), or `undefined` when it is not stored in chunks. */
export async function getManifest(store: KeyValues, file: Uint8Array, call: CallOptions): Promise<Manifest | undefined> {
  const bytes = await store.get(manifestKey(file), call);
  return bytes === undefined ? undefined : decodeManifest(bytes, escapeBytes(file));
}

/** Throws `corrupt/TREE_CHUNK` when a chunk is missing or has another length, `corrupt/TREE_HASH` at the end when the content is another. */
export async function* readChunks(store: KeyValues, file: Uint8Array, manifest: Manifest, call: CallOptions): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  const ahead: Promise<Uint8Array | undefined>[] = [];
  const request = (index: number): void => {
    const chunk = store.get(chunkKey(file, manifest.generation, index), call);
    // A failure is thrown where it is awaited below; one behind it must not count as unhandled.
    chunk.catch(() => undefined);
    ahead.push(chunk);
  };
  for (let index = 0; index < Math.min(AHEAD, manifest.chunks); index++) request(index);
  for (let index = 0; index < manifest.chunks; index++) {
    const chunk = await ahead.shift();
    if (index + AHEAD < manifest.chunks) request(index + AHEAD);
    if (chunk?.length !== chunkLength(manifest, index)) {
      const found = chunk === undefined ? 'is missing' : `has ${chunk.length} bytes instead of ${chunkLength(manifest, index)}`;
      throw new SparrowError('corrupt', 'TREE_CHUNK', `${escapeBytes(file)}: chunk ${index} ${found}`, { index });
    }
    hash.update(chunk);
    yield chunk;
  }
  if (!hash.digest().equals(manifest.sha256)) {
    throw new SparrowError('corrupt', 'TREE_HASH', `${escapeBytes(file)}: the content is not the one that was imported`);
  }
}
