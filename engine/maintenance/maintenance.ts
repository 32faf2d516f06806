/**
 * Keeps the store in shape. What is done is in the files beside this one: memtables.ts, flushes.ts and compactions.ts; how it takes effect in
 * versions.ts; what goes wrong or waits in progress.ts; what writers write to in sealing.ts, and what they feel of the rest in back-pressure.ts. Here they are
 * put together, and here is what others ask for: a flush, a compaction, rest. What recovery finds goes by way of replayed.ts.
 */
import type { Clock, FileSystem, Scheduler, Zstd } from '../../base/env.ts';
import type { SparrowError } from '../../base/errors.ts';
import type { Background, IoTuner } from '../background/index.ts';
import type { ColdReads } from '../cold-reads/index.ts';
import { BLOCK_HEADER_BYTES, type Demand } from '../compaction/index.ts';
import type { ExpiryTime } from '../expiry-time.ts';
import type { Events } from '../events/index.ts';
import type { StoredKeepRule } from '../keep-rule.ts';
import type { EngineLog, SegmentOpened } from '../log/index.ts';
import { type BlockFile, type Manifest, type RangeTombstone, type Version, type VersionEdit } from '../manifest/index.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import type { Reserve } from '../memory/reserve.ts';
import type { MemtableBudget } from '../memtable/index.ts';
import type { OpenFiles } from '../open-files.ts';
import type { Reader } from '../reader.ts';
import type { EngineSettings } from '../settings.ts';
import type { IndexBudget } from '../table/index.ts';
import type { Snapshots } from '../snapshots.ts';
import type { ValueFiles } from '../value-files.ts';
import type { View } from '../view.ts';
import { BackPressure } from './back-pressure.ts';
import { Compactions } from './compactions.ts';
import { Flushes } from './flushes.ts';
import { LiveRanges } from './live-ranges.ts';
import { Memtables } from './memtables.ts';
import type { Occupied } from './compactions.ts';
import { Progress } from './progress.ts';
import { Replayed } from './replayed.ts';
import { Sealing } from './sealing.ts';
import { Versions } from './versions.ts';

const WAIT_SYNC_MS = 1000;

export class Maintenance {
  /** What writers write to. */
  readonly sealing: Sealing;
  /** Where recovery puts what the log holds. */
  readonly replayed: Replayed;
  readonly #background: Background;
  readonly #values: ValueFiles;
  readonly #snapshots: Snapshots;
  readonly #progress: Progress;
  readonly #ranges: LiveRanges;
  readonly #memtables: Memtables;
  readonly #versions: Versions;
  readonly #flushes: Flushes;
  readonly #compactions: Compactions;
  readonly #pressure: BackPressure;

  constructor(parts: {
    memory: LinearMemory;
    /** Set aside for flushes. */
    flushScratch: Reserve;
    budget: MemtableBudget;
    io: IoTuner;
    fileSystem: FileSystem;
    files: OpenFiles;
    directory: string;
    zstd: Zstd | undefined;
    indexBudget: IndexBudget;
    coldReads: ColdReads;
    settings: Readonly<EngineSettings>;
    scheduler: Scheduler;
    clock: Clock;
    expiryTime: ExpiryTime;
    manifest: Manifest;
    version: Version;
    nextFileId: number;
    background: Background;
    view: View;
    reader: Reader;
    values: ValueFiles;
    snapshots: Snapshots;
    events: Events;
    /** The log is the host's. */
    isHosted: boolean;
    /** The writer counts anew when a memtable is sealed. */
    onSealed: () => void;
  }) {
    this.#background = parts.background;
    this.#values = parts.values;
    this.#snapshots = parts.snapshots;
    const progress = new Progress(parts.scheduler, parts.directory, parts.events);
    const ranges = new LiveRanges(parts.memory, parts.view, parts.snapshots, () => this.sealing.rangeDeleted());
    const memtables = new Memtables(parts.memory, parts.budget, parts.view, ranges);
    const onLogSynced = (): void => {
      if (memtables.writeLog()) memtables.freeWritten();
    };
    const onRangesGone = (): void => ranges.reset([...versions.version.rangeTombstones, ...memtables.rangeTombstones]);
    const versions = new Versions({ ...parts, progress, onLogSynced, onRangesGone });
    onRangesGone();
    const compactions = new Compactions({ ...parts, versions, progress });
    const flushes = new Flushes({ ...parts, memtables, versions, progress, onFlushed: () => compactions.start() });
    const pressure = new BackPressure({ ...parts, memtables, versions, compactions, progress });
    const common = { ...parts, memtables, versions, flushes, compactions, pressure, progress };
    this.sealing = new Sealing({ ...common, sealReplayed: () => this.replayed.seal() });
    this.replayed = new Replayed({
      ...common,
      active: (segment) => this.sealing.active(segment),
      inTables: parts.version.lastSequence,
      nextKeyspaceId: parts.version.nextKeyspaceId,
    });
    this.#progress = progress;
    this.#ranges = ranges;
    this.#memtables = memtables;
    this.#versions = versions;
    this.#flushes = flushes;
    this.#compactions = compactions;
    this.#pressure = pressure;
  }

  /** The log, once recovery has made it. */
  attachLog(log: EngineLog): void {
    this.#memtables.attachLog(log);
    this.#versions.attachLog(log);
    this.#flushes.attachLog(log);
    this.sealing.attachLog(log);
  }

  get version(): Version {
    return this.#versions.version;
  }
  get failure(): SparrowError | undefined {
    return this.#progress.failure;
  }
  get sealedCount(): number {
    return this.#memtables.sealed.length;
  }
  /**
   * Bytes of versions as old as `sequence` that are kept for snapshots alone, in tables and memtables, at most. What a table keeps for snapshots is as
   * old as this one, or it is kept for older ones.
   */
  pinnedBytes(sequence: number = Infinity): number {
    const tables = this.version.levels.flat().filter(({ minSequence }) => minSequence <= sequence);
    const inMemtables = this.#snapshots.count === 0 ? 0 : this.#memtables.pinnedBytes(sequence);
    return tables.reduce((sum, { pinnedBytes }) => sum + pinnedBytes, inMemtables);
  }
  get memtableBytes(): number {
    return this.#memtables.bytes;
  }
  /** Large values in the host's log that memtables point to. */
  get memtableValueBytes(): number {
    return this.#memtableLinks().reduce((sum, { bytes }) => sum + bytes, 0);
  }
  get memtableCounts(): { keys: number; deletes: number } {
    return this.#memtables.counts;
  }
  get memtableRangeTombstones(): number {
    return this.#memtables.rangeTombstones.length;
  }
  get activeBytes(): number {
    return this.#memtables.active?.bytes ?? 0;
  }
  get flushing(): boolean {
    return this.#flushes.running;
  }
  get compacting(): boolean {
    return this.#compactions.running;
  }
  /** Segments of the log that have been closed and are not block files. */
  get closedSegments(): ReadonlyMap<number, number> {
    return this.#versions.closedSegments;
  }

  get nextFileId(): number {
    return this.#versions.nextFileId;
  }

  /** See Versions. */
  holdFiles(): () => void {
    return this.#versions.holdFiles();
  }

  /** The last stretch of keys under range tombstones that begins at or below the key. */
  tombstoneBefore(key: Uint8Array): Pick<RangeTombstone, 'start' | 'end'> | undefined {
    return this.#ranges.before(key);
  }

  /** An id that no file ever had. */
  takeFileId(): number {
    return this.#versions.takeFileId();
  }

  /** The newest snapshot in use changed. */
  newestSnapshot(sequence: number): void {
    const { active } = this.#memtables;
    if (active) active.newestSnapshot = sequence;
  }

  /** The log opened a segment. */
  segmentOpened(opened: SegmentOpened): void {
    this.#values.add(opened.segment, opened.file);
    if (opened.closed) this.#versions.segmentClosed(opened.closed.segment, opened.closed.bytes);
  }

  // ---- recovery ----

  /** A segment that recovery found and that nobody writes to any more. */
  segmentRecovered(segment: number, bytes: number): void {
    this.#versions.segmentClosed(segment, bytes);
  }

  /** Recovery is over: goes on with what the last run left. */
  resume(): void {
    this.sealing.begin();
    this.#compactions.start();
  }

  // ---- what the engine asks for ----

  /** Settles when everything written before the call is in tables that the manifest names. `exhausted/DISK_FULL` when that cannot be now. */
  async flush(): Promise<void> {
    const [progress, memtables] = [this.#progress, this.#memtables];
    progress.tryAgain();
    this.sealing.seal();
    const last = memtables.newest;
    while (last && memtables.has(last)) {
      progress.assertSpace('flush', this.#pressure.farBehind);
      progress.assertNotClosing();
      await progress.nextEnd();
      if (memtables.active === last) this.sealing.seal();
    }
    await this.recorded();
  }

  /** Makes an edit of the registry of keyspaces count; it is durable when `recorded` settles. */
  record(edit: Pick<VersionEdit, 'keyspacesAdded' | 'keyspacesAltered' | 'keyspacesDropped' | 'keyspaceRules'>): void {
    if (this.#progress.failure) throw this.#progress.failure;
    this.#versions.install(edit);
  }

  /** Gives a keyspace the rule that `ruleOf` makes with an id, in the place of the one that it had. */
  setRule(keyspace: number, ruleOf: ((id: number) => StoredKeepRule) | undefined): void {
    const rule = ruleOf?.(this.#versions.takeFileId());
    this.record({ keyspaceRules: [{ id: keyspace, rule }] });
    this.#compactions.start();
  }

  /** Settles when the manifest has every edit made so far. `exhausted/DISK_FULL` when that cannot be now. */
  async recorded(): Promise<void> {
    const [progress, versions] = [this.#progress, this.#versions];
    for (const commits = versions.commitsBegun; versions.commitsEnded < commits;) {
      progress.assertSpace('manifest');
      await progress.nextEnd();
    }
    if (progress.failure) throw progress.failure;
  }

  /**
   * Adds tables that were made elsewhere, at a moment when everything written is in tables. `at` is called then, and says what to add from
   * what there is; undefined: nothing. Returns whether anything was added; it is durable then.
   */
  async adopt(at: (version: Version, occupied: readonly Occupied[]) => VersionEdit | undefined): Promise<boolean> {
    await this.flush();
    const [progress, memtables, versions] = [this.#progress, this.#memtables, this.#versions];
    // What has come since is little: it is waited for on the spot, so that nothing gets in between.
    for (this.sealing.seal(); memtables.newest !== undefined; this.sealing.seal()) {
      progress.assertSpace('flush', this.#pressure.farBehind);
      progress.assertNotClosing();
      this.#background.waitSync(WAIT_SYNC_MS);
    }
    const edit = at(versions.version, this.#compactions.occupied);
    if (edit === undefined) return false;
    for (const { table } of edit.tablesAdded ?? []) versions.openTable(table);
    versions.install(edit);
    this.#compactions.start();
    await this.recorded();
    return true;
  }

  /**
   * Settles when what was written of the internal keys between `from` and `to` is in tables of one level.
   * `exhausted/DISK_FULL` when that cannot be now.
   */
  async compact(from: Uint8Array | undefined, to: Uint8Array | undefined): Promise<void> {
    await this.flush();
    await this.#done({ from, to, upTo: this.#versions.version.lastSequence });
  }

  // ---- of a hosted engine ----

  /** All up to that sequence number has been flushed: the manifest knows, though the last batches of it had nothing in them. Settles when it is on disk. */
  async reached(sequence: number): Promise<void> {
    if (this.#progress.failure) throw this.#progress.failure;
    if (this.version.lastSequence < sequence) this.#versions.install({ lastSequence: sequence });
    await this.recorded();
  }

  /** Every link into the host's log, those of memtables too. */
  hostLinks(): { hostSegment: number; bytes: number; liveBytes: number; end: number }[] {
    const inTables = [...this.version.segments.values()].flatMap(({ bytes, liveBytes, link }) =>
      link ? [{ hostSegment: link.hostSegment, bytes: bytes - BLOCK_HEADER_BYTES, liveBytes, end: link.end }] : [],
    );
    return [...inTables, ...this.#memtableLinks()];
  }

  #memtableLinks(): { hostSegment: number; bytes: number; liveBytes: number; end: number }[] {
    const memtables = [
      ...this.#memtables.sealed.map(({ memtable }) => memtable),
      ...(this.#memtables.active ? [this.#memtables.active] : []),
    ];
    return memtables.flatMap(({ links }) =>
      [...links].map(([hostSegment, { bytes, end }]) => ({ hostSegment, bytes, liveBytes: bytes, end })),
    );
  }

  /** Moves what tables have in the host's segments into files of the engine's own; the links go. */
  async relocate(hostSegments: ReadonlySet<number>): Promise<void> {
    const leads = ({ link }: BlockFile): boolean => link !== undefined && hostSegments.has(link.hostSegment);
    const relocate = [...this.version.segments].filter(([, file]) => leads(file)).map(([segment]) => segment);
    if (relocate.length > 0) await this.#done({ from: undefined, to: undefined, upTo: 0, relocate });
    await this.#versions.removed();
  }

  /** Settles when a demand has been met, durably. */
  async #done(demand: Demand): Promise<void> {
    const progress = this.#progress;
    for (this.#compactions.demand(demand); this.#compactions.isDemanded(demand);) {
      if (progress.failure) throw progress.failure;
      progress.assertSpace('compaction', 'manifest');
      progress.assertNotClosing();
      await progress.nextEnd();
      this.#compactions.start();
    }
    await this.recorded();
  }

  /** Settles when there is nothing left to flush or to compact. `exhausted/DISK_FULL` when that cannot be now. */
  async settled(): Promise<void> {
    const [progress, memtables, versions] = [this.#progress, this.#memtables, this.#versions];
    progress.tryAgain();
    this.#compactions.rest();
    this.sealing.sealRanges();
    for (;;) {
      if (progress.failure) throw progress.failure;
      this.#compactions.start();
      const working = this.#flushes.running || this.#compactions.running;
      if (!working && memtables.sealed.length === 0 && !versions.isBusy) return;
      progress.assertSpace('flush', 'compaction', 'manifest');
      if (memtables.sealed.length > 0) progress.assertNotClosing();
      await progress.nextEnd();
    }
  }

  async close(): Promise<void> {
    this.sealing.end();
    this.#progress.close();
    this.#compactions.rest();
    this.#progress.tryAgain();
    await this.#background.close();
    this.#compactions.close();
    await this.#versions.close();
    this.#memtables.free();
    this.#ranges.free();
    this.#progress.ended();
  }
}
