/**
 * All nodes that this client knows: those whose addresses it was given, and those that they told of. Connections are made when a node is
 * asked, and kept. What nodes say is put together here; what follows from it is connector.ts's to decide.
 *
 * A node of another cluster than the first one that answered is refused: writes to it would be lost to this one.
 */
import { SparrowError } from '../base/errors.ts';
import type { Leadership } from '../proto/index.ts';
import type { AnyCall } from './call.ts';
import type { Connection, Standing } from './connection.ts';
import { LeaderKnowledge } from './leader-knowledge.ts';
import { NodeLink } from './node-link.ts';
import type { Surroundings } from './surroundings.ts';

const OPEN_TIMEOUT_MS = 5_000;
/** A node that does not answer a ping for so long is as good as silent. */
const PING_TIMEOUT_MS = 1_000;
/** More members than a cluster has; a server that names more is not believed. */
const LINKS_MAX = 1_000;

export interface LinkEvents {
  answered(call: AnyCall, answer: unknown): void;
  refused(link: NodeLink, call: AnyCall, error: SparrowError): void;
  lost(call: AnyCall, error: SparrowError): void;
  /** A node said where it stands; its connection is ready. */
  told(link: NodeLink): void;
  /** A connection that was ready is over. */
  ended(link: NodeLink, error: SparrowError): void;
}

export class ClusterLinks {
  readonly #surroundings: Surroundings;
  readonly #events: LinkEvents;
  readonly #links: Map<string, NodeLink> = new Map();
  #leader = new LeaderKnowledge();
  #clusterId = '';
  #closed = false;

  constructor(addresses: readonly string[], surroundings: Surroundings, events: LinkEvents) {
    this.#surroundings = surroundings;
    this.#events = events;
    for (const address of addresses) this.#links.set(address, new NodeLink(address, true));
  }

  get count(): number {
    return this.#links.size;
  }

  all(): NodeLink[] {
    return [...this.#links.values()];
  }

  /** The node that leads as far as is known, and whose address is. */
  get leader(): NodeLink | undefined {
    return this.#byId(this.#leader.leaderId);
  }

  get term(): number {
    return this.#leader.term;
  }

  /** One that calls can be sent to, whether it leads or not. */
  anyReady(): NodeLink | undefined {
    for (const link of this.#links.values()) if (link.ready) return link;
    return undefined;
  }

  /** Opens the connection or pings over it. Settles after `told`; rejects with what kept the node from answering. One question at a time. */
  ask(link: NodeLink): Promise<void> {
    if (link.asking !== undefined) return link.asking;
    const asking = (link.ready ? this.#ping(link) : this.#open(link)).finally(() => {
      if (link.asking === asking) link.asking = undefined;
    });
    return (link.asking = asking);
  }

  /** A refusal told who leads. */
  learnLeader(leadership: Leadership, address: string | undefined): void {
    this.#leader.learn(leadership);
    if (address !== undefined && leadership.leaderId === this.#leader.leaderId) this.#learnMember(leadership.leaderId, address);
  }

  /** What was known of leaders does not hold: the nodes began anew with small terms. */
  relearnLeader(leadership: Leadership): void {
    this.#leader = new LeaderKnowledge();
    this.#leader.learn(leadership);
  }

  /** The node does not lead any more, or cannot be reached. */
  lostLeader(link: NodeLink): void {
    if (link.nodeId !== 0) this.#leader.lost(link.nodeId);
    if (link.told !== undefined) link.told = { leaderId: 0, term: link.told.term };
  }

  close(error: SparrowError): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.connection?.close(error);
  }

  async #open(link: NodeLink): Promise<void> {
    const connection = this.#surroundings.openConnection(link.address, {
      answered: this.#events.answered,
      lost: this.#events.lost,
      refused: (call, error) => this.#events.refused(link, call, error),
      ended: (ended, error) => this.#ended(link, ended, error),
    });
    link.connection = connection;
    const standing = await connection.open(OPEN_TIMEOUT_MS);
    if (this.#closed || link.connection !== connection) throw new SparrowError('unavailable', 'CONNECTION_LOST', 'the connection ended');
    const mismatch = this.#mismatch(link, standing);
    if (mismatch !== undefined) {
      connection.close(mismatch);
      throw mismatch;
    }
    link.ready = true;
    link.silentLooks = 0;
    link.nodeId = standing?.nodeId ?? 0;
    link.told = standing;
    if (standing !== undefined) {
      this.#leader.learn(standing);
      this.#learnMembers(standing);
    }
    this.#events.told(link);
  }

  async #ping(link: NodeLink): Promise<void> {
    const connection = link.connection as Connection;
    let timer: { cancel(): void } | undefined;
    const late = new Promise<never>((_, reject) => {
      const silent = new SparrowError('unavailable', 'NODE_SILENT', `${link.address} does not answer`, { address: link.address });
      timer = this.#surroundings.scheduler.after(PING_TIMEOUT_MS, () => reject(silent), true);
    });
    try {
      const leadership = await Promise.race([connection.ping(), late]);
      if (link.connection !== connection) throw new SparrowError('unavailable', 'CONNECTION_LOST', 'the connection ended');
      link.silentLooks = 0;
      link.told = link.nodeId === 0 ? undefined : leadership;
      if (link.told !== undefined) this.#leader.learn(link.told);
      this.#events.told(link);
    } finally {
      timer?.cancel();
    }
  }

  #ended(link: NodeLink, connection: Connection, error: SparrowError): void {
    if (link.connection !== connection) return;
    const wasReady = link.ready;
    link.connection = undefined;
    link.ready = false;
    link.asking = undefined;
    if (!wasReady) return;
    this.lostLeader(link);
    this.#events.ended(link, error);
  }

  #byId(nodeId: number): NodeLink | undefined {
    if (nodeId === 0) return undefined;
    for (const link of this.#links.values()) if (link.nodeId === nodeId) return link;
    return undefined;
  }

  #learnMembers({ members }: Standing): void {
    if (members.length === 0) return;
    const addresses = new Set(members.map(({ address }) => address));
    for (const link of this.#links.values()) {
      if (!link.given && link.connection === undefined && !addresses.has(link.address)) this.#links.delete(link.address);
    }
    for (const { id, address } of members) this.#learnMember(id, address);
  }

  /** A node that was given under another name has been learned already when it has told its id. */
  #learnMember(id: number, address: string): void {
    const known = this.#links.get(address);
    if (known !== undefined) {
      if (known.nodeId === 0) known.nodeId = id;
      return;
    }
    if (id === 0 || this.#byId(id)?.ready === true || this.#links.size >= LINKS_MAX || !isAddress(address)) return;
    const link = new NodeLink(address, false);
    link.nodeId = id;
    this.#links.set(address, link);
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

function isAddress(address: string): boolean {
  const port = /^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(address)?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}
