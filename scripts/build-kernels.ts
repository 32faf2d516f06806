/** Compiles assembly/engine.ts to assembly/engine.wasm (release: SIMD, shared memory, no runtime, no imports but the memory). */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const compiler = createRequire(import.meta.url).resolve('assemblyscript/bin/asc.js');

const run = spawnSync(
  process.execPath,
  [
    compiler,
    'assembly/engine.ts',
    '--outFile',
    'assembly/engine.wasm',
    '--runtime',
    'stub',
    '-O3',
    '--noAssert',
    '--use',
    'abort=',
    '--enable',
    'simd',
    '--enable',
    'threads',
    '--enable',
    'relaxed-simd',
    '--sharedMemory',
    '--importMemory',
    '--initialMemory',
    '64',
    '--maximumMemory',
    '32768',
    '--memoryBase',
    '1024',
  ],
  { cwd: root, stdio: 'inherit' },
);
process.exit(run.status ?? 1);
