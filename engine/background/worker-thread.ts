/**
 * One background thread as its owner sees it: takes requests, brings answers, and says when it is over. Answers come with the event loop,
 * or by `receive` for a caller that does not let it turn; so does the news of the thread's death.
 */
import { type MessagePort, MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { extname } from 'node:path';
import type { WasmMemory } from '../memory/kernel.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { Lifeline } from './lifeline.ts';
import { type Answer, type Request, THREAD_GIVEN_UP, THREAD_RESTS, THREAD_STARTED, THREAD_STARTING, THREADS } from './worker-protocol.ts';

/** What a thread is started with. */
export type WorkerData = {
  memory: WasmMemory;
  memoryBytes: number;
  /** Which of the threads it is, from 0. */
  number: number;
  port: MessagePort;
  /** Not used by the thread but held, for as long as it lives. */
  lifeline: MessagePort;
  control: SharedArrayBuffer;
  /** This thread's word of it that counts what it was sent. */
  sentWord: number;
  /** See io-budget.ts. */
  budget: SharedArrayBuffer;
  /** Without work for so long, it ends. */
  restAfterMs: number;
};

export class WorkerThread {
  readonly number: number;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #sentWord: number;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #lifeline = new Lifeline();
  readonly #startMsMax: number;
  readonly #onAnswer: (answer: Answer) => void;
  /** How long callers have waited for a thread that has not started. */
  #waitedMs = 0;

  constructor(parts: {
    memory: LinearMemory;
    number: number;
    control: Int32Array<SharedArrayBuffer>;
    sentWord: number;
    budget: SharedArrayBuffer;
    /** A thread that a caller has waited for so long without yielding, and that has not even started, is given up. */
    startMsMax: number;
    /** A thread without work for so long ends, and gives its memory back. */
    restAfterMs: number;
    onAnswer: (answer: Answer) => void;
    /** May be called more than once. */
    onDeath: (error: Error) => void;
  }) {
    this.number = parts.number;
    this.#control = parts.control;
    this.#sentWord = parts.sentWord;
    this.#startMsMax = parts.startMsMax;
    this.#onAnswer = parts.onAnswer;
    Atomics.store(this.#control, THREADS + this.number, THREAD_STARTING);
    Atomics.store(this.#control, this.#sentWord, 0);
    const { port1, port2 } = new MessageChannel();
    const data: WorkerData = {
      memory: parts.memory.memory,
      memoryBytes: parts.memory.bytes,
      number: this.number,
      port: port2,
      lifeline: this.#lifeline.end,
      control: this.#control.buffer,
      sentWord: this.#sentWord,
      budget: parts.budget,
      restAfterMs: parts.restAfterMs,
    };
    // The same file type as this one: sources in development, compiled files in the package.
    const file = new URL(`./worker${extname(import.meta.url)}`, import.meta.url);
    // A thread takes over the process's flags, and one of them is about the text of `node --eval`: a thread that runs a file refuses it.
    const evaluated = process.execArgv.some((flag) => flag.startsWith('--input-type'));
    const worker = new Worker(file, {
      workerData: data,
      transferList: [port2, this.#lifeline.end],
      name: 'sparrowkv-background',
      ...(evaluated && { execArgv: [] }),
    });
    worker.on('error', parts.onDeath);
    worker.on('exit', (code) => parts.onDeath(new Error(`the background thread ended with code ${code}`)));
    port1.on('message', this.#onAnswer);
    // Idle background work does not keep a process alive; a job under way does.
    port1.unref();
    worker.unref();
    this.#worker = worker;
    this.#port = port1;
  }

  /** False: the thread has ended for lack of work; another is to take its place. */
  post(request: Request): boolean {
    // Before the message: a thread that finds the number as it knows it has nothing on the way.
    if (Atomics.add(this.#control, this.#sentWord, 1) === THREAD_RESTS) return false;
    this.#port.postMessage(request);
    Atomics.notify(this.#control, this.#sentWord);
    return true;
  }

  /** While it has work, the process stays alive. */
  keepAlive(has: boolean): void {
    if (has) this.#worker.ref();
    else this.#worker.unref();
  }

  /** Hands over the answers that have arrived. Returns whether there was one. */
  receive(): boolean {
    let any = false;
    for (let next = receiveMessageOnPort(this.#port); next; next = receiveMessageOnPort(this.#port)) {
      any = true;
      this.#onAnswer(next.message as Answer);
    }
    return any;
  }

  /** A caller has waited for so long without yielding. */
  waited(ms: number): void {
    this.#waitedMs += ms;
  }

  /** What is known of the thread's end before its events tell. */
  get death(): Error | undefined {
    if (this.#lifeline.isCut) return new Error('the background thread is gone');
    if (this.#waitedMs < this.#startMsMax) return undefined;
    this.#waitedMs = 0;
    // One that dies before it runs leaves no trace.
    const before = Atomics.compareExchange(this.#control, THREADS + this.number, THREAD_STARTING, THREAD_GIVEN_UP);
    return before === THREAD_STARTED ? undefined : new Error('the background thread does not start');
  }

  /** Ends the thread, whatever it does. */
  async end(): Promise<void> {
    this.#port.close();
    this.#lifeline.close();
    await this.#worker.terminate();
  }
}
