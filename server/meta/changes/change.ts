/** What all changes have in common: a version for each, and errors that say which field is wrong. Pure. */
import { type ErrorDetails, SparrowError } from '../../../base/errors.ts';
import type { Change, ClusterState, Counters, MetaWrite } from '../state.ts';

/** With the counters, which go on by `used`. Nothing is written for nothing. */
export function change<Result>(
  state: ClusterState,
  writes: readonly MetaWrite[],
  result: Result,
  used: { readonly tables?: number; readonly shards?: number; readonly operators?: number } = {},
): Change<Result> {
  if (writes.length === 0) return { writes, result };
  const { version, nextTable, nextShard, nextOperator } = state.counters;
  const record: Counters = {
    version: version + 1,
    nextTable: nextTable + (used.tables ?? 0),
    nextShard: nextShard + (used.shards ?? 0),
    nextOperator: nextOperator + (used.operators ?? 0),
  };
  return { writes: [...writes, { kind: 'counters', id: 0, record }], result };
}

/** Nothing was changed; the call has to be another one. */
export function invalid(code: string, message: string, details: ErrorDetails = {}): SparrowError {
  return new SparrowError('invalid', code, message, { ...details, applied: false });
}

/** Nothing was changed; it may be possible later. */
export function unavailable(code: string, message: string, details: ErrorDetails = {}): SparrowError {
  return new SparrowError('unavailable', code, message, { ...details, applied: false });
}

export function checkWhole(code: string, field: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw invalid(code, `${field} is a whole number from ${min} to ${max}, not ${value}`, { field, min, max, value });
}
