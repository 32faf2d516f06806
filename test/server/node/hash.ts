/** The hash of the Raft log, as the composition root gives it. */
import xxhash from 'xxhash-wasm';
import type { Hash64 } from '../../../server/node/index.ts';

export const hash: Hash64 = (await xxhash()).h64Raw;
