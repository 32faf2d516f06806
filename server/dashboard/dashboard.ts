/**
 * Answers what a browser asks on the address of metrics: the page, and what it shows.
 *
 *   GET /                    to /dashboard
 *   GET /dashboard           the page; /dashboard/NAME its files
 *   GET /api/cluster?since=  a ClusterView as JSON, its history from that time on; 503 with a ProblemView when there is none
 *
 * Any node answers: it asks the one that leads the metaserver. However many look at it, that one is asked once in FRESH_MS at most. A node that leads
 * keeps a history of the last hour, whoever looks; another one is given what it lacks of that when somebody looks at it.
 *
 * The page gets nothing from elsewhere and runs no script but its own (Content-Security-Policy). Nothing can be changed here.
 *
 * Made by client-listener.ts; called by metrics/metrics-server.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { SparrowError } from '../../base/errors.ts';
import { type Asset, readAssets } from './assets.ts';
import type { ClusterView, HistoryPoint, ProblemView } from './cluster-view.ts';
import { History, HISTORY_EVERY_MS, pointOf } from './history.ts';

export type SurveyedView = Omit<ClusterView, 'history'>;

export interface ClusterSource {
  /** This node; 0: a proxy. */
  readonly node: number;
  /** Whether this node leads the metaserver. */
  leads(): boolean;
  /** What the leader of the metaserver says, with its history later than `sinceMs` when that is asked for. Throws a SparrowError. */
  survey(signal: AbortSignal, sinceMs: number | undefined): Promise<Surveyed>;
}

export interface Surveyed {
  readonly view: SurveyedView;
  readonly past: readonly HistoryPoint[];
}

/** An answer is good for so long. */
const FRESH_MS = 900;
const SURVEY_MS_MAX = 5_000;
/** A new leader of the metaserver hears from all nodes within this. */
const SETTLE_MS = 5_000;
/** Answers smaller than this are not worth compressing. */
const GZIP_BYTES_MIN = 2_048;

const POLICY: string = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

interface Answer {
  readonly atMs: number;
  /** The view as JSON, without its last brace. */
  readonly json: string;
}

export class Dashboard {
  readonly #source: ClusterSource;
  readonly #history: History = new History();
  readonly #timer: NodeJS.Timeout;
  readonly #closing: AbortController = new AbortController();
  #assets: ReadonlyMap<string, Asset> | undefined;
  #last: Answer | undefined;
  #asking: Promise<Answer> | undefined;

  constructor(source: ClusterSource) {
    this.#source = source;
    this.#timer = setInterval(() => this.#sample(), HISTORY_EVERY_MS);
    this.#timer.unref();
  }

  /** Whether the request was one for it; it is answered then. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const url = new URL(request.url ?? '/', 'http://server');
    const path = url.pathname;
    const name = path === '/dashboard' || path === '/dashboard/' ? 'index.html' : /^\/dashboard\/(.+)$/.exec(path)?.[1];
    if (path !== '/' && path !== '/api/cluster' && name === undefined) return false;
    const reply = new Reply(request, response);
    if (request.method !== 'GET' && request.method !== 'HEAD')
      reply.send(405, 'text/plain; charset=utf-8', 'this is read by GET\n', { Allow: 'GET, HEAD' });
    else if (path === '/') reply.send(302, 'text/plain; charset=utf-8', 'the dashboard is at /dashboard\n', { Location: '/dashboard' });
    else if (name === undefined) void this.#answerCluster(reply, Number(url.searchParams.get('since') ?? 0) || 0);
    else this.#answerFile(reply, name, request.headers['if-none-match']);
    return true;
  }

  /** What is kept, later than that. */
  historySince(sinceMs: number): readonly HistoryPoint[] {
    return this.#history.since(sinceMs);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#closing.abort();
  }

  #answerFile(reply: Reply, name: string, known: string | undefined): void {
    this.#assets ??= readAssets();
    const asset = this.#assets.get(name);
    if (asset === undefined) return reply.send(404, 'text/plain; charset=utf-8', 'there is no such part of the dashboard\n');
    const headers = { ETag: asset.etag, 'Cache-Control': 'no-cache', 'Content-Security-Policy': POLICY };
    if (known === asset.etag) return reply.send(304, asset.type, '', headers);
    reply.send(200, asset.type, asset.body, headers);
  }

  async #answerCluster(reply: Reply, sinceMs: number): Promise<void> {
    const headers = { 'Cache-Control': 'no-store' };
    try {
      const { json } = await this.#survey();
      const history = { everyMs: HISTORY_EVERY_MS, points: this.#history.since(sinceMs) };
      await reply.sendCompressed(200, 'application/json', `${json},"history":${JSON.stringify(history)}}`, headers);
    } catch (error) {
      const { code, message } = error instanceof SparrowError ? error : { code: 'INTERNAL', message: String(error) };
      const problem: ProblemView = { error: { code, message, answeredBy: this.#source.node } };
      reply.send(503, 'application/json', JSON.stringify(problem), headers);
    }
  }

  async #survey(): Promise<Answer> {
    if (this.#last !== undefined && performance.now() - this.#last.atMs < FRESH_MS) return this.#last;
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #ask(): Promise<Answer> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(SURVEY_MS_MAX)]);
    const { view, past } = await this.#source.survey(signal, this.#source.leads() ? undefined : this.#history.lastMs);
    for (const point of past) this.#history.add(point);
    // Before that, who leads the metaserver has not heard of all yet.
    if (view.nowMs - view.leadsSinceMs >= SETTLE_MS) this.#history.add(pointOf(view));
    this.#last = { atMs: performance.now(), json: JSON.stringify(view).slice(0, -1) };
    return this.#last;
  }

  #sample(): void {
    // What goes wrong here is said to who looks.
    if (this.#source.leads()) void this.#survey().catch(() => undefined);
  }
}

const compressed = promisify(gzip);

class Reply {
  readonly #response: ServerResponse;
  readonly #bodyless: boolean;
  readonly #takesGzip: boolean;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#response = response;
    this.#bodyless = request.method === 'HEAD';
    this.#takesGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  }

  send(status: number, type: string, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): void {
    this.#response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), ...HEADERS, ...headers });
    this.#response.end(this.#bodyless || status === 304 ? undefined : body);
  }

  async sendCompressed(status: number, type: string, body: string, headers: Readonly<Record<string, string>>): Promise<void> {
    if (!this.#takesGzip || body.length < GZIP_BYTES_MIN) return this.send(status, type, body, { ...headers, Vary: 'Accept-Encoding' });
    this.send(status, type, await compressed(body, { level: 3 }), { ...headers, 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' });
  }
}
