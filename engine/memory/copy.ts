/**
 * Copies between linear memory and arrays of the JavaScript heap. Linear memory is shared, and JavaScript moves shared memory a word at a time,
 * 14 GB/s: `TypedArray.set`, `slice` and `copyWithin` do. Node's own calls on buffers are memcpy, 35 to 55 GB/s, but cost more to call.
 */
import type { LinearMemory } from './linear-memory.ts';

/** From here on a buffer's call is quicker: out of linear memory, and into it. */
const COPY_OUT_BYTES_MIN = 512;
const COPY_IN_BYTES_MIN = 2048;

/** Copies `bytes` at `from` in linear memory to `target[at ..]`. */
export function copyOut({ u8, buffer }: LinearMemory, from: number, bytes: number, target: Uint8Array, at: number): void {
  if (bytes < COPY_OUT_BYTES_MIN) target.set(u8.subarray(from, from + bytes), at);
  else buffer.copy(target, at, from, from + bytes);
}

/** Copies `source` to `at` in linear memory. */
export function copyIn(source: Uint8Array, { u8, buffer }: LinearMemory, at: number): void {
  if (source.length < COPY_IN_BYTES_MIN) u8.set(source, at);
  // Filled with a pattern of just that length: `Buffer.copy` into shared memory is a `set`.
  else buffer.fill(source, at, at + source.length);
}
