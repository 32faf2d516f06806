/**
 * A session: all concurrent calls over one stream, coalesced (format: proto/session-codec.ts).
 *
 * Calls wait in a queue until the end of this turn of the event loop; then their frames go out together, in messages of about 256 KiB.
 * While the stream pushes back, calls stay in the queue and are not encoded: a call that times out there was never sent, and nothing but the
 * calls themselves, which call-runner.ts bounds, takes memory.
 */
import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js';

import { SparrowError } from '../base/errors.ts';
import { MessageMemory } from '../base/message-memory.ts';
import { errorOf } from '../base/rpc-status.ts';
import {
  callerMetadata,
  FRAME_ANSWER,
  FRAME_CANCEL,
  FRAME_ERROR,
  FRAME_GREETING,
  FRAME_PING,
  type KvClient,
  Leadership,
  readFrames,
  SESSION_REVISION,
  SessionError,
  type SessionFrame,
  SessionGreeting,
  SessionWriter,
} from '../proto/index.ts';
import type { AnyCall, CallHolder, CallOutcomes } from './call.ts';
import { errorOfEndedStream } from './status-errors.ts';

const MESSAGE_BYTES = 256 * 1024;
const CALL_ID_MAX = 0xffffffff;
/** Memory of messages that have left: so much is kept for the next ones. */
const SPARE_BYTES_MAX: number = 2 * 1024 * 1024;

export interface SessionEvents extends CallOutcomes {
  greeted(greeting: SessionGreeting): void;
  /** The stream is over, after all its calls were given to `lost`. Once. */
  ended(error: SparrowError): void;
}

interface Ping {
  readonly shard: number;
  resolve(leadership: Leadership | undefined): void;
  reject(error: SparrowError): void;
}

export class ConnectionSession implements CallHolder {
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #events: SessionEvents;
  readonly #memory: MessageMemory = new MessageMemory(SPARE_BYTES_MAX);
  readonly #writer = new SessionWriter(this.#memory);
  /** Messages that the server may not have yet, oldest first, with the number of the first call in each. Undefined: numbers have begun anew, and tell no more. */
  #unheard: { firstNumber: number; message: Buffer }[] | undefined = [];
  /** Calls that are not written yet; those that were dropped meanwhile are `done`. */
  #queue: AnyCall[] = [];
  #queueHead = 0;
  /** Calls in the queue that were dropped. */
  #queueDead = 0;
  /** Calls that are written, by their number in this session. */
  readonly #sent: Map<number, AnyCall> = new Map();
  readonly #numbers: Map<AnyCall, number> = new Map();
  readonly #cancelled: number[] = [];
  readonly #pings: Map<number, Ping> = new Map();
  /** Pings that are not written yet. */
  readonly #newPings: number[] = [];
  #heard = 0;
  #lastNumber = 0;
  #greeted = false;
  #blocked = false;
  #flushScheduled = false;
  #over = false;

  constructor(kv: KvClient, events: SessionEvents) {
    this.#events = events;
    this.#stream = kv.session(callerMetadata());
    this.#stream.on('data', (frames: Buffer) => this.#receive(frames));
    this.#stream.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    // The status says what the error says, and comes also when the server ends the stream in good order.
    this.#stream.on('error', () => undefined);
    this.#stream.on('status', (status: StatusObject) => this.#end(errorOfEndedStream(status)));
  }

  /** Calls that wait or are under way here. */
  get calls(): number {
    return this.#queue.length - this.#queueHead - this.#queueDead + this.#sent.size;
  }

  /** Messages that came so far. */
  get heard(): number {
    return this.#heard;
  }

  /** Calls that are meant are lost; the session goes on. */
  release(meant: (call: AnyCall) => boolean, error: SparrowError): void {
    const waiting = this.#waiting();
    const doomed = [...this.#sent.values(), ...waiting].filter(meant);
    this.#queue = waiting.filter((call) => !meant(call));
    this.#queueHead = 0;
    this.#queueDead = 0;
    for (const call of doomed) {
      const number = this.#numbers.get(call);
      if (number !== undefined) {
        this.#forget(number, call);
        this.#cancelled.push(number);
      }
      call.holder = undefined;
      this.#events.lost(call, error);
    }
    this.#scheduleFlush();
  }

  /** Who leads a shard, as the server knows; undefined from a server that does not take pings. Rejects when the session ends before. */
  ping(shard: number): Promise<Leadership | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#over) return reject(new SparrowError('unavailable', 'SESSION_ENDED', 'the session is over'));
      const number = this.#nextNumber();
      this.#pings.set(number, { shard, resolve, reject });
      this.#newPings.push(number);
      this.#scheduleFlush();
    });
  }

  send(call: AnyCall): void {
    call.state = 'queued';
    call.holder = this;
    this.#queue.push(call);
    this.#scheduleFlush();
  }

  drop(call: AnyCall): void {
    const number = this.#numbers.get(call);
    if (number === undefined) return this.#dropQueued(call);
    this.#forget(number, call);
    this.#cancelled.push(number);
    this.#scheduleFlush();
  }

  /** Ends the stream; calls under way are lost. */
  close(error: SparrowError): void {
    this.#stream.cancel();
    this.#end(error);
  }

  /** The queue is cleared of dropped calls before they are most of it: the stream may push back for long. */
  #dropQueued(call: AnyCall): void {
    call.holder = undefined;
    this.#queueDead++;
    if (this.#queueDead < 1_000 || this.#queueDead * 2 < this.#queue.length - this.#queueHead) return;
    this.#queue = this.#waiting();
    this.#queueHead = 0;
    this.#queueDead = 0;
  }

  #waiting(): AnyCall[] {
    return this.#queue.slice(this.#queueHead).filter((call) => call.state === 'queued' && call.holder === this);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#blocked) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#blocked && !this.#over) {
      const firstNumber = this.#lastNumber + 1;
      this.#fillMessage();
      if (this.#writer.frames === 0) return;
      const message = this.#writer.take();
      if (this.#lastNumber >= firstNumber) this.#unheard?.push({ firstNumber, message });
      this.#blocked = !this.#stream.write(message);
    }
  }

  /** The server has answered a call: it has the message that the call was in, and all before. gRPC tells only when it has taken a message, and may read it later. */
  #reuse(number: number): void {
    const unheard = this.#unheard;
    while (unheard !== undefined && unheard.length > 0 && unheard[0]!.firstNumber <= number) this.#memory.give(unheard.shift()!.message);
  }

  #fillMessage(): void {
    const writer = this.#writer;
    if (this.#cancelled.length > 0) for (const number of this.#cancelled.splice(0)) writer.append(FRAME_CANCEL, number, 0, NOTHING);
    for (const number of this.#newPings.splice(0)) writer.append(FRAME_PING, number, this.#pings.get(number)?.shard ?? 0, NOTHING);
    const nowMs = performance.now();
    while (this.#queueHead < this.#queue.length) {
      const call = this.#queue[this.#queueHead];
      if (writer.frames > 0 && writer.bytes + call.bytes > MESSAGE_BYTES) return;
      this.#queueHead++;
      if (call.state !== 'queued' || call.holder !== this) {
        this.#queueDead--;
        continue;
      }
      const number = this.#nextNumber();
      this.#sent.set(number, call);
      this.#numbers.set(call, number);
      call.state = 'sent';
      call.wasSent = true;
      call.method.frame?.append(writer, number, Math.max(1, Math.ceil(call.deadlineMs - nowMs)), call.request);
    }
    this.#queue = [];
    this.#queueHead = 0;
  }

  #nextNumber(): number {
    do {
      if (this.#lastNumber === CALL_ID_MAX) this.#unheard = undefined;
      this.#lastNumber = this.#lastNumber === CALL_ID_MAX ? 1 : this.#lastNumber + 1;
    } while (this.#sent.has(this.#lastNumber) || this.#pings.has(this.#lastNumber));
    return this.#lastNumber;
  }

  #receive(frames: Buffer): void {
    this.#heard++;
    try {
      for (const frame of readFrames(frames)) this.#receiveFrame(frame);
    } catch (error) {
      const cause = error instanceof SparrowError ? error : new SparrowError('internal', 'INTERNAL', String(error), {}, error);
      this.close(cause);
    }
  }

  #receiveFrame(frame: SessionFrame): void {
    if (this.#over) return;
    if (frame.kind === FRAME_GREETING) return this.#receiveGreeting(frame.payload);
    if (!this.#greeted) throw new SparrowError('internal', 'SESSION_ORDER', 'the session does not begin with a greeting');
    if (frame.call <= this.#lastNumber) this.#reuse(frame.call);
    const call = this.#sent.get(frame.call);
    // A call that was dropped gets its answer all the same.
    if (call === undefined) return this.#receivePong(frame);
    if (frame.kind === FRAME_ANSWER) {
      const answer: unknown = call.method.frame?.read(frame.payload);
      this.#forget(frame.call, call);
      this.#events.answered(call, answer);
    } else if (frame.kind === FRAME_ERROR) {
      const error = errorOf(SessionError.decode(frame.payload));
      this.#forget(frame.call, call);
      this.#events.refused(call, error);
    } else {
      throw new SparrowError('internal', 'SESSION_FRAME', `the server sent a frame of unknown kind ${frame.kind}`);
    }
  }

  #receivePong(frame: SessionFrame): void {
    const ping = this.#pings.get(frame.call);
    if (ping === undefined) return;
    this.#pings.delete(frame.call);
    if (frame.kind === FRAME_ANSWER) return ping.resolve(Leadership.decode(frame.payload));
    const error = errorOf(SessionError.decode(frame.payload));
    if (error.code === 'RPC_UNIMPLEMENTED') ping.resolve(undefined);
    else ping.reject(error);
  }

  #receiveGreeting(payload: Buffer): void {
    const greeting = SessionGreeting.decode(payload);
    if (greeting.revision !== SESSION_REVISION) {
      // A revision that we do not speak: as if the server had no sessions.
      return this.close(new SparrowError('invalid', 'RPC_UNIMPLEMENTED', `the server speaks session revision ${greeting.revision}`));
    }
    this.#greeted = true;
    this.#events.greeted(greeting);
  }

  #forget(number: number, call: AnyCall): void {
    this.#sent.delete(number);
    this.#numbers.delete(call);
    call.holder = undefined;
  }

  #end(error: SparrowError): void {
    if (this.#over) return;
    this.#over = true;
    const calls = [...this.#sent.values(), ...this.#waiting()];
    this.#sent.clear();
    this.#numbers.clear();
    this.#queue = [];
    this.#queueHead = 0;
    const pings = [...this.#pings.values()];
    this.#pings.clear();
    for (const call of calls) {
      call.holder = undefined;
      this.#events.lost(call, error);
    }
    for (const ping of pings) ping.reject(error);
    this.#events.ended(error);
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
