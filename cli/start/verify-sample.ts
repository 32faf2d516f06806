/** Reads a random sample of an imported tree back and compares it with the files, byte for byte. Files that changed since the import began are left out. */
import { lstat, open } from 'node:fs/promises';

import { SparrowError } from '../../base/errors.ts';
import type { CallOptions, KeyValues } from '../../client/index.ts';
import { escapeBytes } from '../terminal/escape.ts';
import { getManifest, readChunks } from '../tree/read-chunks.ts';
import { joinPath, walkTree } from '../tree/walk.ts';

const SAMPLE_FILES = 500;
const PACKAGE = /^[\w-]+\/package\.json$/;
const PLAIN = /^\w[\w./-]*$/;

export interface VerifiedSample {
  files: number;
  bytes: number;
  /** A file for examples, its path below the root: one that everybody knows, or at least one that a shell takes as it is. */
  example: string | undefined;
}

/** Throws `corrupt/IMPORT_DIFFERS` for a file that reads back differently. The largest file is always in the sample. `sinceMs`: of the epoch, when the import began. */
export async function verifySample(
  store: KeyValues,
  root: Buffer,
  prefix: Uint8Array,
  sinceMs: number,
  call: CallOptions,
): Promise<VerifiedSample> {
  const sample = await takeSample(root, call.signal);
  let files = 0;
  let bytes = 0;
  for (const path of sample.paths) {
    const file = joinPath(root, path);
    try {
      bytes += await verifyFile(store, file, Buffer.concat([prefix, path]), call);
      files++;
    } catch (error) {
      if (!(await changedSince(file, sinceMs))) throw error;
    }
  }
  return { files, bytes, example: sample.example };
}

/** Each file has the same chance (reservoir sampling); the largest comes on top. */
async function takeSample(root: Buffer, signal: AbortSignal | undefined): Promise<{ paths: Buffer[]; example: string | undefined }> {
  const paths: Buffer[] = [];
  let largest: { path: Buffer; bytes: number } | undefined;
  let packageExample: string | undefined;
  let plainExample: string | undefined;
  let seen = 0;
  for await (const item of walkTree(root, signal)) {
    if (item.kind !== 'file') continue;
    seen++;
    if (largest === undefined || item.bytes > largest.bytes) largest = item;
    const text = item.path.toString('utf8');
    if (PACKAGE.test(text)) packageExample ??= text;
    else if (PLAIN.test(text)) plainExample ??= text;
    if (paths.length < SAMPLE_FILES) paths.push(item.path);
    else {
      const at = Math.floor(Math.random() * seen);
      if (at < SAMPLE_FILES) paths[at] = item.path;
    }
  }
  if (largest !== undefined && !paths.some((path) => path.equals(largest.path))) paths[0] = largest.path;
  return { paths, example: packageExample ?? plainExample };
}

/** Or is gone. Programs write below node_modules, too. */
async function changedSince(file: Buffer, sinceMs: number): Promise<boolean> {
  const found = await lstat(file).catch(() => undefined);
  return found === undefined || found.ctimeMs >= sinceMs;
}

async function verifyFile(store: KeyValues, path: Buffer, key: Uint8Array, call: CallOptions): Promise<number> {
  const handle = await open(path, 'r');
  try {
    let position = 0;
    const differs = (): SparrowError =>
      new SparrowError(
        'corrupt',
        'IMPORT_DIFFERS',
        `${escapeBytes(key)} reads back differently from ${escapeBytes(path)} (near byte ${position})`,
      );
    for await (const piece of storedFile(store, key, call)) {
      const expected = Buffer.alloc(piece.length);
      const { bytesRead } = await handle.read(expected, 0, piece.length, position);
      if (bytesRead !== piece.length || !expected.equals(piece)) throw differs();
      position += piece.length;
    }
    if ((await handle.stat()).size !== position) throw differs();
    return position;
  } finally {
    await handle.close();
  }
}

async function* storedFile(store: KeyValues, key: Uint8Array, call: CallOptions): AsyncGenerator<Uint8Array> {
  const value = await store.get(key, call);
  if (value !== undefined) {
    yield value;
    return;
  }
  const manifest = await getManifest(store, key, call);
  if (manifest === undefined) throw new SparrowError('corrupt', 'IMPORT_DIFFERS', `${escapeBytes(key)} is missing`);
  yield* readChunks(store, key, manifest, call);
}
