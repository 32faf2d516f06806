/** Counts the open connections of one listening port: grpc-js does not tell. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

const CHANNEL = 'net.server.socket';

export class Connections {
  readonly #open: Set<Socket> = new Set();
  #port = 0;
  readonly #added = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    if (socket.localPort !== this.#port) return;
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  };

  constructor() {
    subscribe(CHANNEL, this.#added);
  }

  get count(): number {
    return this.#open.size;
  }

  /** The port, once it is known. */
  watch(port: number): void {
    this.#port = port;
  }

  close(): void {
    unsubscribe(CHANNEL, this.#added);
  }
}
