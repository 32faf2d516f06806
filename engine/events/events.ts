/**
 * The engine's side of its events: parts `emit` them, they are counted, and who listens is told in a microtask, so that no listener runs in the
 * midst of a change. Without a listener an event is an object that is made and forgotten; all of them are rare, none belongs to a read or write
 * that goes well.
 */
import type { Clock, Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { type Corruption, type EngineEvent, type EngineEventOf, type EngineEvents, EVENT_TYPES } from './event.ts';
import { Tallies } from './tallies.ts';

/** Events that wait to be told. A caller that never yields lets nobody be told. */
const WAITING_MAX = 1024;

/** An event as its part knows it. */
type Untimed<T extends EngineEvent = EngineEvent> = T extends EngineEvent ? Omit<T, 'atMs'> : never;

type Listener = { readonly type: EngineEvent['type'] | undefined; readonly call: (event: EngineEvent) => unknown };

export class Events implements EngineEvents {
  readonly tallies: Tallies = new Tallies();
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  #listeners: readonly Listener[] = [];
  #waiting: EngineEvent[] = [];
  #telling = false;
  #dropped = 0;
  #failures = 0;

  constructor(clock: Clock, scheduler: Scheduler) {
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  /** Events that were lost because too many waited. */
  get dropped(): number {
    return this.#dropped;
  }
  /** How often a listener threw. */
  get failures(): number {
    return this.#failures;
  }

  /** Monotonic time, for durations. */
  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  emit(untimed: Untimed): void {
    const event = { ...untimed, atMs: this.#clock.wallMs() } as EngineEvent;
    this.tallies.count(event);
    if (this.#listeners.length > 0) this.#enqueue(event);
  }

  /** Tells of `error` if it is about bytes that are not what was written. */
  corruption(during: Corruption['during'], error: unknown): void {
    if (!(error instanceof SparrowError) || error.kind !== 'corrupt') return;
    const { file, offset } = error.details;
    this.emit({
      type: 'corruption',
      during,
      file: typeof file === 'string' ? file : undefined,
      offset: typeof offset === 'number' ? offset : undefined,
      code: error.code,
      message: error.message,
    });
  }

  on<T extends EngineEvent['type']>(type: T, listener: (event: EngineEventOf<T>) => unknown): () => void {
    if (!EVENT_TYPES.includes(type)) {
      throw new SparrowError('invalid', 'OPTION_UNKNOWN', `unknown event '${String(type)}'; known are: ${EVENT_TYPES.join(', ')}`, {
        field: 'type',
      });
    }
    return this.#listen({ type, call: listener as Listener['call'] });
  }

  onAny(listener: (event: EngineEvent) => unknown): () => void {
    return this.#listen({ type: undefined, call: listener });
  }

  #listen(listener: Listener): () => void {
    if (typeof listener.call !== 'function') {
      throw new SparrowError('invalid', 'TYPE', `a listener is a function, not ${typeof listener.call}`, { field: 'listener' });
    }
    this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== listener);
    };
  }

  #enqueue(event: EngineEvent): void {
    this.#waiting.push(event);
    if (this.#waiting.length > WAITING_MAX) {
      this.#waiting.shift();
      this.#dropped++;
    }
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => this.#tell());
  }

  /** What listeners cause is told in the next turn of the event loop: one that causes what it is told must not hold the thread for good. */
  #tell(): void {
    for (const event of this.#waiting.splice(0)) {
      for (const { type, call } of this.#listeners) if (type === undefined || type === event.type) this.#call(call, event);
    }
    this.#telling = this.#waiting.length > 0;
    if (this.#telling) this.#scheduler.soon(() => this.#tell());
  }

  #call(call: Listener['call'], event: EngineEvent): void {
    try {
      const answer = call(event);
      if (answer instanceof Promise) answer.catch((error: unknown) => this.#failed(event, error));
    } catch (error) {
      this.#failed(event, error);
    }
  }

  #failed(event: EngineEvent, error: unknown): void {
    this.#failures++;
    if (event.type === 'listener-failed') return;
    this.emit({ type: 'listener-failed', event: event.type, message: String((error as Error | undefined)?.message ?? error) });
  }
}
