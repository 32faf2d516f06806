/**
 * How a node attends: it finds the leader of the metaserver, registers, reports, carries orders out, and says what it can reach.
 *
 *   whom to ask   the leader that this node's own replica of META_GROUP knows; else whomever the last one asked named; else the known nodes, in turn
 *   a stream      register -> welcome -> a full report, then one each `reportMs` of the shards that changed, and of the outcome of orders at once
 *   its end       broken, refused, silent for `SILENCE_MS`, or of a leader that was replaced: the next one is tried, after a pause that grows
 *
 * An order that comes again while it is under way is answered once, when it is done. Outcomes that could not be said over a stream that broke are
 * not kept: the leader gives the order again, and what was done is done.
 *
 * Made by whoever builds a node; runs on injected clock and scheduler. Calls an OrderExecutor (server/shard) and the way to the leader.
 */
import type { Clock, Scheduler, Timer } from '../../base/env.ts';
import type {
  FailedReplica,
  FromNode,
  LeaderStream,
  LeaderStreamListener,
  NodeLoadReport,
  NodePlace,
  Registration,
  ShardReport,
  TableDemand,
  TableShare,
  ToNode,
} from './attending.ts';
import type { GivenOrder, OrderOutcome } from './orders.ts';

/** Where somebody may lead the metaserver, HOST:PORT for clients; or this node itself. */
export type Whom = string;
export const SELF: Whom = 'self';

export interface AttendanceParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** As of now: addresses may be known late. */
  readonly registration: () => Registration;
  readonly load: () => NodeLoadReport;
  readonly shards: () => readonly ShardReport[];
  /** Replicas that are here and cannot be opened. */
  readonly failed?: () => readonly FailedReplica[];
  /** Never rejects. */
  readonly execute: (given: GivenOrder) => Promise<OrderOutcome>;
  /** Who leads META_GROUP, as its replica here knows; undefined: there is none, or it does not know. */
  readonly leader: () => Whom | undefined;
  /** Of all nodes that this one knows of, itself left out, HOST:PORT for clients. */
  readonly known: () => readonly string[];
  readonly connect: (whom: Whom, listener: LeaderStreamListener) => LeaderStream;
  /** Whether another node answers this one now. */
  readonly reaches: (node: number) => Promise<boolean>;
  /** What was asked of this node, of tables with quotas. */
  readonly demands?: () => readonly TableDemand[];
  /** What it has to keep to. */
  readonly onShares?: (shares: readonly TableShare[]) => void;
  readonly onNodes: (nodes: readonly NodePlace[], removed: readonly number[]) => void;
  /** It attends, or does no more. */
  readonly onAttending?: (leader: Whom | undefined, why: string) => void;
}

/** A leader says something at least every two seconds. */
const SILENCE_MS = 8000;
const WELCOME_MS_MAX = 3000;
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 2000;
/** Under way at a time; those beyond come again. */
const ORDERS_MAX = 10_000;

/** Of one replica. */
type Told = ShardReport | FailedReplica;

interface Attempt {
  readonly whom: Whom;
  readonly stream: LeaderStream;
  /** As it was sent. */
  registered: string;
  welcomed: boolean;
  sequence: number;
  /** What the leader was told last, by shard. */
  told: ReadonlyMap<number, Told>;
  heardMs: number;
}

export class Attendance {
  readonly #parts: AttendanceParts;
  #attempt: Attempt | undefined;
  #timer: Timer | undefined;
  #pauseMs = PAUSE_MS_MIN;
  #asked = 0;
  /** Whom the last one that was asked named. */
  #named: string | undefined;
  /** The newest that this node was welcomed with. */
  #term = 0;
  readonly #underWay: Map<string, Promise<OrderOutcome>> = new Map();
  #closed = false;

  constructor(parts: AttendanceParts) {
    this.#parts = parts;
    this.#schedule(0, () => this.#seek());
  }

  /** The leader that it attends; undefined while it attends none. */
  get attending(): Whom | undefined {
    return this.#attempt?.welcomed === true ? this.#attempt.whom : undefined;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#attempt?.stream.end();
    this.#attempt = undefined;
  }

  /** Something that the leader waits for has happened: it is told before the next report is due. */
  hurry(): void {
    if (this.#attempt?.welcomed === true) this.#report(this.#attempt);
  }

  #seek(): void {
    const whom = this.#next();
    if (whom === undefined) return this.#pause();
    const { clock } = this.#parts;
    // The listener may be called before `connect` returns.
    let attempt: Attempt | undefined;
    let over: { why: Error | undefined; leader: string | undefined } | undefined;
    const listener: LeaderStreamListener = {
      receive: (message) => {
        if (attempt !== undefined && attempt === this.#attempt) this.#receive(attempt, message);
      },
      ended: (why, leader) => {
        over = { why, leader };
        if (attempt !== undefined && attempt === this.#attempt) this.#ended(attempt, why, leader);
      },
    };
    const stream = this.#parts.connect(whom, listener);
    attempt = { whom, stream, registered: '', welcomed: false, sequence: 0, told: new Map(), heardMs: clock.monotonicMs() };
    this.#attempt = attempt;
    if (over !== undefined) return this.#ended(attempt, over.why, over.leader);
    this.#register(attempt);
    this.#schedule(WELCOME_MS_MAX, () => this.#giveUp(attempt, 'no welcome'));
  }

  /** Again when it is elsewhere, or another, than it said. */
  #register(attempt: Attempt): void {
    const registration = this.#parts.registration();
    const text = JSON.stringify(registration);
    if (text === attempt.registered) return;
    attempt.registered = text;
    attempt.stream.send({ type: 'register', registration });
  }

  #next(): Whom | undefined {
    const leader = this.#parts.leader();
    const known = this.#parts.known();
    const turn = this.#asked++;
    // One that is wrong is not asked again and again.
    if (leader !== undefined && turn % 2 === 0) return leader;
    const named = this.#named;
    this.#named = undefined;
    if (named !== undefined) return named;
    return known.length === 0 ? leader : known[turn % known.length];
  }

  #pause(): void {
    const ms = this.#named === undefined ? this.#pauseMs : 0;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2);
    this.#schedule(ms, () => this.#seek());
  }

  #receive(attempt: Attempt, message: ToNode): void {
    attempt.heardMs = this.#parts.clock.monotonicMs();
    switch (message.type) {
      case 'welcome':
        return this.#welcomed(attempt, message.term, message.reportMs);
      case 'order':
        if (message.term < this.#term) return this.#giveUp(attempt, 'its term is over');
        return void this.#carryOut(message.given);
      case 'nodes':
        return this.#parts.onNodes(message.nodes, message.removed);
      case 'quotas':
        return this.#parts.onShares?.(message.shares);
      case 'probe':
        void this.#parts.reaches(message.node).then(
          (reached) => this.#send({ type: 'probed', node: message.node, reached }),
          () => this.#send({ type: 'probed', node: message.node, reached: false }),
        );
        return;
    }
  }

  #welcomed(attempt: Attempt, term: number, reportMs: number): void {
    if (term < this.#term) return this.#giveUp(attempt, 'its term is over');
    this.#term = term;
    if (attempt.welcomed) return;
    attempt.welcomed = true;
    this.#pauseMs = PAUSE_MS_MIN;
    this.#parts.onAttending?.(attempt.whom, `term ${term}`);
    this.#report(attempt);
    const again = (): void => {
      if (attempt !== this.#attempt) return;
      if (this.#parts.clock.monotonicMs() - attempt.heardMs > SILENCE_MS) return this.#giveUp(attempt, 'it is silent');
      this.#register(attempt);
      this.#report(attempt);
      this.#schedule(reportMs, again);
    };
    this.#schedule(reportMs, again);
  }

  #report(attempt: Attempt): void {
    const { told } = attempt;
    const full = attempt.sequence === 0;
    const here = new Map<number, Told>();
    const shards = this.#parts.shards().filter((report) => {
      here.set(report.descriptor.shard, report);
      return !isSame(told.get(report.descriptor.shard), report);
    });
    const failed = (this.#parts.failed?.() ?? []).filter((replica) => {
      here.set(replica.shard, replica);
      return !isSameFailure(told.get(replica.shard), replica);
    });
    const gone = [...told.keys()].filter((shard) => !here.has(shard));
    attempt.told = here;
    const demands = this.#parts.demands?.() ?? [];
    const some = { ...(failed.length > 0 && { failed }), ...(demands.length > 0 && { demands }) };
    attempt.stream.send({
      type: 'report',
      report: { sequence: ++attempt.sequence, load: this.#parts.load(), shards, full, gone, ...some },
    });
  }

  async #carryOut(given: GivenOrder): Promise<void> {
    if (this.#underWay.has(given.id) || this.#underWay.size >= ORDERS_MAX) return;
    const work = this.#parts.execute(given);
    this.#underWay.set(given.id, work);
    const result = await work;
    this.#underWay.delete(given.id);
    if (this.#closed) return;
    // What it has changed is known before it is said to be done.
    this.hurry();
    this.#send({ type: 'done', done: { id: given.id, result } });
  }

  #send(message: FromNode): void {
    if (this.#attempt?.welcomed === true) this.#attempt.stream.send(message);
  }

  #giveUp(attempt: Attempt, why: string): void {
    if (attempt !== this.#attempt) return;
    attempt.stream.end();
    this.#ended(attempt, new Error(why), undefined);
  }

  #ended(attempt: Attempt, why: Error | undefined, leader: string | undefined): void {
    if (this.#closed) return;
    this.#attempt = undefined;
    this.#named = leader === attempt.whom ? undefined : leader;
    if (attempt.welcomed) this.#parts.onAttending?.(undefined, why?.message ?? 'the stream ended');
    this.#pause();
  }

  #schedule(ms: number, task: () => void): void {
    this.#timer?.cancel();
    if (!this.#closed) this.#timer = this.#parts.scheduler.after(ms, task, true);
  }
}

function isSameFailure(a: Told | undefined, b: FailedReplica): boolean {
  return a !== undefined && 'why' in a && a.why === b.why;
}

function isSame(a: Told | undefined, b: ShardReport): boolean {
  if (a === b) return true;
  return (
    a !== undefined &&
    'role' in a &&
    a.role === b.role &&
    a.term === b.term &&
    a.leader === b.leader &&
    a.applied === b.applied &&
    a.lastIndex === b.lastIndex &&
    a.diskBytes === b.diskBytes &&
    a.keysCount === b.keysCount &&
    a.readsPerSecond === b.readsPerSecond &&
    a.writesPerSecond === b.writesPerSecond &&
    a.bytesPerSecond === b.bytesPerSecond &&
    a.configurationIndex === b.configurationIndex &&
    a.stoppedBecause === b.stoppedBecause &&
    a.descriptor === b.descriptor &&
    a.matches.length === b.matches.length &&
    a.matches.every(({ node, match }, i) => node === b.matches[i]!.node && match === b.matches[i]!.match)
  );
}
