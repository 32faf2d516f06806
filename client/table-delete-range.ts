/**
 * A range delete over the shards of a table: for each shard the part of the range that is its own, in runs, each a call.
 *
 * What is left to do is a list of shards with bounds. When a shard is not what it was, the shards that have its keys now take its place in the list, with
 * what was left of its bounds. So no key of the range is left out; a shard that took in another one's keys may be gone through twice.
 */
import type { SparrowError } from '../base/errors.ts';
import type { CallOptions } from './api.ts';
import { after, type Bounds, boundsOf, isEmptyBounds, rangeOfBounds, withinShard } from './bounds.ts';
import type { CallRunner } from './call-runner.ts';
import type { Settings } from './connect-options.ts';
import { DELETE_RANGE } from './methods.ts';
import type { ShardKeys, ShardPlace } from './shard-map.ts';
import { PinnedRoute, type TableRoute } from './table-route.ts';
import { learned, mapOf } from './table-scan.ts';
import { Wait } from './wait.ts';

/** Shards of a hash table that are worked on at once; those of a range table come one after another. */
const AT_ONCE = 8;

export interface DeleteRangeContext {
  readonly route: TableRoute;
  readonly calls: CallRunner;
  readonly settings: Settings;
  readonly closed: AbortSignal;
}

interface Part {
  readonly place: ShardPlace;
  readonly bounds: Bounds;
}

/** How many keys were deleted. `from`: the last key that is done with already; empty: none. */
export async function deleteRangeOfTable(
  context: DeleteRangeContext,
  range: Record<string, Uint8Array>,
  from: Uint8Array,
  options: CallOptions | undefined,
): Promise<number> {
  const { route, settings, closed } = context;
  const whole = boundsOf(range);
  const bounds = from.length > 0 ? after(whole, from, false) : whole;
  if (isEmptyBounds(bounds)) return 0;
  const newWait = (): Wait => {
    const wait = new Wait('deleteRange', options?.timeoutMs ?? settings.timeoutMs, options?.signal, closed);
    wait.begin();
    return wait;
  };
  const all: ShardKeys =
    (await mapOf(route, newWait(), false)).kind === 'hash'
      ? { kind: 'hash', bits: 0, index: 0 }
      : { kind: 'range', start: new Uint8Array(0), end: undefined };
  const parts = await partsOf(context, all, bounds, newWait());
  let deleted = 0;
  const work = async (): Promise<void> => {
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const wait = newWait();
      try {
        const { keys, rest } = await run(context, part, options);
        deleted += keys;
        if (rest !== undefined) parts.unshift({ place: part.place, bounds: rest });
      } catch (error) {
        await learned(route, part.place, error as SparrowError, wait);
        parts.unshift(...(await partsOf(context, part.place.keys, part.bounds, wait)));
      }
    }
  };
  await Promise.all(Array.from({ length: all.kind === 'hash' ? AT_ONCE : 1 }, work));
  return deleted;
}

/** The shards that have these keys, each with what of the bounds is its own. */
async function partsOf({ route }: DeleteRangeContext, keys: ShardKeys, bounds: Bounds, wait: Wait): Promise<Part[]> {
  while (!route.map!.whole) await mapOf(route, wait, true);
  return route
    .map!.overlapping(keys)
    .map((place) => ({ place, bounds: withinShard(bounds, place.keys) }))
    .filter((part) => !isEmptyBounds(part.bounds));
}

/** One run: how many keys, and what is left. */
async function run(
  { route, calls }: DeleteRangeContext,
  { place, bounds }: Part,
  options: CallOptions | undefined,
): Promise<{ keys: number; rest: Bounds | undefined }> {
  const range = rangeOfBounds(bounds);
  const bytes = Object.values(range).reduce((sum, bound) => sum + bound.length, 0);
  const request = { range, limit: 0, cursor: NOTHING, requestId: undefined, shard: place.shard, epoch: place.epoch };
  const answer = await calls.run(DELETE_RANGE, request as never, bytes, options, { route: new PinnedRoute(route, place, calls.fail) });
  // The cursor is the last key that was deleted: as a bound it holds for whichever shard has the rest by then.
  const rest = answer.cursor.length === 0 ? undefined : after(bounds, Uint8Array.from(answer.cursor), false);
  return { keys: answer.deleted, rest: rest !== undefined && isEmptyBounds(rest) ? undefined : rest };
}

const NOTHING: Uint8Array = new Uint8Array(0);
