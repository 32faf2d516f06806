/** The store as files, as users see it: what checkpoints, backups, ingests, inspections and repairs take and answer. Types only. */
import type { CompressionSetting, PageCompression } from './table/index.ts';

export interface CheckpointOptions {
  /** Copy files where they cannot be linked (another file system) instead of refusing. */
  copy?: boolean;
}

/** A file of a store, and how many bytes of it count: what a host's log has behind the last value that the store points to does not. */
export interface StoreFile {
  readonly name: string;
  readonly bytes: number;
}

export interface CheckpointResult {
  directory: string;
  /** Of the last batch that it holds. Undefined where that is not known: of a directory that nobody has open the log is not read. */
  sequence: number | undefined;
  files: number;
  /** Those files: tables, then files of large values, then the log. Beside them stand the manifest and what names it. */
  contents: readonly StoreFile[];
  /** Bytes of files that are the engine's own under a second name, and of those that were copied. */
  linkedBytes: number;
  copiedBytes: number;
}

export interface InspectOptions {
  /** Called now and then with the bytes looked at so far. */
  onProgress?: (bytes: number) => void;
  /** `cancelled/ABORTED` when it is aborted. */
  signal?: AbortSignal;
}

/** Something at a place in a file. `what` is one sentence without a capital or a full stop. */
export interface Finding {
  /** Path. */
  readonly file: string;
  /** Bytes from the file's start; 0 where no place is meant. */
  readonly offset: number;
  readonly what: string;
}

export interface VerifyReport {
  readonly directory: string;
  /** No problems. */
  readonly sound: boolean;
  /** Damage; the first thousand. */
  readonly problems: readonly Finding[];
  readonly problemCount: number;
  /** Worth knowing, harmless; the first thousand. */
  readonly notices: readonly Finding[];
  readonly noticeCount: number;
  /** What was read. */
  readonly files: number;
  readonly bytes: number;
  readonly tables: number;
  readonly entries: number;
  /** Large values that tables refer to. */
  readonly values: number;
  readonly valueBytes: number;
  readonly logSegments: number;
  readonly batches: number;
  /** Of the newest batch. */
  readonly lastSequence: number;
}

/** A key within its keyspace. */
export interface UserKey {
  /** The keyspace's id; 0 is the default one. */
  readonly keyspace: number;
  readonly key: Uint8Array;
}

export interface RepairOptions extends InspectOptions {
  /** Only say what a repair would find and lose. */
  dryRun?: boolean;
  /** Of tables that are made, as the engine's settings of these names; the store knows those of its keyspaces. Default: `none` and 12. */
  compression?: CompressionSetting;
  filterBitsPerKey?: number;
}

/** Something that a repair could not save. */
export interface Loss {
  /** Path. */
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  /**
   * `table`: all of it. `pages`: entries between the keys. `value`: one large value; its key is gone. `batches`: of the log, or what stood in their
   * place. `torn end`: of the log; may never have been acknowledged.
   */
  readonly what: 'table' | 'pages' | 'value' | 'batches' | 'torn end';
  /** Between which keys, where that is known; of a value the key itself. */
  readonly from: UserKey | undefined;
  readonly to: UserKey | undefined;
  /** Versions of keys, deletes included, where their number is known. */
  readonly entries: number | undefined;
  /** Keys of the range may show what was there before they were last written or deleted. */
  readonly mayShowOlder: boolean;
}

export interface RepairReport {
  readonly directory: string;
  readonly dryRun: boolean;
  /** There was nothing to repair: nothing has been changed. */
  readonly wasSound: boolean;
  /** Whether it was still known which files make up the store. `lost`: tables were merged, and range deletes that only the manifest had are gone. */
  readonly manifest: 'known' | 'lost';
  /** What was wrong; the first thousand. */
  readonly problems: readonly Finding[];
  readonly problemCount: number;
  readonly notices: readonly Finding[];
  /** What could not be saved; the first thousand. */
  readonly lost: readonly Loss[];
  readonly lostCount: number;
  /** Versions of keys that are lost, as far as their number is known. */
  readonly lostEntries: number;
  /** Tables that stayed as they were, those that were made new and the entries in these. */
  readonly tablesKept: number;
  readonly tablesMade: number;
  readonly entriesSalvaged: number;
  /** Batches of the log. */
  readonly batches: number;
  /** Keyspaces whose names were lost: they have new ones. */
  readonly keyspacesNamed: readonly string[];
  /** Where the originals are of what was replaced. */
  readonly quarantine: string | undefined;
}

export interface BackupOptions {
  /** Called now and then with the bytes of the store that the backup has so far. */
  onProgress?: (bytes: number) => void;
  /** `cancelled/ABORTED` when it is aborted; the other backups stay as they are. */
  signal?: AbortSignal;
}

export interface BackupResult {
  /** Its number: 1 for the first in a directory, then the next. */
  backup: number;
  target: string;
  /** Of the store. */
  files: number;
  bytes: number;
  /** Of these, what no earlier backup had. */
  copiedFiles: number;
  copiedBytes: number;
}

/** A backup in a directory of backups; with `problem` its manifest cannot be read. */
export type BackupInfo =
  | {
      readonly backup: number;
      readonly problem?: undefined;
      /** When it was begun, ms since the epoch. */
      readonly createdMs: number;
      /** Of the last write in it; undefined when nobody had the store open. */
      readonly sequence: number | undefined;
      readonly files: number;
      readonly bytes: number;
      /** What no older backup of the directory has. */
      readonly addedBytes: number;
    }
  | { readonly backup: number; readonly problem: string };

export interface VerifyBackupOptions {
  /** Default: all. */
  backup?: number;
  /** Called now and then with the bytes read so far. */
  onProgress?: (bytes: number) => void;
  /** `cancelled/ABORTED` when it is aborted. */
  signal?: AbortSignal;
}

export interface VerifyBackupReport {
  readonly target: string;
  /** No problems. */
  readonly sound: boolean;
  readonly problems: readonly Finding[];
  readonly backups: number;
  /** Backups that cannot be restored. */
  readonly unsound: readonly number[];
  readonly files: number;
  readonly bytes: number;
}

export interface RestoreOptions {
  /** Default: the newest. */
  backup?: number;
  /** Called now and then with the bytes restored so far. */
  onProgress?: (bytes: number) => void;
  /** `cancelled/ABORTED` when it is aborted; the directory is left empty. */
  signal?: AbortSignal;
}

export interface RestoreResult {
  backup: number;
  directory: string;
  files: number;
  bytes: number;
}

export interface TableFilesSettings {
  /** Values of at least so many bytes go to block files, 64 to 4096. Default 1024. */
  inlineThreshold?: number;
  /** About how large a table gets, 64 KiB to 256 MiB. Default 32 MiB. */
  tableBytes?: number;
  /** Of the pages of these files; those of the engine that takes them in are compressed as its settings say. Default `none`. */
  compression?: PageCompression;
}

export interface TableFileEntryOptions {
  /** The keyspace's name, which the engine need not have yet. Default: the default keyspace. */
  keyspace?: string;
  /** When it expires, ms since the epoch. */
  expiresAtMs?: number;
}

export interface TableFilesInfo {
  directory: string;
  entries: number;
  tables: number;
  blockFiles: number;
  bytes: number;
}

export interface IngestOptions {
  /**
   * What becomes of the files with large values: `link` (default) gives them a second name in the engine's directory, `copy` copies them, `move`
   * links and then removes all that was ingested. Tables are written anew in any case.
   */
  mode?: 'link' | 'copy' | 'move';
  /**
   * The sequence number of all entries, larger than any before it when the ingest takes effect: for a replicated log. Default: one that leaves room
   * for what is written meanwhile.
   */
  sequence?: number;
  /** Called now and then with the bytes looked at so far. */
  onProgress?: (bytes: number) => void;
}

export interface IngestResult {
  /** The version of every key that was ingested. */
  sequence: number;
  entries: number;
  tables: number;
  /** Where tables came to be: the level of each. */
  levels: readonly number[];
  bytes: number;
}
