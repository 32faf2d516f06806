/**
 * All nodes that this client knows: those whose addresses it was given, and those that it was told of. There is one connection to a node, whatever is asked of
 * it; it is made when the node is first asked, and kept. Groups of replicas (group-links.ts) are views of these nodes.
 *
 * A node of another cluster than the first one that answered is refused: writes to it would be lost to this one.
 */
import { SparrowError } from '../base/errors.ts';
import type { Leadership } from '../proto/index.ts';
import type { AnyCall } from './call.ts';
import type { Connection, Standing } from './connection.ts';
import { NodeLink } from './node-link.ts';
import type { Surroundings } from './surroundings.ts';

const OPEN_TIMEOUT_MS = 5_000;
/** A node that does not answer a ping for so long is as good as silent. */
const PING_TIMEOUT_MS = 1_000;
/** More nodes than a cluster has; a server that names more is not believed. */
const LINKS_MAX = 10_000;

/** What becomes of calls that were sent. */
export interface NodeOutcomes {
  answered(call: AnyCall, answer: unknown): void;
  refused(link: NodeLink, call: AnyCall, error: SparrowError): void;
  lost(call: AnyCall, error: SparrowError): void;
}

/** Told of connections. */
export interface NodesListener {
  /** A connection is ready; `standing`: what the node said of itself, if it does. */
  opened(link: NodeLink, standing: Standing | undefined): void;
  /** A connection that was ready is over. */
  ended(link: NodeLink, error: SparrowError): void;
  /** Nothing came for long while calls wait; called at each look (silence-watch.ts). */
  silent(link: NodeLink): void;
}

export class Nodes {
  readonly #surroundings: Surroundings;
  readonly #outcomes: NodeOutcomes;
  readonly #links: Map<string, NodeLink> = new Map();
  readonly #listeners: Set<NodesListener> = new Set();
  #clusterId = '';
  #closed = false;

  constructor(addresses: readonly string[], surroundings: Surroundings, outcomes: NodeOutcomes) {
    this.#surroundings = surroundings;
    this.#outcomes = outcomes;
    for (const address of addresses) this.#links.set(address, new NodeLink(address, true));
  }

  get count(): number {
    return this.#links.size;
  }

  all(): NodeLink[] {
    return [...this.#links.values()];
  }

  byId(nodeId: number): NodeLink | undefined {
    if (nodeId === 0) return undefined;
    for (const link of this.#links.values()) if (link.nodeId === nodeId) return link;
    return undefined;
  }

  listen(listener: NodesListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Opens the connection; at once with undefined when it is open. Rejects with what kept the node from answering. */
  open(link: NodeLink): Promise<Standing | undefined> {
    if (link.ready) return Promise.resolve(undefined);
    if (link.opening !== undefined) return link.opening;
    const opening = this.#open(link).finally(() => {
      if (link.opening === opening) link.opening = undefined;
    });
    return (link.opening = opening);
  }

  /** Who leads the shard (0: the one that a greeting tells of), over a connection that is open. One question of a kind at a time. */
  ping(link: NodeLink, shard: number): Promise<Leadership | undefined> {
    const underWay = link.pings.get(shard);
    if (underWay !== undefined) return underWay;
    const ping = this.#ping(link, shard).finally(() => {
      if (link.pings.get(shard) === ping) link.pings.delete(shard);
    });
    link.pings.set(shard, ping);
    return ping;
  }

  /** Somebody told of a node. One that was given under another name has been learned already when it has told its id. */
  learn(id: number, address: string): NodeLink | undefined {
    const known = this.#links.get(address);
    if (known !== undefined) {
      if (known.nodeId === 0) known.nodeId = id;
      return known;
    }
    const same = this.byId(id);
    if (same?.ready === true) return same;
    if (id === 0 || this.#links.size >= LINKS_MAX || !isAddress(address)) return undefined;
    // It is not where it was: what was known of that address tells who is there when it answers.
    if (same !== undefined) {
      same.nodeId = 0;
      this.forget(same);
    }
    const link = new NodeLink(address, false);
    link.nodeId = id;
    this.#links.set(address, link);
    return link;
  }

  /** It is no member of anything any more, as far as one group knows. */
  forget(link: NodeLink): void {
    if (!link.given && !link.mapped && link.connection === undefined) this.#links.delete(link.address);
  }

  silent(link: NodeLink): void {
    for (const listener of this.#listeners) listener.silent(link);
  }

  close(error: SparrowError): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.connection?.close(error);
  }

  async #open(link: NodeLink): Promise<Standing | undefined> {
    const connection = this.#surroundings.openConnection(link.address, {
      answered: this.#outcomes.answered,
      lost: this.#outcomes.lost,
      refused: (call, error) => this.#outcomes.refused(link, call, error),
      ended: (ended, error) => this.#ended(link, ended, error),
    });
    link.connection = connection;
    const standing = await connection.open(OPEN_TIMEOUT_MS);
    if (this.#closed || link.connection !== connection) throw lost();
    const mismatch = this.#mismatch(link, standing);
    if (mismatch !== undefined) {
      connection.close(mismatch);
      throw mismatch;
    }
    link.ready = true;
    link.silentLooks = 0;
    link.nodeId = standing?.nodeId ?? 0;
    for (const listener of this.#listeners) listener.opened(link, standing);
    return standing;
  }

  async #ping(link: NodeLink, shard: number): Promise<Leadership | undefined> {
    const { connection } = link;
    if (connection === undefined) throw lost();
    let timer: { cancel(): void } | undefined;
    const late = new Promise<never>((_, reject) => {
      const silent = new SparrowError('unavailable', 'NODE_SILENT', `${link.address} does not answer`, { address: link.address });
      timer = this.#surroundings.scheduler.after(PING_TIMEOUT_MS, () => reject(silent), true);
    });
    try {
      const leadership = await Promise.race([connection.ping(shard), late]);
      if (link.connection !== connection) throw lost();
      link.silentLooks = 0;
      return leadership;
    } finally {
      timer?.cancel();
    }
  }

  #ended(link: NodeLink, connection: Connection, error: SparrowError): void {
    if (link.connection !== connection) return;
    const wasReady = link.ready;
    link.connection = undefined;
    link.ready = false;
    link.opening = undefined;
    link.pings.clear();
    if (!wasReady) return;
    for (const listener of this.#listeners) listener.ended(link, error);
  }

  #mismatch(link: NodeLink, standing: Standing | undefined): SparrowError | undefined {
    const theirs = standing?.clusterId ?? '';
    if (theirs === '') return undefined;
    if (this.#clusterId === '') this.#clusterId = theirs;
    if (theirs === this.#clusterId) return undefined;
    return new SparrowError('invalid', 'OTHER_CLUSTER', `${link.address} is of cluster ${theirs}; this client is of ${this.#clusterId}`, {
      address: link.address,
      cluster: theirs,
      expected: this.#clusterId,
    });
  }
}

function lost(): SparrowError {
  return new SparrowError('unavailable', 'CONNECTION_LOST', 'the connection ended');
}

function isAddress(address: string): boolean {
  const port = /^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(address)?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}
