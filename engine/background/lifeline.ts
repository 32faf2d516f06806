/**
 * Tells whether a thread is gone, without the event loop having to turn: a channel of which the thread holds one end, and nothing else does,
 * so that it is closed with the thread. A port whose other end is closed closes when it is read from, and then takes no message any more,
 * which `postMessage` answers with other than `true`. Where it answers otherwise to begin with, nothing is told, and the thread's end is
 * known from its events only.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

export class Lifeline {
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
