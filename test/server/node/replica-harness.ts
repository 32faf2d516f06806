/** A replica of one voter on a simulated disk, opened as the server opens it. */
import { NodeClock, NodeScheduler } from '../../../base/node/index.ts';
import type { Clock, Scheduler } from '../../../base/env.ts';
import type { SparrowError } from '../../../base/errors.ts';
import { type EngineSettingsInput, type HostedEngine, open } from '../../../engine/index.ts';
import {
  type ApplyResult,
  type CommandCondition,
  type CommandOperation,
  encodeWrite,
  engineKey,
  NO_LIMIT,
  NodeHost,
  NodeLog,
  Replica,
} from '../../../server/node/index.ts';
import type { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { hash } from './hash.ts';

export interface HarnessOptions {
  segmentBytes?: number;
  checkpointBytes?: number;
  writeBytesInFlightMax?: number;
  writesWaitingMax?: number;
  logBytesMax?: number;
  engine?: EngineSettingsInput;
  /** Virtual ones, instead of the real ones. */
  scheduler?: Scheduler;
  clock?: Clock;
}

export class ReplicaHarness {
  readonly engine: HostedEngine;
  readonly log: NodeLog;
  readonly host: NodeHost;
  readonly replica: Replica;
  readonly stopped: SparrowError[];

  static async open(fileSystem: SimFileSystem, options: HarnessOptions = {}): Promise<ReplicaHarness> {
    const scheduler = options.scheduler ?? new NodeScheduler();
    const clock = options.clock ?? new NodeClock();
    const stopped: SparrowError[] = [];
    const log = NodeLog.open({
      fileSystem,
      directory: '/log',
      hash,
      clock: new NodeClock(),
      scheduler,
      random: new SimRandom(2),
      segmentBytes: options.segmentBytes ?? 1 << 20,
      cacheBytes: 0,
    });
    const engine = await open(
      '/engine',
      { memtableBytes: 256 * 1024, memoryBytes: 128 << 20, pageCacheBytes: 1 << 20, maxBatchBytes: 32 << 20, ...options.engine },
      { fileSystem, scheduler, clock, hosted: { segmentPath: (segment) => log.segmentPath(segment), expiry: 'told' } },
    );
    const logBytesMax = options.logBytesMax ?? 1 << 30;
    const host = new NodeHost({ node: 1, tickMs: 100, scheduler, transport: undefined, nodeLog: log, logBytesMax });
    const replica = await Replica.open(
      {
        group: 1,
        id: 1,
        voters: [1],
        sleepTicks: Infinity,
        keptBytesMax: 0,
        logKeptBytesMax: 0,
        tickMs: 100,
        electionTicks: 10,
        heartbeatTicks: 1,
        writeBytesInFlightMax: options.writeBytesInFlightMax ?? 1 << 20,
        writesWaitingMax: options.writesWaitingMax ?? 1000,
        checkpointBytes: options.checkpointBytes ?? 1 << 20,
      },
      {
        engine,
        nodeLog: log,
        log: log.group(1),
        clock,
        scheduler,
        random: new SimRandom(1),
        host,
        onStopped: (error) => stopped.push(error),
      },
    );
    return new ReplicaHarness(engine, log, host, replica, stopped);
  }

  private constructor(engine: HostedEngine, log: NodeLog, host: NodeHost, replica: Replica, stopped: SparrowError[]) {
    this.engine = engine;
    this.log = log;
    this.host = host;
    this.replica = replica;
    this.stopped = stopped;
  }

  put(key: string, value: string, sequence?: number, client = 'client', seen = 0): Promise<ApplyResult> {
    return this.write([{ type: 'put', key: Buffer.from(key), value: Buffer.from(value) }], [], sequence, client, seen);
  }

  write(
    operations: CommandOperation[],
    conditions: CommandCondition[] = [],
    sequence?: number,
    client = 'client',
    seen = 0,
  ): Promise<ApplyResult> {
    const id = sequence === undefined ? undefined : { client: Buffer.from(client), sequence, seen };
    return this.replica.propose(encodeWrite(id, conditions, operations), NO_LIMIT);
  }

  get(key: string): { value: string; version: number } | undefined {
    const entry = this.engine.getEntrySync(engineKey(Buffer.from(key)));
    return entry && { value: Buffer.from(entry.value).toString(), version: entry.version };
  }

  async close(): Promise<void> {
    await this.replica.close();
    this.host.close();
    await this.log.close();
    await this.engine.close();
  }
}
