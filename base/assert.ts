/** Assertions are for our own bugs and stay on in production. Bytes from a disk or a peer are never asserted: they are errors. */
import { SparrowError } from './errors.ts';

/** Throws `internal/ASSERTION` when `condition` is false. `claim` states what holds, not what failed. */
export function assert(condition: unknown, claim: string): asserts condition {
  if (!condition) throw new SparrowError('internal', 'ASSERTION', `assertion does not hold: ${claim}`);
}
