/**
 * All replicas of a node. What one of them has to do is done in a turn of the event loop together with what the others have:
 *
 *   messages, ticks, proposals -> dirty replicas -> one turn: each one's output -> the node's log (one sync), one batch of messages for each node
 *
 * Messages for a group that has not come yet wait for it a moment (held-messages.ts).
 *
 * Replicas whose group sleeps are not ticked, and cost nothing; they are woken when a node that is in their group is lost.
 *
 * Made by server.ts. Calls replicas by replica-host.ts, and the transport that it was given.
 */
import { assert } from '../../base/assert.ts';
import type { Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { GroupMessage, PeerMessage, SnapshotHead, SnapshotSink, SnapshotSource, Transport } from '../transport/index.ts';
import { CommitNotices } from './commit-notices.ts';
import { HeldMessages } from './held-messages.ts';
import { LogSpace, type SpaceLog } from './log-space.ts';
import type { HostedReplica, ReplicaHost } from './replica-host.ts';

/** The way to other nodes, as far as a host asks it. */
export type NodeTransport = Pick<Transport, 'send' | 'onMessages' | 'reachable' | 'sendSnapshot' | 'onSnapshot'>;

export interface NodeHostParts {
  /** This node: in every group it is the member of that id. */
  readonly node: number;
  /** Members or addresses of a group are others from now on. */
  readonly membersChanged?: () => void;
  readonly tickMs: number;
  readonly scheduler: Scheduler;
  /** Undefined: there are no other nodes. */
  readonly transport: NodeTransport | undefined;
  readonly nodeLog: SpaceLog;
  /** When the log is larger than this, groups let go of its oldest part. */
  readonly logBytesMax: number;
  /** Told when a node that groups of this one have members on is reached, and when it is lost. */
  readonly onReach?: (node: number, reached: boolean) => void;
}

export class NodeHost implements ReplicaHost {
  readonly #parts: NodeHostParts;
  readonly #replicas: Map<number, HostedReplica> = new Map();
  readonly #space: LogSpace;
  #awake: Set<HostedReplica> = new Set();
  #dirty: Set<HostedReplica> = new Set();
  #turnScheduled = false;
  #outgoing: Map<number, GroupMessage[]> = new Map();
  readonly #notices: CommitNotices;
  readonly #held: HeldMessages;
  /** Other nodes that groups of this one have members on, and those that could be reached at the last tick. */
  #peers: readonly number[] | undefined;
  #reachable: Set<number> = new Set();
  #timer: Timer | undefined;
  #closed = false;
  #turns = 0;

  constructor(parts: NodeHostParts) {
    this.#parts = parts;
    this.#space = new LogSpace(parts.nodeLog, parts.logBytesMax, this.#replicas);
    this.#held = new HeldMessages(parts.tickMs);
    this.#notices = new CommitNotices(parts.scheduler, (messages) => this.#post(messages));
    parts.transport?.onMessages((from, messages) => this.#receive(from, messages));
    parts.transport?.onSnapshot((from, head) => this.#accept(from, head));
    this.#scheduleTick();
  }

  get replicas(): number {
    return this.#replicas.size;
  }

  /** Replicas that are ticked. */
  get awake(): number {
    return this.#awake.size;
  }

  get turns(): number {
    return this.#turns;
  }

  /** Messages that wait for groups that are not here. */
  get messagesHeld(): number {
    return this.#held.count;
  }

  /** Segments of the log that engines were told to empty. */
  get segmentsEmptied(): number {
    return this.#space.emptied;
  }

  add(replica: HostedReplica): void {
    this.#replicas.set(replica.group, replica);
    this.#awake.add(replica);
    this.#peers = undefined;
    const held = this.#held.take(replica.group);
    // Not from within: it is still being opened.
    if (held.length > 0) this.#parts.scheduler.soon(() => this.#deliver(replica, held));
  }

  remove(replica: HostedReplica): void {
    if (this.#replicas.get(replica.group) === replica) this.#replicas.delete(replica.group);
    this.#awake.delete(replica);
    this.#dirty.delete(replica);
    this.#peers = undefined;
  }

  membersChanged(): void {
    this.#peers = undefined;
    this.#parts.membersChanged?.();
  }

  schedule(replica: HostedReplica): void {
    this.#dirty.add(replica);
    this.#awake.add(replica);
    this.#scheduleTurn();
  }

  send(group: number, messages: readonly PeerMessage[]): void {
    if (this.#parts.transport === undefined) return;
    this.#post(messages.filter((message) => !this.#notices.hold(group, message)).map((message) => ({ group, message })));
  }

  sendSnapshot(to: number, group: number, source: SnapshotSource): Promise<void> {
    const { transport } = this.#parts;
    assert(transport !== undefined, 'a group with other members has a way to them');
    return transport.sendSnapshot(to, group, source);
  }

  /** No ticks and no turns any more. Replicas are closed before. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#notices.close();
  }

  /** With what else leaves in this turn. */
  #post(messages: readonly GroupMessage[]): void {
    for (const each of messages) {
      const batch = this.#outgoing.get(each.message.to);
      if (batch === undefined) this.#outgoing.set(each.message.to, [each]);
      else batch.push(each);
    }
    if (messages.length > 0) this.#scheduleTurn();
  }

  #receive(from: number, messages: readonly GroupMessage[]): void {
    if (this.#closed) return;
    for (const { group, message } of messages) {
      const replica = this.#replicas.get(group);
      if (message.to !== this.#parts.node || message.from !== from) continue;
      // Of a group that has gone, or has not come yet.
      if (replica === undefined) this.#held.hold(group, message);
      else replica.step(message);
    }
  }

  #deliver(replica: HostedReplica, held: readonly PeerMessage[]): void {
    if (this.#closed || this.#replicas.get(replica.group) !== replica) return;
    for (const message of held) replica.step(message);
  }

  #accept(from: number, head: SnapshotHead): Promise<SnapshotSink> {
    const replica = this.#replicas.get(head.group);
    if (replica !== undefined && !this.#closed) return replica.accept(from, head);
    throw new SparrowError('unavailable', 'NO_REPLICA', `node ${this.#parts.node} has no replica of group ${head.group}`, {
      group: head.group,
    });
  }

  #scheduleTick(): void {
    const { scheduler, tickMs } = this.#parts;
    this.#timer = scheduler.after(
      tickMs,
      () => {
        if (this.#closed) return;
        this.#tick();
        this.#scheduleTick();
      },
      true,
    );
  }

  #tick(): void {
    this.#space.tick();
    this.#held.tick();
    this.#noteLostNodes();
    for (const replica of this.#awake) {
      if (replica.asleep) this.#awake.delete(replica);
      else replica.tick();
    }
  }

  /** Nobody else tells a sleeping group that its leader, say, is gone. */
  #noteLostNodes(): void {
    const { transport, onReach } = this.#parts;
    if (transport === undefined) return;
    this.#peers ??= this.#findPeers();
    const before = this.#reachable;
    this.#reachable = new Set(this.#peers.filter((to) => transport.reachable(to)));
    if (onReach !== undefined) {
      for (const to of this.#peers) if (before.has(to) !== this.#reachable.has(to)) onReach(to, this.#reachable.has(to));
    }
    const lost = this.#peers.filter((to) => before.has(to) && !this.#reachable.has(to));
    if (lost.length === 0) return;
    // Those that are awake, too: one that leads has heard of the lost ones a moment ago, and might fall asleep for that.
    for (const replica of this.#replicas.values()) if (replica.members.some((id) => lost.includes(id))) replica.wake();
  }

  #findPeers(): number[] {
    const peers = new Set<number>();
    for (const { members } of this.#replicas.values()) for (const id of members) peers.add(id);
    peers.delete(this.#parts.node);
    return [...peers];
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled || this.#closed) return;
    this.#turnScheduled = true;
    this.#parts.scheduler.soon(() => {
      this.#turnScheduled = false;
      if (!this.#closed) this.#turn();
    });
  }

  #turn(): void {
    this.#turns++;
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const replica of dirty) replica.turn();
    const outgoing = this.#outgoing;
    if (outgoing.size === 0) return;
    this.#outgoing = new Map();
    for (const [to, messages] of outgoing) this.#parts.transport!.send(to, messages);
  }
}
