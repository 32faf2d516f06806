/** Several real servers in this process that are the nodes of one cluster, on loopback. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { type Client, connect, type ConnectOptions } from '../../client/index.ts';
import { AdminClient, Role, type StatusResponse } from '../../proto/index.ts';
import { type NodeAddresses, type RunningServer, type ServerSettingsInput, startServer } from '../../server/index.ts';
import { call } from '../e2e/server-harness.ts';
import { unusedPorts } from '../unused-ports.ts';

/** Of a test that waits for what must come: against hanging. */
const WAIT_MS_MAX = 60_000;

export class TestCluster implements AsyncDisposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'sparrowkv-cluster-'));
  readonly nodes: Readonly<Record<string, NodeAddresses>>;
  readonly #settings: Partial<ServerSettingsInput>;
  readonly #running: Map<number, RunningServer> = new Map();

  /** `count` nodes with ids from 1, all of them started. */
  static async start(count: number, settings: Partial<ServerSettingsInput> = {}): Promise<TestCluster> {
    const ports = await unusedPorts(2 * count);
    const address = (at: number): string => `127.0.0.1:${ports[at]}`;
    const nodes = Array.from({ length: count }, (_, i) => [i + 1, { address: address(2 * i), peerAddress: address(2 * i + 1) }] as const);
    const cluster = new TestCluster(Object.fromEntries(nodes), settings);
    for (const id of cluster.ids) await cluster.start(id);
    return cluster;
  }

  private constructor(nodes: Readonly<Record<string, NodeAddresses>>, settings: Partial<ServerSettingsInput>) {
    this.nodes = nodes;
    this.#settings = settings;
  }

  get ids(): number[] {
    return Object.keys(this.nodes).map(Number);
  }

  data(id: number): string {
    return join(this.directory, `node${id}`);
  }

  /** Starts a node, or starts it again. */
  async start(id: number, settings: Partial<ServerSettingsInput> = {}): Promise<RunningServer> {
    const engine = { memoryBytes: 192 << 20, pageCacheBytes: 8 << 20, memtableBytes: 4 << 20 };
    const raft = { tickMs: 50, ...this.#settings.raft };
    const given = {
      ...this.#settings,
      engine,
      raft,
      data: this.data(id),
      nodeId: id,
      cluster: this.nodes,
      logLevel: 'silent',
      ...settings,
    } as const;
    const server = await startServer(given);
    this.#running.set(id, server);
    return server;
  }

  server(id: number): RunningServer {
    const server = this.#running.get(id);
    if (server === undefined) throw new Error(`node ${id} does not run`);
    return server;
  }

  /** In good order. */
  async stop(id: number): Promise<void> {
    const server = this.server(id);
    await server.close();
    this.#running.delete(id);
  }

  /** As a crash would. */
  async kill(id: number): Promise<void> {
    this.server(id).abort();
    await this.stop(id);
  }

  async status(id: number): Promise<StatusResponse> {
    const admin = new AdminClient(this.nodes[id]!.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    try {
      return await call((done) => admin.status({}, done));
    } finally {
      admin.close();
    }
  }

  /** The node that leads, once all that run say so. */
  async leader(): Promise<number> {
    let leader = 0;
    await until(async () => {
      const replicas = await Promise.all([...this.#running.keys()].map(async (id) => (await this.status(id)).replica!));
      leader = replicas.find(({ role }) => role === Role.LEADER)?.id ?? 0;
      return leader !== 0 && replicas.every(({ leaderId }) => leaderId === leader);
    });
    return leader;
  }

  /** Once all that run have applied what any of them had at the call. */
  async settled(): Promise<void> {
    const indexes = async (of: 'lastIndex' | 'appliedIndex'): Promise<number[]> =>
      Promise.all([...this.#running.keys()].map(async (id) => (await this.status(id)).replica![of]));
    const last = Math.max(...(await indexes('lastIndex')));
    await until(async () => Math.min(...(await indexes('appliedIndex'))) >= last);
  }

  /** Knows all nodes, whether they run or not. */
  client(options: ConnectOptions = {}): Client {
    return connect(
      Object.values(this.nodes).map(({ address }) => address),
      options,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((server) => server.close()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const begin = performance.now(); !(await condition());) {
    if (performance.now() - begin > WAIT_MS_MAX) throw new Error(`it did not become so: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
