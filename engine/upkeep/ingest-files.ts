/**
 * The files of an ingest (ingest.ts): checks every byte of what a table writer has made, writes the entries with the ids of the engine's keyspaces and
 * one sequence number into tables of the engine, and gives the block files with the large values a second name there, or copies them.
 */
import { HEAP } from '../../assembly/memory-map.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { blockFileName } from '../compaction/index.ts';
import type { IngestOptions } from '../files-api.ts';
import { EntryWriter, Findings, readPages, ValueCheck, verifyTable } from '../inspect/index.ts';
import { internalKey, prefixBytesOf, keyspaceOf } from '../keyspace-key.ts';
import { EXTERNAL_ID_FROM, INCOMPLETE_NAME } from '../manifest/index.ts';
import { LinearMemory } from '../memory/linear-memory.ts';
import { openTableFile, readFooter, readTableMeta, tableFileName, type TableForms, type TableMeta } from '../table/index.ts';
import { copyFile, readWhole } from './copy-file.ts';
import { decodeIngest, INGEST_NAME, type IngestManifest, type IngestTable } from './ingest-format.ts';
import { WatchedReads } from './watched-reads.ts';

const MEMORY_BYTES: number = HEAP + 768 * 1024 * 1024;
const CANNOT_LINK: ReadonlySet<string> = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);
const STEP_BYTES = 1024 * 1024;

export interface IngestFilesParts {
  readonly fileSystem: FileSystem;
  /** Where the tables are, and the engine's directory. */
  readonly from: string;
  readonly to: string;
  readonly tableBytes: number;
  /** How tables of the engine are written. */
  readonly forms: () => TableForms;
  readonly zstd: Zstd | undefined;
  readonly takeFileId: () => number;
  /** Between pieces: a turn of the event loop, or more (background/upkeep-io.ts); throws when the engine is being closed. */
  readonly pause: () => Promise<void>;
  readonly mode: NonNullable<IngestOptions['mode']>;
  readonly onProgress: ((bytes: number) => void) | undefined;
}

export class IngestFiles {
  readonly manifest: IngestManifest;
  readonly #parts: IngestFilesParts;
  readonly #memory = new LinearMemory(MEMORY_BYTES);
  #made: TableMeta[] = [];
  readonly #blocks: string[] = [];
  #bytes = 0;

  /** `invalid/NOT_INGESTABLE` when no table writer has finished there; `corrupt/CORRUPT_INGEST`. */
  constructor(parts: IngestFilesParts) {
    this.#parts = parts;
    const path = `${parts.from}/${INGEST_NAME}`;
    const isUnfinished = parts.fileSystem.existsSync(`${parts.from}/${INCOMPLETE_NAME}`);
    if (isUnfinished || !parts.fileSystem.existsSync(path)) {
      const why = isUnfinished ? ': one is at work there, or has died; then remove the directory and make the tables anew' : '';
      throw new SparrowError('invalid', 'NOT_INGESTABLE', `${parts.from} holds no tables that a table writer has finished${why}`, {
        directory: parts.from,
      });
    }
    this.manifest = decodeIngest(readWhole(parts.fileSystem, path), path);
  }

  /** Names of the keyspaces that are filled, but the default one. */
  get keyspaces(): string[] {
    return [...new Set(this.manifest.tables.flatMap(({ keyspace }) => keyspace ?? []))];
  }

  /** Compares every byte with its checksums. `corrupt/CORRUPT_INGEST` with the first problem. */
  async check(): Promise<void> {
    const { from: directory, zstd } = this.#parts;
    const fileSystem = new WatchedReads(this.#parts.fileSystem);
    const values = new ValueCheck(this.#memory, fileSystem, directory);
    const findings = new Findings();
    try {
      for (const { fileId } of this.manifest.tables) {
        const table = readTableMeta(fileSystem, directory, fileId);
        const steps = verifyTable({ memory: this.#memory, fileSystem, zstd, directory, table, values, findings });
        for (let step = steps.next(); !step.done; step = steps.next()) await this.#pause(step.value);
      }
    } finally {
      values.close();
    }
    fileSystem.assertAnswered();
    const [problem] = findings.problems;
    if (problem) {
      const { file, offset, what } = problem;
      throw new SparrowError('corrupt', 'CORRUPT_INGEST', `${file} is damaged at offset ${offset}: ${what}`, { file, offset });
    }
  }

  /** Gives the block files their place. `conflict/INGESTED_BEFORE` when the engine has them; `invalid/CANNOT_LINK`. */
  async takeBlockFiles(): Promise<void> {
    const { fileSystem, from, to, mode } = this.#parts;
    for (const { segment, bytes } of this.manifest.segments) {
      const name = blockFileName(segment);
      if (segment < EXTERNAL_ID_FROM)
        throw new SparrowError('corrupt', 'CORRUPT_INGEST', `${from}/${name} has an id that only engines give`, {
          file: `${from}/${name}`,
          offset: 0,
        });
      if (fileSystem.existsSync(`${to}/${name}`)) {
        throw new SparrowError('conflict', 'INGESTED_BEFORE', `the engine has ${name} already: ${from} was ingested before`, {
          directory: from,
          name,
        });
      }
      if (mode === 'copy') await this.#copy(name, bytes);
      else this.#link(name);
    }
  }

  /** Writes the entries with that sequence number; what an earlier call has written goes. `ids`: of the keyspaces, by name. */
  async write(sequence: number, ids: ReadonlyMap<string | null, number>): Promise<readonly TableMeta[]> {
    this.#discardTables();
    const { fileSystem, to, tableBytes, takeFileId, forms, zstd } = this.#parts;
    const writer = new EntryWriter({ memory: this.#memory, fileSystem, directory: to, takeFileId, tableBytes, zstd }, forms());
    try {
      for (const table of this.manifest.tables) {
        await this.#rewrite(writer, table, ids.get(table.keyspace)!, sequence);
        this.#made.push(...writer.finish());
      }
    } catch (error) {
      writer.discard();
      throw error;
    }
    fileSystem.syncDirectorySync(to);
    return this.#made;
  }

  /** After a failure, before anything counts: removes what was made. */
  discard(): void {
    try {
      this.#discardTables();
      for (const name of this.#blocks) this.#parts.fileSystem.unlinkSync(`${this.#parts.to}/${name}`);
    } catch {
      // The failure before counts; the next opening removes what belongs to nothing.
    }
  }

  /** The engine has it all on disk: a move leaves nothing behind. */
  clear(): void {
    const { fileSystem, from, mode } = this.#parts;
    if (mode !== 'move') return;
    // Without this file the others are nobody's.
    fileSystem.unlinkSync(`${from}/${INGEST_NAME}`);
    fileSystem.syncDirectorySync(from);
    for (const { fileId } of this.manifest.tables) fileSystem.unlinkSync(`${from}/${tableFileName(fileId)}`);
    for (const { segment } of this.manifest.segments) fileSystem.unlinkSync(`${from}/${blockFileName(segment)}`);
  }

  async #rewrite(writer: EntryWriter, { fileId }: IngestTable, keyspace: number, sequence: number): Promise<void> {
    const { from, zstd } = this.#parts;
    const fileSystem = new WatchedReads(this.#parts.fileSystem);
    const path = `${from}/${tableFileName(fileId)}`;
    const file = openTableFile(fileSystem, path);
    let looked = 0;
    try {
      const { pages, packed } = readFooter(file, path, fileId);
      for (const page of readPages(this.#memory, file, fileId, pages, { packed, zstd })) {
        fileSystem.assertAnswered();
        if (page.entries === undefined)
          throw new SparrowError('corrupt', 'CORRUPT_INGEST', `${path}: ${page.problem!}`, { file: path, offset: page.offset });
        for (const entry of page.entries) {
          const key = entry.key.subarray(prefixBytesOf(keyspaceOf(entry.key)));
          writer.add({ ...entry, key: internalKey(keyspace, key), sequence });
        }
        looked += page.bytes;
        if (looked < STEP_BYTES) continue;
        await this.#pause(looked);
        looked = 0;
      }
    } finally {
      file.closeSync();
    }
    await this.#pause(looked);
  }

  async #copy(name: string, bytes: number): Promise<void> {
    const { fileSystem, from, to } = this.#parts;
    const target = fileSystem.openSync(`${to}/${name}`, 'create');
    // Whatever becomes of the copy, its file is there.
    this.#blocks.push(name);
    try {
      await copyFile(fileSystem, `${from}/${name}`, bytes, target, undefined, this.#parts.pause);
    } finally {
      target.closeSync();
    }
  }

  #link(name: string): void {
    const { fileSystem, from, to } = this.#parts;
    try {
      fileSystem.linkSync(`${from}/${name}`, `${to}/${name}`);
      this.#blocks.push(name);
    } catch (cause) {
      const code = String((cause as NodeJS.ErrnoException).code);
      if (!CANNOT_LINK.has(code)) throw cause;
      throw new SparrowError(
        'invalid',
        'CANNOT_LINK',
        `${from}/${name} cannot be linked into ${to} (${code}): another file system wants mode 'copy'`,
        { directory: from, code },
        cause,
      );
    }
  }

  #discardTables(): void {
    for (const { fileId } of this.#made) this.#parts.fileSystem.unlinkSync(`${this.#parts.to}/${tableFileName(fileId)}`);
    this.#made = [];
  }

  async #pause(bytes: number): Promise<void> {
    this.#bytes += bytes;
    this.#parts.onProgress?.(this.#bytes);
    await this.#parts.pause();
  }
}
