/**
 * The composition root: builds everything that a server consists of, and takes it apart again.
 *
 *   data/engine   the engine's files
 *   data/log      the node's log
 *
 * Stopping: no new calls; sessions and plain calls get their answers, but no longer than `STOP_MS`; then the replica finishes, the log
 * and the engine are closed. `abort` stops at once, as a crash would.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { type Logger, pino, destination } from 'pino';
import xxhash from 'xxhash-wasm';
import { NodeClock, NodeFileSystem, NodeRandom, NodeScheduler } from '../base/node/index.ts';
import { SparrowError } from '../base/errors.ts';
import { type Engine, open } from '../engine/index.ts';
import { AdminService, fileDescriptors, Kv } from '../proto/index.ts';
import { assertFree } from './free-address.ts';
import {
  adminService,
  CallCounter,
  Connections,
  Intake,
  KvCalls,
  kvService,
  type KvService,
  READ_PATHS,
  STREAM_PATHS,
  WRITE_PATHS,
} from './gateway/index.ts';
import {
  engineFamilies,
  type Family,
  family,
  gatewayFamilies,
  labelled,
  MetricsServer,
  ProcessFigures,
  replicaFamilies,
} from './metrics/index.ts';
import { NodeHost, NodeLog, Replica } from './node/index.ts';
import { engineOptions, parseListen, resolveSettings, type ServerSettings, type ServerSettingsInput } from './settings.ts';

/** How long calls under way may take when the server stops; what follows takes the rest of five seconds. */
const STOP_MS = 3000;
/** Around the keys and values of one write: field headers, request id, a session's frame. */
const MESSAGE_OVERHEAD_BYTES: number = 1024 * 1024;
const MEMBER_ID = 1;
const GROUP_ID = 1;
/** Names for the health service: the whole server, and each service. */
const HEALTH_NAMES = ['', 'sparrowkv.v1.Kv', 'sparrowkv.v1.Admin'] as const;

export interface RunningServer extends AsyncDisposable {
  /** HOST:PORT, with the port that was really taken. */
  readonly address: string;
  /** HOST:PORT of GET /metrics; undefined without the setting `metricsAddress`. */
  readonly metricsAddress: string | undefined;
  readonly settings: ServerSettings;
  /** What was found in the data directory. */
  readonly found: { readonly data: boolean; readonly replayedEntries: number };
  /** Settles with the reason if the server can serve no longer: its disk failed, or a bug. It is still to be closed then. */
  readonly failed: Promise<SparrowError>;
  /** Stops in good order, within five seconds. Idempotent. */
  close(): Promise<void>;
  /** Stops at once: answers are cut off; what was acknowledged is on the disk. After it, `close` only waits for the files to be closed. */
  abort(): void;
}

/** The release, out of package.json. */
export const SERVER_VERSION: string = readVersion();

/**
 * Starts a server. Settles when it can be called. Throws what the settings, the directory (`unavailable/LOCKED`), the files
 * (`corrupt/...`) or the address (`unavailable/LISTEN`) have against it.
 */
export async function startServer(input: ServerSettingsInput | ServerSettings): Promise<RunningServer> {
  const settings = resolveSettings(input as ServerSettingsInput);
  const logger = pino({ level: settings.logLevel, base: null }, destination({ dest: 2, sync: true }));
  logger.info({ settings, version: SERVER_VERSION }, 'starting');
  let failed: (error: SparrowError) => void = () => undefined;
  const failure = new Promise<SparrowError>((resolve) => (failed = resolve));

  for (const address of [settings.listen, settings.metricsAddress])
    if (address !== undefined) await assertFree(parseListen(address), address);
  refuseOlderLayout(settings.data);
  const engine = await open(join(settings.data, 'engine'), engineOptions(settings));
  try {
    const log = await openLog(settings, logger);
    try {
      const { host, replica } = await openReplica(settings, engine, log, (error) => {
        logger.error({ err: error }, 'the replica stopped');
        failed(error);
      });
      try {
        const server = new GatewayServer(settings, host, replica, log, engine, logger, failure);
        await server.listen();
        return server;
      } catch (error) {
        await replica.close();
        host.close();
        throw error;
      }
    } catch (error) {
      await log.close();
      throw error;
    }
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** A log of its own for the one replica, which no release had. */
function refuseOlderLayout(data: string): void {
  const file = join(data, 'raft');
  if (!existsSync(file)) return;
  const message = `${file} is a log of an older layout, which this version of SparrowKV does not read (export the data with the version that wrote it, and import it into a new directory)`;
  throw new SparrowError('invalid', 'FORMAT_OLDER', message, { file });
}

async function openLog(settings: ServerSettings, logger: Logger): Promise<NodeLog> {
  const { h64Raw } = await xxhash();
  const log = NodeLog.open({
    fileSystem: new NodeFileSystem(),
    directory: join(settings.data, 'log'),
    hash: h64Raw,
    scheduler: new NodeScheduler(),
    random: new NodeRandom(),
    segmentBytes: settings.raft.segmentBytes,
    // A sole voter has no followers that would read entries again.
    cacheBytes: 0,
  });
  for (const place of log.damage) logger.error(place, 'the log is damaged');
  log.onFull((full) => logger.warn(full ? 'the disk is full: writes wait, new ones are refused' : 'there is room on the disk again'));
  return log;
}

async function openReplica(
  settings: ServerSettings,
  engine: Engine,
  log: NodeLog,
  onStopped: (error: SparrowError) => void,
): Promise<{ host: NodeHost; replica: Replica }> {
  const { tickMs, electionTicks, heartbeatTicks, checkpointBytes } = settings.raft;
  const { writeBytesInFlightMax, writesWaitingMax } = settings;
  const limits = { writeBytesInFlightMax, writesWaitingMax, checkpointBytes };
  const scheduler = new NodeScheduler();
  const host = new NodeHost({ node: MEMBER_ID, tickMs, scheduler, transport: undefined });
  const parts = {
    engine,
    nodeLog: log,
    log: log.group(GROUP_ID),
    clock: new NodeClock(),
    scheduler,
    random: new NodeRandom(),
    host,
    onStopped,
  };
  const member = { group: GROUP_ID, id: MEMBER_ID, voters: [MEMBER_ID] };
  try {
    return {
      host,
      replica: await Replica.open(
        { ...member, electionTicks, heartbeatTicks, sleepTicks: Infinity, keptBytesMax: 0, logKeptBytesMax: 0, ...limits },
        parts,
      ),
    };
  } catch (error) {
    host.close();
    throw error;
  }
}

class GatewayServer implements RunningServer {
  readonly settings: ServerSettings;
  readonly found: RunningServer['found'];
  readonly failed: Promise<SparrowError>;
  readonly #host: NodeHost;
  readonly #replica: Replica;
  readonly #log: NodeLog;
  readonly #engine: Engine;
  readonly #logger: Logger;
  readonly #server: Server;
  readonly #kv: KvService;
  readonly #health: HealthImplementation;
  readonly #intake: Intake;
  readonly #connections: Connections = new Connections();
  readonly #counter: CallCounter = new CallCounter();
  #address = '';
  #metrics: MetricsServer | undefined;
  readonly #process: ProcessFigures | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    settings: ServerSettings,
    host: NodeHost,
    replica: Replica,
    log: NodeLog,
    engine: Engine,
    logger: Logger,
    failed: Promise<SparrowError>,
  ) {
    this.settings = settings;
    this.failed = failed;
    this.#host = host;
    this.#replica = replica;
    this.#log = log;
    this.#engine = engine;
    this.#logger = logger;
    const { replayedEntries, appliedIndex, lastIndex, term } = replica.stats();
    this.found = { data: term > 1, replayedEntries };
    logger.info({ appliedIndex, lastIndex, term, replayedEntries }, 'data opened');

    const messageBytesMax = settings.maxWriteBytes + MESSAGE_OVERHEAD_BYTES;
    const { receivingMax, receivesWaitingMax, receiveMsMax } = settings;
    const paths = { writes: WRITE_PATHS, reads: READ_PATHS, streams: STREAM_PATHS };
    const answerBytesMax = settings.sessionAnswerBytesMax;
    this.#intake = new Intake(replica, { receivingMax, receivesWaitingMax, receiveMsMax, answerBytesMax, ...paths });
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
    const calls = new KvCalls(replica, settings);
    this.#kv = kvService(calls, this.#counter, SERVER_VERSION, messageBytesMax);
    this.#server.addService(Kv as never, this.#kv.handlers as never);
    this.#server.addService(AdminService, adminService(calls, this.#counter, this.#connections, SERVER_VERSION));
    this.#health = new HealthImplementation(Object.fromEntries(HEALTH_NAMES.map((name) => [name, 'SERVING'])));
    this.#health.addToServer(this.#server as never);
    new ReflectionService({ files: { fileDescriptorProtos: fileDescriptors() } } as never).addToServer(this.#server);
    void failed.then(() => this.#setHealth('NOT_SERVING'));
    if (settings.metricsAddress !== undefined) this.#process = new ProcessFigures();
  }

  get address(): string {
    return this.#address;
  }

  get metricsAddress(): string | undefined {
    return this.#metrics?.address;
  }

  async listen(): Promise<void> {
    try {
      await this.#listen();
      const { metricsAddress } = this.settings;
      if (metricsAddress === undefined) return;
      this.#metrics = await MetricsServer.listen(parseListen(metricsAddress), () => this.#families());
      this.#logger.info({ address: this.#metrics.address }, 'metrics at /metrics');
    } catch (error) {
      this.#release();
      this.#server.forceShutdown();
      throw error;
    }
  }

  async #listen(): Promise<void> {
    const { host } = parseListen(this.settings.listen);
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(this.settings.listen, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else
          reject(
            new SparrowError(
              'unavailable',
              'LISTEN',
              `cannot listen on ${this.settings.listen}: ${error.message}`,
              { listen: this.settings.listen },
              error,
            ),
          );
      });
    });
    this.#connections.watch(port);
    this.#address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    this.#logger.info({ address: this.#address }, 'listening');
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  abort(): void {
    this.#release();
    this.#server.forceShutdown();
    this.#replica.abort();
    this.#host.close();
    this.#log.abort();
    // Within this process the directory is free again when `close` settles; a process that ends need not wait for it.
    this.#closing ??= this.#engine.close();
  }

  async #close(): Promise<void> {
    this.#logger.info({ callsInFlight: this.#counter.callsInFlight }, 'stopping');
    this.#setHealth('NOT_SERVING');
    this.#kv.drain(new SparrowError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down', { applied: false }));
    const drained = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, STOP_MS)));
    await Promise.race([drained, late]);
    clearTimeout(timer);
    this.#server.forceShutdown();
    this.#release();
    await this.#replica.close();
    this.#host.close();
    await this.#log.close();
    await this.#engine.close();
    this.#logger.info('stopped');
  }

  #release(): void {
    this.#metrics?.close();
    this.#process?.close();
    this.#intake.close();
    this.#connections.close();
  }

  #families(): Family[] {
    const gateway = { calls: this.#counter, connections: this.#connections, sessions: this.#kv.sessions.size, intake: this.#intake };
    return [
      labelled('sparrowkv_build_info', 'The release.', [{ labels: { version: SERVER_VERSION, node: process.version }, value: 1 }]),
      family('sparrowkv_serving', 'Whether calls are answered.', Number(this.#replica.stopped === undefined)),
      ...gatewayFamilies(gateway),
      ...replicaFamilies(this.#replica.stats()),
      ...engineFamilies(this.#engine.metrics()),
      ...(this.#process?.families() ?? []),
    ];
  }

  #setHealth(status: 'SERVING' | 'NOT_SERVING'): void {
    for (const name of HEALTH_NAMES) this.#health.setStatus(name, status);
  }
}

/** package.json is one folder up from the sources, two from what is built. */
function readVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as { name: string; version: string };
      if (name === 'sparrowkv') return version;
    } catch {
      // Not there: the next one.
    }
  }
  return 'unknown';
}
