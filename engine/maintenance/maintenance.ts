/**
 * Keeps the store in shape. What is done is in the files beside this one: memtables.ts, flushes.ts and compactions.ts; how it takes effect in
 * versions.ts; what goes wrong or waits in progress.ts; what writers feel of it in back-pressure.ts. Here they are put together, and here
 * is what others ask for: a memtable to write to, a flush, rest. What recovery finds goes by way of replayed.ts.
 */
import type { Clock, FileSystem, Scheduler, Timer, Zstd } from '../../base/env.ts';
import type { SparrowError } from '../../base/errors.ts';
import type { Background, IoTuner } from '../background/index.ts';
import type { ColdReads } from '../cold-reads/index.ts';
import { BLOCK_HEADER_BYTES, type Demand } from '../compaction/index.ts';
import type { ExpiryTime } from '../expiry-time.ts';
import type { Events } from '../events/index.ts';
import type { StoredKeepRule } from '../keep-rule.ts';
import type { EngineLog, SegmentOpened } from '../log/index.ts';
import { type BlockFile, type Manifest, type RangeTombstone, type Version, type VersionEdit, tablesUnder } from '../manifest/index.ts';
import type { LinearMemory, MemoryHolder } from '../memory/linear-memory.ts';
import type { Reserve } from '../memory/reserve.ts';
import type { Memtable, MemtableBudget, MemtableHolder } from '../memtable/index.ts';
import type { OpenFiles } from '../open-files.ts';
import type { Reader } from '../reader.ts';
import type { EngineSettings } from '../settings.ts';
import type { IndexBudget } from '../table/index.ts';
import type { Snapshots } from '../snapshots.ts';
import type { ValueFiles } from '../value-files.ts';
import type { View } from '../view.ts';
import type { MemtableOwner } from '../writer.ts';
import { BackPressure } from './back-pressure.ts';
import { Compactions } from './compactions.ts';
import { Flushes } from './flushes.ts';
import { LiveRanges } from './live-ranges.ts';
import { Memtables } from './memtables.ts';
import type { Occupied } from './compactions.ts';
import { Progress, stall } from './progress.ts';
import { Replayed } from './replayed.ts';
import { Versions } from './versions.ts';

const WAIT_SYNC_MS = 1000;
/** So long a write that found no memory waits for a flush to give some back. */
const MAKE_ROOM_MS_MAX = 10_000;
/** So long after the last range delete its memtable is flushed, if it hides anything in tables. */
const FLUSH_RANGES_AFTER_MS = 2000;

export class Maintenance implements MemtableOwner, MemtableHolder, MemoryHolder {
  /** Where recovery puts what the log holds. */
  readonly replayed: Replayed;
  readonly #memory: LinearMemory;
  readonly #budget: MemtableBudget;
  readonly #settings: Readonly<EngineSettings>;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly #background: Background;
  readonly #values: ValueFiles;
  readonly #snapshots: Snapshots;
  readonly #events: Events;
  readonly #onSealed: () => void;
  readonly #progress: Progress;
  readonly #ranges: LiveRanges;
  readonly #memtables: Memtables;
  readonly #versions: Versions;
  readonly #flushes: Flushes;
  readonly #compactions: Compactions;
  readonly #pressure: BackPressure;
  readonly #leaveMemory: () => void;
  #log: EngineLog | undefined;
  #rangeTimer: Timer | undefined;

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
    this.#memory = parts.memory;
    this.#budget = parts.budget;
    this.#settings = parts.settings;
    this.#scheduler = parts.scheduler;
    this.#clock = parts.clock;
    this.#background = parts.background;
    this.#values = parts.values;
    this.#snapshots = parts.snapshots;
    this.#events = parts.events;
    this.#onSealed = parts.onSealed;
    const progress = new Progress(parts.scheduler, parts.directory, parts.events);
    const ranges = new LiveRanges(parts.memory, parts.view, parts.snapshots, () => this.#rangeDeleted());
    const memtables = new Memtables(parts.memory, parts.budget, parts.view, ranges);
    const onLogSynced = (): void => {
      if (memtables.writeLog()) memtables.freeWritten();
    };
    const onRangesGone = (): void => ranges.reset([...versions.version.rangeTombstones, ...memtables.rangeTombstones]);
    const versions = new Versions({ ...parts, progress, onLogSynced, onRangesGone });
    onRangesGone();
    const compactions = new Compactions({ ...parts, versions, progress });
    this.#flushes = new Flushes({ ...parts, memtables, versions, progress, onFlushed: () => compactions.start() });
    this.#pressure = new BackPressure({ ...parts, memtables, versions, compactions, progress });
    this.#progress = progress;
    this.#ranges = ranges;
    this.#memtables = memtables;
    this.#versions = versions;
    this.#compactions = compactions;
    this.replayed = new Replayed({
      ...parts,
      memtables,
      flushes: this.#flushes,
      pressure: this.#pressure,
      progress,
      active: (segment) => this.active(segment),
      inTables: parts.version.lastSequence,
    });
    this.#leaveMemory = parts.memory.addHolder(this);
  }

  /** The log, once recovery has made it. */
  attachLog(log: EngineLog): void {
    this.#log = log;
    this.#memtables.attachLog(log);
    this.#versions.attachLog(log);
    this.#flushes.attachLog(log);
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

  // ---- what the write path needs ----

  active(segment: number): Memtable {
    if (this.#progress.failure) throw this.#progress.failure;
    if (this.#progress.isShort) this.#assertRoom();
    return this.#memtables.active ?? this.#memtables.begin(segment, this.#snapshots.newest);
  }

  seal(): void {
    const progress = this.#progress;
    // What has ended since takes effect now: a caller that awaits nothing but writes never lets the event loop bring it.
    this.#background.waitSync(0);
    const memtable = this.#memtables.active;
    // Recovery makes one that stays empty when tables have all that the log's floor left to replay.
    if (memtable === undefined || memtable.records === 0) return;
    if (this.#pressure.farBehind) this.#pressure.hold();
    if (progress.failure) throw progress.failure;
    // It outgrows its size. When the disk is full, `active` takes no more.
    if (this.#pressure.farBehind || this.#memtables.active !== memtable) return;
    this.#sealActive(memtable);
  }

  get memoryIsShort(): boolean {
    return this.#budget.isOver;
  }

  relieveMemory(): void {
    this.#budget.relieve();
  }

  get activeArenaBytes(): number {
    const { active } = this.#memtables;
    return active?.records ? active.arenaBytes : 0;
  }

  sealForMemory(): boolean {
    const { active } = this.#memtables;
    if (!active?.records || this.#progress.isOver || this.#pressure.farBehind || !this.#log) return false;
    this.#sealActive(active);
    return true;
  }

  #sealActive(memtable: Memtable): void {
    // After recovery the log has no segment of its own until the first write: the last one recovered counts.
    this.#memtables.seal(Math.max(this.#log!.segment, memtable.firstSegment, ...this.#versions.closedSegments.keys()));
    this.#onSealed();
    this.#compactions.busy();
    this.#flushes.start();
    this.#pressure.changed();
  }

  /** One that has outgrown its size because it could not be sealed is sealed when it can be. */
  #sealOverdue(): void {
    const { active } = this.#memtables;
    if (active && active.bytes >= this.#settings.memtableBytes) this.sealForMemory();
  }

  // ---- who holds memory that others want ----

  giveBack(): void {
    this.#versions.unloadTables();
  }

  /**
   * A memtable is flushed, on the spot: who asks holds nothing of it. It ends: a flush that has found its memory goes on to its end, or its thread
   * dies and it fails; one that finds none is not under way; and one that waits behind others for longer than that is given up.
   */
  makeRoom(): boolean {
    const [progress, memtables, memory] = [this.#progress, this.#memtables, this.#memory];
    const used = memory.usedBytes;
    this.#background.waitSync(0);
    if (memory.usedBytes < used) return true;
    progress.retry('flush');
    const { active } = memtables;
    if (!this.#flushes.running && memtables.sealed.length === 0 && active?.records && !progress.isOver) {
      if (this.#log) this.#sealActive(active);
      else this.replayed.seal();
    }
    if (!this.#flushes.running) return false;
    const ended = stall(this.#events, 'memory', true);
    const untilMs = this.#clock.monotonicMs() + MAKE_ROOM_MS_MAX;
    while (this.#flushes.running && memory.usedBytes >= used && !progress.failure) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0) break;
      this.#background.waitSync(Math.min(leftMs, WAIT_SYNC_MS));
    }
    ended();
    return memory.usedBytes < used;
  }

  /** What a range delete hides in tables is given back once its memtable is flushed: when none has come for a while, that is done for it alone. */
  #rangeDeleted(): void {
    this.#rangeTimer?.cancel();
    this.#rangeTimer = this.#scheduler.after(
      FLUSH_RANGES_AFTER_MS,
      () => {
        if (this.#pressure.farBehind === undefined && !this.#progress.isOver) this.#progress.guarded('flush', () => this.#sealRanges());
      },
      true,
    );
  }

  #sealRanges(): void {
    const { levels } = this.#versions.version;
    const tombstones = this.#memtables.active?.rangeTombstones ?? [];
    if (tombstones.some((tombstone) => tablesUnder(tombstone, levels).length > 0)) this.seal();
  }

  admit(bytes: number): Promise<void> | undefined {
    return this.#pressure.admit(bytes);
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
    this.#budget.add(this);
    this.#progress.onEnd(() => {
      this.#budget.flushEnded();
      this.#sealOverdue();
    });
    if (this.activeBytes >= this.#settings.memtableBytes) this.seal();
    this.#compactions.start();
  }

  // ---- what the engine asks for ----

  /** Settles when everything written before the call is in tables that the manifest names. `exhausted/DISK_FULL` when that cannot be now. */
  async flush(): Promise<void> {
    const [progress, memtables] = [this.#progress, this.#memtables];
    progress.tryAgain();
    this.seal();
    const last = memtables.newest;
    while (last && memtables.has(last)) {
      progress.assertSpace('flush', this.#pressure.farBehind);
      progress.assertNotClosing();
      await progress.nextEnd();
      if (memtables.active === last) this.seal();
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
    for (this.seal(); memtables.newest !== undefined; this.seal()) {
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
    this.#sealRanges();
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
    this.#leaveMemory();
    this.#budget.remove(this);
    this.#budget.flushEnded();
    this.#rangeTimer?.cancel();
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

  /** A memtable over its size that cannot be sealed takes nothing more. */
  #assertRoom(): void {
    const work = this.#pressure.farBehind;
    const { active } = this.#memtables;
    if (work === undefined || active === undefined || active.bytes < this.#settings.memtableBytes) return;
    // A caller that awaits nothing but refusals never lets a timer bring the next attempt.
    this.#progress.retry(work);
    this.#background.waitSync(0);
    this.#progress.assertSpace(this.#pressure.farBehind);
  }
}
