/**
 * SparrowKV as a database of Level: an `abstract-level` over the engine, so that what is written for Level runs on it. AbstractLevel sees
 * to states, encodings, sublevels, hooks and events; the methods here that begin with an underscore are what it calls, with keys and
 * values encoded in one of three formats (format.ts). Failures carry Level's codes (level-error.ts).
 *
 * The engine reads without waiting, so every read is done when its method returns, and the promises are Level's way of saying it.
 * A batch is one write of the engine: atomic. Keys with their sublevel's prefix have at most `maxKeyBytes` (4,096) bytes.
 */
import { AbstractLevel, type AbstractBatchOperation, type AbstractSnapshot } from 'abstract-level';
import { NodeFileSystem } from '../base/node/index.ts';
import {
  type BatchOperation,
  type Engine,
  type EngineMetrics,
  open,
  type ReadOptions,
  SparrowError,
  type WriteOptions,
} from '../engine/index.ts';
import { clearRange } from './clear.ts';
import { decoderOf, type Format } from './format.ts';
import { type IterationOptions, SparrowIterator, SparrowKeyIterator, SparrowValueIterator } from './iterator.ts';
import { levelError } from './level-error.ts';
import type { BatchOptions, ChainedBatch, DelOptions, OpenOptions, PutOptions, SparrowLevelOptions, SyncOption } from './options.ts';
import { rangeOf, type RangeOptions } from './range.ts';
import { type SnapshotOptions, SparrowSnapshot } from './snapshot.ts';
import { type Encoded, storedKey } from './stored-key.ts';

/** The file without which a directory holds no store: docs/formats/manifest.md. */
const CURRENT = 'CURRENT';

const SYNCED: WriteOptions = { durability: 'synced' };

const MANIFEST: ConstructorParameters<typeof AbstractLevel>[0] & { getSync: boolean } = {
  encodings: { utf8: true, buffer: true, view: true },
  has: true,
  getSync: true,
  createIfMissing: true,
  errorIfExists: true,
  implicitSnapshots: true,
  explicitSnapshots: true,
  permanence: true,
  seek: true,
  signals: { iterators: true },
  additionalMethods: { stats: true },
};

interface SnapshotOption {
  readonly snapshot?: AbstractSnapshot | null;
}

interface GetOptions extends SnapshotOption {
  readonly valueEncoding: Format;
}

type EncodedOperation = { type: 'put'; key: Encoded; value: Encoded } | { type: 'del'; key: Encoded };

/**
 * A database in directory `location`; only one holder at a time (`LEVEL_LOCKED`).
 *
 * @template KDefault Type of keys unless an operation says otherwise.
 * @template VDefault Type of values unless an operation says otherwise.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class SparrowLevel<KDefault = string, VDefault = string> extends AbstractLevel<string | Buffer | Uint8Array, KDefault, VDefault> {
  readonly location: string;
  #engine: Engine | undefined;
  /** Ranges that are being deleted: closing waits for them. */
  readonly #clearing = new Set<Promise<void>>();

  constructor(location: string, options?: SparrowLevelOptions<KDefault, VDefault>) {
    if (typeof location !== 'string' || location === '') throw new TypeError("The first argument 'location' must be a non-empty string");
    super(MANIFEST, options);
    this.location = location;
  }

  async _open({ createIfMissing, errorIfExists, settings, components }: OpenOptions): Promise<void> {
    try {
      const exists = (components?.fileSystem ?? new NodeFileSystem()).existsSync(`${this.location}/${CURRENT}`);
      if (!exists && createIfMissing === false) throw refused(this.location, 'does not exist (createIfMissing is false)');
      if (exists && errorIfExists === true) throw refused(this.location, 'exists (errorIfExists is true)');
      this.#engine = await open(this.location, settings, components);
    } catch (error) {
      throw levelError(error);
    }
  }

  async _close(): Promise<void> {
    await Promise.allSettled(this.#clearing);
    const engine = this.#engine;
    // The engine lets go of the directory even when closing it fails: closing once more succeeds, and then it can be opened again.
    this.#engine = undefined;
    try {
      await engine?.close();
    } catch (error) {
      throw levelError(error);
    }
  }

  /** What the engine counts: engine/api.ts. Throws `LEVEL_DATABASE_NOT_OPEN`. */
  metrics(): EngineMetrics {
    return this.#opened().metrics();
  }

  // ---- reads ----

  _getSync(key: Encoded, options: GetOptions): Encoded | undefined {
    try {
      const value = this.#opened().getSync(storedKey(key), readOptions(options));
      return value === undefined ? undefined : decoderOf(options.valueEncoding)(value);
    } catch (error) {
      throw levelError(error);
    }
  }

  async _get(key: Encoded, options: GetOptions): Promise<Encoded | undefined> {
    return this._getSync(key, options);
  }

  async _getMany(keys: Encoded[], options: GetOptions): Promise<(Encoded | undefined)[]> {
    try {
      const decode = decoderOf(options.valueEncoding);
      const values = this.#opened().getManySync(keys.map(storedKey), readOptions(options));
      return values.map((value) => (value === undefined ? undefined : decode(value)));
    } catch (error) {
      throw levelError(error);
    }
  }

  async _has(key: Encoded, options: SnapshotOption): Promise<boolean> {
    return this.#holds(key, readOptions(options));
  }

  async _hasMany(keys: Encoded[], options: SnapshotOption): Promise<boolean[]> {
    const read = readOptions(options);
    return keys.map((key) => this.#holds(key, read));
  }

  _iterator(options: IterationOptions): SparrowIterator<this, KDefault, VDefault> {
    return new SparrowIterator(this, this.#opened(), options);
  }

  _keys(options: IterationOptions): SparrowKeyIterator<this, KDefault> {
    return new SparrowKeyIterator(this, this.#opened(), options);
  }

  _values(options: IterationOptions): SparrowValueIterator<this, KDefault, VDefault> {
    return new SparrowValueIterator(this, this.#opened(), options);
  }

  _snapshot(options: SnapshotOptions): SparrowSnapshot {
    return new SparrowSnapshot(this.#opened().snapshot(), options);
  }

  // ---- writes ----

  async _put(key: Encoded, value: Encoded, options: SyncOption): Promise<void> {
    try {
      await this.#opened().put(storedKey(key), value, writeOptions(options));
    } catch (error) {
      throw levelError(error);
    }
  }

  async _del(key: Encoded, options: SyncOption): Promise<void> {
    try {
      await this.#opened().delete(storedKey(key), writeOptions(options));
    } catch (error) {
      throw levelError(error);
    }
  }

  async _batch(operations: EncodedOperation[], options: SyncOption): Promise<void> {
    try {
      await this.#opened().write(operations.map(storedOperation), writeOptions(options));
    } catch (error) {
      throw levelError(error);
    }
  }

  async _clear(options: RangeOptions & SnapshotOption & SyncOption & { reverse: boolean; limit: number }): Promise<void> {
    const { reverse, limit } = options;
    const snapshot = readOptions(options)?.snapshot;
    const cleared = clearRange(this.#opened(), { range: rangeOf(options), reverse, limit, snapshot, write: writeOptions(options) });
    this.#clearing.add(cleared);
    try {
      await cleared;
    } catch (error) {
      throw levelError(error);
    } finally {
      this.#clearing.delete(cleared);
    }
  }

  #holds(key: Encoded, read: ReadOptions | undefined): boolean {
    try {
      return this.#opened().hasSync(storedKey(key), read);
    } catch (error) {
      // What cannot be stored is not there.
      if (error instanceof SparrowError && error.code === 'KEY_TOO_LARGE') return false;
      throw levelError(error);
    }
  }

  #opened(): Engine {
    if (this.#engine !== undefined) return this.#engine;
    throw new SparrowError('closed', 'LEVEL_DATABASE_NOT_OPEN', `the database at ${this.location} is not open`, { path: this.location });
  }
}

/** Level's methods with the options that are ours. AbstractLevel has the methods; only their declared types are wider here. */
export interface SparrowLevel<KDefault, VDefault> {
  open(): Promise<void>;
  open(options: OpenOptions): Promise<void>;
  put(key: KDefault, value: VDefault): Promise<void>;
  put<K = KDefault, V = VDefault>(key: K, value: V, options: PutOptions<K, V>): Promise<void>;
  del(key: KDefault): Promise<void>;
  del<K = KDefault>(key: K, options: DelOptions<K>): Promise<void>;
  batch(operations: AbstractBatchOperation<this, KDefault, VDefault>[]): Promise<void>;
  batch<K = KDefault, V = VDefault>(operations: AbstractBatchOperation<this, K, V>[], options: BatchOptions<K, V>): Promise<void>;
  batch(): ChainedBatch<this, KDefault, VDefault>;
}

function storedOperation(operation: EncodedOperation): BatchOperation {
  const key = storedKey(operation.key);
  return operation.type === 'put' ? { type: 'put', key, value: operation.value } : { type: 'delete', key };
}

function readOptions({ snapshot }: SnapshotOption): ReadOptions | undefined {
  return snapshot === undefined || snapshot === null ? undefined : { snapshot: SparrowSnapshot.pointOf(snapshot) };
}

/** Without `sync` the engine's setting holds. */
function writeOptions({ sync }: SyncOption): WriteOptions | undefined {
  return sync === true ? SYNCED : undefined;
}

function refused(location: string, why: string): SparrowError {
  return new SparrowError('invalid', 'LEVEL_DATABASE_NOT_OPEN', `${location} ${why}`, { path: location });
}
