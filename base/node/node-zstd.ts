/** zstd as node:zlib has it (Node 22.15, 23.8 and later), or undefined where it does not. */
import * as zlib from 'node:zlib';
import type { Zstd } from '../env.ts';

export const nodeZstd: Zstd | undefined = typeof zlib.zstdCompressSync === 'function' ? makeZstd() : undefined;

function makeZstd(): Zstd {
  return {
    compressSync: (bytes) => zlib.zstdCompressSync(bytes),
    decompressSync: (frame, bytesMax) => zlib.zstdDecompressSync(frame, { maxOutputLength: bytesMax }),
  };
}
