/** A background thread: takes flushes and compactions from its port, flushes first, and answers each. */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { NodeFileSystem, nodeZstd, processMs } from '../../base/node/index.ts';
import { SparrowError } from '../../base/errors.ts';
import { CONTEXT_BYTES, WORK } from '../../assembly/memory-map.ts';
import { runCompaction, runSplit } from '../compaction/index.ts';
import { JobMemories } from '../memory/job-memories.ts';
import { keptBytesMax } from './background.ts';
import { CountingFiles } from './counting-files.ts';
import { runFlush } from './flush-job.ts';
import { IoBudget } from './io-budget.ts';
import { type Answer, ANSWERS, type Request, THREAD_RESTS, THREAD_STARTED, THREAD_STARTING, THREADS, toWire } from './worker-protocol.ts';
import type { WorkerData } from './worker-thread.ts';

const { memory, memoryBytes, number, port, lifeline, control, sentWord, budget, restAfterMs } = workerData as WorkerData;
const words = new Int32Array(control);
const io = new IoBudget(budget, processMs);
const fileSystem = new CountingFiles(new NodeFileSystem());
const memories = new JobMemories(keptBytesMax({ bytes: memoryBytes }));
const context = WORK + number * CONTEXT_BYTES;
/** The rate may have been raised while a compaction waits. */
const LOOK_AFTER_MS = 100;
const compactions: { id: number; begin: () => Generator<void, unknown, void> }[] = [];
/** The compaction under way, or the next one, is to be given up. */
let cancelled: number | undefined;
let received = 0;

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
  received++;
  // What a waiting caller sent to learn whether this thread is there.
  while (receiveMessageOnPort(lifeline));
  if (request.kind === 'compact')
    compactions.push({ id: request.id, begin: () => runCompaction(fileSystem, request.job, memories, nodeZstd) });
  else if (request.kind === 'split') compactions.push({ id: request.id, begin: () => runSplit(fileSystem, request.job, memories) });
  else if (request.kind === 'cancel') cancelled = request.id;
  else {
    attempt(request.id, () => runFlush({ memory, bytes: memoryBytes }, fileSystem, request.job, context, nodeZstd));
    io.spend('flush', fileSystem.takeBytes());
  }
}

function takeAll(): void {
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) take(next.message as Request);
}

/** Runs a compaction to its end, with flushes in between, unless it is cancelled. */
function compact(id: number, begin: () => Generator<void, unknown, void>): unknown {
  const steps = begin();
  for (;;) {
    // A flush does not wait for what a compaction owes.
    for (let sent = Atomics.load(words, sentWord); ; sent = Atomics.load(words, sentWord)) {
      takeAll();
      const waitMs = cancelled === id ? 0 : io.waitMs;
      if (waitMs === 0) break;
      Atomics.wait(words, sentWord, sent, Math.min(waitMs, LOOK_AFTER_MS));
    }
    if (cancelled === id) {
      steps.return(undefined as never);
      throw new SparrowError('cancelled', 'ABORTED', 'the engine is closing');
    }
    const step = steps.next();
    io.spend('compaction', fileSystem.takeBytes());
    if (step.done) return step.value;
  }
}

// Given up by now: what its jobs would write to is somebody else's.
if (Atomics.compareExchange(words, THREADS + number, THREAD_STARTING, THREAD_STARTED) !== THREAD_STARTING) process.exit(1);

/** Nothing has come for long: the thread ends, and with it goes all the memory that it keeps. Its owner starts another when there is work. */
const rest = setTimeout(() => {
  if (Atomics.compareExchange(words, sentWord, received, THREAD_RESTS) === received) process.exit(0);
  else rest.refresh();
}, restAfterMs);

port.on('message', (request: Request) => {
  take(request);
  for (let next = compactions.shift(); next; next = compactions.shift()) {
    const { id, begin } = next;
    attempt(id, () => compact(id, begin));
  }
  rest.refresh();
});
