/**
 * A cluster of real server processes: `const cluster = await TestCluster.start({ nodes: 3 })`, and `withCluster` for what must end it in any case.
 *
 * All that it has is in one directory: DIR/1/settings.json, DIR/1/log.txt, DIR/1/data and so on. It is removed after success; after a failure it is
 * kept, and named. Nodes are started again on their data at their addresses as often as a test likes.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, connect, type ConnectOptions } from '../../client/index.ts';
import type { StatusResponse } from '../../proto/index.ts';
import { ClusterNode } from './cluster-node.ts';
import { freePorts } from './free-ports.ts';
import type { RunFrom } from './node-process.ts';
import { until } from './until.ts';

export interface ClusterOptions {
  readonly nodes: number;
  /** How many of them the cluster begins with; the others join it. Default: all. */
  readonly founders?: number | undefined;
  /** Further arguments of `sparrowkv server`. */
  readonly argsOf?: ((id: number) => readonly string[]) | undefined;
  /** Default: source. */
  readonly from?: RunFrom | undefined;
  /** In the place of SMALL. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  /** Where each node is, from node 1 on. Default: all on 127.0.0.1. */
  readonly hosts?: readonly Host[] | undefined;
  /** A place of its own for a node's data; undefined: in the cluster's directory. */
  readonly dataOf?: ((id: number) => string | undefined) | undefined;
  readonly envOf?: ((id: number) => Readonly<Record<string, string>>) | undefined;
}

export interface Host {
  readonly address: string;
  /** The program that starts another one there. */
  readonly under: readonly string[];
}

const KIB = 1024;
const MIB: number = 1024 * KIB;

/** So small that logs roll and are cut, memtables are flushed, and who was away gets a snapshot, within seconds of load. */
export const SMALL: Readonly<Record<string, unknown>> = {
  logLevel: 'info',
  raft: { segmentBytes: 512 * KIB, checkpointBytes: MIB, logKeptBytesMax: MIB, keptBytesMax: 256 * KIB, logCacheBytes: 256 * KIB },
  engine: { memoryBytes: 192 * MIB, pageCacheBytes: 4 * MIB, memtableBytes: MIB },
};

const LOCALHOST = '127.0.0.1';
const LED_MS_MAX = 60_000;

export class TestCluster {
  readonly directory: string;
  readonly nodes: readonly ClusterNode[];
  /** They have the first shard, which `led`, `caughtUp` and `calm` are about. */
  readonly #founders: readonly ClusterNode[];

  static async start(options: ClusterOptions): Promise<TestCluster> {
    const ports = await freePorts(options.hosts === undefined ? 2 * options.nodes : 2);
    const cluster = new TestCluster(options, ports);
    try {
      await Promise.all(cluster.#founders.map((node) => node.start()));
      await cluster.led();
      await Promise.all(cluster.nodes.slice(cluster.#founders.length).map((node) => node.start()));
    } catch (error) {
      await cluster.end(false);
      throw error;
    }
    return cluster;
  }

  private constructor(options: ClusterOptions, ports: readonly number[]) {
    const { nodes, founders = nodes, argsOf, from = 'source', settings = SMALL, hosts, dataOf, envOf } = options;
    this.directory = mkdtempSync(join(tmpdir(), 'sparrowkv-cluster-'));
    const places = Array.from({ length: nodes }, (_, i) => {
      const host = hosts?.[i]?.address ?? LOCALHOST;
      const [port, peerPort] = hosts === undefined ? ports.slice(2 * i, 2 * i + 2) : ports;
      const directory = join(this.directory, String(i + 1));
      const data = dataOf?.(i + 1) ?? join(directory, 'data');
      return { id: i + 1, address: `${host}:${port}`, peerAddress: `${host}:${peerPort}`, directory, data };
    });
    const list = places
      .slice(0, founders)
      .map(({ id, address, peerAddress }) => `${id}=${address}/${peerAddress}`)
      .join();
    this.nodes = places.map((place, i) => {
      const { id, address, peerAddress, directory, data } = place;
      mkdirSync(directory);
      const file = join(directory, 'settings.json');
      writeFileSync(file, JSON.stringify(settings));
      const joins = ['--listen', address, '--peer-listen', peerAddress, '--join', places[0]!.address];
      const begins = i < founders ? ['--cluster', list] : joins;
      const args = ['--config', file, '--data', data, '--node-id', String(id), ...begins, ...(argsOf?.(id) ?? [])];
      return new ClusterNode(place, { from, args, under: hosts?.[i]?.under, env: envOf?.(id), logFile: join(directory, 'log.txt') });
    });
    this.#founders = this.nodes.slice(0, founders);
  }

  get addresses(): string[] {
    return this.nodes.map(({ address }) => address);
  }

  node(id: number): ClusterNode {
    return this.nodes[id - 1]!;
  }

  /** Knows all addresses. The caller closes it. */
  connect(options: ConnectOptions = {}): Client {
    return connect(this.addresses, options);
  }

  async statuses(): Promise<StatusResponse[]> {
    return (await Promise.all(this.#founders.map((node) => node.status()))).filter((status) => status !== undefined);
  }

  /** The leader that all running nodes agree on. */
  led(msMax: number = LED_MS_MAX): Promise<ClusterNode> {
    return until('the nodes do not agree on a leader', msMax, async () => {
      const running = this.#founders.filter((node) => node.running && !node.paused).length;
      const replicas = (await this.statuses()).map(({ replica }) => replica!);
      const [first] = replicas;
      if (first === undefined || replicas.length < running || first.leaderId === 0) return undefined;
      const agreed = replicas.every(({ leaderId, term }) => leaderId === first.leaderId && term === first.term);
      return agreed && replicas.some(({ id }) => id === first.leaderId) ? this.node(first.leaderId) : undefined;
    });
  }

  /** The node has applied what was committed anywhere when this was called, and knows who leads. */
  async caughtUp(node: ClusterNode, msMax: number): Promise<void> {
    const committed = Math.max(...(await this.statuses()).map(({ replica }) => replica!.committedIndex));
    await until(`node ${node.id} does not catch up`, msMax, async () => {
      const replica = (await node.status())?.replica;
      return replica !== undefined && replica.leaderId !== 0 && replica.appliedIndex >= committed;
    });
  }

  /** When nobody writes: all nodes have applied the same, the whole log, up to the index that is returned. */
  async calm(msMax: number): Promise<number> {
    let seen = '';
    const look = async (): Promise<number | undefined> => {
      const replicas = (await this.statuses()).map(({ replica }) => replica!);
      seen = replicas.map(({ id, appliedIndex, lastIndex }) => `node ${id}: applied ${appliedIndex} of ${lastIndex}`).join(', ');
      const [first] = replicas;
      if (replicas.length < this.#founders.length || first === undefined) return undefined;
      const equal = replicas.every(({ appliedIndex, lastIndex }) => appliedIndex === first.lastIndex && lastIndex === first.lastIndex);
      return equal ? first.lastIndex : undefined;
    };
    try {
      return await until('the replicas are not equally far', msMax, look);
    } catch (error) {
      throw new Error(`${(error as Error).message} (${seen})`, { cause: error });
    }
  }

  /** All at once, in good order. Throws when one ends otherwise. */
  async stop(): Promise<void> {
    const running = this.nodes.filter((node) => node.running);
    const ends = await Promise.all(running.map((node) => node.end('SIGTERM')));
    const wrong = running.flatMap((node, i) => (ends[i] === 0 ? [] : [`node ${node.id} ended with ${ends[i]}:\n${node.process.logEnd()}`]));
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
  }

  /** Ends what runs. Without success everything stays where it is. */
  async end(success: boolean): Promise<void> {
    await Promise.all(this.nodes.filter((node) => node.running).map((node) => node.end('SIGKILL')));
    for (const node of this.nodes) node.close();
    if (success) return rmSync(this.directory, { recursive: true, force: true });
    // Data in a place of its own goes with that place.
    for (const { place } of this.nodes)
      if (!place.data.startsWith(this.directory)) cpSync(place.data, join(place.directory, 'data'), { recursive: true });
    console.error(`the cluster's data and logs are in ${this.directory}`);
  }
}

/** Ends the cluster whatever happens; what is thrown keeps its files. */
export async function withCluster<T>(options: ClusterOptions, work: (cluster: TestCluster) => Promise<T>): Promise<T> {
  const cluster = await TestCluster.start(options);
  let success = false;
  try {
    const result = await work(cluster);
    success = true;
    return result;
  } finally {
    await cluster.end(success);
  }
}
