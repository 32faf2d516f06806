/** A node of one voter with any number of shards, on a simulated disk: shards are made by splits, found again when it is opened, and destroyed. */
import { NodeClock, NodeScheduler } from '../../../base/node/index.ts';
import type { Clock, Scheduler } from '../../../base/env.ts';
import type { SparrowError } from '../../../base/errors.ts';
import { type EngineSettingsInput, type HostedEngine, open } from '../../../engine/index.ts';
import { ChildMaker, isGroup, NodeHost, NodeLog, Replica, ReplicaStore } from '../../../server/node/index.ts';
import { DEFAULT_TABLE, FIRST_SHARD, type ShardDescriptor, wholeTable } from '../../../server/shard/descriptor.ts';
import type { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { createHash, hash } from '../transport/hash.ts';

export interface ShardNodeOptions {
  segmentBytes?: number;
  checkpointBytes?: number;
  logBytesMax?: number;
  engine?: EngineSettingsInput;
  /** What shard 1 begins as. */
  descriptor?: ShardDescriptor;
  scheduler?: Scheduler;
  clock?: Clock;
}

interface Shard {
  readonly store: ReplicaStore;
  readonly replica: Replica;
}

const directoryOf = (group: number): string => `/groups/${String(group).padStart(6, '0')}`;

export class ShardNode {
  readonly log: NodeLog;
  readonly host: NodeHost;
  readonly stopped: SparrowError[] = [];
  readonly #fileSystem: SimFileSystem;
  readonly #options: ShardNodeOptions;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly #maker: ChildMaker;
  readonly #shards: Map<number, Shard> = new Map();
  readonly #opening: Map<number, Promise<void>> = new Map();
  readonly #engines: Set<HostedEngine> = new Set();
  #ended = false;

  static async open(fileSystem: SimFileSystem, options: ShardNodeOptions = {}): Promise<ShardNode> {
    const node = new ShardNode(fileSystem, options);
    try {
      await node.#openAll();
    } catch (error) {
      node.abort();
      throw error;
    }
    return node;
  }

  private constructor(fileSystem: SimFileSystem, options: ShardNodeOptions) {
    this.#fileSystem = fileSystem;
    this.#options = options;
    this.#scheduler = options.scheduler ?? new NodeScheduler();
    this.#clock = options.clock ?? new NodeClock();
    const scheduler = this.#scheduler;
    this.log = NodeLog.open({
      fileSystem,
      directory: '/log',
      hash,
      clock: new NodeClock(),
      scheduler,
      random: new SimRandom(2),
      segmentBytes: options.segmentBytes ?? 1 << 20,
      cacheBytes: 0,
    });
    const logBytesMax = options.logBytesMax ?? 1 << 30;
    this.host = new NodeHost({ node: 1, tickMs: 100, scheduler, transport: undefined, nodeLog: this.log, logBytesMax });
    this.#maker = new ChildMaker({
      fileSystem,
      hash,
      directoryOf,
      openEngine: (path) => this.#openEngine(path),
      isRetired: (group) => this.log.isRetired(group),
      made: ({ shard }) => void this.#openShard(shard).catch((error: unknown) => this.stopped.push(error as SparrowError)),
    });
  }

  get(shard: number): Replica | undefined {
    return this.#shards.get(shard)?.replica;
  }

  get replicas(): Replica[] {
    return [...this.#shards.values()].map(({ replica }) => replica);
  }

  /** Settles when all shards that were made by then run. */
  async settled(): Promise<void> {
    await Promise.all(this.#opening.values());
  }

  /** As a node does it by order: what is left says that the shard was here. */
  async destroy(shard: number): Promise<void> {
    const { replica, store } = this.#shards.get(shard)!;
    this.#shards.delete(shard);
    replica.abort();
    store.close();
    await store.engine.close();
    await this.log.group(shard).retire();
    const directory = directoryOf(shard);
    this.#fileSystem.unlinkSync(`${directory}/current`);
    this.#fileSystem.syncDirectorySync(directory);
    for (const slot of ['a', 'b']) {
      const files = `${directory}/${slot}/files`;
      for (const name of this.#fileSystem.listSync(files)) this.#fileSystem.unlinkSync(`${files}/${name}`);
      this.#fileSystem.syncDirectorySync(files);
    }
  }

  async close(): Promise<void> {
    await this.settled();
    for (const { replica } of this.#shards.values()) await replica.close();
    this.host.close();
    await this.log.close();
    for (const { store } of this.#shards.values()) {
      store.close();
      await store.engine.close();
    }
  }

  abort(): void {
    this.#ended = true;
    for (const { replica } of this.#shards.values()) replica.abort();
    this.host.close();
    this.log.abort();
  }

  async #openAll(): Promise<void> {
    await this.#openShard(FIRST_SHARD);
    const found = this.#fileSystem.listSync('/groups').map(Number);
    for (const shard of found) {
      // One whose destruction a crash came into: nothing of it is wanted.
      if (this.log.isRetired(shard) || !isGroup(this.#fileSystem, directoryOf(shard))) continue;
      await this.#openShard(shard);
    }
    await this.settled();
  }

  #openShard(shard: number): Promise<void> {
    if (this.log.isRetired(shard) || this.#ended) return Promise.resolve();
    let opening = this.#opening.get(shard);
    if (opening === undefined) this.#opening.set(shard, (opening = this.#begin(shard)));
    return opening;
  }

  async #begin(shard: number): Promise<void> {
    const fileSystem = this.#fileSystem;
    const [scheduler, clock] = [this.#scheduler, this.#clock];
    const store = await ReplicaStore.open({
      fileSystem,
      directory: directoryOf(shard),
      openEngine: (path) => this.#openEngine(path),
      hash,
      createHash,
      scheduler,
    });
    const replica = await Replica.open(
      {
        group: shard,
        id: 1,
        voters: shard === FIRST_SHARD ? [1] : [],
        descriptor: shard === FIRST_SHARD ? (this.#options.descriptor ?? wholeTable(FIRST_SHARD, DEFAULT_TABLE)) : undefined,
        sleepTicks: Infinity,
        keptBytesMax: 0,
        logKeptBytesMax: 0,
        tickMs: 100,
        electionTicks: 10,
        heartbeatTicks: 1,
        writeBytesInFlightMax: 1 << 20,
        writesWaitingMax: 1000,
        checkpointBytes: this.#options.checkpointBytes ?? 1 << 20,
      },
      {
        engine: store.engine,
        store,
        nodeLog: this.log,
        log: this.log.group(shard),
        clock,
        scheduler,
        random: new SimRandom(shard),
        host: this.host,
        births: this.#maker,
        onStopped: (error) => this.stopped.push(error),
      },
    );
    if (this.#ended) return replica.abort();
    this.#shards.set(shard, { store, replica });
  }

  async #openEngine(path: string): Promise<HostedEngine> {
    const engine = await open(
      path,
      { memtableBytes: 256 * 1024, memoryBytes: 128 << 20, pageCacheBytes: 1 << 20, maxBatchBytes: 32 << 20, ...this.#options.engine },
      {
        fileSystem: this.#fileSystem,
        scheduler: this.#scheduler,
        clock: this.#clock,
        hosted: { segmentPath: (segment) => this.log.segmentPath(segment) },
      },
    );
    this.#engines.add(engine);
    return engine;
  }
}
