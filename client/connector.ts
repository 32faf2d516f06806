/**
 * Decides where the calls of one group of replicas go: to the node that leads, the target.
 *
 *   no target --a call--> searching (leader-search.ts) --found--> target --refuses, breaks--> no target
 *                                                            \---another one leads--> that one, at once
 *
 * Calls that come while there is no target are parked, in order. They leave by a connection, by their own deadline or abort, or, when
 * there is nobody to send them to for as long as `waitForServerMs` or `waitForLeaderMs`, with what kept them. At least one full round is tried before that.
 *
 * Reads that any node may serve go to all of them in turn (read-spread.ts), and to the target when one sends them away.
 *
 * A target that is suspect (silence-watch.ts) remains the target until another node says of itself that it leads; then its calls move there.
 *
 * There is one for each group that is called, made by router.ts; all of them share the connections to nodes (nodes.ts).
 */
import type { SparrowError } from '../base/errors.ts';
import type { AnyCall, CallGroup, CallHolder, CallTarget } from './call.ts';
import type { Settings } from './connect-options.ts';
import type { Connection, Standing } from './connection.ts';
import type { GroupLinks } from './group-links.ts';
import { LeaderSearch } from './leader-search.ts';
import type { NodeLink } from './node-link.ts';
import type { Nodes, NodesListener } from './nodes.ts';
import { ReadSpread } from './read-spread.ts';
import { isWorthRotating } from './retry.ts';
import { SILENT_LOOKS, type SilenceWatch } from './silence-watch.ts';
import type { Surroundings } from './surroundings.ts';

/** A target that was lost sooner counts as a failed attempt: a server that dies of each connection is not hammered. */
const STABLE_AFTER_MS = 1_000;

/** Something other than a call that waits for a connection: a scan. */
export interface Visitor {
  /** Does with a node that does not lead. */
  readonly anyNode?: boolean;
  /** Any node will do, each in its turn. */
  readonly spreads?: boolean;
  /** Of those, one in the client's zone if there is one. */
  readonly nearest?: boolean;
  /** Another one than this, if there is one: its address. */
  readonly avoid?: string | undefined;
  connected(connection: Connection): void;
  failed(error: SparrowError): void;
}

export interface ConnectorEvents {
  connected(connection: Connection): void;
  /** There was nobody to send it to for as long as the call may wait. */
  unreachable(call: AnyCall, error: SparrowError): void;
  /** Each node was asked, and none leads, or none can be reached. */
  leaderless?(error: SparrowError): void;
}

export interface ConnectorParts {
  readonly settings: Settings;
  readonly surroundings: Surroundings;
  readonly nodes: Nodes;
  readonly watch: SilenceWatch;
}

export class Connector implements CallHolder, CallGroup, NodesListener {
  readonly #settings: Settings;
  readonly #surroundings: Surroundings;
  readonly #events: ConnectorEvents;
  readonly #links: GroupLinks;
  readonly #search: LeaderSearch;
  readonly #watch: SilenceWatch;
  readonly #spread: ReadSpread;
  readonly #stopListening: () => void;
  /** With the time since when each waits. */
  readonly #parked: Map<AnyCall, number> = new Map();
  readonly #visitors: Map<Visitor, number> = new Map();
  #target: NodeLink | undefined;
  /** The target's. */
  #connection: Connection | undefined;
  #targetSinceMs = 0;
  #closed = false;

  constructor(links: GroupLinks, { settings, surroundings, nodes, watch }: ConnectorParts, events: ConnectorEvents) {
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#events = events;
    this.#links = links;
    this.#watch = watch;
    links.onTold = (link) => this.#told(link);
    this.#stopListening = nodes.listen(this);
    this.#search = new LeaderSearch(links, settings, surroundings, {
      wanted: () => this.#wanted,
      found: (link) => this.#aim(link),
      failed: (error) => this.#giveUp(error),
    });
    this.#spread = new ReadSpread(links, surroundings, settings.zone);
  }

  get target(): NodeLink | undefined {
    return this.#target;
  }

  dispatch(call: AnyCall): void {
    const connection = this.#choose(call);
    if (connection !== undefined) {
      connection.send(call);
      if (!this.#watch.on) this.#watch.begin();
      return;
    }
    call.state = 'parked';
    call.holder = this;
    this.#parked.set(call, this.#surroundings.clock.monotonicMs());
    this.#seek();
  }

  drop(call: AnyCall): void {
    this.#parked.delete(call);
    call.holder = undefined;
  }

  /** Calls one of the visitor's methods, later or now. Returns how to take the wish back. */
  visit(visitor: Visitor): () => void {
    const connection = this.#choose(visitor);
    if (connection !== undefined) {
      visitor.connected(connection);
      this.#watch.begin();
      return () => undefined;
    }
    this.#visitors.set(visitor, this.#surroundings.clock.monotonicMs());
    this.#seek();
    return () => this.#visitors.delete(visitor);
  }

  /** What a visitor was refused with on this connection. */
  refused(connection: Connection, error: SparrowError): void {
    const link = this.#links.all().find((one) => one.connection === connection);
    if (link !== undefined) this.turnedAway(link, error);
  }

  /** A node refused a call of this group. What it says of the leader is followed, and else others are asked. */
  turnedAway(link: NodeLink, error: SparrowError): void {
    if (!this.#closed && isWorthRotating(error) && !isOfShard(error)) this.#turnedAway(link, error);
  }

  opened(link: NodeLink, standing: Standing | undefined): void {
    this.#links.opened(link, standing);
  }

  ended(link: NodeLink, error: SparrowError): void {
    this.#links.ended(link, error);
    if (link !== this.#target) return;
    for (const call of this.#parked.keys()) call.lastError = error;
    this.#leave(link);
    this.#search.begin();
  }

  /** The group is not called any more: lets go of what waits. */
  dissolve(error: SparrowError): readonly AnyCall[] {
    const calls = [...this.#parked.keys()];
    this.close(error);
    return calls;
  }

  close(error: SparrowError): void {
    this.#closed = true;
    this.#stopListening();
    this.#search.stop();
    this.#target = this.#connection = undefined;
    const visitors = [...this.#visitors.keys()];
    this.#visitors.clear();
    this.#parked.clear();
    for (const visitor of visitors) visitor.failed(error);
  }

  #choose(what: Pick<Visitor, 'anyNode' | 'spreads' | 'nearest' | 'avoid'>): Connection | undefined {
    const inTurn = what.spreads === true ? this.#spread.next(what.nearest === true, what.avoid) : undefined;
    return inTurn ?? this.#connection ?? (what.anyNode === true ? this.#links.anyReady()?.connection : undefined);
  }

  /** Goes to where the leader is said to be, or looks for it. */
  #seek(): void {
    const { presumed } = this.#links;
    if (presumed !== undefined && this.#wanted && !this.#search.on && !isSilent(presumed)) this.#aim(presumed);
    else this.#search.begin();
  }

  get #wanted(): boolean {
    return this.#parked.size + this.#visitors.size > 0 && !this.#closed && this.#target === undefined;
  }

  /** From now on calls go there. */
  #aim(link: NodeLink): void {
    this.#search.stop();
    this.#target = link;
    this.#connection = link.connection as Connection;
    this.#targetSinceMs = this.#surroundings.clock.monotonicMs();
    this.#events.connected(this.#connection);
    this.#release(this.#connection, () => true);
    this.#watch.begin();
  }

  /** Sends what is parked, as far as `goes` says. */
  #release(connection: Connection, goes: (waiting: AnyCall | Visitor) => boolean): void {
    for (const [visitor] of this.#visitors) {
      if (!goes(visitor)) continue;
      this.#visitors.delete(visitor);
      visitor.connected(connection);
    }
    for (const call of [...this.#parked.keys()]) {
      if (!goes(call)) continue;
      this.#parked.delete(call);
      connection.send(call);
    }
  }

  #told(link: NodeLink): void {
    if (this.#closed) return;
    if (this.#target === undefined) {
      this.#search.told(link);
      if (this.#connection === undefined) this.#release(link.connection as Connection, (waiting) => waiting.anyNode === true);
      return;
    }
    const target = this.#target;
    if (link === target) return;
    if (this.#links.leads(link) && this.#links.leader === link) return this.#aim(link);
    const leader = this.#links.leader;
    if (isSilent(target) && leader !== undefined && leader !== target && leader !== link) this.#links.ask(leader).catch(() => undefined);
  }

  #turnedAway(link: NodeLink, error: SparrowError): void {
    const { leader: leaderId, term, leaderAddress } = error.details;
    const elsewhere = error.code === 'NOT_LEADER' && typeof leaderId === 'number' && leaderId !== 0 && leaderId !== link.nodeId;
    if (elsewhere) {
      const address = typeof leaderAddress === 'string' ? leaderAddress : undefined;
      // Without a term it is taken for news when it comes from where the leader was thought to be.
      const said = typeof term === 'number' ? term : this.#links.term;
      if (typeof term === 'number' || link === this.#target) this.#links.learnLeader({ leaderId, term: said }, address);
    }
    if (link !== this.#target) return;
    const leader = this.#links.leader;
    if (elsewhere && leader !== undefined && leader !== link) {
      if (leader.ready && !isSilent(leader)) return this.#aim(leader);
      this.#target = this.#connection = undefined;
      return this.#search.begin();
    }
    this.#links.lostLeader(link);
    this.#leave(link);
  }

  #leave(link: NodeLink): void {
    this.#target = this.#connection = undefined;
    this.#search.leave(link, this.#surroundings.clock.monotonicMs() - this.#targetSinceMs >= STABLE_AFTER_MS);
  }

  /** Called at each look while the node is suspect. */
  silent(link: NodeLink): void {
    if (link !== this.#target) return;
    // Others are asked at every second look: those that cannot be reached cost a connection each.
    if ((link.silentLooks - SILENT_LOOKS) % 2 !== 0) return;
    for (const other of this.#links.all()) if (other !== link) this.#links.ask(other).catch(() => undefined);
  }

  /** After a round without success: those that waited long enough are told. */
  #giveUp(error: SparrowError): void {
    const nowMs = this.#surroundings.clock.monotonicMs();
    const { waitForServerMs, waitForLeaderMs } = this.#settings;
    const waitMs = error.code === 'NO_LEADER' ? waitForLeaderMs : waitForServerMs;
    for (const [call, sinceMs] of this.#parked) {
      call.lastError = error;
      if (nowMs - sinceMs < waitMs) continue;
      this.drop(call);
      this.#events.unreachable(call, error);
    }
    for (const [visitor, sinceMs] of this.#visitors) {
      if (nowMs - sinceMs < waitMs) continue;
      this.#visitors.delete(visitor);
      visitor.failed(error);
    }
    this.#events.leaderless?.(error);
  }
}

/** It says nothing of whether the node leads. */
function isOfShard({ code }: SparrowError): boolean {
  return code === 'WRONG_SHARD' || code === 'SHARD_SEALED' || code === 'SHARD_BEHIND';
}

export function isSilent(link: CallTarget): boolean {
  return link.silentLooks >= SILENT_LOOKS;
}
