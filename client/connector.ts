/**
 * Decides where calls go: to the node that leads, the target.
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
 */
import { SparrowError } from '../base/errors.ts';
import type { AnyCall, CallHolder, CallOutcomes } from './call.ts';
import { ClusterLinks } from './cluster-links.ts';
import type { Settings } from './connect-options.ts';
import type { Connection } from './connection.ts';
import { LeaderSearch } from './leader-search.ts';
import type { NodeLink } from './node-link.ts';
import { ReadSpread } from './read-spread.ts';
import { isWorthRotating } from './retry.ts';
import { SILENT_LOOKS, SilenceWatch } from './silence-watch.ts';
import type { Surroundings } from './surroundings.ts';

/** A target that was lost sooner counts as a failed attempt: a server that dies of each connection is not hammered. */
const STABLE_AFTER_MS = 1_000;

/** Something other than a call that waits for a connection: a scan. */
export interface Visitor {
  /** Does with a node that does not lead. */
  readonly anyNode?: boolean;
  /** Any node will do, each in its turn. */
  readonly spreads?: boolean;
  connected(connection: Connection): void;
  failed(error: SparrowError): void;
}

export interface ConnectorEvents extends CallOutcomes {
  connected(connection: Connection): void;
  /** There was nobody to send it to for as long as the call may wait. */
  unreachable(call: AnyCall, error: SparrowError): void;
}

export class Connector implements CallHolder {
  readonly #settings: Settings;
  readonly #surroundings: Surroundings;
  readonly #events: ConnectorEvents;
  readonly #links: ClusterLinks;
  readonly #search: LeaderSearch;
  readonly #watch: SilenceWatch;
  readonly #spread: ReadSpread;
  /** With the time since when each waits. */
  readonly #parked: Map<AnyCall, number> = new Map();
  readonly #visitors: Map<Visitor, number> = new Map();
  #target: NodeLink | undefined;
  /** The target's. */
  #connection: Connection | undefined;
  #targetSinceMs = 0;
  #closed = false;

  constructor(addresses: readonly string[], settings: Settings, surroundings: Surroundings, events: ConnectorEvents) {
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#events = events;
    this.#links = new ClusterLinks(addresses, surroundings, {
      answered: (call, answer) => events.answered(call, answer),
      refused: (link, call, error) => {
        if (isWorthRotating(error)) this.#turnedAway(link, error);
        events.refused(call, error);
      },
      lost: (call, error) => events.lost(call, error),
      told: (link) => this.#told(link),
      ended: (link, error) => this.#ended(link, error),
    });
    this.#search = new LeaderSearch(this.#links, settings, surroundings, {
      wanted: () => this.#wanted,
      found: (link) => this.#aim(link),
      failed: (error) => this.#giveUp(error),
    });
    this.#watch = new SilenceWatch(this.#links, surroundings, (link) => this.#silent(link));
    this.#spread = new ReadSpread(this.#links, surroundings);
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
    this.#search.begin();
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
    this.#search.begin();
    return () => this.#visitors.delete(visitor);
  }

  /** What a visitor was refused with on this connection. */
  refused(connection: Connection, error: SparrowError): void {
    const link = this.#links.all().find((one) => one.connection === connection);
    if (link !== undefined && isWorthRotating(error)) this.#turnedAway(link, error);
  }

  close(error: SparrowError): void {
    this.#closed = true;
    this.#search.stop();
    this.#target = this.#connection = undefined;
    this.#links.close(error);
    for (const [visitor] of this.#visitors) visitor.failed(error);
    this.#visitors.clear();
    this.#parked.clear();
  }

  #choose({ spreads, anyNode }: Pick<Visitor, 'anyNode' | 'spreads'>): Connection | undefined {
    const inTurn = spreads === true ? this.#spread.next() : undefined;
    return inTurn ?? this.#connection ?? (anyNode === true ? this.#links.anyReady()?.connection : undefined);
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
    if (link.leads && this.#links.leader === link) return this.#aim(link);
    const leader = this.#links.leader;
    if (isSilent(target) && leader !== undefined && leader !== target && leader !== link) this.#links.ask(leader).catch(() => undefined);
  }

  /** A node refused for now: what it says of the leader is followed, and else others are asked. */
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

  #ended(link: NodeLink, error: SparrowError): void {
    if (link !== this.#target) return;
    for (const call of this.#parked.keys()) call.lastError = error;
    this.#leave(link);
    this.#search.begin();
  }

  #leave(link: NodeLink): void {
    this.#target = this.#connection = undefined;
    this.#search.leave(link, this.#surroundings.clock.monotonicMs() - this.#targetSinceMs >= STABLE_AFTER_MS);
  }

  /** Called at each look while the node is suspect. */
  #silent(link: NodeLink): void {
    if (link !== this.#target) {
      // Its calls go to the target, if that is better.
      if (this.#target !== undefined && !isSilent(this.#target)) this.#abandon(link);
      return;
    }
    // Others are asked at every second look: those that cannot be reached cost a connection each.
    if ((link.silentLooks - SILENT_LOOKS) % 2 !== 0) return;
    for (const other of this.#links.all()) if (other !== link) this.#links.ask(other).catch(() => undefined);
  }

  #abandon(link: NodeLink): void {
    const { address } = link;
    link.connection?.abandon(new SparrowError('unavailable', 'NODE_SILENT', `${address} does not answer; another node leads`, { address }));
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
  }
}

function isSilent(link: NodeLink): boolean {
  return link.silentLooks >= SILENT_LOOKS;
}
