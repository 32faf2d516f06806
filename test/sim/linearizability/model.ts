/**
 * A sequential specification: what an object does when operations happen one after another. Models stand in models/.
 *
 * States are immutable. A state may leave open what no operation has told yet (the version that a write of unknown outcome got); a later
 * operation that tells it narrows the state.
 */
import type { Operation } from './history.ts';

export interface Model<S, I, O> {
  readonly name: string;
  initial(): S;
  /**
   * The state after the operation, or undefined when it cannot have that output there. Without an output the operation takes effect in any
   * way that it may; not taking effect at all is not the model's business: where it could have none, the answer is undefined.
   * An operation that leaves one state as it is, with the output that it has, leaves every state as it is: the search puts it there at once.
   */
  step(state: S, input: I, output: O | undefined): S | undefined;
  /** The same text for equal states only. */
  key(state: S): string;
  /** Never changes anything that another operation could see. */
  readOnly(input: I): boolean;
  /** Operations on different parts never meet, so that each part is checked alone. Default: one part. */
  part?(input: I): string;
  describe(input: I, output: O | undefined): string;
  /** How effects show in outputs, where they do (evidence.ts). */
  readonly marks?: Marks<I, O>;
}

export interface Marks<I, O> {
  /** What shows that the operation took effect, if nobody else in the history has the same mark. */
  of(input: I): string | undefined;
  /** The marks that an output shows, its own operation's excepted. */
  shown(input: I, output: O): readonly string[];
  /** Whether an effect whose mark is never shown makes no difference to any operation of the history. */
  tellAll(operations: readonly Operation<I, O>[]): boolean;
}
