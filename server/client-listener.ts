/**
 * Where a server listens to clients, be it a node or a proxy: a gRPC port with Kv, health checks and reflection, on which requests are taken in as there is room for
 * them (gateway/intake.ts), and GET /metrics with the dashboard. What else is served, and what comes to an end before and after it, is its maker's to say.
 *
 * In this order: made, given what it serves, `listen`, `drain`, `answered`, `close`; or `close` at once, at any time.
 *
 * Made by gateway-server.ts and proxy-server.ts.
 */
import { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Logger } from 'pino';
import { SparrowError } from '../base/errors.ts';
import { fileDescriptors, Kv, type SurveyPoint } from '../proto/index.ts';
import { parseListen } from './address.ts';
import { Dashboard, messageOfPoint } from './dashboard/index.ts';
import {
  CallCounter,
  Connections,
  Intake,
  kvService,
  type KvService,
  type KvVerbs,
  READ_PATHS,
  ReceiveWindows,
  type Room,
  type Scans,
  STREAM_PATHS,
  WRITE_PATHS,
} from './gateway/index.ts';
import { type Family, family, gatewayFamilies, labelled, MetricsServer, ProcessFigures } from './metrics/index.ts';
import type { ServerSettings } from './settings.ts';
import type { SurveySource } from './survey-source.ts';
import { clientCredentials } from './tls.ts';
import { SERVER_VERSION } from './version.ts';

/** Around the keys and values of one write: field headers, request id, a session's frame. */
const MESSAGE_OVERHEAD_BYTES: number = 1024 * 1024;
/** Names for the health service: the whole server, and each service. */
const HEALTH_NAMES = ['', 'sparrowkv.v1.Kv', 'sparrowkv.v1.Admin', 'sparrowkv.v1.Meta'] as const;

export interface ClientListenerParts {
  readonly settings: ServerSettings;
  /** For writes of this server's own replicas, and for those that it passes on. */
  readonly room: Room;
  readonly passedOn: Room;
  readonly logger: Logger;
}

export class ClientListener {
  readonly counter: CallCounter = new CallCounter();
  readonly connections: Connections = new Connections();
  readonly #settings: ServerSettings;
  readonly #logger: Logger;
  readonly #server: Server;
  readonly #messageBytesMax: number;
  readonly #health: HealthImplementation;
  readonly #intake: Intake;
  readonly #windows: ReceiveWindows = new ReceiveWindows({ streams: STREAM_PATHS, writes: WRITE_PATHS });
  readonly #process: ProcessFigures | undefined;
  #kv: KvService | undefined;
  #address = '';
  #metrics: MetricsServer | undefined;
  #dashboard: Dashboard | undefined;

  constructor({ settings, room, passedOn, logger }: ClientListenerParts) {
    this.#settings = settings;
    this.#logger = logger;
    this.#messageBytesMax = settings.maxWriteBytes + MESSAGE_OVERHEAD_BYTES;
    const { receivingMax, receivesWaitingMax, receiveMsMax, sessionAnswerBytesMax: answerBytesMax } = settings;
    const paths = { writes: WRITE_PATHS, reads: READ_PATHS, streams: STREAM_PATHS };
    this.#intake = new Intake(room, { passedOn, receivingMax, receivesWaitingMax, receiveMsMax, answerBytesMax, ...paths });
    this.#server = new Server({
      interceptors: [this.#intake.interceptor],
      'grpc.max_receive_message_length': this.#messageBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': settings.connectionCallsMax,
      'grpc.enable_channelz': 0,
      // Finds clients that vanished without a word.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    this.#health = new HealthImplementation(Object.fromEntries(HEALTH_NAMES.map((name) => [name, 'SERVING'])));
    this.#health.addToServer(this.#server as never);
    new ReflectionService({ files: { fileDescriptorProtos: fileDescriptors() } } as never).addToServer(this.#server);
    if (settings.metricsAddress !== undefined) this.#process = new ProcessFigures();
  }

  /** HOST:PORT, with the port that was really taken. */
  get address(): string {
    return this.#address;
  }

  get metricsAddress(): string | undefined {
    return this.#metrics?.address;
  }

  /** `scans`: how a scan is served; all else of Kv is `calls`. */
  serveKv(calls: KvVerbs, scans: Scans): void {
    this.#kv = kvService(calls, scans, this.counter, SERVER_VERSION, this.#messageBytesMax);
    this.#server.addService(Kv as never, this.#kv.handlers as never);
  }

  /** A service beside Kv, as of gRPC. */
  readonly serve: Server['addService'] = (definition, handlers) => this.#server.addService(definition, handlers);

  /** From now on calls are answered, and figures told. `families`: those of now. Throws `unavailable/LISTEN`, `invalid/TLS_FILE`; it is to be closed then. */
  async listen(survey: () => SurveySource, families: () => Family[]): Promise<void> {
    await this.#listenToCalls();
    const { metricsAddress } = this.#settings;
    if (metricsAddress === undefined) return;
    const dashboard = new Dashboard(survey());
    this.#dashboard = dashboard;
    this.#metrics = await MetricsServer.listen(parseListen(metricsAddress), families, (request, response) =>
      dashboard.answer(request, response),
    );
    this.#logger.info({ address: this.#metrics.address }, 'metrics at /metrics, the dashboard at /dashboard');
  }

  /** What the dashboard keeps of the last hour, later than that; nothing without one. */
  historySince(sinceMs: number): SurveyPoint[] {
    return (this.#dashboard?.historySince(sinceMs) ?? []).map(messageOfPoint);
  }

  /** What every server tells. */
  families(isServing: boolean): Family[] {
    const { counter: calls, connections } = this;
    return [
      labelled('sparrowkv_build_info', 'The release.', [{ labels: { version: SERVER_VERSION, node: process.version }, value: 1 }]),
      family('sparrowkv_serving', 'Whether calls are answered.', Number(isServing)),
      ...gatewayFamilies({ calls, connections, sessions: this.#kv?.sessions.size ?? 0, intake: this.#intake }),
      ...(this.#process?.families() ?? []),
    ];
  }

  /** For health checks: calls are not answered any more. */
  notServing(): void {
    for (const name of HEALTH_NAMES) this.#health.setStatus(name, 'NOT_SERVING');
  }

  /** Takes no more calls: sessions are told so, and end when theirs are answered. */
  drain(): void {
    this.#kv?.drain(new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false }));
  }

  /** After `drain`: settles when all calls are answered; takes no more connections. */
  answered(): Promise<void> {
    return new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
  }

  /** At once: what is not answered yet is cut off. Idempotent. */
  close(): void {
    this.#server.forceShutdown();
    this.#metrics?.close();
    this.#dashboard?.close();
    this.#process?.close();
    this.#intake.close();
    this.connections.close();
    this.#windows.close();
  }

  async #listenToCalls(): Promise<void> {
    const { listen, tls, role } = this.#settings;
    const { host } = parseListen(listen);
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(listen, clientCredentials(tls), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(new SparrowError('unavailable', 'LISTEN', `cannot listen on ${listen}: ${error.message}`, { listen }, error));
      });
    });
    this.connections.watch(port);
    this.#windows.watch(port);
    this.#address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    this.#logger.info({ address: this.#address }, role === 'proxy' ? 'listening as a proxy' : 'listening');
  }
}

/** Whether it settled in time. */
export async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
