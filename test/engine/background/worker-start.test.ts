/** A background thread that never starts is given up by a caller that waits without yielding, and touches nothing when it starts after all. */
import { syncBuiltinESMExports } from 'node:module';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import type { FlushJob } from '../../../engine/background/index.ts';
import { LinearMemory } from '../../../engine/memory/linear-memory.ts';
import { PLAIN_FORMS } from '../../../engine/table/index.ts';

it('a thread that dies before it runs fails its jobs while the caller waits', async () => {
  const threads = process.getBuiltinModule('node:worker_threads');
  threads.Worker = class extends Worker {
    constructor(...operands: ConstructorParameters<typeof Worker>) {
      super(...operands);
      void this.terminate();
    }
  };
  syncBuiltinESMExports();
  const { IO_BUDGET_BYTES, WorkerPool } = await import('../../../engine/background/index.ts');
  const pool = new WorkerPool(new LinearMemory(2 ** 26), 1, new SharedArrayBuffer(IO_BUDGET_BYTES), 300);
  const background = pool.background();
  const ended: (string | undefined)[] = [];
  const job: FlushJob = {
    directory: '/',
    fileId: 1,
    memtable: 0,
    records: 0,
    snapshots: [],
    lastSequence: 0,
    rangeTombstones: [],
    segments: 0,
    nowMs: 0,
    forms: PLAIN_FORMS,
    lent: { from: 0, to: 0 },
  };
  for (let times = 1; times <= 2; times++) {
    background.flush(
      () => job,
      (error) => ended.push(error?.message),
    );
    for (let waits = 0; ended.length < times && waits < 100; waits++) background.waitSync(1000);
  }
  expect(ended).toEqual(['the background thread does not start', 'the background thread does not start']);
  threads.Worker = Worker;
  syncBuiltinESMExports();
  await background.close();
  await pool.close();
});
