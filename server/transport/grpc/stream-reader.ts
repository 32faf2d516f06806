/** The messages of a stream one by one, for whoever handles them one after another. What is not asked for yet is held back by flow control. */
import type { SparrowError } from '../../../base/errors.ts';
import type { ClientStream, ServerStream } from './peer-service.ts';

export class StreamReader {
  readonly #stream: ClientStream | ServerStream;
  readonly #waiting: Buffer[] = [];
  #wanted: { resolve: (message: Buffer) => void; reject: (error: SparrowError) => void } | undefined;
  #failure: SparrowError | undefined;

  constructor(stream: ClientStream | ServerStream) {
    this.#stream = stream;
    stream.on('data', (message: Buffer) => this.#receive(message));
  }

  /** Rejects when the stream is over. One at a time. */
  next(): Promise<Buffer> {
    const message = this.#waiting.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#wanted = { resolve, reject };
      this.#stream.resume();
    });
  }

  /** The stream is over: for whoever knows how it tells that. */
  fail(error: SparrowError): void {
    this.#failure ??= error;
    this.#wanted?.reject(this.#failure);
    this.#wanted = undefined;
  }

  #receive(message: Buffer): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted !== undefined) return wanted.resolve(message);
    this.#waiting.push(message);
    this.#stream.pause();
  }
}
