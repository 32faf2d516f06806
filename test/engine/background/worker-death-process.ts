/**
 * Run by worker-death.test.ts: writes to the store in argv[2] without ever awaiting (argv[3] `blocking`) or awaiting each write (`awaiting`)
 * until a write is refused, then prints how. As `--import` of itself it is in the background thread as well: there it ends the thread in the
 * way of SPARROWKV_DEATH, as soon as the first table has been written.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread, Worker } from 'node:worker_threads';
import type { SparrowError } from '../../../base/errors.ts';

const death = process.env['SPARROWKV_DEATH'];

/** Uses up the thread's heap. */
function exhaust(): never {
  const hoard: unknown[] = [];
  for (;;) hoard.push(Array.from({ length: 10_000 }, (_, i) => ({ i })));
}

if (isMainThread) await write();
else {
  const { fsyncSync } = fs;
  fs.fsyncSync = (descriptor) => {
    fsyncSync(descriptor);
    if (death === 'exit') process.exit(3);
    if (death === 'memory') exhaust();
    // Blocked for good, until somebody else ends it.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  };
  syncBuiltinESMExports();
}

async function write(): Promise<void> {
  const workers = captureWorkers();
  const { open } = await import('../../../engine/index.ts');
  const [, , directory, how] = process.argv;
  const engine = await open(directory!, {
    memtableBytes: 64 * 1024,
    pageCacheBytes: 2 ** 20,
    memoryBytes: 2 ** 26,
    maxBatchBytes: 2 ** 20,
  });
  let refused: SparrowError | undefined;
  let written = 0;
  const refuse = (error: SparrowError): void => void (refused ??= error);
  const value = 'v'.repeat(500);
  for (; refused === undefined && written < 20_000; written++) {
    const settled = engine.put(`k${written}`, value, { durability: 'buffered' }).catch(refuse);
    // In the midst of its work, and the event loop will not turn again before the writer blocks.
    if (death === 'terminate' && written === 200) terminate(workers, directory!);
    // A microtask: lets a refusal be noticed, but never the event loop turn.
    if (how === 'blocking') await Promise.resolve();
    else await settled;
  }
  const flushed = await engine.flush().then(
    () => 'flushed',
    (error: SparrowError) => error.code,
  );
  const read = engine.getSync('k0')?.length;
  await engine.close();
  process.stdout.write(JSON.stringify({ code: refused?.code, kind: refused?.kind, flushed, read }));
}

function terminate(workers: readonly Worker[], directory: string): void {
  while (!fs.readdirSync(directory).some((name) => name.endsWith('.table')));
  for (const worker of workers) void worker.terminate();
}

/** The threads that this process starts from now on. */
function captureWorkers(): Worker[] {
  const workers: Worker[] = [];
  const threads = process.getBuiltinModule('node:worker_threads');
  threads.Worker = class extends Worker {
    constructor(...operands: ConstructorParameters<typeof Worker>) {
      const [file, options] = operands;
      super(file, { ...options, resourceLimits: { maxOldGenerationSizeMb: 32 } });
      workers.push(this);
    }
  };
  syncBuiltinESMExports();
  return workers;
}
