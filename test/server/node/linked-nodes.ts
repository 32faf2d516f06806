/** Nodes of any number of groups in one process, each on a disk of its own, that hand each other messages and snapshots directly. */
import type { NodeTransport } from '../../../server/node/index.ts';
import type {
  GroupMessage,
  MessagesHandler,
  SnapshotAcceptor,
  SnapshotHead,
  SnapshotSink,
  SnapshotSource,
} from '../../../server/transport/index.ts';
import { SparrowError } from '../../../base/errors.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { hash } from '../transport/hash.ts';
import { NodeHarness, type NodeOptions } from './node-harness.ts';

export class LinkedNodes {
  readonly #options: NodeOptions;
  readonly #links: Map<number, Link> = new Map();
  readonly #running: Map<number, NodeHarness> = new Map();
  readonly #disks: Map<number, SimFileSystem> = new Map();

  constructor(options: NodeOptions = {}) {
    this.#options = options;
  }

  /** Starts a node, or starts it again. `voters`: of shard 1 and the metaserver. */
  async start(node: number, voters: readonly number[] = []): Promise<NodeHarness> {
    const disk = this.#disks.get(node) ?? new SimFileSystem({ seed: node });
    this.#disks.set(node, disk);
    const link = new Link(node, this.#links);
    this.#links.set(node, link);
    const harness = await NodeHarness.open(disk, { ...this.#options, node, voters, transport: link, tickMs: 20 });
    this.#running.set(node, harness);
    return harness;
  }

  node(node: number): NodeHarness {
    const harness = this.#running.get(node);
    if (harness === undefined) throw new Error(`node ${node} does not run`);
    return harness;
  }

  /** Also of a node that is stopped. */
  disk(node: number): SimFileSystem {
    return this.#disks.get(node)!;
  }

  isReachable(node: number): boolean {
    return this.#links.has(node);
  }

  /** Of the nodes that run, the one that leads the group. */
  leaderOf(group: number): NodeHarness | undefined {
    return [...this.#running.values()].find(({ replicas }) => replicas.get(group)?.stats().role === 'leader');
  }

  async stop(node: number): Promise<void> {
    this.#links.delete(node);
    const harness = this.node(node);
    this.#running.delete(node);
    await harness.close();
  }

  async close(): Promise<void> {
    this.#links.clear();
    await Promise.all([...this.#running.values()].map((harness) => harness.close()));
    this.#running.clear();
  }
}

class Link implements NodeTransport {
  readonly #node: number;
  readonly #links: ReadonlyMap<number, Link>;
  #handler: MessagesHandler = () => undefined;
  #acceptor: SnapshotAcceptor | undefined;

  constructor(node: number, links: ReadonlyMap<number, Link>) {
    this.#node = node;
    this.#links = links;
  }

  onMessages(handler: MessagesHandler): void {
    this.#handler = handler;
  }

  onSnapshot(acceptor: SnapshotAcceptor): void {
    this.#acceptor = acceptor;
  }

  reachable(to: number): boolean {
    return this.#links.has(to);
  }

  send(to: number, messages: readonly GroupMessage[]): void {
    setImmediate(() => {
      // Who was stopped meanwhile neither sends nor gets anything.
      if (this.#links.get(this.#node) === this) this.#links.get(to)?.receive(this.#node, messages);
    });
  }

  receive(from: number, messages: readonly GroupMessage[]): void {
    this.#handler(from, messages);
  }

  async accept(from: number, head: SnapshotHead): Promise<SnapshotSink> {
    if (this.#acceptor === undefined) throw new SparrowError('unavailable', 'UNREACHABLE', `node ${this.#node} takes no snapshots yet`);
    return this.#acceptor(from, head);
  }

  async sendSnapshot(to: number, group: number, source: SnapshotSource): Promise<void> {
    const peer = this.#links.get(to);
    if (peer === undefined) throw new SparrowError('unavailable', 'UNREACHABLE', `node ${to} is not there`);
    const { term, snapshot, id, files } = source;
    const sink = await peer.accept(this.#node, { group, term, snapshot, id, files });
    for (let file = sink.position.file; file < files.length; file++) {
      const whole = Buffer.alloc(files[file]!.bytes);
      await source.read(file, 0, whole);
      sink.write(whole.subarray(sink.position.offset));
      await sink.endFile(hash(whole, 0n));
    }
    await sink.finish();
    sink.close();
  }
}
