/** The background thread: takes flushes and compactions from its port, flushes first, and answers each. */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { NodeFileSystem } from '../../base/node/index.ts';
import { SparrowError } from '../../base/errors.ts';
import { type CompactionJob, type CompactionResult, runCompaction } from '../compaction/index.ts';
import { runFlush } from './flush-job.ts';
import {
  type Answer,
  ANSWERS,
  CANCEL,
  type Request,
  THREAD,
  THREAD_STARTED,
  THREAD_STARTING,
  toWire,
  type WorkerData,
} from './worker-background.ts';

const { memory, memoryBytes, port, lifeline, control } = workerData as WorkerData;
const words = new Int32Array(control);
const fileSystem = new NodeFileSystem();
const compactions: { id: number; job: CompactionJob }[] = [];

function answer(message: Answer): void {
  port.postMessage(message);
  Atomics.add(words, ANSWERS, 1);
  Atomics.notify(words, ANSWERS);
}

function attempt(id: number, work: () => unknown): void {
  let result: unknown;
  try {
    result = work();
  } catch (error) {
    answer({ id, error: toWire(error) });
    return;
  }
  answer({ id, result });
}

function take(request: Request): void {
  // What a waiting caller sent to learn whether this thread is there.
  while (receiveMessageOnPort(lifeline));
  if (request.kind === 'compact') compactions.push({ id: request.id, job: request.job });
  else attempt(request.id, () => runFlush({ memory, bytes: memoryBytes }, fileSystem, request.job));
}

/** Runs a compaction to its end, with flushes in between, unless it is cancelled. */
function compact(job: CompactionJob): CompactionResult {
  const steps = runCompaction(fileSystem, job);
  for (;;) {
    if (Atomics.load(words, CANCEL) === 1) {
      steps.return(undefined as never);
      throw new SparrowError('cancelled', 'ABORTED', 'the engine is closing');
    }
    const step = steps.next();
    if (step.done) return step.value;
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) take(next.message as Request);
  }
}

// Given up by now: what its jobs would write to is somebody else's.
if (Atomics.compareExchange(words, THREAD, THREAD_STARTING, THREAD_STARTED) !== THREAD_STARTING) process.exit(1);

port.on('message', (request: Request) => {
  take(request);
  for (let next = compactions.shift(); next; next = compactions.shift()) {
    const { id, job } = next;
    attempt(id, () => compact(job));
  }
});
