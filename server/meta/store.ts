/**
 * The topology on META_GROUP's key-value store, for one lead of it.
 *
 *   begin    writes `lead`: when that is applied here, so is everything that any leader before had written. Then all records are read, in the same turn
 *   commit   one entry of the group's log for all records of a change, on the condition that `lead` is still what `begin` wrote
 *
 * So of a leader that was replaced nothing is written after its successor has read: an entry of it that comes later in the log finds another `lead`, and
 * does nothing. A commit that fails, for whatever reason, ends the lead: what is in memory may not be what is written any more.
 *
 * Made by metaserver.ts at each lead. Calls Replica (server/node).
 */
import { SparrowError } from '../../base/errors.ts';
import {
  type CommandOperation,
  encodeWrite,
  engineRange,
  type NodeAddress,
  NO_LIMIT,
  type Replica,
  scanOptions,
  userKey,
} from '../node/index.ts';
import { decodeJson, decodeRecord, encodeJson, encodeRecord, LEAD_KEY, TIMESTAMPS_KEY } from './records.ts';
import type { MetaWrite } from './state.ts';

/** As far as the metaserver asks its replica. */
export type MetaReplica = Pick<Replica, 'propose' | 'read' | 'stats'> & {
  readonly lead: Pick<Replica['lead'], 'onLeader'>;
  readonly engine: Pick<Replica['engine'], 'scanSync' | 'getSync'>;
};

export interface Found {
  readonly store: MetaStore;
  /** All records; none: nobody has led before. */
  readonly records: readonly MetaWrite[];
  /** All timestamps below are used up. */
  readonly timestampsBound: number;
}

export class MetaStore {
  readonly #replica: MetaReplica;
  /** Of `lead`, as this lead has written it. */
  readonly #version: number;
  #failed: SparrowError | undefined;

  /** Rejects as `Replica.propose` does, and with `corrupt/CORRUPT_TOPOLOGY`. */
  static async begin(replica: MetaReplica, nowMs: number): Promise<Found> {
    const { id, term } = replica.stats();
    const value = encodeJson({ node: id, term, sinceMs: nowMs });
    const result = await replica.propose(encodeWrite(undefined, [], [{ type: 'put', key: LEAD_KEY, value }]), NO_LIMIT);
    if (result.outcome !== 'applied') throw lost();
    const store = new MetaStore(replica, result.version);
    const records: MetaWrite[] = [];
    let timestampsBound = 0;
    for (const [key, bytes] of replica.engine.scanSync(scanOptions(engineRange({})))) {
      const name = userKey(key);
      const record = decodeRecord(name, bytes);
      if (record !== undefined) records.push(record);
      else if (Buffer.compare(name, TIMESTAMPS_KEY) === 0) timestampsBound = boundOf(bytes);
    }
    return { store, records, timestampsBound };
  }

  private constructor(replica: MetaReplica, version: number) {
    this.#replica = replica;
    this.#version = version;
  }

  /** Settles when they are committed and applied, all of them. Rejects with `unavailable/META_LEAD_LOST`: nobody knows then whether they will be. */
  async commit(writes: readonly MetaWrite[]): Promise<void> {
    if (writes.length === 0) return;
    await this.#write(
      writes.map(encodeRecord).map(({ key, value }) => (value === undefined ? { type: 'delete', key } : { type: 'put', key, value })),
    );
  }

  /** All timestamps below `bound` count as used up from now on. As `commit`. */
  async commitTimestamps(bound: number): Promise<void> {
    await this.#write([{ type: 'put', key: TIMESTAMPS_KEY, value: encodeJson({ bound }) }]);
  }

  async #write(operations: readonly CommandOperation[]): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    const ours = { kind: 'version', key: LEAD_KEY, version: this.#version } as const;
    try {
      const result = await this.#replica.propose(encodeWrite(undefined, [ours], operations), NO_LIMIT);
      if (result.outcome !== 'applied') throw lost();
    } catch (error) {
      this.#failed ??= lost(error);
      throw this.#failed;
    }
  }
}

/** Where nodes are by this replica's own copy of the records, which may lie behind. */
export function placesHere(engine: MetaReplica['engine']): Map<number, NodeAddress> {
  const places = new Map<number, NodeAddress>();
  for (const [key, bytes] of engine.scanSync(scanOptions(engineRange({ prefix: Buffer.from('node/') })))) {
    const found = decodeRecord(userKey(key), bytes);
    if (found?.kind !== 'node' || found.record === undefined || found.record.duty === 'decommissioned') continue;
    places.set(found.id, found.record);
  }
  return places;
}

function boundOf(bytes: Uint8Array): number {
  const { bound } = decodeJson('timestamps', bytes) as { bound?: unknown };
  if (typeof bound === 'number' && Number.isSafeInteger(bound) && bound >= 0) return bound;
  throw new SparrowError('corrupt', 'CORRUPT_TOPOLOGY', "the metaserver's record timestamps has no bound", { key: 'timestamps' });
}

function lost(cause?: unknown): SparrowError {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return new SparrowError('unavailable', 'META_LEAD_LOST', `another node leads the metaserver now, or will${why}`, {}, cause);
}
