/**
 * Answers GET /metrics over plain HTTP, on a port of its own: what watches a server need not speak gRPC, and must not compete with its clients for
 * their limits. What else is answered there is somebody else's (the dashboard). There is no authentication: it listens where only friends can reach it,
 * if it listens at all.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SparrowError } from '../../base/errors.ts';
import { CONTENT_TYPE, type Family, render } from './exposition.ts';

const CONNECTIONS_MAX = 64;
const REQUEST_MS_MAX = 10_000;

export class MetricsServer {
  /** HOST:PORT, with the port that was really taken. */
  readonly address: string;
  readonly #server: Server;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /**
   * `collect`: the figures of now; what it throws is answered with 503. `other`: is shown each request first, and says whether it answers it.
   * `unavailable/LISTEN` when the address cannot be had.
   */
  static listen(
    { host, port }: { host: string; port: number },
    collect: () => readonly Family[],
    other: (request: IncomingMessage, response: ServerResponse) => boolean,
  ): Promise<MetricsServer> {
    const server = createServer({ requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX }, (request, response) => {
      if (!other(request, response)) answer(request, response, collect);
    });
    server.maxConnections = CONNECTIONS_MAX;
    const wanted = host.includes(':') ? `[${host}]` : host;
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        const listen = `${wanted}:${port}`;
        reject(new SparrowError('unavailable', 'LISTEN', `cannot listen on ${listen} for metrics: ${error.message}`, { listen }, error));
      });
      server.listen(port, host, () => {
        resolve(new MetricsServer(server, `${wanted}:${(server.address() as AddressInfo).port}`));
      });
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function answer(request: IncomingMessage, response: ServerResponse, collect: () => readonly Family[]): void {
  const reply = (status: number, type: string, text: string, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), ...headers });
    response.end(request.method === 'HEAD' ? undefined : text);
  };
  const refuse = (status: number, text: string, headers?: Record<string, string>): void =>
    reply(status, 'text/plain; charset=utf-8', `${text}\n`, headers);
  const path = request.url?.split('?', 1)[0];
  if (path !== '/metrics') return refuse(404, 'metrics are at /metrics, the dashboard at /dashboard');
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'metrics are read by GET', { Allow: 'GET, HEAD' });
  let text: string;
  try {
    text = render(collect());
  } catch (error) {
    return refuse(503, (error as Error).message);
  }
  reply(200, CONTENT_TYPE, text);
}
