/**
 * What clients saw: operations with the places of their invocation and response among all events. An operation without a response has an
 * unknown outcome: it may take effect at any later moment, or never. One that was refused for sure had no effect and leaves no trace: a
 * later read of what it would have written is then a violation.
 */
export interface Operation<I, O> {
  readonly client: number;
  readonly input: I;
  /** Place of the event among all events of the history; unique. */
  readonly invoked: number;
  readonly invokedMs: number;
  /** Undefined: outcome unknown. */
  readonly response: Response<O> | undefined;
}

export interface Response<O> {
  readonly at: number;
  readonly atMs: number;
  readonly output: O;
}

/** An operation that is under way. */
export interface Invocation<I, O> {
  readonly operation: Operation<I, O>;
  respond(output: O): void;
  /** Nobody will ever know. */
  lose(): void;
  /** It had no effect, for sure. */
  refuse(): void;
}

interface Recorded<I, O> {
  readonly client: number;
  readonly input: I;
  readonly invoked: number;
  readonly invokedMs: number;
  response: Response<O> | undefined;
}

export class History<I, O> {
  readonly #nowMs: () => number;
  readonly #operations = new Set<Recorded<I, O>>();
  #events = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** In the order of their invocations. Those still under way have an unknown outcome. */
  get operations(): readonly Operation<I, O>[] {
    return [...this.#operations];
  }

  /** How many have an outcome. */
  get answered(): number {
    let answered = 0;
    for (const { response } of this.#operations) if (response) answered++;
    return answered;
  }

  invoke(client: number, input: I): Invocation<I, O> {
    const operation: Recorded<I, O> = { client, input, invoked: this.#events++, invokedMs: this.#nowMs(), response: undefined };
    this.#operations.add(operation);
    let open = true;
    const end = (): boolean => {
      const was = open;
      open = false;
      return was;
    };
    return {
      operation,
      respond: (output) => {
        if (end()) operation.response = { at: this.#events++, atMs: this.#nowMs(), output };
      },
      lose: () => {
        end();
      },
      refuse: () => {
        if (end()) this.#operations.delete(operation);
      },
    };
  }
}
