/** Counts the open connections of one listening port, and what went over all there were: grpc-js does not tell. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

const CHANNEL = 'net.server.socket';

export class Connections {
  readonly #open: Set<Socket> = new Set();
  #port = 0;
  #closedReceived = 0;
  #closedSent = 0;
  readonly #added = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    if (socket.localPort !== this.#port) return;
    this.#open.add(socket);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#closedReceived += socket.bytesRead;
      this.#closedSent += socket.bytesWritten;
    });
  };

  constructor() {
    subscribe(CHANNEL, this.#added);
  }

  get count(): number {
    return this.#open.size;
  }

  /** Bytes of all connections, those that are closed included, with everything that gRPC adds. */
  get bytesReceived(): number {
    let bytes = this.#closedReceived;
    for (const socket of this.#open) bytes += socket.bytesRead;
    return bytes;
  }
  get bytesSent(): number {
    let bytes = this.#closedSent;
    for (const socket of this.#open) bytes += socket.bytesWritten;
    return bytes;
  }

  /** The port, once it is known. */
  watch(port: number): void {
    this.#port = port;
  }

  close(): void {
    unsubscribe(CHANNEL, this.#added);
  }
}
