/**
 * The verbs that an engine and a keyspace share, for one keyspace: checks what the caller gave and hands it to writer.ts, reader.ts or
 * scan.ts. engine.ts and keyspaces.ts extend it.
 */
import type { Clock } from '../base/env.ts';
import type {
  Bytes,
  Durability,
  EngineIterator,
  Entry,
  KeyRange,
  KeyValues,
  PutOptions,
  ReadOptions,
  ScanOptions,
  VersionedValue,
  WriteOptions,
} from './api.ts';
import { keepsExpiry, planRangeDelete } from './batch-plan.ts';
import { COLD, type ColdReads, ReadAhead } from './cold-reads/index.ts';
import { addToCounter, encodeCounter, toStep } from './counters.ts';
import type { DeleteRuns } from './delete-runs.ts';
import { expiryOf, NEVER } from './expiry.ts';
import { notHosted } from './not-hosted.ts';
import { StoredIterator } from './iterator.ts';
import { lookupOrder } from './key-order.ts';
import { keyRange } from './key-range.ts';
import { checkArray, checkObject, checkOptions, toKey, toValue } from './keys.ts';
import type { OpenKeyspace } from './open-keyspace.ts';
import { NEWEST, type Reader } from './reader.ts';
import { type InternalRange, internalRange, scanRange } from './scan-range.ts';
import { RangeCursor, ScanIterator, type ScanSource } from './scan.ts';
import { checkDurability, type EngineSettings } from './settings.ts';
import { PinnedSnapshot, type Snapshots } from './snapshots.ts';
import type { EngineWriter } from './writer.ts';

const WRITE_OPTIONS: readonly string[] = ['durability', 'sequence'];
const PUT_OPTIONS: readonly string[] = [...WRITE_OPTIONS, 'ttlMs', 'expiresAtMs'];
const RANGE_FIELDS: readonly string[] = ['gt', 'gte', 'lt', 'lte', 'prefix'];
const READ_OPTIONS: readonly string[] = ['snapshot'];
/** Of the keys of one `getMany`, so many may wait for the disk at the same time: twice as many as go there, because neighbours share pages. */
const MANY_AT_ONCE = 32;

/** What all keyspaces of an engine have in common. */
export interface KeyValueParts {
  readonly settings: Readonly<EngineSettings>;
  readonly clock: Clock;
  readonly writer: EngineWriter;
  readonly reader: Reader;
  readonly coldReads: ColdReads;
  readonly runs: DeleteRuns;
  readonly snapshots: Snapshots;
  readonly scanSource: ScanSource;
  /** Address of SCAN_WINDOW_BYTES. */
  readonly scanWindow: number;
  /** `closed/ENGINE_CLOSED`. Scans that were begun outlive their keyspace, but not the engine. */
  readonly assertEngineOpen: () => void;
  /** Durability is not the caller's to choose. */
  readonly isHosted: boolean;
}

export class StoredKeyValues implements KeyValues {
  readonly #parts: KeyValueParts;
  readonly #keyspace: OpenKeyspace;
  readonly #writer: EngineWriter;
  readonly #reader: Reader;
  readonly #coldReads: ColdReads;
  readonly #runs: DeleteRuns;
  readonly #maxKeyBytes: number;
  readonly #maxValueBytes: number;
  readonly #durability: Durability;

  constructor(parts: KeyValueParts, keyspace: OpenKeyspace) {
    this.#parts = parts;
    this.#keyspace = keyspace;
    this.#writer = parts.writer;
    this.#reader = parts.reader;
    this.#coldReads = parts.coldReads;
    this.#runs = parts.runs;
    this.#maxKeyBytes = parts.settings.maxKeyBytes;
    this.#maxValueBytes = parts.settings.maxValueBytes;
    this.#durability = parts.settings.durability;
  }

  put(key: Bytes, value: Bytes, options?: PutOptions): Promise<void> {
    try {
      const keyspace = this.#keyspace;
      keyspace.assertOpen();
      const keyBytes = toKey(key, this.#maxKeyBytes);
      const valueBytes = toValue(value, this.#maxValueBytes);
      const durability = this.durabilityOf(options, PUT_OPTIONS);
      const expiresAtMs = options === undefined && keyspace.ttlMs === 0 ? NEVER : this.#expiryOf(options);
      return this.#writer.one(keyspace, keyBytes, valueBytes, expiresAtMs, durability, options?.sequence);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  delete(key: Bytes, options?: WriteOptions): Promise<void> {
    try {
      this.#keyspace.assertOpen();
      const keyBytes = toKey(key, this.#maxKeyBytes);
      const durability = this.durabilityOf(options, WRITE_OPTIONS);
      const behind = this.#runs.coverHead(this.#keyspace.id, keyBytes);
      if (behind) return this.#writer.batch(planRangeDelete(this.#keyspace, behind), durability, options?.sequence);
      return this.#writer.one(this.#keyspace, keyBytes, undefined, NEVER, durability, options?.sequence);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  deleteRange(range: KeyRange, options?: WriteOptions): Promise<void> {
    try {
      this.#keyspace.assertOpen();
      // No range at all must not stand for all there is.
      checkObject(range, 'range');
      checkOptions(range, RANGE_FIELDS);
      const covered = keyRange(range, this.#keyspace.id, this.#maxKeyBytes);
      return this.#writer.batch(planRangeDelete(this.#keyspace, covered), this.durabilityOf(options, WRITE_OPTIONS), options?.sequence);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** Nothing can come between its read and its write: both are of one turn. */
  async increment(key: Bytes, by?: bigint | number, options?: PutOptions): Promise<bigint> {
    this.#keyspace.assertOpen();
    const keyBytes = toKey(key, this.#maxKeyBytes);
    const durability = this.durabilityOf(options, PUT_OPTIONS);
    const before = this.#reader.getEntry(this.#keyspace.id, keyBytes, NEWEST);
    const counter = addToCounter(before?.value, toStep(by));
    const expiresAtMs = before !== undefined && keepsExpiry(options) ? (before.expiresAtMs ?? NEVER) : this.#expiryOf(options);
    await this.#writer.one(this.#keyspace, keyBytes, encodeCounter(counter), expiresAtMs, durability, options?.sequence);
    return counter;
  }

  getSync(key: Bytes, options?: ReadOptions): Uint8Array | undefined {
    this.#keyspace.assertOpen();
    return this.#reader.get(this.#keyspace.id, toKey(key, this.#maxKeyBytes), this.#sequenceOf(options));
  }

  get(key: Bytes, options?: ReadOptions): Promise<Uint8Array | undefined> {
    this.#coldReads.begin();
    try {
      return Promise.resolve(this.getSync(key, options));
    } catch (error) {
      if (error !== COLD) return Promise.reject(error as Error);
    } finally {
      this.#coldReads.end();
    }
    return this.#later(key, options, (kept, sequence) => this.#reader.get(this.#keyspace.id, kept, sequence));
  }

  getEntrySync(key: Bytes, options?: ReadOptions): VersionedValue | undefined {
    this.#keyspace.assertOpen();
    return this.#reader.getEntry(this.#keyspace.id, toKey(key, this.#maxKeyBytes), this.#sequenceOf(options));
  }

  getEntry(key: Bytes, options?: ReadOptions): Promise<VersionedValue | undefined> {
    this.#coldReads.begin();
    try {
      return Promise.resolve(this.getEntrySync(key, options));
    } catch (error) {
      if (error !== COLD) return Promise.reject(error as Error);
    } finally {
      this.#coldReads.end();
    }
    return this.#later(key, options, (kept, sequence) => this.#reader.getEntry(this.#keyspace.id, kept, sequence));
  }

  getManySync(keys: readonly Bytes[], options?: ReadOptions): (Uint8Array | undefined)[] {
    this.#keyspace.assertOpen();
    const sequence = this.#sequenceOf(options);
    checkArray(keys, 'keys');
    const checked = keys.map((key) => toKey(key, this.#maxKeyBytes));
    const values = Array<Uint8Array | undefined>(keys.length);
    const reader = this.#reader;
    const { id } = this.#keyspace;
    const { pageReads } = reader;
    for (let i = 0; i < keys.length; i++) {
      values[i] = reader.get(id, checked[i]!, sequence);
      if (reader.pageReads === pageReads) continue;
      // Not all is in memory: from here on each page is wanted once and for all.
      for (const j of lookupOrder(checked, i + 1)) values[j] = reader.get(id, checked[j]!, sequence);
      break;
    }
    return values;
  }

  getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    const { gets } = this.#reader;
    this.#coldReads.begin();
    try {
      return Promise.resolve(this.getManySync(keys, options));
    } catch (error) {
      if (error !== COLD) return Promise.reject(error as Error);
      this.#reader.takeBack(this.#reader.gets - gets);
    } finally {
      this.#coldReads.end();
    }
    return this.#manyLater(keys, options);
  }

  hasSync(key: Bytes, options?: ReadOptions): boolean {
    this.#keyspace.assertOpen();
    return this.#reader.has(this.#keyspace.id, toKey(key, this.#maxKeyBytes), this.#sequenceOf(options));
  }

  has(key: Bytes, options?: ReadOptions): Promise<boolean> {
    this.#coldReads.begin();
    try {
      return Promise.resolve(this.hasSync(key, options));
    } catch (error) {
      if (error !== COLD) return Promise.reject(error as Error);
    } finally {
      this.#coldReads.end();
    }
    return this.#later(key, options, (kept, sequence) => this.#reader.has(this.#keyspace.id, kept, sequence));
  }

  scanSync(options: ScanOptions = {}): IterableIterator<Entry> {
    const { range, sequence } = this.#scanned(options);
    const { snapshots, scanSource, scanWindow, assertEngineOpen } = this.#parts;
    return new ScanIterator(scanSource, range, sequence, scanWindow, snapshots.pinIterator(sequence), assertEngineOpen);
  }

  iterator(options: ScanOptions = {}): EngineIterator {
    const { range, sequence } = this.#scanned(options);
    const { snapshots, scanSource, scanWindow, assertEngineOpen } = this.#parts;
    const cursor = new RangeCursor(scanSource, range, sequence, scanWindow);
    const place = { keyspace: this.#keyspace.id, maxKeyBytes: this.#maxKeyBytes };
    return new StoredIterator(cursor, place, assertEngineOpen, range.reverse, snapshots.pinIterator(sequence));
  }

  /** What is asked for, and at which sequence: to be pinned, with a snapshot too, which may be released while the scan is on its way. */
  #scanned(options: ScanOptions): { range: InternalRange; sequence: number } {
    this.#keyspace.assertOpen();
    const range = internalRange(scanRange(options, this.#maxKeyBytes), this.#keyspace.id);
    return { range, sequence: options.snapshot === undefined ? this.#writer.sequence : this.#sequenceOf(options) };
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<Entry, void, undefined> {
    const { range, sequence } = this.#scanned(options);
    const { snapshots, scanSource, scanWindow } = this.#parts;
    const coldReads = this.#coldReads;
    const release = snapshots.pinIterator(sequence);
    try {
      const cursor = new RangeCursor(scanSource, range, sequence, scanWindow);
      const ahead = new ReadAhead(range.reverse);
      for (let seen = false; ;) {
        let entry: Entry | undefined;
        let stopped = false;
        coldReads.begin(ahead);
        try {
          entry = cursor.next();
        } catch (error) {
          if (error !== COLD) throw error;
          stopped = true;
        } finally {
          coldReads.end();
        }
        if (stopped) {
          if (seen) ahead.progressed();
          await coldReads.bring(ahead);
        } else if (entry === undefined) return;
        else yield entry;
        seen = !stopped;
        this.#keyspace.assertOpen();
      }
    } finally {
      release();
    }
  }

  /** A point read that was stopped in this turn, as of this turn. */
  #later<T>(key: Bytes, options: ReadOptions | undefined, read: (kept: Uint8Array, sequence: number) => T): Promise<T> {
    // The caller may write to its array, or release its snapshot, before the disk has answered.
    const kept = new Uint8Array(toKey(key, this.#maxKeyBytes));
    return this.#pinned(options, (sequence) => this.#finish(() => read(kept, sequence)));
  }

  #manyLater(keys: readonly Bytes[], options: ReadOptions | undefined): Promise<(Uint8Array | undefined)[]> {
    const kept = keys.map((key) => new Uint8Array(toKey(key, this.#maxKeyBytes)));
    return this.#pinned(options, (sequence) => this.#lookUpAll(kept, sequence));
  }

  /** Those that wait for the disk do so together, a bounded number of them; in the order of the keys, so that those of one page share it. */
  async #lookUpAll(keys: readonly Uint8Array[], sequence: number): Promise<(Uint8Array | undefined)[]> {
    const values = Array<Uint8Array | undefined>(keys.length);
    const order = lookupOrder(keys, 0);
    let next = 0;
    const lookUp = async (): Promise<void> => {
      while (next < order.length) {
        const i = order[next++]!;
        try {
          const found = this.#lookUp(keys[i]!, sequence);
          values[i] = found instanceof Promise ? await found : found;
        } catch (error) {
          next = order.length;
          throw error;
        }
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: Math.min(MANY_AT_ONCE, keys.length) }, lookUp));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    return values;
  }

  /** At once, if it can be. */
  #lookUp(key: Uint8Array, sequence: number): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const read = (): Uint8Array | undefined => this.#reader.get(this.#keyspace.id, key, sequence);
    this.#coldReads.begin();
    try {
      this.#keyspace.assertAnswers();
      return read();
    } catch (error) {
      if (error !== COLD) throw error;
    } finally {
      this.#coldReads.end();
    }
    return this.#finish(read);
  }

  /** Goes on with a point read that was stopped in this turn. */
  #finish<T>(read: () => T): Promise<T> {
    return this.#coldReads.finish(() => {
      this.#keyspace.assertAnswers();
      this.#reader.takeBack(1);
      return read();
    });
  }

  /** Reads at what there is now, or at a snapshot, which stays until that has ended; so does the engine. */
  #pinned<T>(options: ReadOptions | undefined, read: (sequence: number) => Promise<T>): Promise<T> {
    const sequence = options?.snapshot === undefined ? this.#writer.sequence : this.#sequenceOf(options);
    const release = this.#parts.snapshots.pinIterator(sequence);
    return this.#coldReads.track(read(sequence).finally(release));
  }

  protected durabilityOf(options: WriteOptions | undefined, known: readonly string[]): Durability {
    if (options === undefined) return this.#durability;
    checkOptions(options, known);
    if (options.durability === undefined) return this.#durability;
    if (this.#parts.isHosted) throw notHosted('durability');
    return checkDurability(options.durability);
  }

  #expiryOf(options: PutOptions | undefined): number {
    const { clock } = this.#parts;
    return expiryOf(options ?? {}, this.#keyspace.ttlMs, () => clock.wallMs());
  }

  #sequenceOf(options: ReadOptions | undefined): number {
    if (options === undefined) return NEWEST;
    // A scan's options, too, come here with their snapshot.
    if (options?.snapshot !== undefined) return PinnedSnapshot.sequenceFor(options.snapshot, this.#parts.snapshots);
    checkOptions(options, READ_OPTIONS);
    return NEWEST;
  }
}
