/**
 * One call of a user, from its start to its answer, over all attempts.
 *
 *   waiting -> parked <-> queued -> sent -> done
 *                ^                   |
 *                +---- pausing <-----+
 *
 *   waiting   for room among the calls in flight (call-runner.ts)
 *   parked    for a connection (connector.ts)
 *   queued    in a connection, not written yet
 *   sent      written; an answer is to come
 *   pausing   before it is tried again
 *   done      settled; whatever still arrives for it is ignored
 */
import type { Timer } from '../base/env.ts';
import type { SparrowError } from '../base/errors.ts';
import type { Identified, Method, Request } from './methods.ts';

export type CallState = 'waiting' | 'parked' | 'queued' | 'sent' | 'pausing' | 'done';

/** Whoever holds a call that is under way can be told to let it go. */
export interface CallHolder {
  /** The call is settled: forget it, and tell the server if it is working on it. */
  drop(call: AnyCall): void;
}

/** A node (node-link.ts), as far as it matters here. */
export interface CallTarget {
  readonly address: string;
  /** Looks without a word from it (silence-watch.ts). */
  readonly silentLooks: number;
}

/** The group of replicas that a call was sent to: connector.ts. */
export interface CallGroup {
  /** The node that its calls go to now. */
  readonly target: CallTarget | undefined;
  /** A node refused a call of the group. */
  turnedAway(link: CallTarget, error: SparrowError): void;
}

/** Decides for which group a call is, each time that it is sent (table-route.ts). Calls that have none are for the first group. */
export interface CallRoute {
  dispatch(call: AnyCall): void;
  /**
   * Told of each refusal. True: the route itself sees to what becomes of the call, which was sent to the wrong shard or at the wrong time; it sends it again
   * when it knows more.
   */
  tookBack(call: AnyCall, error: SparrowError): boolean;
  /** The answer told a version of the call's shard. */
  observe(call: AnyCall, version: number): void;
}

export class Call<Q, A> {
  readonly method: Method<Q, A>;
  readonly request: Request<Q>;
  /** Keys and values, for the bound on bytes in flight. */
  readonly bytes: number;
  readonly timeoutMs: number;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  readonly resolve: (answer: A) => void;
  readonly reject: (error: SparrowError) => void;
  /** Undefined: table `default`, as long as it is one shard. */
  route: CallRoute | undefined;
  /** Where it was last sent; undefined: to the first group. */
  group: CallGroup | undefined;
  /** Of reads that any node may serve: one in the client's zone if there is one. */
  nearest = false;
  /** The address of a node that is taken only if there is no other. */
  avoid: string | undefined;
  /** Of the client itself: waits for no room. */
  urgent = false;
  state: CallState = 'waiting';
  holder: CallHolder | undefined;
  /** Retries so far, of those that a pause came before. */
  retries = 0;
  /** Times that a node sent it away, to another or for want of a leader. */
  reroutes = 0;
  /** Connections that ended under it, other than for being out of reach. */
  losses = 0;
  /** While true, a write may have been applied. */
  wasSent = false;
  /** An attempt was sent and its outcome is not known, because the answer was lost or does not tell: what later attempts say of themselves does not tell what became of it. */
  uncertain = false;
  /** Its request id is this client's own, and not one that it came with. */
  numbered = false;
  /** It got a second request id. */
  renewed = false;
  timer: Timer | undefined;
  stopListening: (() => void) | undefined;
  /** What the last attempt ended with. */
  lastError: SparrowError | undefined;

  constructor(
    method: Method<Q, A>,
    request: Request<Q>,
    bytes: number,
    timeoutMs: number,
    nowMs: number,
    resolve: (answer: A) => void,
    reject: (error: SparrowError) => void,
  ) {
    this.method = method;
    this.request = request;
    this.bytes = bytes;
    this.timeoutMs = timeoutMs;
    this.deadlineMs = nowMs + timeoutMs;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** A read that any node may serve; once one has sent it away, the leader is to. */
  get spreads(): boolean {
    return this.reroutes === 0 && (this.request as { anyNode?: unknown }).anyNode !== undefined;
  }

  /** Does with a node that does not lead. */
  get anyNode(): boolean {
    return this.method.anyNode === true || this.spreads;
  }

  /** The request, when the method is a write. */
  get identified(): Identified | undefined {
    return this.method.writes ? (this.request as unknown as Identified) : undefined;
  }
}

// A connection holds calls of all methods side by side; each one's own types meet again in its method.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyCall = Call<any, any>;

/** What a connection tells of the calls that it was given. */
export interface CallOutcomes {
  answered(call: AnyCall, answer: unknown): void;
  /** The server refused the call. */
  refused(call: AnyCall, error: SparrowError): void;
  /** The connection broke before an answer came. */
  lost(call: AnyCall, error: SparrowError): void;
}
