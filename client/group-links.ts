/**
 * The nodes of one group of replicas, and what they said of who leads it. What follows from it is connector.ts's to decide.
 *
 * Three kinds:
 *   FirstGroup   the group that table `default` begins with. Its members and leader are told by greetings, to whoever connects.
 *   ShardGroup   a shard by its id. Its members come from the metaserver's map; who leads it, each of them says when it is pinged.
 *   MetaGroup    the metaserver. Any node is asked, and refuses with who leads.
 */
import type { SparrowError } from '../base/errors.ts';
import type { Leadership } from '../proto/index.ts';
import type { Standing } from './connection.ts';
import { LeaderKnowledge } from './leader-knowledge.ts';
import type { NodeLink } from './node-link.ts';
import type { Nodes } from './nodes.ts';

export abstract class GroupLinks {
  protected readonly nodes: Nodes;
  #leader = new LeaderKnowledge();
  /** What nodes last said of who leads; absent: nothing yet, or they are none of those that say. */
  readonly #told: Map<NodeLink, Leadership> = new Map();
  /** Set by connector.ts: a node said where it stands. */
  onTold: (link: NodeLink) => void = () => undefined;

  constructor(nodes: Nodes) {
    this.nodes = nodes;
  }

  abstract all(): NodeLink[];
  /** Settles after `onTold`; rejects with what kept the node from answering. */
  abstract ask(link: NodeLink): Promise<void>;

  /** The node that leads as far as is known, and whose address is. */
  get leader(): NodeLink | undefined {
    return this.nodes.byId(this.#leader.leaderId);
  }

  get term(): number {
    return this.#leader.term;
  }

  /** Calls may go there before it has said itself that it leads: it is connected, and refuses those that are not for it. */
  get presumed(): NodeLink | undefined {
    return undefined;
  }

  toldBy(link: NodeLink): Leadership | undefined {
    return this.#told.get(link);
  }

  /** By its own word. */
  leads(link: NodeLink): boolean {
    return link.ready && link.nodeId !== 0 && this.#told.get(link)?.leaderId === link.nodeId;
  }

  /** One that calls can be sent to, whether it leads or not. */
  anyReady(): NodeLink | undefined {
    return this.all().find((link) => link.ready);
  }

  /** A refusal told who leads. */
  learnLeader(leadership: Leadership, address: string | undefined): void {
    this.#leader.learn(leadership);
    if (address !== undefined && leadership.leaderId === this.#leader.leaderId) this.learnMember(leadership.leaderId, address);
  }

  /** Somebody who is not of the group said so, without a term: good for a first try. */
  hintLeader(leaderId: number): void {
    if (this.#leader.leaderId === 0) this.#leader.learn({ leaderId, term: this.#leader.term });
  }

  /** What was known of leaders does not hold: the nodes began anew with small terms. */
  relearnLeader(leadership: Leadership): void {
    this.#leader = new LeaderKnowledge();
    this.#leader.learn(leadership);
  }

  /** The node does not lead any more, or cannot be reached. */
  lostLeader(link: NodeLink): void {
    if (link.nodeId !== 0) this.#leader.lost(link.nodeId);
    const told = this.#told.get(link);
    if (told !== undefined) this.#told.set(link, { leaderId: 0, term: told.term });
  }

  opened(_link: NodeLink, _standing: Standing | undefined): void {}

  ended(link: NodeLink, _error: SparrowError): void {
    this.lostLeader(link);
  }

  protected learnMember(id: number, address: string): NodeLink | undefined {
    return this.nodes.learn(id, address);
  }

  protected tell(link: NodeLink, leadership: Leadership | undefined): void {
    if (leadership === undefined || link.nodeId === 0) {
      this.#told.delete(link);
    } else {
      this.#told.set(link, leadership);
      this.#leader.learn(leadership);
    }
    this.onTold(link);
  }

  protected forget(link: NodeLink): void {
    this.#told.delete(link);
  }
}

export class FirstGroup extends GroupLinks {
  readonly #members: Set<NodeLink>;

  /** Begins with the nodes that were given. */
  constructor(nodes: Nodes) {
    super(nodes);
    this.#members = new Set(nodes.all());
  }

  all(): NodeLink[] {
    return [...this.#members];
  }

  async ask(link: NodeLink): Promise<void> {
    if (!link.ready) await this.nodes.open(link);
    else this.tell(link, await this.nodes.ping(link, 0));
  }

  override opened(link: NodeLink, standing: Standing | undefined): void {
    if (!this.#members.has(link)) return;
    if (standing !== undefined) this.#learnMembers(standing);
    this.tell(link, standing);
  }

  protected override learnMember(id: number, address: string): NodeLink | undefined {
    const link = super.learnMember(id, address);
    if (link !== undefined) this.#members.add(link);
    return link;
  }

  #learnMembers({ members }: Standing): void {
    if (members.length === 0) return;
    const addresses = new Set(members.map(({ address }) => address));
    for (const link of this.#members) {
      if (link.given || link.connection !== undefined || addresses.has(link.address)) continue;
      this.#members.delete(link);
      this.forget(link);
      this.nodes.forget(link);
    }
    for (const { id, address } of members) this.learnMember(id, address);
  }
}

export class ShardGroup extends GroupLinks {
  readonly shard: number;
  #members: readonly NodeLink[] = [];

  constructor(nodes: Nodes, shard: number) {
    super(nodes);
    this.shard = shard;
  }

  all(): NodeLink[] {
    return [...this.#members];
  }

  override get presumed(): NodeLink | undefined {
    const { leader } = this;
    return leader?.ready === true ? leader : undefined;
  }

  setMembers(members: readonly NodeLink[]): void {
    for (const link of this.#members) if (!members.includes(link)) this.forget(link);
    this.#members = members;
  }

  async ask(link: NodeLink): Promise<void> {
    if (!link.ready) await this.nodes.open(link);
    this.tell(link, await this.nodes.ping(link, this.shard));
  }

  protected override learnMember(id: number, address: string): NodeLink | undefined {
    const link = super.learnMember(id, address);
    if (link !== undefined && !this.#members.includes(link)) this.#members = [...this.#members, link];
    return link;
  }
}

export class MetaGroup extends GroupLinks {
  all(): NodeLink[] {
    return this.nodes.all();
  }

  async ask(link: NodeLink): Promise<void> {
    await this.nodes.open(link);
    this.tell(link, undefined);
  }
}
