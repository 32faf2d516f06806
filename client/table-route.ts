/**
 * Where calls of one table go: to the shard that has their keys, by the map of shards that is kept here.
 *
 *   call --key--> map --shard, epoch--> connector of that shard --> the node that leads it
 *          ^                                            |
 *          |   WRONG_SHARD tells newer entries: sent again at once
 *          +-- WRONG_SHARD without, SHARD_SEALED: parked until the map was fetched; of a sealed shard one write goes first
 *
 * The map is fetched from the metaserver when it is first needed, once for all who wait, and again when a call shows that it is not right any more; between
 * fetches that tell nothing new there are pauses with jitter, doubling. Nothing polls it.
 *
 * Made by router.ts, which has the connectors.
 */
import type { Timer } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import { decodeShardNotes, ReplicaKind, type ShardEntry, type TopologyResponse } from '../proto/index.ts';
import type { AnyCall, CallHolder, CallRoute } from './call.ts';
import type { Settings } from './connect-options.ts';
import type { Connector } from './connector.ts';
import { isWorthRetrying, pauseMs } from './retry.ts';
import { ShardMap, type ShardPlace } from './shard-map.ts';
import { fraction, type Surroundings } from './surroundings.ts';

/** Between fetches of a map that tell nothing new. A shard that is being merged or moved is away for some tenths of a second. */
const FETCH_PAUSE_MS_MAX = 250;
/** A fetch so long after the one before begins without a pause. */
const QUIET_MS = 2_000;
const MISROUTED: ReadonlySet<string> = new Set(['WRONG_SHARD', 'NO_REPLICA', 'SHARD_SEALED', 'TABLE_DROPPED']);

/** What router.ts gives. */
export interface TableRouteParts {
  readonly settings: Settings;
  readonly surroundings: Surroundings;
  /** Asks the metaserver. */
  fetch(table: string, knownVersion: number): Promise<TopologyResponse>;
  /** The connector of a shard; made when there is none yet. */
  group(place: ShardPlace): Connector;
  /** The table has other shards, or they are elsewhere. */
  mapped(map: ShardMap): void;
  /** Settles the call. */
  fail(call: AnyCall, error: SparrowError): void;
}

interface Waiter {
  readonly sinceMs: number;
  ready(map: ShardMap): void;
  failed(error: SparrowError): void;
}

export class TableRoute implements CallRoute, CallHolder {
  readonly name: string;
  readonly #parts: TableRouteParts;
  #map: ShardMap | undefined;
  /** Of the topology that the map is from. */
  #version = 0;
  /** With the time since when each waits for a map. */
  readonly #parked: Map<AnyCall, number> = new Map();
  readonly #waiters: Set<Waiter> = new Set();
  /** By shard that takes no writes for now: the one write that is sent to find out whether it does again. */
  readonly #scouts: Map<number, AnyCall> = new Map();
  /** By shard, the largest version that it told: what a write's request id says that it has seen. */
  readonly #seen: Map<number, number> = new Map();
  #timer: Timer | undefined;
  #fetching = false;
  #fruitless = 0;
  #fetchedMs = -Infinity;
  #closed = false;

  constructor(name: string, parts: TableRouteParts) {
    this.name = name;
    this.#parts = parts;
  }

  /** As it is now, if there is one. */
  get map(): ShardMap | undefined {
    return this.#map;
  }

  dispatch(call: AnyCall): void {
    const map = this.#map;
    const place = map === undefined ? undefined : placeOf(map, call);
    if (place === undefined) return this.#park(call);
    if (place === 'several') return this.#parts.fail(call, spansShards(map!, call));
    this.sendTo(place, call);
  }

  /** To this shard, whatever the call's keys. */
  sendTo(place: ShardPlace, call: AnyCall): void {
    const { request } = call as { request: { shard?: number; epoch?: number } };
    request.shard = place.shard;
    request.epoch = place.epoch;
    const id = call.identified?.requestId;
    if (id !== undefined && call.numbered && !call.wasSent) id.seen = this.#seen.get(place.shard) ?? 0;
    const group = this.#parts.group(place);
    call.group = group;
    group.dispatch(call);
  }

  tookBack(call: AnyCall, error: SparrowError): boolean {
    if (!this.learn(error)) return false;
    const map = this.#map;
    const place = map === undefined ? undefined : placeOf(map, call);
    const { shard, epoch } = call.request as { shard?: number; epoch?: number };
    const known = error.code === 'WRONG_SHARD' && typeof place === 'object' && (place.shard !== shard || place.epoch !== epoch);
    call.state = 'pausing';
    // Not now: the connection is still handing out what it has.
    queueMicrotask(() => {
      if (call.state !== 'pausing' || this.#closed) return;
      if (known || error.code === 'NO_REPLICA') this.dispatch(call);
      else this.#park(call);
    });
    return true;
  }

  /** What a refusal tells of shards; false when it is about something else. */
  learn(error: SparrowError): boolean {
    if (error.code === 'WRONG_SHARD') {
      const map = this.#map;
      if (map?.learnNotes(decodeShardNotes(error.details['shards'])) === true) this.#parts.mapped(map);
      if (map?.whole !== true) this.refresh();
      return true;
    }
    if (!isMisroute(error)) return false;
    this.refresh();
    return true;
  }

  observe(call: AnyCall, version: number): void {
    const { shard } = call.request as { shard?: number };
    if (shard === undefined) return;
    this.saw(shard, version);
    if (this.#scouts.get(shard) !== call) return;
    this.#scouts.delete(shard);
    this.#release(shard);
  }

  /** The shard has told this version. */
  saw(shard: number, version: number): void {
    if (version > (this.#seen.get(shard) ?? 0)) this.#seen.set(shard, version);
  }

  drop(call: AnyCall): void {
    this.#parked.delete(call);
    call.holder = undefined;
  }

  /** The map, as soon as there is one; `newer`: than this one, because it showed to be wrong. Returns how to take the wish back. */
  whenMapped(newer: boolean, ready: (map: ShardMap) => void, failed: (error: SparrowError) => void): () => void {
    if (this.#map !== undefined && !newer) {
      ready(this.#map);
      return () => undefined;
    }
    const waiter: Waiter = { sinceMs: this.#nowMs, ready, failed };
    this.#waiters.add(waiter);
    this.refresh();
    return () => this.#waiters.delete(waiter);
  }

  group(place: ShardPlace): Connector {
    return this.#parts.group(place);
  }

  /** Fetches the map, unless that is under way or was a moment ago. */
  refresh(): void {
    if (this.#fetching || this.#timer !== undefined || this.#closed) return;
    const { settings, surroundings } = this.#parts;
    if (this.#nowMs - this.#fetchedMs > QUIET_MS) this.#fruitless = 0;
    if (this.#fruitless === 0) return void this.#fetch();
    const most = Math.min(FETCH_PAUSE_MS_MAX, settings.retryPauseMsMax);
    const pause = pauseMs(this.#fruitless, settings.retryPauseMs, most, () => fraction(surroundings.random));
    this.#timer = surroundings.scheduler.after(pause, () => {
      this.#timer = undefined;
      void this.#fetch();
    });
  }

  close(error: SparrowError): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#parked.clear();
    for (const waiter of this.#waiters) waiter.failed(error);
    this.#waiters.clear();
  }

  get #nowMs(): number {
    return this.#parts.surroundings.clock.monotonicMs();
  }

  #park(call: AnyCall): void {
    call.state = 'parked';
    call.holder = this;
    this.#parked.set(call, this.#nowMs);
    this.refresh();
  }

  async #fetch(): Promise<void> {
    this.#fetching = true;
    let failure: SparrowError | undefined;
    try {
      const answer = await this.#parts.fetch(this.name, this.#version);
      if (this.#closed) return;
      if (this.#adopt(answer)) this.#fruitless = 0;
      else this.#fruitless++;
    } catch (error) {
      failure = error as SparrowError;
      this.#fruitless++;
    } finally {
      this.#fetching = false;
      this.#fetchedMs = this.#nowMs;
    }
    if (failure === undefined) this.#release();
    else if (!this.#closed) this.#giveUp(failure);
  }

  /** Whether it tells anything new. */
  #adopt(answer: TopologyResponse): boolean {
    if (answer.unchanged) return false;
    const table = answer.tables.find(({ name }) => name === this.name);
    if (table === undefined) {
      throw new SparrowError('internal', 'INTERNAL', `the metaserver's map does not have table ${JSON.stringify(this.name)}`);
    }
    const kind = table.partitioning === 'hash' ? 'hash' : 'range';
    const places = answer.shards
      .filter((entry) => entry.table === table.table)
      .map(placeOfEntry)
      .filter((place) => place !== undefined);
    const before = this.#map;
    const same = before !== undefined && before.table === table.table && before.kind === kind ? before : new ShardMap(table.table, kind);
    const { map, changed } = same.merged(places);
    this.#version = answer.version;
    this.#map = map;
    for (const shard of this.#seen.keys()) if (map.byShard(shard) === undefined) this.#seen.delete(shard);
    this.#parts.mapped(map);
    return changed || same !== before;
  }

  /** A map was fetched, or shard `open` takes writes again: those that waited for it go on. */
  #release(open?: number): void {
    for (const waiter of open === undefined ? [...this.#waiters] : []) {
      if (!this.#waiters.delete(waiter) || this.#map === undefined) continue;
      waiter.ready(this.#map);
    }
    for (const call of [...this.#parked.keys()]) {
      if (this.#waitsForScout(call, open)) continue;
      this.#parked.delete(call);
      call.holder = undefined;
      this.dispatch(call);
    }
    // The scout may never be answered.
    if (this.#parked.size > 0) this.refresh();
  }

  /** Whether another write finds out for this one whether its shard takes writes again: a thousand that ask would hold up whoever moves the shard's keys. */
  #waitsForScout(call: AnyCall, open: number | undefined): boolean {
    if (call.lastError?.code !== 'SHARD_SEALED') return false;
    const place = this.#map && placeOf(this.#map, call);
    const { shard, epoch } = call.request as { shard?: number; epoch?: number };
    if (shard === open) return false;
    if (typeof place !== 'object' || place.shard !== shard || place.epoch !== epoch) return false;
    const scout = this.#scouts.get(shard);
    if (scout !== undefined && scout !== call && scout.state !== 'done' && scout.lastError?.code === 'SHARD_SEALED') return true;
    this.#scouts.set(shard, call);
    return false;
  }

  /** No map was to be had: those that waited long enough are told, and all of them when waiting will not help. */
  #giveUp(failure: SparrowError): void {
    const { waitForServerMs, waitForLeaderMs } = this.#parts.settings;
    // A fetch has less time than those who wait for it: what kept it tells more than that its time was over.
    const error = failure.code === 'TIMEOUT' && failure.cause instanceof SparrowError ? failure.cause : failure;
    const waitMs = error.code === 'NO_LEADER' ? waitForLeaderMs : waitForServerMs;
    const over = !isWorthRetrying(error) && error.code !== 'TIMEOUT' ? -Infinity : waitMs;
    const nowMs = this.#nowMs;
    for (const waiter of [...this.#waiters]) {
      if (nowMs - waiter.sinceMs < over) continue;
      this.#waiters.delete(waiter);
      waiter.failed(error);
    }
    for (const [call, sinceMs] of [...this.#parked]) {
      call.lastError = error;
      if (nowMs - sinceMs < over) continue;
      this.drop(call);
      this.#parts.fail(call, error);
    }
    if (this.#parked.size + this.#waiters.size > 0) this.refresh();
  }
}

/** A call that is for one shard alone: it fails when the shard is not what it was, and who made it plans anew. */
export class PinnedRoute implements CallRoute {
  readonly #table: TableRoute;
  readonly #place: ShardPlace;
  readonly #fail: (call: AnyCall, error: SparrowError) => void;

  constructor(table: TableRoute, place: ShardPlace, fail: (call: AnyCall, error: SparrowError) => void) {
    this.#table = table;
    this.#place = place;
    this.#fail = fail;
  }

  dispatch(call: AnyCall): void {
    const now = this.#table.map?.byShard(this.#place.shard);
    if (now?.epoch === this.#place.epoch) this.#table.sendTo(now, call);
    else this.#fail(call, movedOn(this.#place.shard));
  }

  tookBack(call: AnyCall, error: SparrowError): boolean {
    // The shard is on another node: the connector finds it.
    if (error.code === 'NO_REPLICA') return this.#table.learn(error) && false;
    if (!this.#table.learn(error)) return false;
    this.#fail(call, error);
    return true;
  }

  observe(call: AnyCall, version: number): void {
    this.#table.observe(call, version);
  }
}

/**
 * The node did not refuse for its own sake, but for what it was asked for: another shard, or the same one a little later. Of a table that was dropped the
 * metaserver tells whether there is another one of that name, or it is back.
 */
export function isMisroute(error: SparrowError): boolean {
  return MISROUTED.has(error.code);
}

/** What was planned for a shard has to be planned anew. */
export function movedOn(shard: number): SparrowError {
  return new SparrowError('rerouted', 'WRONG_SHARD', `shard ${shard} has changed`, { shard, applied: false });
}

/** A hole: undefined. */
function placeOf(map: ShardMap, { method, request }: AnyCall): ShardPlace | 'several' | undefined {
  const keys = method.keys?.(request);
  if (keys === undefined || keys instanceof Uint8Array) return keys && map.find(keys);
  let place: ShardPlace | undefined;
  for (const key of keys) {
    const one = map.find(key);
    if (one === undefined) return undefined;
    if (place !== undefined && one !== place) return 'several';
    place = one;
  }
  // A batch of nothing: any shard will do.
  return place ?? map.places()[0];
}

const SHARDS_NAMED_MAX = 10;

function spansShards(map: ShardMap, call: AnyCall): SparrowError {
  const shards = new Set<number>();
  const keys = call.method.keys?.(call.request);
  for (const key of keys === undefined || keys instanceof Uint8Array ? [] : keys) {
    const place = map.find(key);
    if (place !== undefined) shards.add(place.shard);
  }
  const named = [...shards].slice(0, SHARDS_NAMED_MAX).join(', ');
  const more = shards.size > SHARDS_NAMED_MAX ? ` and ${shards.size - SHARDS_NAMED_MAX} more` : '';
  if (!call.method.writes) return new SparrowError('rerouted', 'KEYS_SPAN_SHARDS', `the keys are of shards ${named}${more}`);
  const message = `a batch is atomic within one shard, and the keys of this one are of shards ${named}${more}; write them as several batches`;
  return new SparrowError('invalid', 'BATCH_SPANS_SHARDS', message, {
    field: 'batch',
    shards: named,
    count: shards.size,
    applied: call.uncertain ? 'unknown' : false,
  });
}

function placeOfEntry({ shard, epoch, keys, replicas, leader }: ShardEntry): ShardPlace | undefined {
  const of = keys?.keys;
  if (of === undefined || shard === 0 || epoch === 0) return undefined;
  return {
    shard,
    epoch,
    leader,
    keys:
      of.$case === 'hash'
        ? { kind: 'hash', bits: of.value.bits, index: of.value.index }
        : { kind: 'range', start: of.value.start, end: of.value.end },
    replicas: replicas.map(({ node, kind }) => ({ node, witness: kind === ReplicaKind.WITNESS })),
  };
}
