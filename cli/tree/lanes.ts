/** A bound on what is under way at once, by number and by bytes. The caller that wants more waits. */
export class Lanes {
  readonly #tasksMax: number;
  readonly #bytesMax: number;
  readonly #running: Set<Promise<void>> = new Set();
  #bytes = 0;
  #failure: { error: unknown } | undefined;

  constructor(tasksMax: number, bytesMax: number) {
    this.#tasksMax = tasksMax;
    this.#bytesMax = bytesMax;
  }

  /** Starts `task` as soon as there is room for its `bytes`; a task larger than the whole bound runs alone. Throws what a task before threw. */
  async start(bytes: number, task: () => Promise<void>): Promise<void> {
    while (this.#running.size > 0 && (this.#running.size >= this.#tasksMax || this.#bytes + bytes > this.#bytesMax)) {
      await Promise.race(this.#running);
    }
    this.#throwFailure();
    this.#bytes += bytes;
    const run: Promise<void> = task()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#bytes -= bytes;
        this.#running.delete(run);
      });
    this.#running.add(run);
  }

  /** Settles when all have ended; throws what the first failed one threw. */
  async finish(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
