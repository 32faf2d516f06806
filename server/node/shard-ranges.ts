/**
 * The keys of a shard in its engine: how they are halved, where they lie, and what takes them out.
 *
 *   by range   | ... | start ......... end | ... |      one range: one range delete takes it out
 *   by hash    | x . . x . x x . . . x . x . x . |      strewn over all: a sweep goes through them
 *
 * Pure. Used by shard-changes.ts and child-maker.ts.
 */
import type { HostedOperation } from '../../engine/index.ts';
import type { ShardKeys } from '../shard/descriptor.ts';
import { compareKeys, engineRange } from './keys.ts';
import type { SplitAt } from './shard-commands.ts';
import { SWEEP_KEY } from './shard-records.ts';

/** Where a sweep begins. */
export const FIRST_KEY: Uint8Array = engineRange({}).start;

/** What stays and what goes to the child; undefined: it cannot be split so. */
export function halvesOf(keys: ShardKeys, at: SplitAt): [own: ShardKeys, child: ShardKeys] | undefined {
  if (keys.kind === 'hash') {
    if (at.how !== 'hash' || keys.bits === 32) return undefined;
    const bits = keys.bits + 1;
    return [
      { kind: 'hash', bits, index: keys.index },
      { kind: 'hash', bits, index: keys.index + 2 ** keys.bits },
    ];
  }
  if (at.how !== 'key' || compareKeys(at.key, keys.start) <= 0) return undefined;
  if (keys.end !== undefined && compareKeys(at.key, keys.end) >= 0) return undefined;
  return [
    { kind: 'range', start: keys.start, end: at.key },
    { kind: 'range', start: at.key, end: keys.end },
  ];
}

/** In the engine's keys. Those of a hash are strewn over all. */
export function rangeOf(keys: ShardKeys): { start: Uint8Array; end: Uint8Array } {
  return keys.kind === 'hash' ? engineRange({}) : engineRange({ gte: keys.start, lt: keys.end });
}

/** Takes out all keys of a range at once. Those of a hash are to be swept. */
export function deletionOf(keys: ShardKeys): HostedOperation[] {
  if (keys.kind === 'hash') return [{ type: 'put', key: SWEEP_KEY, value: FIRST_KEY }];
  const { start, end } = rangeOf(keys);
  return [{ type: 'deleteRange', gte: start, lt: end }];
}

/** Takes out all keys but these. */
export function deletionOfOthers(keys: ShardKeys): HostedOperation[] {
  if (keys.kind === 'hash') return deletionOf(keys);
  const [all, own] = [engineRange({}), rangeOf(keys)];
  const sides = [
    { gte: all.start, lt: own.start },
    { gte: own.end, lt: all.end },
  ];
  return sides.filter(({ gte, lt }) => compareKeys(gte, lt) < 0).map((side) => ({ type: 'deleteRange', ...side }));
}
