/**
 * The version (which tables and block files make up the store) and how the next one takes effect, in two steps. First, at once and in
 * memory: the view that reads see is swapped. Then, in order and durably: the log is synced (pointers must not lead into what a power
 * failure takes back), the edit is appended to the manifest, and only then files that nothing refers to any more are removed. A crash between
 * the two loses nothing: the log still has it.
 */
import { assert } from '../../base/assert.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import type { ColdReads } from '../cold-reads/index.ts';
import type { Events } from '../events/index.ts';
import type { EngineLog } from '../log/index.ts';
import { LevelFacts } from '../compaction/index.ts';
import {
  hidesIn,
  type Manifest,
  type RangeTombstone,
  spentTombstones,
  tableName,
  type Version,
  VersionBuilder,
  type VersionEdit,
} from '../manifest/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { OpenFiles } from '../open-files.ts';
import type { Reader } from '../reader.ts';
import { type IndexBudget, OpenTable, type TableMeta } from '../table/index.ts';
import type { Snapshots } from '../snapshots.ts';
import type { ValueFiles } from '../value-files.ts';
import type { View } from '../view.ts';
import { isFull, type Progress } from './progress.ts';

export class Versions {
  readonly #memory: LinearMemory;
  readonly #fs: FileSystem;
  readonly #files: OpenFiles;
  readonly #directory: string;
  readonly #zstd: Zstd | undefined;
  readonly #indexBudget: IndexBudget;
  readonly #coldReads: ColdReads;
  readonly #manifest: Manifest;
  readonly #view: View;
  readonly #reader: Reader;
  readonly #values: ValueFiles;
  readonly #progress: Progress;
  readonly #events: Events;
  readonly #onLogSynced: () => void;
  readonly #snapshots: Snapshots;
  readonly #onRangesGone: () => void;
  readonly #isHosted: boolean;
  #log: EngineLog | undefined;

  #version: Version;
  readonly #facts: LevelFacts;
  #nextFileId: number;
  readonly #tables = new Map<number, OpenTable>();
  /** Length of each closed segment that is not a block file yet. */
  readonly #closedSegments = new Map<number, number>();
  /** Edits on their way into the manifest, in order. */
  #commits: Promise<void> = Promise.resolve();
  #commitsBegun = 0;
  #commitsEnded = 0;
  /** Files on their way out of the directory, in order. */
  #removing: Promise<void> = Promise.resolve();
  #removalsLeft = 0;
  /** How many hold the files, and the removals that wait for them. */
  #holders = 0;
  readonly #removals: (() => void)[] = [];

  constructor(parts: {
    memory: LinearMemory;
    fileSystem: FileSystem;
    files: OpenFiles;
    directory: string;
    zstd: Zstd | undefined;
    indexBudget: IndexBudget;
    coldReads: ColdReads;
    manifest: Manifest;
    version: Version;
    nextFileId: number;
    view: View;
    reader: Reader;
    values: ValueFiles;
    progress: Progress;
    events: Events;
    /** Everything that was in the log when an edit came is on disk. */
    onLogSynced: () => void;
    snapshots: Snapshots;
    /** Some of the range tombstones that reads saw are no more. */
    onRangesGone: () => void;
    /** Its host wants to know what is durable. */
    isHosted: boolean;
  }) {
    this.#memory = parts.memory;
    this.#fs = parts.fileSystem;
    this.#files = parts.files;
    this.#directory = parts.directory;
    this.#zstd = parts.zstd;
    this.#indexBudget = parts.indexBudget;
    this.#coldReads = parts.coldReads;
    this.#manifest = parts.manifest;
    this.#version = parts.version;
    this.#facts = new LevelFacts(parts.version.levels);
    this.#nextFileId = parts.nextFileId;
    this.#view = parts.view;
    this.#reader = parts.reader;
    this.#values = parts.values;
    this.#progress = parts.progress;
    this.#events = parts.events;
    this.#onLogSynced = parts.onLogSynced;
    this.#snapshots = parts.snapshots;
    this.#onRangesGone = parts.onRangesGone;
    this.#isHosted = parts.isHosted;
    for (const table of parts.version.levels.flat()) this.openTable(table);
    this.#showTables();
  }

  /** The log, once recovery has made it. */
  attachLog(log: EngineLog): void {
    this.#log = log;
  }

  get version(): Version {
    return this.#version;
  }
  /** Of the version's levels. */
  get facts(): LevelFacts {
    return this.#facts;
  }
  get nextFileId(): number {
    return this.#nextFileId;
  }
  /** Segments of the log that have been closed and are not block files. */
  get closedSegments(): ReadonlyMap<number, number> {
    return this.#closedSegments;
  }
  /** Edits that have been installed, and those of them that are on disk or have failed. */
  get commitsBegun(): number {
    return this.#commitsBegun;
  }
  get commitsEnded(): number {
    return this.#commitsEnded;
  }

  /** Whether edits are on their way to the disk, or dead files out of the directory. */
  get isBusy(): boolean {
    return this.#commitsEnded < this.#commitsBegun || this.#removalsLeft > 0;
  }

  /** An id that no file ever had. */
  takeFileId(): number {
    return this.#nextFileId++;
  }

  segmentClosed(segment: number, bytes: number): void {
    this.#closedSegments.set(segment, bytes);
  }

  /** For reads; the view shows it with the edit that adds it. */
  openTable(meta: TableMeta): void {
    assert(!this.#tables.has(meta.fileId), 'a table is opened once');
    const table = new OpenTable(this.#memory, this.#fs, this.#directory, meta, {
      files: this.#files,
      zstd: this.#zstd,
      indexBudget: this.#indexBudget,
      coldReads: this.#coldReads,
    });
    this.#tables.set(meta.fileId, table);
    this.#reader.addTable(table);
  }

  /** Indexes and filters of tables give way: reads bring them back. */
  unloadTables(): void {
    for (const table of this.#tables.values()) table.unload();
  }

  /** How often reads have looked into a table of level 0. */
  get level0Probes(): number {
    return this.#view.level0Probes;
  }

  /** How many of the table's pages lie within range tombstones that may hide something in it. */
  hiddenPages(meta: TableMeta): number {
    const table = this.#tables.get(meta.fileId)!;
    const hiding = this.#version.rangeTombstones.filter((tombstone) => hidesIn(tombstone, meta));
    try {
      const runs = hiding.map(({ start, end }) => table.pagesBetween(start, end)).toSorted((a, b) => a.from - b.from);
      let pages = 0;
      let counted = 0;
      for (const { from, to } of runs) {
        pages += Math.max(0, to - Math.max(from, counted));
        counted = Math.max(counted, to);
      }
      return pages;
    } catch {
      // Its index cannot be read. Whoever rewrites it will say so.
      return meta.pages;
    }
  }

  /** Makes an edit count: in memory now, on disk in turn. */
  install(edit: VersionEdit): void {
    const before = this.#version;
    const { edit: complete, version } = this.#complete(edit);
    this.#version = version;
    this.#facts.update(version.levels);
    this.#showTables();
    if (complete.rangeTombstonesRemoved || complete.rangeTombstonesAdded !== edit.rangeTombstonesAdded) this.#onRangesGone();
    const gone = new Set((edit.tablesRemoved ?? []).map(({ fileId }) => fileId));
    for (const { table } of edit.tablesAdded ?? []) gone.delete(table.fileId);
    let bytes = 0;
    for (const fileId of gone) bytes += this.#closeTable(fileId);
    const passed = [...this.#closedSegments].filter(([id]) => id < version.logFloor);
    for (const [id] of passed) this.#closedSegments.delete(id);
    const dead = new Map(passed.filter(([id]) => !version.segments.has(id)));
    for (const segment of complete.segmentsRemoved ?? []) dead.set(segment, before.segments.get(segment)!.bytes);
    for (const each of dead.values()) bytes += each;
    this.#commit(complete, version, { tables: [...gone], segments: [...dead.keys()], bytes });
  }

  /** Removes what a job has made for nothing. */
  discard(tables: readonly TableMeta[], blockFiles: readonly { readonly segment: number; readonly bytes: number }[]): void {
    const bytes = [...tables, ...blockFiles].reduce((sum, file) => sum + file.bytes, 0);
    this.#remove({ tables: tables.map(({ fileId }) => fileId), segments: blockFiles.map(({ segment }) => segment), bytes });
  }

  /**
   * Keeps every file that is there, whether the version still names it or not, until what it returns is called: for somebody who links or
   * copies them. What a crash leaves behind of it the next opening removes.
   */
  holdFiles(): () => void {
    this.#holders++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holders === 0) for (const remove of this.#removals.splice(0)) remove();
    };
  }

  /** Settles when no file is on its way out of the directory. */
  async removed(): Promise<void> {
    await this.#removing;
  }

  /** Waits for the edits under way, then closes the manifest and every table. */
  async close(): Promise<void> {
    await this.#commits;
    await this.#removing;
    await this.#manifest.close();
    for (const table of this.#tables.values()) table.close();
  }

  /** Adds to an edit what follows from it for segments and range tombstones, and makes the version that the whole leads to. */
  #complete(edit: VersionEdit): { edit: VersionEdit; version: Version } {
    const { rangeTombstonesAdded: fresh, segmentsAdded: given = [], ...rest } = edit;
    const builder = new VersionBuilder(this.#version);
    const own = { ...rest, nextFileId: this.#nextFileId, segmentsAdded: given };
    builder.apply(own);
    const { segmentsAdded, segmentsRemoved } = this.#segmentsAfter(builder, edit);
    builder.apply({ segmentsAdded, segmentsRemoved });
    const complete = { ...own, segmentsAdded: [...given, ...segmentsAdded], segmentsRemoved };
    const version = builder.version();
    if (!fresh && version.rangeTombstones.length === 0) return { edit: complete, version };
    const ranges = this.#rangesAfter(version, fresh);
    builder.apply(ranges);
    return { edit: { ...complete, ...ranges }, version: builder.version() };
  }

  /** Which segments become block files, and which block files end. */
  #segmentsAfter(builder: VersionBuilder, { logFloor, segmentsAdded = [] }: VersionEdit): Required<SegmentsEdit> {
    const floor = logFloor ?? this.#version.logFloor;
    const becoming = [...this.#closedSegments].filter(([segment]) => segment < floor && builder.referencedBytes(segment) > 0);
    const segmentsRemoved = builder.unreferred.filter((segment) => this.#version.segments.has(segment));
    for (const { segment } of segmentsAdded)
      assert(builder.referencedBytes(segment) > 0, `a block file that comes is referred to (${segment})`);
    return { segmentsAdded: becoming.map(([segment, bytes]) => ({ segment, bytes })), segmentsRemoved };
  }

  /** Which range tombstones have nothing left to hide, of those that an edit brings, too. `version`: with all else of the edit. */
  #rangesAfter({ levels, rangeTombstones: before }: Version, fresh: readonly RangeTombstone[] | undefined): RangesEdit {
    const spent = spentTombstones([...before, ...(fresh ?? [])], levels, fresh ?? [], this.#snapshots.sequences);
    const removed = before.filter((tombstone) => spent.has(tombstone));
    const kept = fresh?.filter((tombstone) => !spent.has(tombstone)) ?? [];
    return {
      ...(kept.length > 0 && { rangeTombstonesAdded: kept.length === fresh!.length ? fresh! : kept }),
      ...(removed.length > 0 && { rangeTombstonesRemoved: removed }),
    };
  }

  /** `after`: the version that the edit has made. */
  #commit(edit: VersionEdit, after: Version, dead: DeadFiles): void {
    this.#commitsBegun++;
    this.#commits = this.#commits.then(async () => {
      try {
        // Without a log the opening has failed after it had flushed something: without the edit there is just a file too many.
        if (this.#progress.failure || this.#log === undefined) return;
        const before = this.#manifest.version.lastSequence;
        await this.#append(edit, after, this.#log);
        const { lastSequence } = after;
        if (this.#isHosted && lastSequence > before) this.#events.emit({ type: 'made-durable', sequence: lastSequence });
        if (this.#holders > 0) this.#removals.push(() => this.#remove(dead));
        else this.#remove(dead);
      } catch (error) {
        this.#progress.fail('manifest', error as Error);
      } finally {
        this.#commitsEnded++;
        this.#progress.ended();
      }
    });
  }

  /** One after another: it is not urgent, and each may keep the disk busy for long. */
  #remove({ tables, segments, bytes }: DeadFiles): void {
    if (tables.length + segments.length === 0) return;
    this.#removalsLeft++;
    this.#removing = this.#removing.then(async () => {
      try {
        for (const fileId of tables) await this.#fs.unlink(`${this.#directory}/${tableName(fileId)}`);
        for (const segment of segments) await this.#fs.unlink(this.#values.forget(segment));
        this.#events.emit({ type: 'files-removed', tables, segments, bytes });
      } catch (error) {
        this.#progress.fail('removal of files', error as Error);
      } finally {
        this.#removalsLeft--;
        this.#progress.ended();
      }
    });
  }

  /** A full disk refuses the edit without harm: it is tried again until there is room, or the engine closes. */
  async #append(edit: VersionEdit, after: Version, log: EngineLog): Promise<void> {
    const progress = this.#progress;
    for (;;) {
      try {
        await log.sync();
        this.#onLogSynced();
        await this.#manifest.append(edit, after);
        progress.foundSpace('manifest');
        return;
      } catch (error) {
        if (!isFull(error as Error) || progress.closing) throw error;
        await new Promise<void>((resolve) => progress.retryLater('manifest', error as Error, resolve));
      }
    }
  }

  /** Returns the size of its file. */
  #closeTable(fileId: number): number {
    const table = this.#tables.get(fileId)!;
    this.#tables.delete(fileId);
    this.#reader.removeTable(table);
    table.close();
    return table.meta.bytes;
  }

  #showTables(): void {
    this.#view.setTables(this.#version.levels, ({ fileId }) => this.#tables.get(fileId)!.header);
  }
}

type SegmentsEdit = Pick<VersionEdit, 'segmentsAdded' | 'segmentsRemoved'>;
type RangesEdit = Pick<VersionEdit, 'rangeTombstonesAdded' | 'rangeTombstonesRemoved'>;

/** What a version no longer names, by file id and segment. */
type DeadFiles = { readonly tables: readonly number[]; readonly segments: readonly number[]; readonly bytes: number };
