/**
 * The manifest of a file that is stored in chunks, 64 bytes, little-endian:
 *
 *   | magic "SKTM" | version u8 = 1 | 0 0 0 | chunkBytes u32 | chunks u32 | fileBytes u64 | generation 8 | sha256 32 |
 *
 * Chunk i holds the file's bytes [i * chunkBytes, min((i + 1) * chunkBytes, fileBytes)). `generation` is random and part of the chunks' keys:
 * a new import of the file writes chunks of its own beside the old ones, and the put of the manifest switches from one to the other.
 * `sha256` is that of the whole file. Format: docs/formats/tree.md.
 */
import { SparrowError } from '../../base/errors.ts';
import { GENERATION_BYTES } from './layout.ts';

export const MANIFEST_BYTES = 64;
const MAGIC = 0x4d544b53;
const VERSION = 1;
const HASH_BYTES = 32;

export interface Manifest {
  chunkBytes: number;
  chunks: number;
  fileBytes: number;
  generation: Uint8Array;
  sha256: Uint8Array;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const bytes = new Uint8Array(MANIFEST_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint32(8, manifest.chunkBytes, true);
  view.setUint32(12, manifest.chunks, true);
  view.setBigUint64(16, BigInt(manifest.fileBytes), true);
  bytes.set(manifest.generation, 24);
  bytes.set(manifest.sha256, 24 + GENERATION_BYTES);
  return bytes;
}

/** Throws `corrupt/TREE_MANIFEST` when the bytes are not a manifest; `name` says of which file. */
export function decodeManifest(bytes: Uint8Array, name: string): Manifest {
  const refuse = (why: string): SparrowError => new SparrowError('corrupt', 'TREE_MANIFEST', `manifest of ${name}: ${why}`);
  if (bytes.length !== MANIFEST_BYTES) throw refuse(`${bytes.length} bytes instead of ${MANIFEST_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== MAGIC) throw refuse('no magic number');
  if (view.getUint8(4) !== VERSION) throw refuse(`version ${view.getUint8(4)}; this program knows ${VERSION}`);
  const chunkBytes = view.getUint32(8, true);
  const chunks = view.getUint32(12, true);
  const fileBytes = Number(view.getBigUint64(16, true));
  if (chunkBytes === 0 || !Number.isSafeInteger(fileBytes) || chunks !== Math.ceil(fileBytes / chunkBytes)) {
    throw refuse(`${fileBytes} bytes in ${chunks} chunks of ${chunkBytes}`);
  }
  const hashAt = 24 + GENERATION_BYTES;
  return { chunkBytes, chunks, fileBytes, generation: bytes.slice(24, hashAt), sha256: bytes.slice(hashAt, hashAt + HASH_BYTES) };
}

/** How many bytes chunk `index` has. */
export function chunkLength(manifest: Manifest, index: number): number {
  return Math.min(manifest.chunkBytes, manifest.fileBytes - index * manifest.chunkBytes);
}
