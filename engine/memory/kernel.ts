/**
 * Loads the WebAssembly module and binds an instance to a linear memory. The exports' meaning stands above each kernel in assembly/.
 * Compiled once a process (0.4 ms); synchronous, so that no exported module needs a top-level await.
 */
import { readFileSync } from 'node:fs';
import { SparrowError } from '../../base/errors.ts';

/** Every kernel takes and returns numbers: addresses and lengths as u32 (mind the sign: use `>>> 0`), sequences as f64. */
export type Kernel = Readonly<Record<string, (...operands: number[]) => number>>;

/**
 * A shared WebAssembly.Memory. Named here, because TypeScript knows that type only from its browser library, which programs that use the
 * engine's types need not have.
 */
export interface WasmMemory {
  /** Another object once it has grown. */
  readonly buffer: ArrayBuffer | SharedArrayBuffer;
  /** By so many pages of 64 KiB. */
  grow(pages: number): number;
}

let compiled: WebAssembly.Module | undefined;

function kernelModule(): WebAssembly.Module {
  if (compiled) return compiled;
  const file = new URL('../../assembly/engine.wasm', import.meta.url);
  try {
    compiled = new WebAssembly.Module(readFileSync(file));
  } catch (cause) {
    throw new SparrowError(
      'internal',
      'KERNELS_MISSING',
      `the WebAssembly kernels did not load from ${file.pathname}: ${String(cause)} (from a checkout, run: npm run build)`,
      { file: file.pathname },
      cause,
    );
  }
  return compiled;
}

export function bindKernel(memory: WasmMemory): Kernel {
  return new WebAssembly.Instance(kernelModule(), { env: { memory } }).exports as unknown as Kernel;
}
