/** Keys of several shards, read at once: one call for each shard, all of them at the same time. */
import { SparrowError } from '../base/errors.ts';
import type { MultiGetResponse } from '../proto/index.ts';
import type { CallOptions } from './api.ts';
import type { Settings } from './connect-options.ts';
import { mapOf } from './table-scan.ts';
import type { TableRoute } from './table-route.ts';
import { Wait } from './wait.ts';

export type FoundEntry = MultiGetResponse['entries'][number];

export interface FanOutContext {
  readonly route: TableRoute;
  readonly settings: Settings;
  readonly closed: AbortSignal;
}

/** Keys that are of several shards by the time that they are sent are divided again. `ask` reads those of one shard. */
export async function fanOut(
  { route, settings, closed }: FanOutContext,
  keys: readonly Uint8Array[],
  options: CallOptions | undefined,
  ask: (keys: readonly Uint8Array[], timeoutMs: number) => Promise<readonly FoundEntry[]>,
): Promise<FoundEntry[]> {
  const timeoutMs = options?.timeoutMs ?? settings.timeoutMs;
  const endMs = performance.now() + timeoutMs;
  const wait = new Wait('multiGet', timeoutMs, options?.signal, closed);
  wait.begin();
  const entries: FoundEntry[] = [];
  const read = async (places: readonly number[]): Promise<void> => {
    const groups = await groupsOf(route, keys, places, wait);
    await Promise.all(
      groups.map(async (group) => {
        const asked = group.map((at) => keys[at]!);
        try {
          const found = await ask(asked, Math.max(1, Math.ceil(endMs - performance.now())));
          for (const [i, entry] of found.entries()) entries[group[i]!] = entry;
        } catch (error) {
          if (!spansShards(error)) throw error;
          await read(group);
        }
      }),
    );
  };
  await read(keys.map((_, at) => at));
  return entries;
}

/** By the time that it was sent, a read for one shard was for several. */
export function spansShards(error: unknown): boolean {
  return error instanceof SparrowError && error.code === 'KEYS_SPAN_SHARDS';
}

/** Where in `keys` those of each shard stand. */
async function groupsOf(route: TableRoute, keys: readonly Uint8Array[], places: readonly number[], wait: Wait): Promise<number[][]> {
  let map = await mapOf(route, wait, false);
  while (places.some((at) => map.find(keys[at]!) === undefined)) map = await mapOf(route, wait, true);
  const groups = new Map<number, number[]>();
  for (const at of places) {
    const { shard } = map.find(keys[at]!)!;
    const group = groups.get(shard);
    if (group === undefined) groups.set(shard, [at]);
    else group.push(at);
  }
  return [...groups.values()];
}
