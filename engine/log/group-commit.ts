/**
 * One sync at a time covers everybody who asked before it began, and the next one everybody who asked meanwhile. Used by log-writer.ts.
 */
type Group = { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void; calls: number };

export class GroupCommit {
  readonly #sync: (isAwaited: boolean) => Promise<void>;
  #running = false;
  #waiting: Group | undefined;
  #syncs = 0;
  #syncCalls = 0;
  #syncCallsMax = 0;

  /** `sync` is told whether calls of users wait for it, and not only work behind. */
  constructor(sync: (isAwaited: boolean) => Promise<void>) {
    this.#sync = sync;
  }

  get running(): boolean {
    return this.#running;
  }
  /** Syncs that users' calls waited for, how many calls together, and at most. */
  get figures(): { syncs: number; syncCalls: number; syncCallsMax: number } {
    return { syncs: this.#syncs, syncCalls: this.#syncCalls, syncCallsMax: this.#syncCallsMax };
  }

  /** Settles when a sync that begins now or later has ended. All callers of one group share the promise. `calls`: so many calls of users wait. */
  join(calls: number): Promise<void> {
    const group = (this.#waiting ??= newGroup());
    group.calls += calls;
    if (!this.#running) void this.#run();
    return group.promise;
  }

  /** Settles, whatever came of them, when no sync is under way. */
  async idle(): Promise<void> {
    while (this.#running) await this.join(0).catch(() => undefined);
  }

  /** A sync ended that so many calls waited for. */
  served(calls: number): void {
    if (calls === 0) return;
    this.#syncs++;
    this.#syncCalls += calls;
    this.#syncCallsMax = Math.max(this.#syncCallsMax, calls);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let group = this.#waiting; group; group = this.#waiting) {
      this.#waiting = undefined;
      try {
        await this.#sync(group.calls > 0);
        this.served(group.calls);
        group.resolve();
      } catch (error) {
        group.reject(error as Error);
      }
    }
    this.#running = false;
  }
}

function newGroup(): Group {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Groups without a waiter must not take the process down; waiters see the rejection through their own chains.
  promise.catch(() => undefined);
  return { promise, resolve, reject, calls: 0 };
}
