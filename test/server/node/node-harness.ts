/** A node with any number of groups on a simulated disk, alone: what node-parts.ts builds, without transport and identity. */
import type { SparrowError } from '../../../base/errors.ts';
import { NodeClock, NodeScheduler } from '../../../base/node/index.ts';
import type { Clock, FileSystem, Scheduler } from '../../../base/env.ts';
import { createResources, type EngineSettingsInput, open, type Resources } from '../../../engine/index.ts';
import { encodeWrite, engineKey, NO_LIMIT, NodeHost, NodeLog, NodeReplicas, type Replica } from '../../../server/node/index.ts';
import type { NodeTransport } from '../../../server/node/index.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { createHash, hash } from '../transport/hash.ts';

export interface NodeOptions {
  readonly node?: number;
  readonly tickMs?: number;
  readonly scheduler?: Scheduler;
  readonly clock?: Clock;
  readonly voters?: readonly number[];
  readonly segmentBytes?: number;
  readonly transport?: NodeTransport;
  readonly resources?: Resources;
  readonly engine?: EngineSettingsInput;
  readonly checkpointBytes?: number;
  readonly logBytesMax?: number;
  /** For members that lag. */
  readonly logKeptBytesMax?: number;
}

const RESOURCES = {
  memoryBytes: 128 << 20,
  pageCacheBytes: 1 << 20,
  indexBytes: 1 << 20,
  valueCacheBytes: 0,
  memtableBytesTotal: 32 << 20,
};

export class NodeHarness {
  readonly log: NodeLog;
  readonly host: NodeHost;
  readonly replicas: NodeReplicas;
  readonly resources: Resources;
  readonly stopped: { readonly group: number; readonly error: SparrowError }[];

  static async open(fileSystem: FileSystem, options: NodeOptions = {}): Promise<NodeHarness> {
    const { scheduler = new NodeScheduler(), clock = new NodeClock(), voters = [1], segmentBytes = 1 << 20, transport } = options;
    const { node = 1, tickMs = 100 } = options;
    const parts = { fileSystem, hash, clock, scheduler, random: new SimRandom(node + 1) };
    const log = NodeLog.open({ ...parts, directory: '/node/log', segmentBytes, cacheBytes: 0 });
    const host = new NodeHost({ node, tickMs, scheduler, transport, nodeLog: log, logBytesMax: options.logBytesMax ?? 1 << 30 });
    const resources = options.resources ?? createResources(RESOURCES);
    const hosted = { segmentPath: (segment: number) => log.segmentPath(segment), expiry: 'told' as const };
    const settings = { memtableBytes: 64 << 10, maxValueBytes: 1 << 20, maxBatchBytes: 8 << 20, ...options.engine };
    const stopped: { group: number; error: SparrowError }[] = [];
    try {
      const replicas = await NodeReplicas.open({
        ...parts,
        createHash,
        directory: '/node/groups',
        nodeLog: log,
        host,
        openEngine: (path, inlineThreshold) =>
          open(path, inlineThreshold === 0 ? settings : { ...settings, inlineThreshold }, {
            fileSystem,
            scheduler,
            clock,
            hosted,
            resources,
          }),
        settingsOf: () => ({
          id: node,
          sleepTicks: Infinity,
          keptBytesMax: 0,
          logKeptBytesMax: options.logKeptBytesMax ?? 0,
          tickMs,
          electionTicks: 10,
          heartbeatTicks: 1,
          writeBytesInFlightMax: 1 << 20,
          writesWaitingMax: 1000,
          checkpointBytes: options.checkpointBytes ?? 1 << 20,
        }),
        voters,
        nodes: new Map(),
        onPeers: () => undefined,
        cannotBegin: undefined,
        onStopped: (group, error) => stopped.push({ group, error }),
        onFailed: (group, error) => stopped.push({ group, error }),
      });
      return new NodeHarness(log, host, replicas, resources, stopped);
    } catch (error) {
      host.close();
      log.abort();
      throw error;
    }
  }

  private constructor(
    log: NodeLog,
    host: NodeHost,
    replicas: NodeReplicas,
    resources: Resources,
    stopped: { readonly group: number; readonly error: SparrowError }[],
  ) {
    this.log = log;
    this.host = host;
    this.replicas = replicas;
    this.resources = resources;
    this.stopped = stopped;
  }

  async put(group: number, key: string, value: string, epoch = 0): Promise<void> {
    const operations = [{ type: 'put' as const, key: Buffer.from(key), value: Buffer.from(value) }];
    const { outcome } = await this.#replica(group).propose(encodeWrite(undefined, [], operations, epoch), NO_LIMIT);
    if (outcome !== 'applied') throw new Error(`a put came to ${outcome}`);
  }

  get(group: number, key: string): string | undefined {
    const value = this.#replica(group).engine.getSync(engineKey(Buffer.from(key)));
    return value && Buffer.from(value).toString();
  }

  get groups(): number[] {
    return [...this.replicas].map(({ group }) => group);
  }

  async close(): Promise<void> {
    await this.replicas.close();
    this.host.close();
    await this.log.close();
    await this.replicas.release();
    await this.resources.close();
  }

  /** What stays open is of a process that has died. */
  abandon(): void {
    this.replicas.abort();
    this.host.close();
    this.log.abort();
  }

  #replica(group: number): Replica {
    const replica = this.replicas.get(group);
    if (replica === undefined) throw new Error(`there is no group ${group}`);
    return replica;
  }
}
