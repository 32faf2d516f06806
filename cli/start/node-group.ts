/**
 * Three nodes on this machine, each in a process of its own: the smallest cluster that goes on when one of them dies.
 *
 *   node    for clients    for other nodes    dashboard    zone      data
 *   1       PORT           PORT + 1           PORT + 2     zone-1    DATA/node1
 *   2       PORT + 10      PORT + 11          PORT + 12    zone-2    DATA/node2
 *   3       PORT + 20      PORT + 21          PORT + 22    zone-3    DATA/node3
 *
 * A process that ends though nobody here ended it is started again, after a pause that doubles while it does not last.
 */
import { join } from 'node:path';

import { connect, connectMeta, type Client, type MetaAdmin, type ServerStatus } from '../../client/index.ts';
import { SparrowError } from '../../base/errors.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

const COUNT = 3;
const PORTS_APART = 10;
const PORTS_OF_NODE = 3;
/** From the first port of the first node to the last one of the last. */
const PORTS_SPAN = PORTS_APART * (COUNT - 1) + PORTS_OF_NODE - 1;
const PORT_MAX = 65_535;
const RESTART_MS_FIRST = 500;
const RESTART_MS_MAX = 30_000;
/** A process that ends sooner did not last. */
const LASTING_MS = 20_000;
const POLL_MS = 50;

export interface Node {
  readonly id: number;
  readonly address: string;
  readonly metricsAddress: string;
  readonly data: string;
}

export interface NodeGroupEvents {
  /** A line that a node wrote to stderr. */
  readonly line: (node: Node, line: string) => void;
  /** A node ended by itself, and is started again after so long. */
  readonly ended: (node: Node, how: string, restartMs: number) => void;
  readonly restarted: (node: Node) => void;
}

export class NodeGroup {
  readonly nodes: readonly Node[];
  readonly #cluster: string;
  readonly #events: NodeGroupEvents;
  readonly #processes: Map<number, ServerProcess> = new Map();
  /** Processes that are being started. */
  readonly #starting: Set<Promise<void>> = new Set();
  /** The pause after which a node that ended by itself was started again last. */
  readonly #pausesMs: Map<number, number> = new Map();
  readonly #timers: Set<NodeJS.Timeout> = new Set();
  #stopping = false;

  /** Starts all of them; settles when each can be called. Throws what one of them has against it, with none left running. */
  static async start(data: string, listen: string, events: NodeGroupEvents): Promise<NodeGroup> {
    const group = new NodeGroup(data, listen, events);
    const started = await Promise.allSettled(group.nodes.map((node) => group.start(node.id)));
    const failed = started.find((result) => result.status === 'rejected');
    if (failed === undefined) return group;
    await group.stop();
    throw failed.reason;
  }

  private constructor(data: string, listen: string, events: NodeGroupEvents) {
    const places = placesFrom(listen);
    this.nodes = places.map(({ address, metricsAddress }, i) => ({ id: i + 1, address, metricsAddress, data: join(data, `node${i + 1}`) }));
    this.#cluster = places.map(({ address, peerPort }, i) => `${i + 1}=${address}/${peerPort}`).join(',');
    this.#events = events;
  }

  get addresses(): string[] {
    return this.nodes.map(({ address }) => address);
  }

  processOf(id: number): number | undefined {
    return this.#processes.get(id)?.processId;
  }

  /** Starts a node that does not run. */
  start(id: number): Promise<void> {
    const starting = this.#start(id);
    this.#starting.add(starting);
    return starting.finally(() => this.#starting.delete(starting));
  }

  /** Ends a node's process as kill -9 does. */
  async kill(id: number): Promise<void> {
    const process = this.#processes.get(id);
    this.#processes.delete(id);
    await process?.kill();
  }

  /** Stops all that run. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#processes.values()].map((process) => process.stop()));
  }

  /** The node that leads, once the nodes that run agree on it. `not`: it led before. */
  async leader(signal: AbortSignal, not: number = 0): Promise<Node> {
    let leader = 0;
    await this.#until(signal, async () => {
      const known = await this.#ask(signal, (status) => status.replica?.leaderId ?? 0);
      leader = known[0] ?? 0;
      return leader !== 0 && leader !== not && known.every((id) => id === leader);
    });
    return this.#node(leader);
  }

  /** Waits until all of them are known to the metaserver as up: shards that are made before have replicas on fewer. */
  async known(signal: AbortSignal): Promise<void> {
    await this.#until(signal, async () => {
      const { nodes } = await this.#survey(signal);
      return nodes.filter(({ state }) => state === 'up').length === this.nodes.length;
    });
  }

  /** How far each shard's log is, by shard, as the metaserver knows: of about a second ago. */
  async positions(signal: AbortSignal): Promise<ReadonlyMap<number, number>> {
    const { shards } = await this.#survey(signal);
    return new Map(shards.map(({ entry, lastIndex }) => [entry?.shard ?? 0, lastIndex]));
  }

  /** Waits until all replicas of a node have applied what their shards had at the call. Returns how far that was. */
  async caughtUp(id: number, signal: AbortSignal): Promise<ReadonlyMap<number, number>> {
    let positions: ReadonlyMap<number, number> = new Map();
    await this.#until(signal, async () => (positions = await this.positions(signal)).size > 0);
    await this.#until(signal, async () => {
      const { shards } = await this.#survey(signal);
      return shards.every(({ entry, replicas }) => {
        const own = replicas.find(({ node }) => node === id);
        return own === undefined || (own.role !== '' && own.appliedIndex >= (positions.get(entry?.shard ?? 0) ?? 0));
      });
    });
    return positions;
  }

  async #start(id: number): Promise<void> {
    const node = this.#node(id);
    const own = ['--data', node.data, '--node-id', String(id), '--zone', `zone-${id}`, '--metrics-address', node.metricsAddress];
    const options = [...own, '--cluster', this.#cluster, '--log-level', 'error'];
    const process = await startServerProcess(options, (line) => this.#events.line(node, line));
    if (this.#stopping) return process.stop();
    this.#processes.set(id, process);
    const startedMs = performance.now();
    void process.ended.then((how) => {
      if (this.#processes.get(id) !== process) return;
      this.#processes.delete(id);
      if (performance.now() - startedMs >= LASTING_MS) this.#pausesMs.delete(id);
      this.#restart(node, how);
    });
  }

  #node(id: number): Node {
    return this.nodes[id - 1]!;
  }

  #restart(node: Node, how: string): void {
    if (this.#stopping) return;
    const pauseMs = Math.min(RESTART_MS_MAX, 2 * (this.#pausesMs.get(node.id) ?? RESTART_MS_FIRST / 2));
    this.#pausesMs.set(node.id, pauseMs);
    this.#events.ended(node, how, pauseMs);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.start(node.id).then(
        () => this.#events.restarted(node),
        (error: unknown) => this.#restart(node, (error as Error).message),
      );
    }, pauseMs);
    this.#timers.add(timer);
  }

  /** What the nodes that run say; of those that do not answer, nothing. */
  async #ask<T>(signal: AbortSignal, of: (status: ServerStatus) => T): Promise<T[]> {
    const running = this.nodes.filter(({ id }) => this.#processes.has(id));
    const answers = await Promise.allSettled(running.map(async (node) => of(await this.#statusOf(node, signal))));
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  }

  async #survey(signal: AbortSignal): ReturnType<MetaAdmin['survey']> {
    using meta = connectMeta(this.addresses, { timeoutMs: 10_000, signal });
    return await meta.survey();
  }

  async #statusOf(node: Node, signal: AbortSignal): Promise<ServerStatus> {
    await using client: Client = connect(node.address, { waitForServerMs: 0, timeoutMs: 2_000 });
    return await client.status({ signal });
  }

  async #until(signal: AbortSignal, condition: () => Promise<boolean>): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (await condition().catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

/** Throws `invalid/OPTION_RANGE`. */
export function placesFrom(listen: string): { address: string; peerPort: number; peerAddress: string; metricsAddress: string }[] {
  const at = listen.lastIndexOf(':');
  const host = listen.slice(0, at);
  const first = Number(listen.slice(at + 1));
  if (at < 1 || !Number.isInteger(first) || first < 1 || first + PORTS_SPAN > PORT_MAX) {
    throw new SparrowError(
      'invalid',
      'OPTION_RANGE',
      `--listen: three nodes take ports from PORT to PORT + ${PORTS_SPAN} of HOST:PORT, such as 127.0.0.1:7400, not '${listen}'`,
      { field: 'listen' },
    );
  }
  return Array.from({ length: COUNT }, (_, i) => {
    const port = first + PORTS_APART * i;
    return { address: `${host}:${port}`, peerPort: port + 1, peerAddress: `${host}:${port + 1}`, metricsAddress: `${host}:${port + 2}` };
  });
}
