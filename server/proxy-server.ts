/**
 * A server without data: `role: proxy`. It serves Kv to clients that know no shards, out of the nodes of the cluster that `join` names, and is found by health
 * checks and Prometheus as any other server.
 *
 * Stopping: no new calls; those under way get their answers, but no longer than ANSWERS_MS.
 *
 * Made by server.ts.
 */
import { performance } from 'node:perf_hooks';
import { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Logger } from 'pino';
import { SparrowError } from '../base/errors.ts';
import { AdminService, fileDescriptors, Kv, MetaService, type StatusResponse } from '../proto/index.ts';
import { parseListen } from './address.ts';
import { Dashboard } from './dashboard/index.ts';
import {
  CallCounter,
  Connections,
  Intake,
  kvService,
  type KvService,
  READ_PATHS,
  STREAM_PATHS,
  type Scans,
  streamChunks,
  WRITE_PATHS,
} from './gateway/index.ts';
import { type Family, family, gatewayFamilies, labelled, MetricsServer, ProcessFigures } from './metrics/index.ts';
import { ClusterProxy, ProxyCalls, SdkTables } from './proxy/index.ts';
import type { ServerSettings } from './settings.ts';
import { askForSurvey, SurveySource, type SurveySourceParts } from './survey-source.ts';
import { callerCredentials, callerPem, clientCredentials } from './tls.ts';
import { SERVER_VERSION } from './version.ts';

const ANSWERS_MS = 3000;
/** As of gateway-server.ts. */
const MESSAGE_OVERHEAD_BYTES: number = 1024 * 1024;
const HEALTH_NAMES = ['', 'sparrowkv.v1.Kv', 'sparrowkv.v1.Meta'] as const;
/** Nothing is written here. */
const ROOM = { congested: false, onRelieved: () => () => undefined };

export class ProxyServer {
  readonly #settings: ServerSettings;
  readonly #logger: Logger;
  readonly #server: Server;
  readonly #tables: SdkTables;
  readonly #cluster: ClusterProxy;
  readonly #kv: KvService;
  readonly #health: HealthImplementation;
  readonly #intake: Intake;
  readonly #connections: Connections = new Connections();
  readonly #counter: CallCounter = new CallCounter();
  readonly #startedMs: number = performance.now();
  #address = '';
  readonly #join: string;
  #metrics: MetricsServer | undefined;
  #dashboard: Dashboard | undefined;
  readonly #process: ProcessFigures | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: ServerSettings, join: string, logger: Logger) {
    this.#settings = settings;
    this.#join = join;
    this.#logger = logger;
    const messageBytesMax = settings.maxWriteBytes + MESSAGE_OVERHEAD_BYTES;
    const { receivingMax, receivesWaitingMax, receiveMsMax, sessionAnswerBytesMax: answerBytesMax } = settings;
    this.#tables = new SdkTables(() => [join], callerPem(settings), settings);
    const paths = { writes: WRITE_PATHS, reads: READ_PATHS, streams: STREAM_PATHS };
    this.#intake = new Intake(ROOM, {
      passedOn: this.#tables.room,
      receivingMax,
      receivesWaitingMax,
      receiveMsMax,
      answerBytesMax,
      ...paths,
    });
    this.#server = new Server({
      interceptors: [this.#intake.interceptor],
      'grpc.max_receive_message_length': messageBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': settings.connectionCallsMax,
      'grpc.enable_channelz': 0,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    const calls = new ProxyCalls(settings, this.#tables);
    const scans: Scans = async (call, state) => streamChunks(calls.scan(call.request, state), call, settings);
    this.#kv = kvService(calls, scans, this.#counter, SERVER_VERSION, messageBytesMax);
    this.#server.addService(Kv as never, this.#kv.handlers as never);
    this.#cluster = new ClusterProxy(join, callerPem(settings), this.#counter);
    this.#server.addService(MetaService, this.#cluster.meta);
    this.#server.addService(AdminService, {
      ...this.#cluster.admin,
      status: (_: unknown, done: (error: null, answer: StatusResponse) => void) => done(null, this.#status()),
    });
    this.#health = new HealthImplementation(Object.fromEntries(HEALTH_NAMES.map((name) => [name, 'SERVING'])));
    this.#health.addToServer(this.#server as never);
    new ReflectionService({ files: { fileDescriptorProtos: fileDescriptors() } } as never).addToServer(this.#server);
    if (settings.metricsAddress !== undefined) this.#process = new ProcessFigures();
  }

  get address(): string {
    return this.#address;
  }

  get metricsAddress(): string | undefined {
    return this.#metrics?.address;
  }

  /** Throws `unavailable/LISTEN`. */
  async listen(): Promise<void> {
    const { listen, metricsAddress } = this.#settings;
    try {
      const { host } = parseListen(listen);
      const port = await new Promise<number>((resolve, reject) => {
        this.#server.bindAsync(listen, clientCredentials(this.#settings.tls), (error, bound) => {
          if (error === null) resolve(bound);
          else reject(new SparrowError('unavailable', 'LISTEN', `cannot listen on ${listen}: ${error.message}`, { listen }, error));
        });
      });
      this.#connections.watch(port);
      this.#address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      this.#logger.info({ address: this.#address }, 'listening as a proxy');
      if (metricsAddress !== undefined) await this.#listenForMetrics(metricsAddress);
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  async #listenForMetrics(metricsAddress: string): Promise<void> {
    const ask = askForSurvey(callerCredentials(this.#settings));
    const own: SurveySourceParts['own'] = (request, signal) => ask(this.#join, request, signal);
    const dashboard = new Dashboard(new SurveySource({ node: 0, release: SERVER_VERSION, own, leads: () => false, ask }));
    this.#dashboard = dashboard;
    this.#metrics = await MetricsServer.listen(
      parseListen(metricsAddress),
      () => this.#families(),
      (request, response) => dashboard.answer(request, response),
    );
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  abort(): void {
    this.#server.forceShutdown();
    this.#release();
    this.#closing ??= Promise.resolve();
  }

  async #close(): Promise<void> {
    for (const name of HEALTH_NAMES) this.#health.setStatus(name, 'NOT_SERVING');
    this.#kv.drain(new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false }));
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve())),
      new Promise<void>((resolve) => (timer = setTimeout(resolve, ANSWERS_MS))),
    ]);
    clearTimeout(timer);
    this.#server.forceShutdown();
    this.#release();
    this.#logger.info('stopped');
  }

  #release(): void {
    this.#tables.close();
    this.#cluster.close();
    this.#metrics?.close();
    this.#dashboard?.close();
    this.#process?.close();
    this.#intake.close();
    this.#connections.close();
  }

  #status(): StatusResponse {
    return {
      version: SERVER_VERSION,
      uptimeMs: Math.round(performance.now() - this.#startedMs),
      processId: process.pid,
      dataDirectory: '',
      connections: this.#connections.count,
      callsInFlight: this.#counter.callsInFlight,
      residentBytes: process.memoryUsage.rss(),
      replica: undefined,
      engine: undefined,
      clusterId: '',
      members: [],
      shards: undefined,
    };
  }

  #families(): Family[] {
    return [
      labelled('sparrowkv_build_info', 'The release.', [{ labels: { version: SERVER_VERSION, node: process.version }, value: 1 }]),
      family('sparrowkv_serving', 'Whether calls are answered.', 1),
      ...gatewayFamilies({ calls: this.#counter, connections: this.#connections, sessions: this.#kv.sessions.size, intake: this.#intake }),
      ...(this.#process?.families() ?? []),
    ];
  }
}
