/** The error of a write whose condition did not hold: thrown by the engine, and by the SDK for what a server answered. */
import { SparrowError } from './errors.ts';

/** A condition of a batch did not hold; nothing was written. */
export class ConditionFailedError extends SparrowError {
  /** Which of the batch's conditions, counted from 0 in the order in which they were given. */
  readonly index: number;
  readonly key: Uint8Array;
  /** What the key holds now; `undefined` when it is missing. */
  readonly current: { value: Uint8Array; version: number } | undefined;

  constructor(index: number, key: Uint8Array, current: { value: Uint8Array; version: number } | undefined) {
    super(
      'conflict',
      'CONDITION_FAILED',
      `condition ${index} does not hold: the key ${current ? `has version ${current.version}` : 'is missing'}`,
      {
        index,
        found: current !== undefined,
        version: current?.version ?? 0,
      },
    );
    this.index = index;
    this.key = key;
    this.current = current;
  }
}
