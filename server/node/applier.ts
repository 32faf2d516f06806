/**
 * Applies committed entries one after another, in the order of the log, and gives way to the event loop now and then.
 *
 * `halt` stops between two entries, for a snapshot that takes the place of the state; `resume` goes on with the state that came.
 * Used by replica-state.ts. Calls state-machine.ts.
 */
import type { Clock, Scheduler } from '../../base/env.ts';
import type { LogEntry } from '../raft/index.ts';
import type { ApplyResult, StateMachine } from './state-machine.ts';

/** Applying gives way to the event loop after this long. */
const APPLY_SLICE_MS = 4;

export interface ApplierParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Of each entry, in order. */
  readonly settle: (entry: LogEntry, result: ApplyResult) => void;
  /** Everything up to `machine.applied` is applied. */
  readonly applied: (entries: readonly LogEntry[]) => void;
  /** Applying has come to an end, for now. */
  readonly idle: () => void;
  readonly fail: (error: unknown) => void;
}

type Machine = Pick<StateMachine, 'apply'>;

export class Applier {
  readonly #parts: ApplierParts;
  #machine: Machine;
  #queue: LogEntry[] = [];
  #jobs: { readonly job: () => Promise<void>; readonly dropped: () => void }[] = [];
  #running: Promise<void> = Promise.resolve();
  #busy = false;
  #halted = false;

  constructor(machine: Machine, parts: ApplierParts) {
    this.#machine = machine;
    this.#parts = parts;
  }

  /** Entries that follow those given before. */
  push(entries: readonly LogEntry[]): void {
    if (this.#halted) return;
    for (const entry of entries) this.#queue.push(entry);
    this.#begin();
  }

  /** Something to do while no entry is being applied; what it awaits holds applying up. When a halt comes before it, it is `dropped`. */
  between(job: () => Promise<void>, dropped: () => void): void {
    if (this.#halted) return dropped();
    this.#jobs.push({ job, dropped });
    this.#begin();
  }

  /** Lets go of what is queued; settles when nothing is being applied. */
  halt(): Promise<void> {
    this.#halted = true;
    this.#queue = [];
    const jobs = this.#jobs;
    this.#jobs = [];
    for (const { dropped } of jobs) dropped();
    return this.#running;
  }

  resume(machine: Machine): void {
    this.#machine = machine;
    this.#halted = false;
  }

  /** Settles when what was given is applied. */
  async settled(): Promise<void> {
    while (this.#busy) await this.#running;
  }

  #begin(): void {
    if (!this.#busy && this.#queue.length + this.#jobs.length > 0) this.#running = this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    const { clock, scheduler, settle } = this.#parts;
    try {
      let sliceEndsMs = clock.monotonicMs() + APPLY_SLICE_MS;
      while (this.#queue.length + this.#jobs.length > 0) {
        const next = this.#jobs.shift();
        if (next !== undefined) {
          await next.job();
          continue;
        }
        const entries = this.#queue;
        this.#queue = [];
        for (let i = 0; i < entries.length; i++) {
          const entry = entries[i]!;
          const result = this.#machine.apply(entry);
          // Most are done by now: a promise each would cost more than some of them do.
          settle(entry, result instanceof Promise ? await result : result);
          if (this.#halted) return;
          if (i % 32 !== 31 || clock.monotonicMs() < sliceEndsMs) continue;
          await new Promise<void>((resolve) => scheduler.soon(resolve));
          sliceEndsMs = clock.monotonicMs() + APPLY_SLICE_MS;
          if (this.#halted) return;
        }
        this.#parts.applied(entries);
      }
    } catch (error) {
      this.#parts.fail(error);
    } finally {
      this.#busy = false;
      this.#parts.idle();
    }
  }
}
