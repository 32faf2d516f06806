/**
 * How much clients may send before this node has read it. HTTP/2 begins with 64 KiB for a connection and for each call on it: calls with large values then wait
 * for one another, and each for several turns of both ends.
 *
 *   a connection   `connectionBytes`. Node gives them back when they arrive, so they take no memory: they only have to last for the way there and back
 *   a call         64 KiB, as before: thousands of writes may wait to be read (intake.ts). On a connection that begins with a session, `sessionBytes`, while
 *                  such connections are few enough to stay within `totalBytes` together, and up to its first plain write, which no SDK makes beside a session:
 *                  a window is of all calls of a connection, and those writes may be thousands
 *
 * grpc-js has a setting for this on the other side only. Of calls that come Node tells on a diagnostics channel. Used by client-listener.ts.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Http2Session, Http2Stream } from 'node:http2';

const CHANNEL = 'http2.server.stream.created';
const MIB: number = 1024 * 1024;
/** What HTTP/2 begins with. */
const BEGINNING_BYTES = 65_535;

export interface WindowSizes {
  readonly connectionBytes: number;
  readonly sessionBytes: number;
  readonly totalBytes: number;
}

const SIZES: WindowSizes = { connectionBytes: 4 * MIB, sessionBytes: MIB, totalBytes: 256 * MIB };

export interface WindowPaths {
  /** Of sessions. */
  readonly streams: ReadonlySet<string>;
  /** Of plain writes. */
  readonly writes: ReadonlySet<string>;
}

export class ReceiveWindows {
  readonly #paths: WindowPaths;
  readonly #sizes: WindowSizes;
  readonly #seen: WeakSet<Http2Session> = new WeakSet();
  /** Connections whose calls have wide windows. */
  readonly #wide: Set<Http2Session> = new Set();
  #port = 0;
  readonly #called = (message: unknown): void => {
    const { stream, headers } = message as { stream: Http2Stream; headers: Record<string, unknown> };
    const connection = stream.session;
    if (connection === undefined) return;
    const path = String(headers[':path']);
    if (this.#seen.has(connection)) {
      if (this.#paths.writes.has(path)) this.#narrowCalls(connection);
      return;
    }
    if (connection.socket.localPort !== this.#port) return;
    this.#seen.add(connection);
    connection.setLocalWindowSize(this.#sizes.connectionBytes);
    if (this.#paths.streams.has(path)) this.#widenCalls(connection);
  };

  constructor(paths: WindowPaths, sizes: WindowSizes = SIZES) {
    this.#paths = paths;
    this.#sizes = sizes;
    subscribe(CHANNEL, this.#called);
  }

  /** The port that clients call, once it is known. */
  watch(port: number): void {
    this.#port = port;
  }

  close(): void {
    unsubscribe(CHANNEL, this.#called);
  }

  #widenCalls(connection: Http2Session): void {
    const { sessionBytes, totalBytes } = this.#sizes;
    if ((this.#wide.size + 1) * sessionBytes > totalBytes) return;
    this.#wide.add(connection);
    connection.once('close', () => this.#wide.delete(connection));
    connection.settings({ initialWindowSize: sessionBytes });
  }

  #narrowCalls(connection: Http2Session): void {
    if (this.#wide.delete(connection)) connection.settings({ initialWindowSize: BEGINNING_BYTES });
  }
}
