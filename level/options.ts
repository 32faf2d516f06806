/** Options on top of Level's own. Those that it does not know (another database's cache size ...) mean nothing, as everywhere in Level. */
import type {
  AbstractBatchOptions,
  AbstractChainedBatch,
  AbstractChainedBatchWriteOptions,
  AbstractDatabaseOptions,
  AbstractDelOptions,
  AbstractOpenOptions,
  AbstractPutOptions,
} from 'abstract-level';
import type { EngineComponents, EngineSettingsInput } from '../engine/index.ts';

export interface EngineOptions {
  /** Settings of the engine, with their units, defaults and ranges in engine/settings.ts. */
  settings?: EngineSettingsInput | undefined;
  /** What the engine touches the world through. */
  components?: EngineComponents | undefined;
}

export interface SparrowLevelOptions<K, V> extends AbstractDatabaseOptions<K, V>, EngineOptions {}

export interface OpenOptions extends AbstractOpenOptions, EngineOptions {}

export interface SyncOption {
  /** Settle when the disk has it. Else as the engine's setting `durability` says: by default when the operating system has it. */
  sync?: boolean | undefined;
}

export interface PutOptions<K, V> extends AbstractPutOptions<K, V>, SyncOption {}
export interface DelOptions<K> extends AbstractDelOptions<K>, SyncOption {}
export interface BatchOptions<K, V> extends AbstractBatchOptions<K, V>, SyncOption {}
export interface ChainedBatchWriteOptions extends AbstractChainedBatchWriteOptions, SyncOption {}

/** A chained batch whose `write` takes `sync`. */
export interface ChainedBatch<TDatabase, K, V> extends AbstractChainedBatch<TDatabase, K, V> {
  write(): Promise<void>;
  write(options: ChainedBatchWriteOptions): Promise<void>;
}
