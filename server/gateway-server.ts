/**
 * What clients meet of a node: the gRPC services with health checks and reflection, GET /metrics and the dashboard.
 *
 * Stopping: the lead goes to another node, so that nobody waits for an election. Then no new calls; sessions and plain calls get their answers, but no longer
 * than `ANSWERS_MS` from the beginning; then the node's parts are closed, at once where they do not come to an end within `PARTS_MS`. `abort` stops at once, as
 * a crash would.
 *
 * Made by server.ts.
 */
import { performance } from 'node:perf_hooks';
import { Server, type ServerCredentials } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import type { Logger } from 'pino';
import { NodeClock, NodeScheduler } from '../base/node/index.ts';
import { SparrowError } from '../base/errors.ts';
import { AdminService, fileDescriptors, Kv, MetaService, type SurveyRequest, type SurveyResponse } from '../proto/index.ts';
import { parseListen } from './address.ts';
import type { ClusterPart } from './cluster-part.ts';
import { Dashboard } from './dashboard/index.ts';
import {
  adminService,
  CallCounter,
  type ClusterIdentity,
  Connections,
  Intake,
  KvCalls,
  KvFront,
  kvService,
  type KvService,
  MetaCalls,
  metaService,
  NO_CLUSTER,
  type OwnNode,
  READ_PATHS,
  ReceiveWindows,
  STREAM_PATHS,
  WRITE_PATHS,
} from './gateway/index.ts';
import {
  engineFamilies,
  type Family,
  family,
  gatewayFamilies,
  quotaFamily,
  metaFamilies,
  labelled,
  mergedFamilies,
  MetricsServer,
  peerFamilies,
  ProcessFigures,
  replicaFamilies,
} from './metrics/index.ts';
import { formatClusterId, handOver } from './node/index.ts';
import type { NodeParts } from './node-parts.ts';
import { SdkTables } from './proxy/index.ts';
import type { ServerSettings } from './settings.ts';
import { askForSurvey, SurveySource } from './survey-source.ts';
import { callerCredentials, callerPem, clientCredentials } from './tls.ts';
import { SERVER_VERSION } from './version.ts';

/** From the order to stop: so long another node may take to lead, calls under way to be answered, and the parts to finish; all in less than five seconds. */
const HAND_OVER_MS = 1000;
const ANSWERS_MS = 3000;
const PARTS_MS = 4000;
/** Around the keys and values of one write: field headers, request id, a session's frame. */
const MESSAGE_OVERHEAD_BYTES: number = 1024 * 1024;
/** Names for the health service: the whole server, and each service. */
const HEALTH_NAMES = ['', 'sparrowkv.v1.Kv', 'sparrowkv.v1.Admin', 'sparrowkv.v1.Meta'] as const;

export class GatewayServer {
  readonly #settings: ServerSettings;
  readonly #node: NodeParts;
  readonly #cluster: ClusterPart;
  readonly #logger: Logger;
  readonly #server: Server;
  readonly #credentials: ServerCredentials;
  /** Serves clients that know no shards. */
  readonly #tables: SdkTables;
  readonly #kv: KvService;
  readonly #health: HealthImplementation;
  readonly #intake: Intake;
  readonly #connections: Connections = new Connections();
  readonly #windows: ReceiveWindows = new ReceiveWindows({ streams: STREAM_PATHS, writes: WRITE_PATHS });
  readonly #counter: CallCounter = new CallCounter();
  #address = '';
  readonly #meta: MetaCalls;
  #metrics: MetricsServer | undefined;
  #dashboard: Dashboard | undefined;
  readonly #process: ProcessFigures | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: ServerSettings, node: NodeParts, cluster: ClusterPart, logger: Logger) {
    this.#settings = settings;
    this.#node = node;
    this.#cluster = cluster;
    this.#logger = logger;
    this.#credentials = clientCredentials(settings.tls);
    const messageBytesMax = settings.maxWriteBytes + MESSAGE_OVERHEAD_BYTES;
    const { receivingMax, receivesWaitingMax, receiveMsMax } = settings;
    const calls = new KvCalls(node.replicas, settings, clusterOf(node));
    calls.quotas = cluster.quotas;
    this.#tables = new SdkTables(
      () => [...new Set([this.own.address, ...calls.cluster.members.map(({ address }) => address)])],
      callerPem(settings),
      settings,
    );
    const paths = { writes: WRITE_PATHS, reads: READ_PATHS, streams: STREAM_PATHS };
    const answerBytesMax = settings.sessionAnswerBytesMax;
    this.#intake = new Intake(node.replicas.writes, {
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
      // Finds clients that vanished without a word.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    const front = new KvFront(calls, this.#tables);
    this.#kv = kvService(front, (call, state) => front.scan(call, state), this.#counter, SERVER_VERSION, messageBytesMax);
    this.#server.addService(Kv as never, this.#kv.handlers as never);
    this.#server.addService(
      AdminService,
      adminService(calls, this.#counter, this.#connections, SERVER_VERSION, () => this.own),
    );
    this.#meta = new MetaCalls({
      metaserver: () => cluster.metaserver,
      leader: () => cluster.leader,
      clusterId: formatClusterId(node.identity.clusterId),
    });
    this.#server.addService(MetaService, metaService(this.#meta, this.#counter));
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

  /** Where this node says that it is: for clients, and for other nodes. */
  get own(): OwnNode {
    const { transport, identity } = this.#node;
    const listed = this.#settings.cluster?.[identity.nodeId];
    return { address: listed?.address ?? this.#address, peerAddress: listed?.peerAddress ?? transport?.address ?? '', links: transport };
  }

  /** From now on calls are answered, or told where to go. Throws `unavailable/LISTEN`. */
  async listen(): Promise<void> {
    try {
      await this.#listen();
      const { metricsAddress } = this.#settings;
      if (metricsAddress === undefined) return;
      this.#dashboard = new Dashboard(this.#surveySource());
      this.#metrics = await MetricsServer.listen(
        parseListen(metricsAddress),
        () => this.#families(),
        (request, response) => this.#dashboard!.answer(request, response),
      );
      this.#logger.info({ address: this.#metrics.address }, 'metrics at /metrics, the dashboard at /dashboard');
    } catch (error) {
      this.#release();
      this.#server.forceShutdown();
      throw error;
    }
  }

  /** Calls are not answered any more, though nobody asked it to stop. */
  failed(): void {
    this.#setHealth('NOT_SERVING');
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  abort(): void {
    this.#release();
    this.#cluster.close();
    this.#server.forceShutdown();
    this.#node.abort();
    // Within this process the directory is free again when `close` settles; a process that ends need not wait for it.
    this.#closing ??= this.#node.close();
  }

  async #listen(): Promise<void> {
    const { listen } = this.#settings;
    const { host } = parseListen(listen);
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(listen, this.#credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(new SparrowError('unavailable', 'LISTEN', `cannot listen on ${listen}: ${error.message}`, { listen }, error));
      });
    });
    this.#connections.watch(port);
    this.#windows.watch(port);
    this.#address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    this.#logger.info({ address: this.#address }, 'listening');
  }

  async #close(): Promise<void> {
    const beganMs = performance.now();
    const leftMs = (ms: number): number => Math.max(0, beganMs + ms - performance.now());
    this.#logger.info({ callsInFlight: this.#counter.callsInFlight }, 'stopping');
    this.#setHealth('NOT_SERVING');
    await this.#handOver();
    this.#cluster.close();
    this.#kv.drain(new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false }));
    await within(new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve())), leftMs(ANSWERS_MS));
    this.#server.forceShutdown();
    this.#release();
    const closed = this.#node.close();
    if (!(await within(closed, leftMs(PARTS_MS)))) {
      this.#logger.warn('writes under way cannot be finished; they are given up');
      this.#node.abort();
    }
    await closed;
    this.#logger.info('stopped');
  }

  async #handOver(): Promise<void> {
    const { replicas, transport } = this.#node;
    if (transport === undefined) return;
    const parts = { clock: new NodeClock(), scheduler: new NodeScheduler(), reachable: (node: number) => transport.reachable(node) };
    const leads = [...replicas].filter((replica) => replica.stats().role === 'leader');
    const leaders = await Promise.all(leads.map((replica) => handOver(replica, parts, HAND_OVER_MS)));
    const handedOver = leaders.filter((leader) => leader !== undefined).length;
    if (leads.length > 0) this.#logger.info({ leads: leads.length, handedOver }, 'other nodes lead');
  }

  #release(): void {
    this.#tables.close();
    this.#metrics?.close();
    this.#dashboard?.close();
    this.#process?.close();
    this.#intake.close();
    this.#connections.close();
    this.#windows.close();
  }

  #surveySource(): SurveySource {
    const own = (request: SurveyRequest): Promise<SurveyResponse> =>
      this.#meta.survey(request).catch((error: unknown) => Promise.reject(this.#meta.routed(error)));
    return new SurveySource({
      node: this.#node.identity.nodeId,
      release: SERVER_VERSION,
      own,
      leads: () => this.#cluster.metaserver?.lead !== undefined,
      ask: askForSurvey(callerCredentials(this.#settings)),
    });
  }

  #families(): Family[] {
    const { replica, replicas, transport } = this.#node;
    const gateway = { calls: this.#counter, connections: this.#connections, sessions: this.#kv.sessions.size, intake: this.#intake };
    return [
      labelled('sparrowkv_build_info', 'The release.', [{ labels: { version: SERVER_VERSION, node: process.version }, value: 1 }]),
      family('sparrowkv_serving', 'Whether calls are answered.', Number(replica.stopped === undefined)),
      ...gatewayFamilies(gateway),
      quotaFamily(this.#cluster.quotas.figures),
      ...replicaFamilies([...replicas].map((each) => ({ shard: each.group, stats: each.stats() }))),
      ...(transport === undefined ? [] : peerFamilies(transport.stats())),
      ...metaFamilies(this.#cluster.figures),
      ...this.#engineFamilies(),
      ...(this.#process?.families() ?? []),
    ];
  }

  /** Of all engines together, without those whose place a snapshot takes. */
  #engineFamilies(): Family[] {
    const each = [...this.#node.replicas].map((replica) => {
      try {
        return engineFamilies(replica.engine.metrics());
      } catch (error) {
        if (error instanceof SparrowError && (error.kind === 'closed' || error.kind === 'corrupt')) return [];
        throw error;
      }
    });
    return mergedFamilies(each);
  }

  #setHealth(status: 'SERVING' | 'NOT_SERVING'): void {
    for (const name of HEALTH_NAMES) this.#health.setStatus(name, status);
  }
}

/** What clients are told. Of a node that is alone, and that no other can join, there is nothing to tell. */
function clusterOf({ identity, ties, transport }: NodeParts): ClusterIdentity {
  if (transport === undefined) return NO_CLUSTER;
  return { clusterId: formatClusterId(identity.clusterId), members: ties.addresses, placeOf: (node) => ties.placeOf(node) };
}

/** Whether it settled in time. */
async function within(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
