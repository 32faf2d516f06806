/**
 * Bounds the answers to plain reads that a connection has not taken yet. gRPC would otherwise keep every answer until it is: a client that asks for
 * two thousand values of 16 MiB and reads none would have 32 GB of them in memory.
 *
 * A read waits in the network while its connection has `READS_MAX` reads that are not answered, or `answerBytesMax` bytes of answers not taken; one
 * that has arrived waits for the latter, too. A connection that does not read holds up nobody else.
 *
 *   memory for answers of a connection  <=  answerBytesMax + one answer
 *
 * The answer to a write whose condition failed has the value that was found. It cannot wait, because the write is decided and was taken in for one of
 * few places that all clients share; a connection that has as much untaken is told OVERLOADED instead.
 *
 * Sessions and scans bound theirs themselves. Used by intake.ts.
 */
import { ServerInterceptingCall, type ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { SparrowError } from '../../base/errors.ts';
import type { GetResponse, MultiGetResponse, WriteResponse } from '../../proto/index.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];

/** Reads of one connection that are being received or worked on at a time. */
const READS_MAX = 32;
/** Beyond its value an answer has a version and some headers. */
const ANSWER_OVERHEAD_BYTES = 64;

export class AnswerRoom {
  readonly #answerBytesMax: number;
  /** By address and port of the client; a connection without reads is not here. */
  readonly #connections: Map<string, ConnectionAnswers> = new Map();

  constructor(answerBytesMax: number) {
    this.#answerBytesMax = answerBytesMax;
  }

  /** A plain read that waits its turn. */
  admit(call: ServerInterceptingCallInterface): ServerInterceptingCall {
    return new ReadCall(call, this.#connectionOf(call));
  }

  /** For the answer to a plain write. */
  forWrite(call: ServerInterceptingCallInterface): WriteAnswer {
    return new WriteAnswer(this.#connectionOf(call), this.#answerBytesMax);
  }

  #connectionOf(call: ServerInterceptingCallInterface): ConnectionAnswers {
    const peer = call.getPeer();
    let connection = this.#connections.get(peer);
    if (connection === undefined) {
      connection = new ConnectionAnswers(this.#answerBytesMax, () => this.#connections.delete(peer));
      this.#connections.set(peer, connection);
    }
    return connection;
  }
}

/** What one connection has asked for and not taken. */
class ConnectionAnswers {
  readonly #answerBytesMax: number;
  readonly #onUnused: () => void;
  #calls = 0;
  #reading = 0;
  #untakenBytes = 0;
  #advanceScheduled = false;
  /** Reads that are not received yet, and those that are received and not worked on, in their order. */
  readonly #unreceived: Map<ReadCall, () => void> = new Map();
  readonly #unanswered: Map<ReadCall, () => void> = new Map();

  constructor(answerBytesMax: number, onUnused: () => void) {
    this.#answerBytesMax = answerBytesMax;
    this.#onUnused = onUnused;
  }

  get isFull(): boolean {
    return this.#untakenBytes >= this.#answerBytesMax;
  }

  open(): void {
    this.#calls++;
  }

  /** Receives the call's request when there is room. */
  receive(call: ReadCall, start: () => void): void {
    this.#unreceived.set(call, start);
    this.#advance();
  }

  /** Works on the call when there is room for its answer. */
  answer(call: ReadCall, start: () => void): void {
    this.#unanswered.set(call, start);
    this.#advance();
  }

  /** A read is answered. */
  answered(bytes: number): void {
    this.#reading--;
    this.sent(bytes);
  }

  /** gRPC has an answer that the client has not taken yet. */
  sent(bytes: number): void {
    this.#untakenBytes += bytes;
  }

  taken(bytes: number): void {
    this.#untakenBytes -= bytes;
    this.#advanceSoon();
  }

  /** A read is over: `reading` tells whether it was being received or worked on. */
  close(call: ReadCall, reading: boolean): void {
    this.#unreceived.delete(call);
    this.#unanswered.delete(call);
    if (reading) this.#reading--;
    this.leave();
  }

  /** A call is over, of which nothing waits here. */
  leave(): void {
    if (--this.#calls === 0) this.#onUnused();
    else this.#advanceSoon();
  }

  /** When a connection breaks, its calls close one after another: none of those that wait may be worked on meanwhile. */
  #advanceSoon(): void {
    if (this.#advanceScheduled) return;
    this.#advanceScheduled = true;
    setImmediate(() => {
      this.#advanceScheduled = false;
      this.#advance();
    });
  }

  #advance(): void {
    for (const [call, start] of this.#unanswered) {
      if (this.#untakenBytes >= this.#answerBytesMax) return;
      this.#unanswered.delete(call);
      start();
    }
    for (const [call, start] of this.#unreceived) {
      if (this.#reading >= READS_MAX || this.#untakenBytes >= this.#answerBytesMax) return;
      this.#unreceived.delete(call);
      this.#reading++;
      start();
    }
  }
}

/** What the answer to one plain write takes of its connection's room. */
export class WriteAnswer {
  readonly #connection: ConnectionAnswers;
  readonly #limit: number;
  #bytes = 0;
  #closed = false;

  constructor(connection: ConnectionAnswers, limit: number) {
    this.#connection = connection;
    this.#limit = limit;
    connection.open();
  }

  /** Undefined: it may be sent, and is counted until `taken`. Else what the client is told instead. */
  refusal(answer: unknown): SparrowError | undefined {
    const value = (answer as Partial<WriteResponse>).failed?.value;
    if (value === undefined || value.length === 0) return undefined;
    if (this.#connection.isFull) {
      const message = `a condition failed, and the value that was found cannot be sent: the connection has ${this.#limit} bytes of answers that it has not taken`;
      return new SparrowError('exhausted', 'OVERLOADED', message, { limit: this.#limit, applied: false });
    }
    this.#bytes = value.length + ANSWER_OVERHEAD_BYTES;
    this.#connection.sent(this.#bytes);
    return undefined;
  }

  taken(): void {
    const bytes = this.#bytes;
    this.#bytes = 0;
    if (bytes > 0) this.#connection.taken(bytes);
  }

  /** The call's stream is closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.taken();
    this.#connection.leave();
  }
}

class ReadCall extends ServerInterceptingCall {
  readonly #next: ServerInterceptingCallInterface;
  readonly #connection: ConnectionAnswers;
  #state: 'new' | 'waiting' | 'reading' | 'answered' | 'closed' = 'new';
  #answerBytes = 0;

  constructor(next: ServerInterceptingCallInterface, connection: ConnectionAnswers) {
    super(next);
    this.#next = next;
    this.#connection = connection;
    connection.open();
  }

  override start(listener: Listener): void {
    this.#next.start({
      onReceiveMetadata: (metadata) => listener.onReceiveMetadata(metadata),
      onReceiveMessage: (message) => listener.onReceiveMessage(message),
      onReceiveHalfClose: () => this.#connection.answer(this, () => listener.onReceiveHalfClose()),
      // Comes when the stream closes, however it ended.
      onCancel: () => {
        this.#close();
        listener.onCancel();
      },
    });
  }

  override startRead(): void {
    if (this.#state !== 'new') return this.#next.startRead();
    this.#state = 'waiting';
    this.#connection.receive(this, () => {
      this.#state = 'reading';
      this.#next.startRead();
    });
  }

  override sendMessage(message: unknown, callback: () => void): void {
    if (this.#state === 'reading') {
      this.#state = 'answered';
      this.#answerBytes = answerBytes(message as GetResponse | MultiGetResponse);
      this.#connection.answered(this.#answerBytes);
    }
    this.#next.sendMessage(message, () => {
      this.#taken();
      callback();
    });
  }

  #taken(): void {
    const bytes = this.#answerBytes;
    this.#answerBytes = 0;
    if (bytes > 0) this.#connection.taken(bytes);
  }

  #close(): void {
    if (this.#state === 'closed') return;
    const reading = this.#state === 'reading';
    this.#state = 'closed';
    this.#taken();
    this.#connection.close(this, reading);
  }
}

function answerBytes(answer: GetResponse | MultiGetResponse): number {
  const entries = 'entries' in answer ? answer.entries : [answer];
  return entries.reduce((bytes, entry) => bytes + entry.value.length + ANSWER_OVERHEAD_BYTES, ANSWER_OVERHEAD_BYTES);
}
