/** The door to tables that are made outside of any engine: `engine.ingest` takes what is written here. */
import type { FileSystem, Random, Zstd } from '../base/env.ts';
import { NodeFileSystem, NodeRandom, nodeZstd } from '../base/node/index.ts';
import { SparrowError } from '../base/errors.ts';
import type { Bytes } from './api.ts';
import type { TableFileEntryOptions, TableFilesInfo, TableFilesSettings } from './files-api.ts';
import { TableFiles } from './upkeep/index.ts';

/** Defaults: the real file system, the system's randomness, from which the files get ids that no others have. */
export interface TableWriterComponents {
  fileSystem?: FileSystem;
  random?: Random;
  /** For tables that are compressed by it. Default: node:zlib's, where it has it. */
  zstd?: Zstd | undefined;
}

/** Writes entries in order into files of their own. */
export interface TableFilesWriter extends Disposable {
  /**
   * Adds an entry, on the caller's thread. Keys ascend by unsigned bytes, each once; the entries of a keyspace are given one after another, the
   * keyspaces in any order. `invalid/ORDER`, and `invalid/*` for what no engine takes.
   */
  put(key: Bytes, value: Bytes, options?: TableFileEntryOptions): void;
  /** Completes the files; on disk when it returns. `invalid/NO_ENTRIES`. */
  finish(): TableFilesInfo;
  /** Gives up and empties the directory. Idempotent; nothing once finished. */
  discard(): void;
}

/** Begins files in `directory`, which does not exist or is empty: `conflict/NOT_EMPTY` otherwise. */
export function createTableWriter(
  directory: string,
  settings: TableFilesSettings = {},
  components: TableWriterComponents = {},
): TableFilesWriter {
  if (typeof directory !== 'string' || directory === '') {
    throw new SparrowError('invalid', 'TYPE', 'directory is the name of a directory', { field: 'directory' });
  }
  const { fileSystem = new NodeFileSystem(), random = new NodeRandom() } = components;
  const zstd = 'zstd' in components ? components.zstd : nodeZstd;
  return new TableFiles(fileSystem, directory, random, settings, zstd);
}
