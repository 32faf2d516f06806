/**
 * A scan of a table of several shards, in the order of all its keys.
 *
 *   range table   shard after shard. What is left to do is a range of keys, so that a split or a merge in the middle changes only where it goes on.
 *   hash table    every shard has keys everywhere: all are scanned at once, and their entries merged in order. Each reads ahead by a chunk or two, the
 *                 smaller the more shards there are. After a split or a merge the shards that are new are scanned from the last key that was given.
 *
 * Each shard is seen as of one moment, the one when the scan comes to it; shards are not seen as of the same.
 */
import { SparrowError } from '../base/errors.ts';
import type { Entry } from './api.ts';
import { after, behindShard, type Bounds, boundsOf, firstShard, isEmptyBounds, rangeOfBounds, withinShard } from './bounds.ts';
import type { Settings } from './connect-options.ts';
import { type ScanContext, scanChunks, type ScanPlan } from './scan.ts';
import { isOfOtherShard } from './router.ts';
import type { ShardMap, ShardPlace } from './shard-map.ts';
import { isMisroute, type TableRoute } from './table-route.ts';
import { Wait } from './wait.ts';

/** Refusals in a row, without an entry, after which a scan gives up. */
const MISROUTES_MAX = 100;
/** Of all shards of a merge together, for chunks that wait here. */
const READ_AHEAD_BYTES: number = 8 * 1024 * 1024;
const CHUNK_BYTES_MIN: number = 16 * 1024;
const CHUNK_BYTES_MAX: number = 256 * 1024;

export interface TableScanContext {
  readonly settings: Settings;
  readonly route: TableRoute;
}

/** `closed` aborts when the client is closed. */
export async function* scanTable(context: TableScanContext, plan: ScanPlan, closed: AbortSignal): AsyncGenerator<Entry, void, undefined> {
  const wait = new Wait('scan', plan.timeoutMs, plan.signal, closed);
  wait.begin();
  const bounds = boundsOf(plan.range);
  if (isEmptyBounds(bounds) || plan.limit === 0) return;
  const map = await mapOf(context.route, wait, false);
  if (map.kind === 'range') yield* shardAfterShard(context, plan, bounds, wait);
  else yield* new Merge(context, plan, bounds, wait, closed).entries();
}

/** Of table `default`, while it is one shard; when it turns out to be several, it goes on by their map, which `split` gives. */
export async function* scanDefault(
  context: ScanContext,
  plan: ScanPlan,
  closed: AbortSignal,
  split: () => TableRoute,
): AsyncGenerator<Entry, void, undefined> {
  const wait = new Wait('scan', plan.timeoutMs, plan.signal, closed);
  let left = plan.limit;
  let last: Uint8Array | undefined;
  try {
    for await (const chunk of scanChunks(context, plan, wait)) {
      last = chunk.at(-1)?.[0] ?? last;
      if (left !== undefined) left -= chunk.length;
      for (const entry of chunk) yield entry;
    }
    return;
  } catch (error) {
    if (!(error instanceof SparrowError) || !isOfOtherShard(error)) throw error;
  }
  const bounds = boundsOf(plan.range);
  const range = rangeOfBounds(last === undefined ? bounds : after(bounds, last, plan.reverse));
  yield* scanTable({ settings: context.settings, route: split() }, { ...plan, limit: left, range }, closed);
}

/** The map of a table's shards; `newer`: than the one that there is. */
export async function mapOf(route: TableRoute, wait: Wait, newer: boolean): Promise<ShardMap> {
  if (route.map !== undefined && !newer) return route.map;
  let leave: (() => void) | undefined;
  const mapped = new Promise<ShardMap>((resolve, reject) => {
    leave = route.whenMapped(newer, resolve, reject);
  });
  return wait.for(mapped).finally(() => leave?.());
}

async function* shardAfterShard(
  context: TableScanContext,
  plan: ScanPlan,
  whole: Bounds,
  wait: Wait,
): AsyncGenerator<Entry, void, undefined> {
  const { route } = context;
  let bounds: Bounds | undefined = whole;
  let left = plan.limit;
  let misroutes = 0;
  while (bounds !== undefined && left !== 0) {
    if (misroutes === 0) wait.begin();
    const place: ShardPlace | undefined = firstShard(route.map!, bounds, plan.reverse);
    if (place === undefined) {
      misroutes = counted(misroutes, undefined);
      await mapOf(route, wait, true);
      continue;
    }
    try {
      const range = rangeOfBounds(withinShard(bounds, place.keys));
      for await (const chunk of scanChunks(contextOf(context, place), { ...plan, ...placed(place), range, limit: left }, wait)) {
        misroutes = 0;
        const last = chunk.at(-1);
        if (last !== undefined) bounds = after(bounds, last[0], plan.reverse);
        if (left !== undefined) left -= chunk.length;
        for (const entry of chunk) yield entry;
      }
      bounds = behindShard(bounds, place.keys, plan.reverse);
    } catch (error) {
      misroutes = counted(misroutes, error);
      await learned(route, place, error as SparrowError, wait);
    }
  }
}

/** One shard of a merge. */
class Source {
  readonly place: ShardPlace;
  readonly #chunks: AsyncGenerator<Entry[], void, undefined>;
  #chunk: readonly Entry[] = [];
  #at = 0;
  /** The chunk after this one. */
  #next: Promise<IteratorResult<Entry[], void>>;

  constructor(place: ShardPlace, chunks: AsyncGenerator<Entry[], void, undefined>) {
    this.place = place;
    this.#chunks = chunks;
    this.#next = this.#ask();
  }

  get head(): Entry | undefined {
    return this.#chunk[this.#at];
  }

  take(): Entry {
    return this.#chunk[this.#at++]!;
  }

  /** Settles when there is a head, with true, or nothing left. */
  async fill(): Promise<boolean> {
    while (this.head === undefined) {
      const { done, value } = await this.#next;
      if (done === true) return false;
      this.#chunk = value ?? [];
      this.#at = 0;
      this.#next = this.#ask();
    }
    return true;
  }

  end(): void {
    this.#chunks.return().catch(() => undefined);
  }

  #ask(): Promise<IteratorResult<Entry[], void>> {
    const next = this.#chunks.next();
    // Who waits for it is told; when nobody does any more, it is nobody's concern.
    next.catch(() => undefined);
    return next;
  }
}

/** A source could not go on: its shard is not what it was. */
class Misrouted extends Error {
  readonly place: ShardPlace;
  readonly why: SparrowError;

  constructor(place: ShardPlace, why: SparrowError) {
    super(why.message);
    this.place = place;
    this.why = why;
  }
}

class Merge {
  readonly #context: TableScanContext;
  readonly #plan: ScanPlan;
  readonly #wait: Wait;
  readonly #stop = new AbortController();
  readonly #closed: AbortSignal;
  /** What is left to give. */
  #bounds: Bounds;
  /** Those that have a next entry. */
  readonly #heap: SourceHeap;
  /** Those that were asked for their next chunk. */
  #asked: Source[] = [];
  /** Shards that have given everything, with the epoch at which they had. */
  readonly #ended: Map<number, number> = new Map();

  constructor(context: TableScanContext, plan: ScanPlan, bounds: Bounds, wait: Wait, closed: AbortSignal) {
    this.#context = context;
    this.#plan = plan;
    this.#bounds = bounds;
    this.#wait = wait;
    this.#heap = new SourceHeap(plan.reverse);
    this.#closed = AbortSignal.any([closed, this.#stop.signal]);
  }

  async *entries(): AsyncGenerator<Entry, void, undefined> {
    let left = this.#plan.limit ?? Infinity;
    let misroutes = 0;
    let planned = false;
    try {
      for (;;) {
        if (misroutes === 0) this.#wait.begin();
        try {
          if (!planned) await this.#begin(left);
          planned = true;
          if (this.#asked.length > 0) await this.#fill();
        } catch (error) {
          if (!(error instanceof Misrouted)) throw error;
          misroutes = counted(misroutes, error.why);
          await learned(this.#context.route, error.place, error.why, this.#wait);
          planned = false;
          continue;
        }
        misroutes = 0;
        const source = this.#heap.take();
        if (source === undefined) return;
        const entry = source.take();
        this.#bounds = after(this.#bounds, entry[0], this.#plan.reverse);
        if (source.head === undefined) this.#asked.push(source);
        else this.#heap.add(source);
        yield entry;
        if (--left === 0) return;
      }
    } finally {
      this.#stop.abort();
      for (const source of [...this.#heap.clear(), ...this.#asked]) source.end();
    }
  }

  /** Scans every shard that there is: goes on with those that are as they were, and begins with those that are new. */
  async #begin(left: number): Promise<void> {
    const { route } = this.#context;
    while (!route.map!.whole) await mapOf(route, this.#wait, true);
    const map = route.map!;
    const open = new Map<number, Source>();
    for (const source of [...this.#heap.clear(), ...this.#asked]) {
      if (map.byShard(source.place.shard)?.epoch === source.place.epoch) open.set(source.place.shard, source);
      else source.end();
    }
    this.#asked = [];
    const chunkBytes = Math.max(CHUNK_BYTES_MIN, Math.min(CHUNK_BYTES_MAX, Math.floor(READ_AHEAD_BYTES / map.count)));
    const { timeoutMs, signal } = this.#plan;
    for (const place of map.places()) {
      const known = open.get(place.shard);
      if (known?.head !== undefined) {
        this.#heap.add(known);
      } else if (known !== undefined) {
        this.#asked.push(known);
      } else if (this.#ended.get(place.shard) !== place.epoch) {
        const range = rangeOfBounds(this.#bounds);
        const limit = left === Infinity ? undefined : left;
        const plan = { ...this.#plan, ...placed(place), range, limit, chunkBytes };
        this.#asked.push(
          new Source(place, scanChunks(contextOf(this.#context, place), plan, new Wait('scan', timeoutMs, signal, this.#closed))),
        );
      }
    }
  }

  /** Waits for the next entry of each that was asked. */
  async #fill(): Promise<void> {
    for (let source = this.#asked.at(-1); source !== undefined; source = this.#asked.at(-1)) {
      let more: boolean;
      try {
        more = await source.fill();
      } catch (error) {
        if (!(error instanceof SparrowError) || !isMisroute(error)) throw error;
        this.#asked.pop();
        source.end();
        throw new Misrouted(source.place, error);
      }
      this.#asked.pop();
      if (more) this.#heap.add(source);
      else this.#ended.set(source.place.shard, source.place.epoch);
    }
  }
}

/** A binary heap of sources by their next keys, the one to give first on top. */
class SourceHeap {
  readonly #sign: 1 | -1;
  #sources: Source[] = [];

  constructor(reverse: boolean) {
    this.#sign = reverse ? -1 : 1;
  }

  add(source: Source): void {
    const sources = this.#sources;
    let at = sources.push(source) - 1;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (this.#order(sources[parent]!, source) <= 0) break;
      sources[at] = sources[parent]!;
      at = parent;
    }
    sources[at] = source;
  }

  take(): Source | undefined {
    const sources = this.#sources;
    const top = sources[0];
    const last = sources.pop();
    if (last === undefined || sources.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= sources.length) break;
      if (child + 1 < sources.length && this.#order(sources[child + 1]!, sources[child]!) < 0) child++;
      if (this.#order(last, sources[child]!) <= 0) break;
      sources[at] = sources[child]!;
      at = child;
    }
    sources[at] = last;
    return top;
  }

  /** All of them, in no order. */
  clear(): Source[] {
    const sources = this.#sources;
    this.#sources = [];
    return sources;
  }

  #order(a: Source, b: Source): number {
    return this.#sign * Buffer.compare(a.head![0], b.head![0]);
  }
}

function placed({ shard, epoch }: ShardPlace): { shard: number; epoch: number } {
  return { shard, epoch };
}

function contextOf({ settings, route }: TableScanContext, place: ShardPlace): ScanContext {
  const group = route.group(place);
  return {
    settings,
    group,
    visit: (visitor) => group.visit(visitor),
    refused: (connection, error) => group.refused(connection, error),
    observe: (version) => route.saw(place.shard, version),
  };
}

/** Throws when it was too often. */
function counted(misroutes: number, why: unknown): number {
  if (misroutes < MISROUTES_MAX) return misroutes + 1;
  if (why instanceof Error) throw why;
  throw new SparrowError('unavailable', 'SHARD_UNKNOWN', 'the metaserver names no shard for some keys of the table');
}

/** What the refusal tells is learned, or the map is fetched; throws what is no matter of routing. */
export async function learned(route: TableRoute, place: ShardPlace, error: unknown, wait: Wait): Promise<void> {
  if (!(error instanceof SparrowError) || !route.learn(error)) throw error;
  const { map } = route;
  if (map === undefined || map.byShard(place.shard)?.epoch === place.epoch || !map.whole) await mapOf(route, wait, true);
}
