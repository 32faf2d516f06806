/**
 * Holds requests back in the network while there is no room for them here. gRPC would otherwise receive every request whole before
 * anybody can say no: a thousand puts of 16 MiB would be 16 GB.
 *
 * A plain write is received only while the replica has room, and only so many at a time: the rest stays behind HTTP/2's flow control, at
 * most a window (64 KiB, receive-windows.ts) of each in memory. Further messages of a session wait for room, too. Reads wait for their answers: answer-room.ts.
 *
 *   memory for requests  <=  writes in flight + receivingMax x 2 x the largest message + waiting x 64 KiB
 *
 * A message that has come is there in pieces and whole; once it is a command only that stays (received-message.ts), but of batches: they are there twice.
 *
 * What is passed on to other nodes has room of its own. Sessions do not wait for that: a node passes on to itself, too, over a session.
 *
 * A server interceptor: grpc-js asks it before it reads from a call's stream.
 */
import { performance } from 'node:perf_hooks';
import { ServerInterceptingCall, type ServerInterceptingCallInterface, type ServerInterceptor } from '@grpc/grpc-js';
import { SparrowError } from '../../base/errors.ts';
import { AnswerRoom, type WriteAnswer } from './answer-room.ts';
import { forgetPieces } from './received-message.ts';
import { statusOf } from './rpc-errors.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];

/** Who says whether there is room. */
export interface Room {
  readonly congested: boolean;
  /** Returns what takes the listener off again. */
  onRelieved(listener: () => void): () => void;
}

export interface IntakeOptions {
  /** For plain writes that are passed on. */
  passedOn: Room;
  receivingMax: number;
  receivesWaitingMax: number;
  receiveMsMax: number;
  /** Paths of plain methods that write, and of streams whose messages only wait for room. */
  writes: ReadonlySet<string>;
  streams: ReadonlySet<string>;
  /** Paths of plain methods that read, and how many bytes of their answers a connection may have untaken. */
  reads: ReadonlySet<string>;
  answerBytesMax: number;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #room: Room;
  readonly #removeListeners: readonly (() => void)[];
  readonly #sweeper: NodeJS.Timeout;
  /** Writes that are being received, oldest first, with the time when that began. */
  readonly #receiving: Map<WriteIntake, number> = new Map();
  /** Writes that wait to be received, and streams that wait for room. */
  readonly #waiting: Set<WriteIntake> = new Set();
  #parked: (() => void)[] = [];
  readonly #answers: AnswerRoom;
  #overloaded = 0;
  #slow = 0;

  constructor(room: Room, options: IntakeOptions) {
    this.#room = room;
    this.#options = options;
    this.#answers = new AnswerRoom(options.answerBytesMax);
    this.#removeListeners = [room, options.passedOn].map((each) => each.onRelieved(() => this.#admit()));
    this.#sweeper = setInterval(() => this.#giveUpSlow(), Math.max(10, options.receiveMsMax / 4)).unref();
  }

  readonly interceptor: ServerInterceptor = (method, call) => {
    if (this.#options.writes.has(method.path)) return new WriteIntake(call, this, this.#answers.forWrite(call));
    if (this.#options.streams.has(method.path)) return new StreamIntake(call, this);
    if (this.#options.reads.has(method.path)) return this.#answers.admit(call);
    return new ServerInterceptingCall(call);
  };

  /** Plain writes that are being received, and that wait for it. */
  get receiving(): number {
    return this.#receiving.size;
  }
  get waiting(): number {
    return this.#waiting.size;
  }
  /** Plain writes that were not received: too many waited, or they did not arrive in time. */
  get overloaded(): number {
    return this.#overloaded;
  }
  get slow(): number {
    return this.#slow;
  }

  close(): void {
    for (const remove of this.#removeListeners) remove();
    clearInterval(this.#sweeper);
  }

  /** A write asks to be received. */
  enter(call: WriteIntake): void {
    if (this.#hasRoom()) return this.#receive(call);
    if (this.#waiting.size >= this.#options.receivesWaitingMax) {
      this.#overloaded++;
      const message = `too many writes wait: ${this.#waiting.size} of at most ${this.#options.receivesWaitingMax}`;
      call.refuse(new SparrowError('exhausted', 'OVERLOADED', message, { limit: this.#options.receivesWaitingMax, applied: false }));
    } else {
      this.#waiting.add(call);
    }
  }

  /** It is received, or gone. */
  leave(call: WriteIntake): void {
    this.#waiting.delete(call);
    if (this.#receiving.delete(call)) this.#admit();
  }

  /** A stream asks for its next message. */
  next(read: () => void): void {
    if (this.#room.congested) this.#parked.push(read);
    else read();
  }

  #hasRoom(): boolean {
    return this.#receiving.size < this.#options.receivingMax && !this.#room.congested && !this.#options.passedOn.congested;
  }

  #receive(call: WriteIntake): void {
    this.#receiving.set(call, performance.now());
    call.receive();
  }

  #admit(): void {
    if (this.#parked.length > 0 && !this.#room.congested) {
      const parked = this.#parked;
      this.#parked = [];
      for (const read of parked) this.next(read);
    }
    for (const call of this.#waiting) {
      if (!this.#hasRoom()) return;
      this.#waiting.delete(call);
      this.#receive(call);
    }
  }

  #giveUpSlow(): void {
    const before = performance.now() - this.#options.receiveMsMax;
    for (const [call, sinceMs] of this.#receiving) {
      if (sinceMs > before) return;
      this.#slow++;
      const message = `the request did not arrive within ${this.#options.receiveMsMax} ms`;
      call.refuse(new SparrowError('unavailable', 'RECEIVE_TIMEOUT', message, { limit: this.#options.receiveMsMax, applied: false }));
      this.leave(call);
    }
  }
}

/** A plain write: received when the intake says so. */
class WriteIntake extends ServerInterceptingCall {
  readonly #next: ServerInterceptingCallInterface;
  readonly #intake: Intake;
  readonly #answer: WriteAnswer;
  /** The call has its status: what the method says to it after that is too late. */
  #refused = false;
  #state: 'new' | 'waiting' | 'receiving' | 'done' = 'new';

  constructor(next: ServerInterceptingCallInterface, intake: Intake, answer: WriteAnswer) {
    super(next);
    this.#next = next;
    this.#intake = intake;
    this.#answer = answer;
  }

  override start(listener: Listener): void {
    this.#next.start({
      onReceiveMetadata: (metadata) => listener.onReceiveMetadata(metadata),
      onReceiveMessage: (message) => listener.onReceiveMessage(message),
      onReceiveHalfClose: () => {
        forgetPieces(this.#next);
        // The call is proposed in here, so that what it takes is counted before the next one may come.
        listener.onReceiveHalfClose();
        this.#leave();
      },
      // Comes when the stream closes, however it ended.
      onCancel: () => {
        this.#leave();
        this.#answer.close();
        listener.onCancel();
      },
    });
  }

  override sendMessage(message: unknown, callback: () => void): void {
    const refusal = this.#answer.refusal(message);
    if (refusal === undefined) {
      return this.#next.sendMessage(message, () => {
        this.#answer.taken();
        callback();
      });
    }
    this.#refused = true;
    this.#next.sendStatus(statusOf(refusal));
    callback();
  }

  override sendStatus(status: Parameters<ServerInterceptingCallInterface['sendStatus']>[0]): void {
    if (!this.#refused) this.#next.sendStatus(status);
  }

  override startRead(): void {
    if (this.#state === 'new') {
      this.#state = 'waiting';
      this.#intake.enter(this);
    } else if (this.#state === 'receiving') {
      this.#next.startRead();
    }
  }

  receive(): void {
    this.#state = 'receiving';
    this.#next.startRead();
  }

  refuse(error: SparrowError): void {
    this.#state = 'done';
    this.#next.sendStatus(statusOf(error));
  }

  #leave(): void {
    this.#state = 'done';
    this.#intake.leave(this);
  }
}

/** A stream: each further message waits for room. */
class StreamIntake extends ServerInterceptingCall {
  readonly #next: ServerInterceptingCallInterface;
  readonly #intake: Intake;

  constructor(next: ServerInterceptingCallInterface, intake: Intake) {
    super(next);
    this.#next = next;
    this.#intake = intake;
  }

  override startRead(): void {
    this.#intake.next(() => this.#next.startRead());
  }
}
