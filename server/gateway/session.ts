/**
 * A session: all concurrent calls of one client in one stream (format: proto/session-codec.ts).
 *
 * Calls are started as they come, up to `sessionCallsMax` at a time. Answers of a turn of the event loop leave in one message. Nothing
 * grows without bound: when answers are not taken, or too many calls are being worked on, no further call is started and the stream is
 * not read; HTTP/2's flow control then holds the client back.
 *
 * Called by kv-service.ts for each stream. Calls kv-calls.ts.
 */
import { performance } from 'node:perf_hooks';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { assert } from '../../base/assert.ts';
import { SparrowError } from '../../base/errors.ts';
import { failureOf } from '../../base/rpc-status.ts';
import {
  followsShards,
  FRAME_ANSWER,
  FRAME_CANCEL,
  FRAME_ERROR,
  FRAME_GREETING,
  FRAME_PING,
  Leadership,
  readFrames,
  SessionError,
  type SessionFrame,
  SessionGreeting,
  SessionWriter,
} from '../../proto/index.ts';
import type { CallCounter } from './call-counter.ts';
import type { Caller, KvVerbs } from './kv-verbs.ts';
import { statusOf } from './rpc-errors.ts';
import { SESSION_METHODS, type SessionMethod } from './session-methods.ts';

type SessionStream = ServerDuplexStream<Buffer, Buffer>;

/** A message is sent before the end of the turn when it has grown to this. */
const MESSAGE_BYTES: number = 256 * 1024;

class SessionCall implements Caller {
  cancelled = false;
  readonly deadlineMs: number;
  readonly followsShards: boolean;

  constructor(deadlineMs: number, followsShards: boolean) {
    this.deadlineMs = deadlineMs;
    this.followsShards = followsShards;
  }
}

export class ServerSession {
  readonly #stream: SessionStream;
  readonly #calls: KvVerbs;
  /** The client does. */
  readonly #followsShards: boolean;
  readonly #counter: CallCounter;
  readonly #writer: SessionWriter = new SessionWriter();
  readonly #inFlight: Map<number, SessionCall> = new Map();
  /** Calls that came and are not started yet, by number, in the order in which they came. */
  readonly #waiting: Map<number, SessionFrame> = new Map();
  /** Where in `#waiting` the next one is: a map that loses its first entries is slow to begin again. */
  #next: Iterator<SessionFrame> = this.#waiting.values();
  /** Answers given to gRPC and not taken by the network yet. */
  #unsentBytes = 0;
  #flushScheduled = false;
  #paused = false;
  #clientDone = false;
  #draining: SparrowError | undefined;
  #over = false;
  readonly #onOver: () => void;

  constructor(stream: SessionStream, calls: KvVerbs, counter: CallCounter, greeting: SessionGreeting, onOver: () => void) {
    this.#stream = stream;
    this.#calls = calls;
    this.#followsShards = followsShards(stream.metadata);
    this.#counter = counter;
    this.#onOver = onOver;
    stream.on('data', (message: Buffer) => this.#receive(message));
    stream.on('end', () => {
      this.#clientDone = true;
      this.#endWhenDone();
    });
    stream.on('cancelled', () => this.#finish());
    // A stream that breaks is cancelled too; the event must only not be unhandled.
    stream.on('error', () => this.#finish());
    this.#writer.append(FRAME_GREETING, 0, 0, SessionGreeting.encode(greeting).finish());
    this.#flush();
  }

  /** Starts no more calls: refuses what waits and what comes, finishes what was started, and ends. */
  drain(reason: SparrowError): void {
    this.#draining = reason;
    this.#startWaiting();
    this.#endWhenDone();
  }

  #receive(message: Buffer): void {
    if (this.#over) return;
    try {
      for (const frame of readFrames(message)) {
        if (frame.kind === FRAME_CANCEL) this.#cancel(frame.call);
        else if (frame.kind === FRAME_PING && this.#answersHaveRoom()) this.#pong(frame);
        else this.#take(frame);
      }
      this.#startWaiting();
    } catch (error) {
      this.#stream.emit('error', statusOf(error));
      this.#finish();
    }
  }

  #take(frame: SessionFrame): void {
    const { call } = frame;
    if (this.#inFlight.has(call) || this.#waiting.has(call)) {
      throw new SparrowError('invalid', 'SESSION_FORMAT', `call ${call} is not answered yet and begins again`, { call });
    }
    this.#waiting.set(call, frame);
  }

  #startWaiting(): void {
    while (this.#waiting.size > 0 && this.#hasRoom()) {
      let next = this.#next.next();
      if (next.done) next = (this.#next = this.#waiting.values()).next();
      const frame = next.value as SessionFrame;
      this.#waiting.delete(frame.call);
      this.#start(frame);
    }
    const pause = this.#waiting.size > 0;
    if (pause === this.#paused || this.#over) return;
    this.#paused = pause;
    if (pause) this.#stream.pause();
    else this.#stream.resume();
  }

  #hasRoom(): boolean {
    const { sessionCallsMax } = this.#calls.settings;
    return this.#draining !== undefined || (this.#inFlight.size < sessionCallsMax && this.#answersHaveRoom());
  }

  #answersHaveRoom(): boolean {
    return this.#unsentBytes + this.#writer.bytes < this.#calls.settings.sessionAnswerBytesMax;
  }

  /** That this node is alive, and who leads. Not held up by the calls being worked on; a node that is about to stop says so instead. */
  #pong(frame: SessionFrame): void {
    if (this.#draining !== undefined) return this.#refuse(frame, this.#draining);
    const leadership = this.#calls.cluster.leadership(frame.argument === 0 ? undefined : frame.argument);
    this.#writer.append(FRAME_ANSWER, frame.call, 0, Leadership.encode(leadership).finish());
    this.#scheduleFlush();
  }

  #start(frame: SessionFrame): void {
    if (frame.kind === FRAME_PING) return this.#pong(frame);
    const method = SESSION_METHODS.get(frame.kind);
    if (this.#draining !== undefined) return this.#refuse(frame, this.#draining);
    if (method === undefined) {
      return this.#refuse(
        frame,
        new SparrowError('invalid', 'RPC_UNIMPLEMENTED', `a session has no method ${frame.kind}`, { method: frame.kind }),
      );
    }
    const call = new SessionCall(frame.argument === 0 ? Infinity : performance.now() + frame.argument, this.#followsShards);
    let result: unknown;
    try {
      result = method.run(this.#calls, frame.payload, call);
    } catch (error) {
      return this.#refuse(frame, error);
    }
    if (!(result instanceof Promise)) return this.#answer(frame.call, method, result);
    this.#inFlight.set(frame.call, call);
    this.#counter.callsInFlight++;
    result.then(
      (answer: unknown) => {
        if (this.#done(frame.call)) this.#answer(frame.call, method, answer);
        this.#startWaiting();
        this.#endWhenDone();
      },
      (error: unknown) => {
        if (this.#done(frame.call)) this.#refuse(frame, error);
        this.#startWaiting();
        this.#endWhenDone();
      },
    );
  }

  /** False when nobody is there to answer. */
  #done(call: number): boolean {
    this.#counter.callsInFlight--;
    if (this.#over) return false;
    assert(this.#inFlight.delete(call), 'a call that ends was in flight');
    return true;
  }

  #cancel(id: number): void {
    const call = this.#inFlight.get(id);
    if (call !== undefined) call.cancelled = true;
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    this.#refuse(waiting, new SparrowError('cancelled', 'ABORTED', 'the call was cancelled', { applied: false }));
  }

  #answer(call: number, method: SessionMethod, answer: unknown): void {
    this.#counter.of(method.name).answered++;
    const bytes = method.answerBytes(answer);
    const { target, offset } = this.#writer.begin(FRAME_ANSWER, call, 0, bytes.length);
    bytes.write(target, offset);
    this.#scheduleFlush();
  }

  #refuse({ call, kind }: SessionFrame, error: unknown): void {
    this.#counter.of(SESSION_METHODS.get(kind)?.name ?? 'unknown').refuse(error);
    this.#writer.append(FRAME_ERROR, call, 0, SessionError.encode(failureOf(this.#calls.cluster.routed(error))).finish());
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#writer.bytes >= MESSAGE_BYTES) return this.#flush();
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Gives what there is to gRPC, unless it has enough already: then the answers that come meanwhile share the next message. */
  #flush(): void {
    if (this.#over || this.#writer.frames === 0 || this.#unsentBytes >= this.#calls.settings.sessionAnswerBytesMax) return;
    const message = this.#writer.take();
    this.#unsentBytes += message.length;
    this.#stream.write(message, () => {
      this.#unsentBytes -= message.length;
      this.#flush();
      this.#startWaiting();
      this.#endWhenDone();
    });
  }

  #endWhenDone(): void {
    if (this.#over || !(this.#clientDone || this.#draining !== undefined)) return;
    if (this.#inFlight.size > 0 || this.#waiting.size > 0) return;
    this.#flush();
    if (this.#writer.frames > 0 || this.#unsentBytes > 0) return;
    if (this.#draining !== undefined && !this.#clientDone) this.#stream.emit('error', statusOf(this.#draining));
    else this.#stream.end();
    this.#finish();
  }

  /** Nothing more is answered; what is being worked on is told that nobody waits. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    for (const call of this.#inFlight.values()) call.cancelled = true;
    this.#inFlight.clear();
    this.#waiting.clear();
    this.#onOver();
  }
}
