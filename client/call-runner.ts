/**
 * Takes calls from their start to their answer: bounds what is in flight, keeps deadlines and aborts, numbers writes, and tries again what
 * may be answered differently a little later (retry.ts).
 *
 * Invariants: each call settles exactly once, at its deadline at the latest; a settled call holds no room, no timer, no place in a connection;
 * a write is sent again only under the request id of its first attempt.
 */
import { assert } from '../base/assert.ts';
import { SparrowError, type ErrorDetails } from '../base/errors.ts';
import type { CallOptions } from './api.ts';
import { Call, type AnyCall, type CallRoute } from './call.ts';
import type { Settings } from './connect-options.ts';
import type { Connection } from './connection.ts';
import type { Connector, Visitor } from './connector.ts';
import { type Method, type Request, TOPOLOGY } from './methods.ts';
import type { RequestIds } from './request-ids.ts';
import { isWorthRetrying, isWorthRotating, pauseMs, RetryBudget } from './retry.ts';
import { DEFAULT_TABLE, isOfOtherShard, Router } from './router.ts';
import { aborted, clientClosed, timedOutError } from './settled-errors.ts';
import { fraction, type Surroundings } from './surroundings.ts';
import type { TableRoute } from './table-route.ts';

/** A call whose connections keep ending for a reason of their own (not: out of reach) is taken to be that reason. */
const LOSSES_MAX = 3;
/**
 * A call may be sent away so often before it takes tokens of the retry budget: all calls under way are, whenever the lead changes, and the
 * connector sends them on only when it has found a node that leads.
 */
const REROUTES_FREE = 10;

/** The map of a table is asked for no longer than this at a time, and, where calls may wait less for a leader, no longer than that. */
const FETCH_TIMEOUT_MS = 5_000;
const FETCH_TIMEOUT_MS_MIN = 250;

/** What else is to be said of a call. */
export interface CallWays {
  /** Absent: to the first group. */
  readonly route?: CallRoute;
  readonly nearest?: boolean;
  readonly avoid?: string | undefined;
  /** Of the client itself: waits for no room. */
  readonly urgent?: boolean;
  /** Told as the call begins, for whoever wants to watch where it goes. */
  readonly begun?: (call: AnyCall) => void;
}

export class CallRunner {
  readonly #settings: Settings;
  readonly #ids: RequestIds;
  readonly #router: Router;
  readonly #surroundings: Surroundings;
  readonly #budget: RetryBudget;
  /** Every call that is not settled. */
  readonly #calls: Set<AnyCall> = new Set();
  /** Calls without room yet, first come first served. */
  #waiting: AnyCall[] = [];
  #waitingHead = 0;
  #callsInFlight = 0;
  #bytesInFlight = 0;
  #callsInFlightMax: number;
  #defaultIsSplit = false;
  #closed = false;

  constructor(addresses: readonly string[], settings: Settings, ids: RequestIds, surroundings: Surroundings) {
    this.#settings = settings;
    this.#ids = ids;
    this.#surroundings = surroundings;
    this.#budget = new RetryBudget(() => surroundings.clock.monotonicMs());
    this.#callsInFlightMax = settings.callsInFlightMax;
    this.#router = new Router(addresses, settings, surroundings, {
      answered: (call, answer) => this.#answered(call, answer),
      refused: (call, error) => this.#refused(call, error),
      lost: (call, error) => this.#lost(call, error),
      failed: (call, error) => this.#fail(call, error),
      connected: (connection) => this.#connected(connection),
      fetch: (table, knownVersion) =>
        this.run(
          TOPOLOGY,
          { table, knownVersion },
          0,
          { timeoutMs: Math.min(FETCH_TIMEOUT_MS, settings.timeoutMs, Math.max(FETCH_TIMEOUT_MS_MIN, settings.waitForLeaderMs)) },
          {
            route: this.#router.metaRoute,
            urgent: true,
          },
        ),
    });
  }

  get surroundings(): Surroundings {
    return this.#surroundings;
  }

  /** A node said that table `default` is more than one shard: from then on it is routed by its map. */
  get defaultIsSplit(): boolean {
    return this.#defaultIsSplit;
  }

  /** A node found that table `default` is several shards: this call goes on by their map, those that come after it do so from the start. */
  #goByMap(call: AnyCall, error: SparrowError): void {
    const route = this.splitDefault();
    if (call.method.keys === undefined) return this.#fail(call, error);
    call.route = route;
    this.#dispatchSoon(call);
  }

  /** From now on table `default` is routed by its map. */
  splitDefault(): TableRoute {
    this.#defaultIsSplit = true;
    return this.#router.table(DEFAULT_TABLE);
  }

  /** Whether a read may be asked of a second node: it costs as much as a retry. */
  mayHedge(): boolean {
    return this.#budget.take();
  }

  table(name: string): TableRoute {
    return this.#router.table(name);
  }

  /** Of calls to the metaserver. */
  get metaRoute(): CallRoute {
    return this.#router.metaRoute;
  }

  get first(): Connector {
    return this.#router.first;
  }

  /** Settles a call that a route gives up. */
  readonly fail = (call: AnyCall, error: SparrowError): void => this.#fail(call, error);

  /** `bytes`: of keys and values in the request. The options are checked already. */
  run<Q, A>(method: Method<Q, A>, request: Request<Q>, bytes: number, options: CallOptions | undefined, ways?: CallWays): Promise<A> {
    if (this.#closed) return Promise.reject(clientClosed());
    if (options?.signal?.aborted === true)
      return Promise.reject(aborted(method.name, options.signal, method.writes ? { applied: false } : {}));
    return new Promise<A>((resolve, reject) => {
      const { clock, scheduler } = this.#surroundings;
      const timeoutMs = options?.timeoutMs ?? this.#settings.timeoutMs;
      const call = new Call(method, request, bytes, timeoutMs, clock.monotonicMs(), resolve, reject);
      if (ways !== undefined) give(call, ways);
      if (call.urgent) {
        this.#calls.add(call);
        call.timer = scheduler.after(timeoutMs, () => this.#fail(call, timedOut(call)));
        return this.#admit(call);
      }
      if (this.#waiting.length > this.#waitingHead || !this.#hasRoom(call)) {
        if (!this.#mayWait()) return reject(this.#tooManyWaiting());
        this.#waiting.push(call);
      }
      this.#calls.add(call);
      call.timer = scheduler.after(timeoutMs, () => this.#fail(call, timedOut(call)));
      if (options?.signal !== undefined) this.#listen(call, options.signal);
      if (this.#waiting.length === this.#waitingHead) this.#admit(call);
    });
  }

  /** For what is not a call, and goes to the first group: scans of table `default`. */
  visit(visitor: Visitor): () => void {
    if (this.#closed) {
      visitor.failed(clientClosed());
      return () => undefined;
    }
    return this.#router.first.visit(visitor);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const call of this.#calls) this.#fail(call, clientClosed());
    this.#router.close(clientClosed());
  }

  #hasRoom(call: AnyCall): boolean {
    if (this.#callsInFlight === 0) return true;
    if (this.#callsInFlight >= this.#callsInFlightMax) return false;
    if (this.#bytesInFlight + call.bytes > this.#settings.bytesInFlightMax) return false;
    return !call.method.writes || this.#ids.hasRoom;
  }

  #admit(call: AnyCall): void {
    this.#callsInFlight++;
    this.#bytesInFlight += call.bytes;
    call.state = 'parked';
    const identified = call.identified;
    if (identified !== undefined && identified.requestId === undefined) {
      identified.requestId = this.#ids.begin();
      call.numbered = true;
    }
    this.#router.dispatch(call);
  }

  #answered(call: AnyCall, answer: unknown): void {
    if (call.state === 'done') return;
    const version = call.method.version(answer);
    if (call.route === undefined) this.#ids.observe(version);
    else call.route.observe(call, version);
    this.#budget.succeeded();
    this.#settle(call);
    call.resolve(answer);
    this.#admitWaiting();
  }

  #refused(call: AnyCall, error: SparrowError): void {
    if (call.state === 'done') return;
    // gRPC's own deadline was faster than ours.
    if (error.code === 'TIMEOUT' && error.details['applied'] === undefined) return this.#fail(call, timedOut(call));
    call.lastError = error;
    if (leavesOpen(error)) call.uncertain = true;
    // True of this attempt, and so of the call when no other one's outcome is open.
    else if (error.details['applied'] === false && !call.uncertain) call.wasSent = false;
    if (call.route === undefined && isOfOtherShard(error)) return this.#goByMap(call, error);
    if (call.route?.tookBack(call, error) === true) return;
    if (call.method.once === true && !isUndone(error)) return this.#fail(call, error);
    if (error.code === 'REQUEST_EXPIRED' && this.#renew(call, error)) return this.#router.dispatch(call);
    if (isWorthRetrying(error) && isWorthRotating(error) && call.reroutes < REROUTES_FREE) {
      call.reroutes++;
      return this.#dispatchSoon(call);
    }
    if (!isWorthRetrying(error) || !this.#budget.take()) return this.#fail(call, withFate(call, error));
    call.retries++;
    this.#dispatchLater(call);
  }

  #lost(call: AnyCall, error: SparrowError): void {
    if (call.state === 'done') return;
    call.lastError = error;
    call.uncertain ||= call.wasSent;
    if (this.#closed) return this.#fail(call, clientClosed());
    if (call.method.once === true && call.wasSent) return this.#fail(call, error);
    // Waiting for the next connection is pause enough; what broke it may be the call itself.
    if (error.kind !== 'unavailable' && error.kind !== 'cancelled' && call.wasSent && ++call.losses >= LOSSES_MAX)
      return this.#fail(call, error);
    this.#dispatchSoon(call);
  }

  /** Not now: the connection is still handing out what it has. */
  #dispatchSoon(call: AnyCall): void {
    call.state = 'pausing';
    queueMicrotask(() => {
      if (call.state === 'pausing') this.#router.dispatch(call);
    });
  }

  /** The server has forgotten this client, which wrote nothing for long. A write that was never sent before can go under a new id. */
  #renew(call: AnyCall, error: SparrowError): boolean {
    const identified = call.identified;
    if (identified?.requestId === undefined || !call.numbered || call.uncertain || call.renewed) return false;
    const seen = error.details['seen'];
    if (typeof seen === 'number' && call.route === undefined) this.#ids.observe(seen);
    else if (typeof seen === 'number') call.route?.observe(call, seen);
    this.#ids.end(identified.requestId.sequence);
    identified.requestId = undefined;
    if (!this.#ids.hasRoom) return false;
    identified.requestId = this.#ids.begin();
    call.renewed = true;
    return true;
  }

  #dispatchLater(call: AnyCall): void {
    call.state = 'pausing';
    const { retryPauseMs, retryPauseMsMax } = this.#settings;
    const pause = pauseMs(call.retries, retryPauseMs, retryPauseMsMax, () => fraction(this.#surroundings.random));
    const timer = this.#surroundings.scheduler.after(pause, () => {
      call.holder = undefined;
      this.#router.dispatch(call);
    });
    call.holder = { drop: () => timer.cancel() };
  }

  #connected(connection: Connection): void {
    const greeting = connection.greeting;
    if (greeting === undefined) return;
    this.#ids.observe(greeting.seen);
    const theirs = greeting.callsInFlightMax;
    this.#callsInFlightMax = theirs > 0 ? Math.min(theirs, this.#settings.callsInFlightMax) : this.#settings.callsInFlightMax;
  }

  #fail(call: AnyCall, error: SparrowError): void {
    if (call.state === 'done') return;
    this.#settle(call);
    call.reject(error);
    this.#admitWaiting();
  }

  #settle(call: AnyCall): void {
    assert(this.#calls.delete(call), 'a call settles once');
    const wasAdmitted = call.state !== 'waiting';
    call.state = 'done';
    call.timer?.cancel();
    call.stopListening?.();
    call.holder?.drop(call);
    if (!wasAdmitted) return;
    this.#callsInFlight--;
    this.#bytesInFlight -= call.bytes;
    const id = call.numbered ? call.identified?.requestId : undefined;
    if (id !== undefined) this.#ids.end(id.sequence);
  }

  #admitWaiting(): void {
    while (this.#waitingHead < this.#waiting.length) {
      const call = this.#waiting[this.#waitingHead];
      if (call.state === 'waiting') {
        if (!this.#hasRoom(call)) break;
        this.#waitingHead++;
        this.#admit(call);
      } else {
        this.#waitingHead++;
      }
    }
    // What was passed over is let go of by halves, so that each entry is moved once on average.
    if (this.#waitingHead > 1_000 && this.#waitingHead * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#waitingHead);
      this.#waitingHead = 0;
    } else if (this.#waitingHead === this.#waiting.length) {
      this.#waiting = [];
      this.#waitingHead = 0;
    }
  }

  #listen(call: AnyCall, signal: AbortSignal): void {
    const onAbort = (): void => this.#fail(call, aborted(call.method.name, signal, fateOf(call)));
    signal.addEventListener('abort', onAbort, { once: true });
    call.stopListening = () => signal.removeEventListener('abort', onAbort);
  }

  /** Those that gave up while they waited do not count. */
  #mayWait(): boolean {
    if (this.#waiting.length - this.#waitingHead < this.#settings.callsWaitingMax) return true;
    this.#waiting = this.#waiting.slice(this.#waitingHead).filter((call) => call.state === 'waiting');
    this.#waitingHead = 0;
    return this.#waiting.length < this.#settings.callsWaitingMax;
  }

  #tooManyWaiting(): SparrowError {
    const limit = this.#settings.callsWaitingMax;
    return new SparrowError('exhausted', 'TOO_MANY_WAITING', `more than ${limit} calls wait to be sent; await some of them`, { limit });
  }
}

function give(call: AnyCall, { route, nearest, avoid, urgent, begun }: CallWays): void {
  call.route = route;
  call.nearest = nearest === true;
  call.avoid = avoid;
  call.urgent = urgent === true;
  begun?.(call);
}

/** Of a call that is not to be repeated: whether it changed nothing, so that it may be. */
function isUndone(error: SparrowError): boolean {
  return error.kind === 'rerouted' || error.details['applied'] === false || error.code === 'NO_LEADER' || error.code === 'META_STARTING';
}

/** For writes, `applied` tells whether it may have happened: false, or 'unknown'. */
function fateOf(call: AnyCall): ErrorDetails {
  return call.method.writes ? { applied: call.wasSent ? 'unknown' : false } : {};
}

/** Whether a refused write may be applied all the same: a leader that lost its lead, or stopped, does not know what becomes of it. */
function leavesOpen(error: SparrowError): boolean {
  if (error.details['applied'] === false || error.code === 'OVERLOADED') return false;
  return error.kind !== 'invalid' && error.kind !== 'conflict' && error.kind !== 'rerouted';
}

/** A server's "not applied" is true of the attempt that it refused, and not of one before it. */
function withFate(call: AnyCall, error: SparrowError): SparrowError {
  if (!call.uncertain || error.details['applied'] !== false) return error;
  return new SparrowError(error.kind, error.code, error.message, { ...error.details, applied: 'unknown' }, error);
}

function timedOut(call: AnyCall): SparrowError {
  const cause = call.lastError;
  if (call.wasSent || cause?.code !== 'UNREACHABLE') return timedOutError(call.method.name, call.timeoutMs, fateOf(call), cause);
  return new SparrowError('unavailable', 'UNREACHABLE', cause.message, fateOf(call), cause);
}
