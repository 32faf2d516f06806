/** The hashes of the transport, as the composition root gives them. */
import xxhash from 'xxhash-wasm';
import type { Hash64, RunningHash64 } from '../../../server/transport/index.ts';

const { h64Raw, create64 } = await xxhash();

export const hash: Hash64 = h64Raw;
export const createHash = (): RunningHash64 => create64();
