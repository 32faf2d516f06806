/**
 * Background work in a thread of its own, started with the first job. Requests and answers are messages; a shared counter of answers lets a
 * caller that never yields wait for one (`Atomics.wait`) and take it (`receiveMessageOnPort`).
 *
 * A thread that dies, whatever of, fails every job that it had and every later one. A caller that never yields learns of it too: the thread
 * holds one end of a channel, the lifeline, and nothing else does.
 */
import { type MessagePort, MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { extname } from 'node:path';
import { SparrowError, type ErrorDetails, type ErrorKind } from '../../base/errors.ts';
import type { CompactionJob, CompactionResult } from '../compaction/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { Background, FlushJob, FlushResult, OnEnd } from './background.ts';

/** What goes to the worker. */
export type Request = { id: number; kind: 'flush'; job: FlushJob } | { id: number; kind: 'compact'; job: CompactionJob };

/** What comes back: errors as data, because a thrown SparrowError would lose its class on the way. */
export type Answer = { id: number; result: unknown } | { id: number; error: WireError };
export type WireError = { message: string; code: string; kind: ErrorKind | undefined; details: ErrorDetails };

export type WorkerData = {
  memory: WebAssembly.Memory;
  memoryBytes: number;
  port: MessagePort;
  /** Not used by the thread but held, for as long as it lives. */
  lifeline: MessagePort;
  control: SharedArrayBuffer;
};

/** Words of the control buffer. */
export const ANSWERS = 0;
export const CANCEL = 1;
/** THREAD_STARTING, then what came first: the thread has started, or its owner has given it up and it must touch nothing. */
export const THREAD = 2;
export const THREAD_STARTING = 0;
export const THREAD_STARTED = 1;
export const THREAD_GIVEN_UP = 2;
const WORDS = 3;

/** How often a caller that waits without yielding looks whether the thread is still there. */
const LOOK_AFTER_MS = 100;
/** A thread that a caller has waited for so long without yielding, and that has not even started, is given up. */
const START_MS_MAX = 30_000;

export class WorkerBackground implements Background {
  readonly #memory: LinearMemory;
  readonly #control = new Int32Array(new SharedArrayBuffer(WORDS * 4));
  readonly #waiting = new Map<number, OnEnd<unknown>>();
  #worker: Worker | undefined;
  #port: MessagePort | undefined;
  #lifeline: Lifeline | undefined;
  readonly #startMsMax: number;
  /** How long callers have waited for a thread that has not started. */
  #startMs = 0;
  #nextId = 1;
  #closing: Promise<void> | undefined;
  #failure: Error | undefined;
  #drained: (() => void) | undefined;

  constructor(memory: LinearMemory, startMsMax: number = START_MS_MAX) {
    this.#memory = memory;
    this.#startMsMax = startMsMax;
  }

  flush(job: FlushJob, onEnd: OnEnd<FlushResult>): void {
    this.#post({ id: this.#nextId++, kind: 'flush', job }, onEnd as OnEnd<unknown>);
  }

  compact(job: CompactionJob, onEnd: OnEnd<CompactionResult>): void {
    this.#post({ id: this.#nextId++, kind: 'compact', job }, onEnd as OnEnd<unknown>);
  }

  waitSync(ms: number): void {
    for (let left = ms; ; left -= LOOK_AFTER_MS) {
      const seen = Atomics.load(this.#control, ANSWERS);
      if (this.#receive() || this.#waiting.size === 0) return;
      const death = this.#failure ?? this.#death();
      if (death) {
        this.#died(death);
        return;
      }
      if (left <= 0) return;
      if (Atomics.wait(this.#control, ANSWERS, seen, Math.min(left, LOOK_AFTER_MS)) !== 'timed-out') break;
      this.#startMs += LOOK_AFTER_MS;
    }
    this.#receive();
  }

  /** What is known of the thread's end before its events tell. */
  #death(): Error | undefined {
    if (this.#lifeline?.isCut) return new Error('the background thread is gone');
    if (this.#startMs < this.#startMsMax) return undefined;
    // One that dies before it runs leaves no trace.
    const before = Atomics.compareExchange(this.#control, THREAD, THREAD_STARTING, THREAD_GIVEN_UP);
    this.#startMs = 0;
    return before === THREAD_STARTED ? undefined : new Error('the background thread does not start');
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    Atomics.store(this.#control, CANCEL, 1);
    while (this.#waiting.size > 0 && !this.#failure) await new Promise<void>((resolve) => (this.#drained = resolve));
    this.#port?.close();
    this.#lifeline?.close();
    await this.#worker?.terminate();
  }

  #post(request: Request, onEnd: OnEnd<unknown>): void {
    if (this.#failure) {
      const failure = this.#failure;
      this.#waiting.set(request.id, onEnd);
      queueMicrotask(() => this.#died(failure));
      return;
    }
    if (this.#worker === undefined) this.#start();
    if (this.#waiting.size === 0) this.#worker!.ref();
    this.#waiting.set(request.id, onEnd);
    this.#port!.postMessage(request);
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel();
    const lifeline = new Lifeline();
    const data: WorkerData = {
      memory: this.#memory.memory,
      memoryBytes: this.#memory.bytes,
      port: port2,
      lifeline: lifeline.end,
      control: this.#control.buffer as SharedArrayBuffer,
    };
    // The same file type as this one: sources in development, compiled files in the package.
    const file = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
    // A thread takes over the process's flags, and one of them is about the text of `node --eval`: a thread that runs a file refuses it.
    const evaluated = process.execArgv.some((flag) => flag.startsWith('--input-type'));
    const worker = new Worker(file, {
      workerData: data,
      transferList: [port2, lifeline.end],
      name: 'sparrowkv-background',
      ...(evaluated && { execArgv: [] }),
    });
    worker.on('error', (error) => this.#died(error));
    worker.on('exit', (code) => this.#died(new Error(`the background thread ended with code ${code}`)));
    port1.on('message', (answer: Answer) => this.#take(answer));
    // Idle background work does not keep a process alive; a job under way does.
    port1.unref();
    worker.unref();
    this.#worker = worker;
    this.#port = port1;
    this.#lifeline = lifeline;
  }

  /** Takes the answers that have arrived. Returns whether there was one. */
  #receive(): boolean {
    let any = false;
    for (;;) {
      const received = this.#port && receiveMessageOnPort(this.#port);
      if (!received) return any;
      any = true;
      this.#take(received.message as Answer);
    }
  }

  #take(answer: Answer): void {
    const onEnd = this.#waiting.get(answer.id);
    if (!onEnd) return;
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker!.unref();
    if ('error' in answer) onEnd(fromWire(answer.error), undefined);
    else onEnd(undefined, answer.result);
    if (this.#waiting.size === 0) this.#drained?.();
  }

  #died(error: Error): void {
    this.#failure ??= error;
    // What is posted meanwhile fails by itself.
    for (const [id, onEnd] of [...this.#waiting]) {
      if (this.#waiting.delete(id)) onEnd(this.#failure, undefined);
    }
    this.#drained?.();
  }
}

/**
 * Tells whether a thread is gone, without the event loop having to turn: the end that was given to the thread is closed with it. A port
 * whose other end is closed closes when it is read from, and then takes no message any more, which `postMessage` answers with other than
 * `true`. Where it answers otherwise to begin with, nothing is told, and the thread's end is known from its events only.
 */
class Lifeline {
  /** For the thread. */
  readonly end: MessagePort;
  readonly #own: MessagePort;
  readonly #tells: boolean;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    port1.unref();
    this.#own = port1;
    this.end = port2;
    this.#tells = this.#posts();
  }

  get isCut(): boolean {
    if (!this.#tells) return false;
    receiveMessageOnPort(this.#own);
    return !this.#posts();
  }

  close(): void {
    this.#own.close();
  }

  #posts(): boolean {
    return (this.#own.postMessage(0) as unknown) === true;
  }
}

export function toWire(error: unknown): WireError {
  const { message, code } = error as NodeJS.ErrnoException;
  return error instanceof SparrowError
    ? { message, code: error.code, kind: error.kind, details: error.details }
    : { message: String(message ?? error), code: String(code ?? ''), kind: undefined, details: {} };
}

function fromWire(error: WireError): Error {
  if (error.kind !== undefined) return new SparrowError(error.kind, error.code, error.message, error.details);
  return Object.assign(new Error(error.message), { code: error.code });
}
