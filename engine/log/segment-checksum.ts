/** XXH64 of a few header bytes, seeded with the segment, by way of the kernel; 8 bytes, little-endian. */
import { FRONT, SCRATCH } from '../../assembly/memory-map.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';

/** Headers are short; they pass through the scratch area of the front. */
const WINDOW: number = FRONT + SCRATCH;

export function segmentChecksum(memory: LinearMemory, bytes: Uint8Array, segment: number): Uint8Array {
  memory.u8.set(bytes, WINDOW);
  memory.kernel['checksumInto']!(WINDOW, bytes.length, segment, 0, WINDOW + 256);
  return memory.u8.slice(WINDOW + 256, WINDOW + 264);
}
