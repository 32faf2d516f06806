/** A background thread that has had nothing to do for long ends, and the next job gets another, whether the news of the end have come or not. */
import { syncBuiltinESMExports } from 'node:module';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';

const REST_AFTER_MS = 50;

it('a thread without work ends, and another takes the next job', async () => {
  const threads = process.getBuiltinModule('node:worker_threads');
  const started: Worker[] = [];
  threads.Worker = class extends Worker {
    constructor(...operands: ConstructorParameters<typeof Worker>) {
      super(...operands);
      started.push(this);
    }
  };
  syncBuiltinESMExports();
  const { IO_BUDGET_BYTES, WorkerPool } = await import('../../../engine/background/index.ts');
  const pool = new WorkerPool(new LinearMemory(2 ** 26), 1, new SharedArrayBuffer(IO_BUDGET_BYTES), 30_000, REST_AFTER_MS);
  const background = pool.background();
  const work = (): Promise<number> =>
    new Promise((resolve, reject) => {
      background.split({ directory: '/', inputs: [], partsMax: 2, partBytesMin: 1 }, (error, parts) => {
        if (error) reject(error);
        else resolve(parts!.length);
      });
    });
  try {
    expect(await work()).toBe(1);
    expect(await work()).toBe(1);
    await once(started.at(-1)!, 'exit');
    const before = started.length;
    expect(await work()).toBe(1);
    expect(started.length).toBe(before + 1);
    // It ends while this thread does not turn, so that nobody has heard of it when the next job comes.
    for (let round = 0; round < 3; round++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4 * REST_AFTER_MS);
      expect(await work()).toBe(1);
    }
    expect(started.length).toBeGreaterThan(before + 1);
  } finally {
    threads.Worker = Worker;
    syncBuiltinESMExports();
    await background.close();
    await pool.close();
  }
});
