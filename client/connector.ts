/**
 * Keeps one connection to one of the addresses, made when a call asks for it, and takes the next address when one fails.
 *
 *   idle --a call--> connecting --greeting--> connected --broken--> idle, or connecting while calls wait
 *                        |  ^
 *                        +--+  next address at once; after each full round a pause with jitter, doubling
 *
 * Calls that come while there is no connection are parked, in order. They leave by a connection, by their own deadline or abort, or, when
 * no server can be reached for as long as `waitForServerMs`, with UNREACHABLE. At least one full round is tried before that.
 */
import { SparrowError } from '../base/errors.ts';
import type { AnyCall, CallHolder, CallOutcomes } from './call.ts';
import type { Settings } from './connect-options.ts';
import { Connection } from './connection.ts';
import { isWorthRotating, pauseMs } from './retry.ts';
import { clientClosed } from './settled-errors.ts';

const OPEN_TIMEOUT_MS = 5_000;
/** A connection that broke sooner counts as a failed attempt: a server that dies of each connection is not hammered. */
const STABLE_AFTER_MS = 1_000;

/** Something other than a call that waits for a connection: a scan. */
export interface Visitor {
  connected(connection: Connection): void;
  failed(error: SparrowError): void;
}

export interface ConnectorEvents extends CallOutcomes {
  connected(connection: Connection): void;
  /** No server was reachable for as long as the call may wait. */
  unreachable(call: AnyCall, error: SparrowError): void;
}

export class Connector implements CallHolder {
  readonly #addresses: readonly string[];
  readonly #settings: Settings;
  readonly #events: ConnectorEvents;
  /** With the time since when each waits. */
  readonly #parked: Map<AnyCall, number> = new Map();
  readonly #visitors: Map<Visitor, number> = new Map();
  /** The current one and those that are retired. */
  readonly #connections: Set<Connection> = new Set();
  #current: Connection | undefined;
  #connecting = false;
  #at = 0;
  #failures = 0;
  #notBeforeMs = 0;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(addresses: readonly string[], settings: Settings, events: ConnectorEvents) {
    this.#addresses = addresses;
    this.#settings = settings;
    this.#events = events;
  }

  dispatch(call: AnyCall): void {
    if (this.#current !== undefined) return this.#current.send(call);
    call.state = 'parked';
    call.holder = this;
    this.#parked.set(call, performance.now());
    this.#connect();
  }

  drop(call: AnyCall): void {
    this.#parked.delete(call);
    call.holder = undefined;
  }

  /** Calls one of the visitor's methods, later or now. Returns how to take the wish back. */
  visit(visitor: Visitor): () => void {
    if (this.#current !== undefined) {
      visitor.connected(this.#current);
      return () => undefined;
    }
    this.#visitors.set(visitor, performance.now());
    this.#connect();
    return () => this.#visitors.delete(visitor);
  }

  close(error: SparrowError): void {
    this.#closed = true;
    this.#wake?.();
    this.#current = undefined;
    for (const connection of this.#connections) connection.close(error);
    for (const [visitor] of this.#visitors) visitor.failed(error);
    this.#visitors.clear();
    this.#parked.clear();
  }

  #connect(): void {
    if (this.#connecting || this.#closed) return;
    this.#connecting = true;
    void this.#tryAddresses().finally(() => {
      this.#connecting = false;
      if (this.#wanted && this.#current === undefined) this.#connect();
    });
  }

  get #wanted(): boolean {
    return this.#parked.size + this.#visitors.size > 0 && !this.#closed;
  }

  async #tryAddresses(): Promise<void> {
    for (let tried = 0; this.#wanted;) {
      if (tried % this.#addresses.length === 0) await this.#pause();
      const address = this.#addresses[this.#at % this.#addresses.length];
      const connection = this.#newConnection(address);
      try {
        await connection.open(this.#settings.transport, OPEN_TIMEOUT_MS);
        return this.#adopt(connection);
      } catch (error) {
        this.#at++;
        tried++;
        if (tried % this.#addresses.length > 0) continue;
        this.#countFailure();
        this.#giveUp(unreachable(this.#addresses, address, error as SparrowError));
      }
    }
  }

  #newConnection(address: string): Connection {
    const connection = new Connection(address, {
      answered: (call, answer) => this.#events.answered(call, answer),
      refused: (call, error) => {
        if (isWorthRotating(error)) this.#leave(connection);
        this.#events.refused(call, error);
      },
      lost: (call, error) => this.#events.lost(call, error),
      ended: (ended, error) => this.#ended(ended, error),
    });
    this.#connections.add(connection);
    return connection;
  }

  /** The server there refuses for now: others are asked next. With a single address it stays. */
  #leave(connection: Connection): void {
    if (this.#current !== connection || this.#addresses.length === 1) return;
    this.#current = undefined;
    this.#at++;
    connection.retire();
  }

  #adopt(connection: Connection): void {
    if (this.#closed) return connection.close(clientClosed());
    this.#current = connection;
    this.#events.connected(connection);
    for (const [visitor] of this.#visitors) visitor.connected(connection);
    this.#visitors.clear();
    const parked = [...this.#parked.keys()];
    this.#parked.clear();
    for (const call of parked) this.dispatch(call);
  }

  #ended(connection: Connection, error: SparrowError): void {
    this.#connections.delete(connection);
    if (this.#current !== connection) return;
    this.#current = undefined;
    this.#at++;
    if (performance.now() - connection.openedAtMs < STABLE_AFTER_MS) this.#countFailure();
    else this.#failures = 0;
    for (const call of this.#parked.keys()) call.lastError = error;
    if (this.#wanted) this.#connect();
  }

  /** After a round without success: those that waited long enough are told. */
  #giveUp(error: SparrowError): void {
    const nowMs = performance.now();
    for (const [call, sinceMs] of this.#parked) {
      call.lastError = error;
      if (nowMs - sinceMs < this.#settings.waitForServerMs) continue;
      this.drop(call);
      this.#events.unreachable(call, error);
    }
    for (const [visitor, sinceMs] of this.#visitors) {
      if (nowMs - sinceMs < this.#settings.waitForServerMs) continue;
      this.#visitors.delete(visitor);
      visitor.failed(error);
    }
  }

  #countFailure(): void {
    this.#failures++;
    this.#notBeforeMs =
      performance.now() + pauseMs(this.#failures, this.#settings.retryPauseMs, this.#settings.retryPauseMsMax, Math.random);
  }

  #pause(): Promise<void> {
    const milliseconds = this.#notBeforeMs - performance.now();
    if (milliseconds <= 0 || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function unreachable(addresses: readonly string[], address: string, cause: SparrowError): SparrowError {
  const which = addresses.length === 1 ? address : `any of ${addresses.join(', ')}`;
  // What the server itself said (that it shuts down, or that we may not) is worth more than that it was not reached.
  if (cause.kind !== 'unavailable' && cause.kind !== 'internal') return cause;
  return new SparrowError('unavailable', 'UNREACHABLE', `cannot reach ${which}: ${cause.message}`, { address }, cause);
}
