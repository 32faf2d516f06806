/** The embedded store: `import { open } from 'sparrowkv/engine'`. */
export { createResources, open, type EngineComponents } from './open.ts';
export { openInMemory, type InMemoryComponents, type InMemorySettings } from './open-in-memory.ts';
export { MemoryFileSystem, type MemoryFileSystemOptions } from '../base/memory-file-system.ts';
export type {
  BatchOperation,
  BatchOptions,
  CompactRange,
  Bytes,
  Condition,
  Durability,
  Engine,
  EngineIterator,
  Entry,
  Expiry,
  KeepRule,
  KeyRange,
  Keyspace,
  KeyValues,
  PutOptions,
  ReadOptions,
  ScanOptions,
  Snapshot,
  VersionedValue,
  WriteOptions,
  WriteResult,
} from './api.ts';
export type {
  BackupBegun,
  BackupEnded,
  CheckpointBegun,
  CheckpointEnded,
  CompactionBegun,
  CompactionEnded,
  CompactionTable,
  Corruption,
  DiskFullBegun,
  DiskFullEnded,
  DiskWork,
  EngineEvent,
  EngineEventOf,
  EngineEvents,
  EventError,
  FilesRemoved,
  FlushBegun,
  FlushEnded,
  IngestBegun,
  IngestEnded,
  ListenerFailed,
  MadeDurable,
  Outcome,
  StallBegun,
  StallEnded,
  StallReason,
  TablesDropped,
  TablesMoved,
  WritingFailed,
} from './events/index.ts';
export type { CacheMetrics, EngineMetrics, LevelMetrics, ReclaimableMetrics, WaitMetrics, WorkMetrics } from './engine-metrics.ts';
export type { CompactionReason } from './compaction-reason.ts';
export type {
  BackupInfo,
  BackupOptions,
  BackupResult,
  CheckpointOptions,
  CheckpointResult,
  Finding,
  IngestOptions,
  IngestResult,
  InspectOptions,
  Loss,
  RepairOptions,
  RepairReport,
  RestoreOptions,
  RestoreResult,
  StoreFile,
  TableFileEntryOptions,
  TableFilesInfo,
  TableFilesSettings,
  UserKey,
  VerifyBackupOptions,
  VerifyBackupReport,
  VerifyReport,
} from './files-api.ts';
export { createTableWriter, type TableFilesWriter, type TableWriterComponents } from './create-table-writer.ts';
export { backup, checkpoint, listBackups, pruneBackups, restore, verifyBackup, type BackupComponents } from './backups.ts';
export { dump, repair, stats, verify, type OfflineComponents } from './offline.ts';
export type { DumpedRecord, DumpItem, DumpOptions, StoreStats } from './inspect/index.ts';
export { keepHash } from './keep-rule.ts';
export type { Resources, ResourceStats } from './resources-api.ts';
export type { Hosted, HostedBatchOptions, HostedEngine, HostedOperation, HostSegment, TableSpan, ValuePlace } from './hosted-api.ts';
export type { KeyspaceSettings } from './keyspaces-api.ts';
export { partSettings } from './settings.ts';
export type { EngineSettings, EngineSettingsInput, ResourceSettings, ResourceSettingsInput } from './settings.ts';
export { ConditionFailedError } from '../base/condition-failed.ts';
export { SparrowError } from '../base/errors.ts';
