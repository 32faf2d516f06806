/**
 * One lead of META_GROUP: from reading the topology to losing the lead. All that the metaserver decides and has done goes through here.
 *
 *   changes   one after another: a pure function of the state says what is to be written (changes/), the store writes it, the state takes it in
 *   reports   what of them is to be kept is such a change; then the state takes the rest in
 *   rounds    each `roundMs`: health of nodes, operators that go on, new ones by plan; and soon after a report or an outcome, operators that go on
 *   orders    for the step that each operator is at, given until it is done (order-book.ts)
 *
 * A write that fails ends the lead: nobody knows what is written then, and the next lead reads it. What is in memory only - load, who leads shards, orders
 * given - the next leader hears again.
 *
 * Made by metaserver.ts, driven by its clock and scheduler.
 */
import type { Clock, Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { FromNode, NodeReport, NodeStream, NodeStreamListener, Registration } from './attending.ts';
import { beginning } from './beginning.ts';
import {
  advanceOperators,
  orderEnded,
  purgeTables,
  registerNode,
  setDuty,
  setHealth,
  startOperators,
  takeReport,
  takeStrays,
} from './changes/index.ts';
import { notAhead } from './clocks.ts';
import { Cluster } from './cluster.ts';
import { Desk } from './desk.ts';
import { OrderBook } from './order-book.ts';
import type { OrderReport } from './orders.ts';
import { markHands } from './hands.ts';
import { Slowness } from './slowness.ts';
import { ordersOf, type Plan, plan, stepOfOrder } from './placement/index.ts';
import type { OperatorRecord } from './operator.ts';
import type { Change, ClusterState, MetaWrite } from './state.ts';
import { type MetaReplica, MetaStore } from './store.ts';
import { Timestamps } from './timestamps.ts';

export interface LeadParts {
  readonly replica: MetaReplica;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** 16 hexadecimal digits: nodes of another cluster are refused. */
  readonly clusterId: string;
  /** The nodes that the cluster begins with. */
  readonly voters: readonly number[];
  readonly reportMs: number;
  readonly roundMs: number;
  readonly onEvent: (event: MetaEvent) => void;
  /** The lead cannot go on. */
  readonly onOver: (error: SparrowError) => void;
}

/** What is worth a line in a log. */
export type MetaEvent =
  | { readonly type: 'begun'; readonly term: number; readonly nodes: number; readonly shards: number }
  | { readonly type: 'node'; readonly node: number; readonly what: string }
  | { readonly type: 'operator'; readonly operator: OperatorRecord }
  | { readonly type: 'over'; readonly term: number; readonly why: string };

/** Counted since the lead began. */
export interface LeadCounts {
  reports: number;
  orders: number;
  ordersDone: number;
  ordersRefused: number;
  changes: number;
  rounds: number;
  /** How long the last round took to decide, and the longest. */
  decisionMs: number;
  decisionMsMax: number;
}

/** Operators that go on are looked after so soon after something was reported. */
const SOON_MS = 10;

export class MetaLead {
  /** This node, and the term of META_GROUP in which it leads. */
  readonly leader: number;
  readonly term: number;
  readonly beganMs: number;
  readonly counts: LeadCounts = {
    reports: 0,
    orders: 0,
    ordersDone: 0,
    ordersRefused: 0,
    changes: 0,
    rounds: 0,
    decisionMs: 0,
    decisionMsMax: 0,
  };
  /** Operators that ended in this lead, by how. */
  readonly operatorsEnded: Map<OperatorRecord['state'], number> = new Map();
  readonly #parts: LeadParts;
  readonly #beganAt: number;
  readonly #cluster: Cluster;
  readonly #desk: Desk;
  readonly #book: OrderBook = new OrderBook();
  readonly #watchers: Set<() => void> = new Set();
  readonly #slowness: Slowness = new Slowness();
  #store: MetaStore | undefined;
  #timestamps: Timestamps | undefined;
  /** What is under way, or done, last. */
  #tail: Promise<unknown>;
  #round: Timer | undefined;
  #soon: Timer | undefined;
  #over: SparrowError | undefined;

  constructor(parts: LeadParts) {
    const { replica, clock, reportMs } = parts;
    const { id, term } = replica.stats();
    this.#parts = parts;
    this.leader = id;
    this.term = term;
    this.beganMs = Math.round(clock.wallMs());
    this.#beganAt = clock.monotonicMs();
    this.#cluster = new Cluster(this.beganMs);
    this.#desk = new Desk({ term, leader: id, reportMs, nowMs: () => this.nowMs });
    this.#tail = this.#begin().catch((error: unknown) => this.end(lost(error)));
  }

  /** Whole milliseconds since 1970. Never goes back within a lead. */
  get nowMs(): number {
    return this.beganMs + Math.round(this.#parts.clock.monotonicMs() - this.#beganAt);
  }

  get attending(): number {
    return this.#desk.attending;
  }

  /** As it is now; undefined while it is read, and when the lead is over. */
  get state(): ClusterState | undefined {
    return this.#store === undefined || this.#over !== undefined ? undefined : this.#cluster;
  }

  /** Settles with what `look` says of the state, when it is there. Rejects when the lead is over. */
  view<T>(look: (state: ClusterState, nowMs: number) => T): Promise<T> {
    return this.#serial(() => Promise.resolve(look(this.#cluster, this.nowMs)));
  }

  /** Settles when the change is written and taken in. Rejects with what `make` throws, and when the lead is over. */
  change<T>(make: (state: ClusterState, nowMs: number) => Change<T>): Promise<T> {
    return this.#serial(async () => {
      const result = await this.#commit(make(this.#cluster, this.nowMs));
      this.#hurry();
      return result;
    });
  }

  /** Settles when `reached` says so: whether it did before `msMax` were over. Rejects when the lead is over. */
  async until(reached: (state: ClusterState) => boolean, msMax: number): Promise<boolean> {
    await this.view(() => undefined);
    if (reached(this.#cluster)) return true;
    return new Promise((resolve, reject) => {
      const end = (outcome: () => void): void => {
        this.#watchers.delete(look);
        timer.cancel();
        outcome();
      };
      const look = (): void => {
        if (this.#over !== undefined) end(() => reject(this.#over!));
        else if (reached(this.#cluster)) end(() => resolve(true));
      };
      const timer = this.#parts.scheduler.after(msMax, () => end(() => resolve(false)));
      this.#watchers.add(look);
    });
  }

  /** A node's stream. */
  attend(stream: NodeStream): NodeStreamListener {
    let node = 0;
    return {
      receive: (message) => {
        if (message.type === 'register') {
          ({ node } = message.registration);
          void this.#register(message.registration, stream);
        } else if (this.#desk.isOf(node, stream)) void this.#hear(node, message);
      },
      ended: () => {
        if (this.#desk.leave(node, stream)) this.#book.gone(node);
      },
    };
  }

  /** Why an operator does not get on, as nodes say; empty: none says so. */
  whyWaiting(operator: number): string {
    return this.#book.whyWaiting(operator);
  }

  /**
   * The first of `count` timestamps that follow one another. Above all that anybody was given before this was called: they are drawn from memory, and told
   * only after the group has confirmed that this node led it when they were asked for. All who ask in a turn are one question to the group. Rejects as
   * `Replica.read` does, and when the lead is over.
   */
  async timestamps(count: number): Promise<number> {
    if (this.#timestamps === undefined) await this.view(() => undefined);
    this.#checkGoesOn();
    const { replica } = this.#parts;
    const [first] = await Promise.all([this.#timestamps!.take(count), replica.read()]);
    this.#checkGoesOn();
    if (replica.stats().term !== this.term) throw lost(new Error('it was elected anew'));
    return first;
  }

  /** Idempotent. */
  end(why: SparrowError): void {
    if (this.#over !== undefined) return;
    this.#over = why;
    this.#round?.cancel();
    this.#soon?.cancel();
    this.#desk.close();
    for (const look of [...this.#watchers]) look();
    this.#parts.onEvent({ type: 'over', term: this.term, why: why.message });
    this.#parts.onOver(why);
  }

  #checkGoesOn(): void {
    if (this.#over !== undefined) throw this.#over;
  }

  async #begin(): Promise<void> {
    const { replica, clock, voters, onEvent } = this.#parts;
    const { store, records, timestampsBound } = await MetaStore.begin(replica, this.beganMs);
    this.#cluster.apply(records.map((record) => notAhead(record, this.beganMs)));
    this.#store = store;
    this.#timestamps = new Timestamps(timestampsBound, clock, (bound) => store.commitTimestamps(bound));
    if (records.length === 0) await this.#commit(beginning(voters, this.nowMs));
    onEvent({ type: 'begun', term: this.term, nodes: this.#cluster.nodes.size, shards: this.#cluster.shards.size });
    this.#scheduleRound();
  }

  #serial<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(async () => {
      if (this.#over !== undefined) throw notBegun(this.#over);
      const result = await task();
      for (const look of [...this.#watchers]) look();
      return result;
    });
    this.#tail = run.catch(() => undefined);
    return run;
  }

  /** Only within `#serial`, or before anybody else does anything. */
  async #commit<T>({ writes, result }: Change<T>): Promise<T> {
    try {
      await this.#store!.commit(writes);
    } catch (error) {
      this.end(lost(error));
      throw error;
    }
    if (this.#over !== undefined) throw this.#over;
    this.#tellOperators(writes);
    this.#cluster.apply(writes);
    if (writes.length > 0) this.counts.changes++;
    return result;
  }

  #tellOperators(writes: readonly MetaWrite[]): void {
    for (const write of writes) {
      if (write.kind !== 'operator' || write.record === undefined) continue;
      const before = this.#cluster.operators.get(write.id);
      if (before?.state === write.record.state) continue;
      this.#parts.onEvent({ type: 'operator', operator: write.record });
      const { state } = write.record;
      if (state !== 'running') this.operatorsEnded.set(state, (this.operatorsEnded.get(state) ?? 0) + 1);
    }
  }

  // Nodes.

  async #register(registration: Registration, stream: NodeStream): Promise<void> {
    const { node, clusterId } = registration;
    try {
      if (clusterId !== this.#parts.clusterId) throw otherCluster(registration, this.#parts.clusterId);
      await this.#serial(async () => {
        const known = this.#cluster.nodes.get(node)?.record;
        await this.#commit(registerNode(this.#cluster, registration, this.nowMs));
        this.#cluster.observe(node, undefined, this.nowMs);
        this.#desk.take(node, stream, this.#cluster);
        this.#parts.onEvent({ type: 'node', node, what: known === undefined ? 'has joined the cluster' : 'attends' });
      });
      this.#book.gone(node);
      this.#hurry();
    } catch (error) {
      stream.end(error);
    }
  }

  async #hear(node: number, message: Exclude<FromNode, { type: 'register' }>): Promise<void> {
    try {
      if (message.type === 'report') await this.#report(node, message.report);
      else if (message.type === 'done') await this.#ended(node, message.done);
      else await this.#serial(() => Promise.resolve(this.#cluster.probed(message.node, node, message.reached, this.nowMs)));
    } catch (error) {
      // The lead is over, or the node says what makes no sense.
      if (this.#over === undefined) this.#parts.onEvent({ type: 'node', node, what: `is not understood: ${String(error)}` });
    }
  }

  async #report(node: number, report: NodeReport): Promise<void> {
    this.counts.reports++;
    this.#desk.heard(node, report.demands ?? []);
    await this.#serial(async () => {
      const { nowMs } = this;
      const { writes } = takeReport(this.#cluster, report, nowMs);
      await this.#commit({ writes: markHands(this.#cluster, writes, nowMs), result: undefined });
      const slowDisk = this.#slowness.amongOthers(node, report.load.slowDisk, nowMs);
      this.#cluster.observe(node, { ...report, load: { ...report.load, slowDisk } }, nowMs);
    });
    if (this.#cluster.running.size > 0) this.#hurry();
  }

  async #ended(node: number, { id, result }: OrderReport): Promise<void> {
    const place = stepOfOrder(id);
    if (place === undefined) return;
    const { operator, at } = place;
    if (result.outcome === 'done') {
      this.counts.ordersDone++;
      this.#book.done(id, node, this.nowMs);
      await this.change((state, nowMs) => orderEnded(state, operator, at, undefined, nowMs));
    } else {
      this.counts.ordersRefused++;
      const why = `node ${node}: ${result.message}`;
      this.#book.refused(id, node, why, this.nowMs);
      if (!result.again) await this.change((state, nowMs) => orderEnded(state, operator, at, why, nowMs));
    }
    this.#hurry();
  }

  // Decisions.

  #scheduleRound(): void {
    if (this.#over !== undefined) return;
    this.#round = this.#parts.scheduler.after(
      this.#parts.roundMs,
      () => {
        void this.#decide()
          .catch((error: unknown) => this.end(lost(error)))
          .finally(() => this.#scheduleRound());
      },
      true,
    );
  }

  #hurry(): void {
    if (this.#soon !== undefined || this.#over !== undefined) return;
    this.#soon = this.#parts.scheduler.after(
      SOON_MS,
      () => {
        this.#soon = undefined;
        void this.#serial(() => this.#goOn()).catch((error: unknown) => this.end(lost(error)));
      },
      true,
    );
  }

  #decide(): Promise<void> {
    return this.#serial(async () => {
      const cluster = this.#cluster;
      await this.#goOn();
      await this.#commit(purgeTables(cluster, this.nowMs));
      await this.#commit(takeStrays(cluster, this.nowMs));
      const { verdicts, probes, proposals } = this.#plan();
      for (const { node, peers } of probes) {
        cluster.asked(node, peers, this.nowMs);
        for (const peer of peers) if (!this.#desk.say(peer, { type: 'probe', node })) cluster.probed(node, peer, false, this.nowMs);
      }
      for (const { node, health, duty, reason } of verdicts) {
        if (health !== undefined) await this.#commit(setHealth(cluster, node, health, this.nowMs));
        if (duty !== undefined) await this.#commit(setDuty(cluster, node, duty));
        this.#parts.onEvent({ type: 'node', node, what: reason });
      }
      // What follows from a verdict is decided in the next round, on what is so then.
      if (verdicts.length === 0) await this.#commit(startOperators(cluster, proposals, 'policy', this.nowMs));
      this.#giveOrders();
      this.#desk.round(cluster);
    });
  }

  #plan(): Plan {
    const { clock } = this.#parts;
    const beganAt = clock.monotonicMs();
    const decided = plan(this.#cluster, this.nowMs);
    const ms = clock.monotonicMs() - beganAt;
    this.counts.rounds++;
    this.counts.decisionMs = ms;
    this.counts.decisionMsMax = Math.max(this.counts.decisionMsMax, ms);
    return decided;
  }

  async #goOn(): Promise<void> {
    await this.#commit(advanceOperators(this.#cluster, this.nowMs));
    this.#giveOrders();
  }

  #giveOrders(): void {
    const { nowMs, term } = this;
    const wanted = [...this.#cluster.running.values()].flatMap((operator) => ordersOf(this.#cluster, operator));
    for (const order of this.#book.due(wanted, nowMs)) {
      const { node, id } = order;
      if (this.#desk.say(node, { type: 'order', term, given: { id, order: order.order } })) this.counts.orders++;
      else this.#book.missed(order);
    }
  }
}

function otherCluster({ node, clusterId }: Registration, ours: string): SparrowError {
  const message = `node ${node} is of cluster ${clusterId}, and this is cluster ${ours}`;
  return new SparrowError('invalid', 'OTHER_CLUSTER', message, { field: 'clusterId', node, applied: false });
}

/** Of what had not begun when the lead was over. */
function notBegun({ kind, code, message, details }: SparrowError): SparrowError {
  return new SparrowError(kind, code, message, { ...details, applied: false });
}

function lost(error: unknown): SparrowError {
  if (error instanceof SparrowError && error.code === 'META_LEAD_LOST') return error;
  const why = error instanceof Error ? error.message : String(error);
  return new SparrowError('unavailable', 'META_LEAD_LOST', `the metaserver cannot go on here: ${why}`, {}, error);
}
