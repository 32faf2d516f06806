/**
 * Takes tables that were made elsewhere (table-files.ts) into an engine, in this order:
 *
 *   1. every byte of them is checked;
 *   2. keyspaces are found by name, or made; block files get their place in the engine's directory;
 *   3. a sequence number is chosen that is still to come, and the entries are written with it into tables of the engine, while it goes on;
 *   4. at a moment when everything written is in tables, the engine's sequence number goes on to the chosen one and one edit adds it all, each table as
 *      deep as nothing overlaps it (placement.ts). Should writes have come further by then, step 3 is done again.
 *
 * So whoever reads sees nothing of it or all, and a snapshot from before nothing for good. What a crash leaves before step 4 the next opening removes.
 */
import type { FileSystem, Zstd } from '../../base/env.ts';
import type { IngestOptions, IngestResult } from '../files-api.ts';
import { DEFAULT_KEYSPACE } from '../keyspace-key.ts';
import type { Occupied } from '../maintenance/index.ts';
import type { Version, VersionEdit } from '../manifest/index.ts';
import type { TableForms } from '../table/index.ts';
import { IngestFiles } from './ingest-files.ts';
import { placeTables } from './placement.ts';

/** How many writes may come while tables are prepared; so many times as many when that was not enough. */
const SEQUENCE_GAP = 2 ** 20;
const SEQUENCE_GAP_TIMES = 16;

/** The engine, as an ingest needs it. */
export interface IngestHost {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly tableBytes: number;
  readonly zstd: Zstd | undefined;
  readonly writer: {
    readonly sequence: number;
    /** Throws for a sequence number that cannot come next. */
    assertNext(sequence: number): void;
    advance(sequence: number): void;
  };
  takeFileId(): number;
  /** How tables of the deepest level are written: there most of an ingest comes to lie. */
  forms(): TableForms;
  keyspaceId(name: string): Promise<number>;
  /** Calls `at` when everything written is in tables, and makes the edit count that it gives, if it gives one. */
  adopt(at: (version: Version, occupied: readonly Occupied[]) => VersionEdit | undefined): Promise<boolean>;
  /** Between pieces: a turn of the event loop, or more (background/upkeep-io.ts); throws when the engine is being closed. */
  pause(): Promise<void>;
}

export async function runIngest(
  directory: string,
  options: IngestOptions & Required<Pick<IngestOptions, 'mode'>>,
  host: IngestHost,
): Promise<IngestResult> {
  const { writer } = host;
  const files = new IngestFiles({
    fileSystem: host.fileSystem,
    from: directory,
    to: host.directory,
    tableBytes: host.tableBytes,
    takeFileId: () => host.takeFileId(),
    forms: () => host.forms(),
    zstd: host.zstd,
    pause: () => host.pause(),
    mode: options.mode,
    onProgress: options.onProgress,
  });
  const { segments, entries } = files.manifest;
  let result: IngestResult | undefined;
  try {
    await files.check();
    const ids = new Map<string | null, number>([[null, DEFAULT_KEYSPACE]]);
    for (const name of files.keyspaces) ids.set(name, await host.keyspaceId(name));
    await files.takeBlockFiles();
    for (let gap = SEQUENCE_GAP; result === undefined; gap *= SEQUENCE_GAP_TIMES) {
      const sequence = options.sequence ?? writer.sequence + gap;
      writer.assertNext(sequence);
      const tables = await files.write(sequence, ids);
      await host.adopt((version, occupied) => {
        // With a sequence number of the caller's it is an error to be overtaken, which `advance` says.
        if (writer.sequence >= sequence && options.sequence === undefined) return undefined;
        writer.advance(sequence);
        const tablesAdded = placeTables(version, occupied, tables);
        const bytes = [...tables, ...segments].reduce((sum, each) => sum + each.bytes, 0);
        result = { sequence, entries, tables: tables.length, levels: tablesAdded.map(({ level }) => level), bytes };
        return { tablesAdded, segmentsAdded: segments, lastSequence: Math.max(version.lastSequence, sequence) };
      });
    }
  } catch (error) {
    // Once it counts it stays, whatever goes wrong after.
    if (result === undefined) files.discard();
    throw error;
  }
  files.clear();
  return result;
}
