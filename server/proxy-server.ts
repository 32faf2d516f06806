/**
 * A server without data: `role: proxy`. It serves Kv to clients that know no shards, out of the nodes of the cluster that `join` names, and is found by health
 * checks and Prometheus as any other server.
 *
 * Stopping: no new calls; those under way get their answers, but no longer than ANSWERS_MS.
 *
 * Made by server.ts.
 */
import { performance } from 'node:perf_hooks';
import type { Logger } from 'pino';
import { AdminService, MetaService, type StatusResponse } from '../proto/index.ts';
import { ClientListener, within } from './client-listener.ts';
import { streamChunks } from './gateway/index.ts';
import { ClusterProxy, ProxyCalls, SdkTables } from './proxy/index.ts';
import type { ServerSettings } from './settings.ts';
import { askForSurvey, SurveySource, type SurveySourceParts } from './survey-source.ts';
import { callerCredentials, callerPem } from './tls.ts';
import { SERVER_VERSION } from './version.ts';

const ANSWERS_MS = 3000;
/** Nothing is written here. */
const ROOM = { congested: false, onRelieved: () => () => undefined };

export class ProxyServer {
  readonly #settings: ServerSettings;
  readonly #join: string;
  readonly #logger: Logger;
  readonly #tables: SdkTables;
  readonly #cluster: ClusterProxy;
  readonly #listener: ClientListener;
  readonly #startedMs: number = performance.now();
  #closing: Promise<void> | undefined;

  constructor(settings: ServerSettings, join: string, logger: Logger) {
    this.#settings = settings;
    this.#join = join;
    this.#logger = logger;
    const pem = callerPem(settings);
    this.#tables = new SdkTables(() => [join], pem, settings);
    this.#listener = new ClientListener({ settings, room: ROOM, passedOn: this.#tables.room, logger });
    const calls = new ProxyCalls(settings, this.#tables);
    this.#listener.serveKv(calls, async (call, state) => streamChunks(calls.scan(call.request, state), call, settings));
    this.#cluster = new ClusterProxy(join, pem, this.#listener.counter);
    this.#listener.serve(MetaService, this.#cluster.meta);
    this.#listener.serve(AdminService, {
      ...this.#cluster.admin,
      status: (_: unknown, done: (error: null, answer: StatusResponse) => void) => done(null, this.#status()),
    });
  }

  get address(): string {
    return this.#listener.address;
  }

  get metricsAddress(): string | undefined {
    return this.#listener.metricsAddress;
  }

  /** Throws `unavailable/LISTEN`. */
  async listen(): Promise<void> {
    try {
      await this.#listener.listen(
        () => this.#surveySource(),
        () => this.#listener.families(true),
      );
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  abort(): void {
    this.#listener.close();
    this.#tables.close();
    this.#cluster.close();
    this.#closing ??= Promise.resolve();
  }

  async #close(): Promise<void> {
    this.#listener.notServing();
    this.#listener.drain();
    await within(this.#listener.answered(), ANSWERS_MS);
    this.abort();
    this.#logger.info('stopped');
  }

  #surveySource(): SurveySource {
    const ask = askForSurvey(callerCredentials(this.#settings));
    const own: SurveySourceParts['own'] = (request, signal) => ask(this.#join, request, signal);
    return new SurveySource({ node: 0, release: SERVER_VERSION, own, leads: () => false, ask });
  }

  #status(): StatusResponse {
    return {
      version: SERVER_VERSION,
      uptimeMs: Math.round(performance.now() - this.#startedMs),
      processId: process.pid,
      dataDirectory: '',
      connections: this.#listener.connections.count,
      callsInFlight: this.#listener.counter.callsInFlight,
      residentBytes: process.memoryUsage.rss(),
      replica: undefined,
      engine: undefined,
      clusterId: '',
      members: [],
      shards: undefined,
    };
  }
}
