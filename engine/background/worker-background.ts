/**
 * Background work in a thread of its own, started with the first job. Requests and answers are messages; a shared counter of answers lets a
 * caller that never yields wait for one (`Atomics.wait`) and take it (`receiveMessageOnPort`).
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

export type WorkerData = { memory: WebAssembly.Memory; memoryBytes: number; port: MessagePort; control: SharedArrayBuffer };

/** Words of the control buffer. */
export const ANSWERS = 0;
export const CANCEL = 1;

export class WorkerBackground implements Background {
  readonly #memory: LinearMemory;
  readonly #control = new Int32Array(new SharedArrayBuffer(8));
  readonly #waiting = new Map<number, OnEnd<unknown>>();
  #worker: Worker | undefined;
  #port: MessagePort | undefined;
  #nextId = 1;
  #closing: Promise<void> | undefined;
  #failure: Error | undefined;
  #drained: (() => void) | undefined;

  constructor(memory: LinearMemory) {
    this.#memory = memory;
  }

  flush(job: FlushJob, onEnd: OnEnd<FlushResult>): void {
    this.#post({ id: this.#nextId++, kind: 'flush', job }, onEnd as OnEnd<unknown>);
  }

  compact(job: CompactionJob, onEnd: OnEnd<CompactionResult>): void {
    this.#post({ id: this.#nextId++, kind: 'compact', job }, onEnd as OnEnd<unknown>);
  }

  waitSync(ms: number): void {
    const seen = Atomics.load(this.#control, ANSWERS);
    if (this.#receive()) return;
    Atomics.wait(this.#control, ANSWERS, seen, ms);
    this.#receive();
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    Atomics.store(this.#control, CANCEL, 1);
    while (this.#waiting.size > 0 && !this.#failure) await new Promise<void>((resolve) => (this.#drained = resolve));
    this.#port?.close();
    await this.#worker?.terminate();
  }

  #post(request: Request, onEnd: OnEnd<unknown>): void {
    if (this.#failure) {
      const failure = this.#failure;
      queueMicrotask(() => onEnd(failure, undefined));
      return;
    }
    if (this.#worker === undefined) this.#start();
    if (this.#waiting.size === 0) this.#worker!.ref();
    this.#waiting.set(request.id, onEnd);
    this.#port!.postMessage(request);
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel();
    const data: WorkerData = {
      memory: this.#memory.memory,
      memoryBytes: this.#memory.bytes,
      port: port2,
      control: this.#control.buffer as SharedArrayBuffer,
    };
    // The same file type as this one: sources in development, compiled files in the package.
    const file = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
    // A thread takes over the process's flags, and one of them is about the text of `node --eval`: a thread that runs a file refuses it.
    const evaluated = process.execArgv.some((flag) => flag.startsWith('--input-type'));
    const worker = new Worker(file, {
      workerData: data,
      transferList: [port2],
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
    for (const [id, onEnd] of this.#waiting) {
      this.#waiting.delete(id);
      onEnd(this.#failure, undefined);
    }
    this.#drained?.();
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
