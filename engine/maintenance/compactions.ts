/**
 * When compactions run: after every change of the version the picker is asked what to do next, and it is done, one at a time; a large one in
 * parts, where there are threads for them (parted-compaction.ts). Under load the picker bears more garbage than at rest.
 *
 * A rule of what to keep (engine/keep-rule.ts) takes away what everybody sees. A snapshot or scan that began while a job with rules ran would see it
 * go: then the job was in vain, and is done again without rules, which rest for a while.
 */
import type { Background } from '../background/index.ts';
import {
  type Circumstances,
  type Compaction,
  type CompactionInput,
  type CompactionJob,
  type CompactionResult,
  type Demand,
  type KeyspaceRule,
  type Pace,
  fileIdsWanted,
  garbageShareAt,
  joinResults,
  nextExpiry,
  pickCompaction,
  pickDemanded,
  pickOverlap,
} from '../compaction/index.ts';
import type { Clock, Scheduler, Timer } from '../../base/env.ts';
import type { ExpiryTime } from '../expiry-time.ts';
import { keyspaceOf } from '../keyspace-key.ts';
import { tableForms } from '../keyspace-settings.ts';
import { hidesIn } from '../manifest/index.ts';
import type { Events } from '../events/index.ts';
import type { EngineSettings } from '../settings.ts';
import type { Snapshots } from '../snapshots.ts';
import { formsWithin, type TableForms, type TableMeta } from '../table/index.ts';
import { compactInParts, type Parting } from './parted-compaction.ts';
import { outcomeOf, type Progress } from './progress.ts';
import type { Versions } from './versions.ts';

/** So long after the last memtable was filled, space is given back that was not worth the cost under load. */
const REST_AFTER_MS = 2000;
/** So long after the last memtable was filled, or the opening, nobody is expected to write soon. */
const IDLE_AFTER_MS = 15_000;
/** What reads spend on level 0 is looked at so often. */
const READS_CHECK_MS = 10_000;
const WAKE_AFTER_MS_MAX = 3_600_000;
/** After somebody began to read while a job with rules ran, and still did at its end. */
const RULES_REST_MS = 5000;

/** A compaction is divided between threads into parts of so many tables' worth at least: each ends with a table that is not full. */
const PART_TABLES_MIN = 1;

/** A key range that a compaction under way will write to. */
export interface Occupied {
  readonly level: number;
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
}

export class Compactions {
  readonly #directory: string;
  readonly #settings: Readonly<EngineSettings>;
  readonly #scheduler: Scheduler;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #expiryTime: ExpiryTime;
  readonly #background: Background;
  readonly #versions: Versions;
  readonly #snapshots: Snapshots;
  readonly #progress: Progress;
  readonly #events: Events;
  /** What callers wait for, oldest first. */
  readonly #demands = new Set<Demand>();
  #running = false;
  #current: Compaction | undefined;
  /** Set while writes are under way. */
  #restTimer: Timer | undefined;
  /** When writes were under way last, by the monotonic clock. */
  #busyMs: number;
  /** Until something may be due that no change of the version brings. */
  #wakeTimer: Timer | undefined;
  /** Of what reads have spent on level 0, what has been repaid by merging it. */
  #probesPaid = 0;
  #jobs = 0;
  /** Set while rules rest. */
  #rulesTimer: Timer | undefined;

  constructor(parts: {
    directory: string;
    settings: Readonly<EngineSettings>;
    scheduler: Scheduler;
    clock: Pick<Clock, 'monotonicMs'>;
    expiryTime: ExpiryTime;
    background: Background;
    versions: Versions;
    snapshots: Snapshots;
    progress: Progress;
    events: Events;
  }) {
    this.#directory = parts.directory;
    this.#settings = parts.settings;
    this.#scheduler = parts.scheduler;
    this.#clock = parts.clock;
    this.#expiryTime = parts.expiryTime;
    this.#background = parts.background;
    this.#versions = parts.versions;
    this.#snapshots = parts.snapshots;
    this.#progress = parts.progress;
    this.#events = parts.events;
    this.#busyMs = parts.clock.monotonicMs();
  }

  /** Where what is under way will put its tables. */
  get occupied(): Occupied[] {
    if (this.#current === undefined) return [];
    const keys = this.#current.inputs.flatMap(({ table }) => [table.smallest, table.largest]).toSorted((a, b) => Buffer.compare(a, b));
    return [{ level: this.#current.target, smallest: keys[0]!, largest: keys.at(-1)! }];
  }

  get running(): boolean {
    return this.#running;
  }

  /** A memtable was filled: writes are under way until none has been for a while. */
  busy(): void {
    this.#busyMs = this.#clock.monotonicMs();
    this.#restTimer?.cancel();
    this.#restTimer = this.#scheduler.after(
      REST_AFTER_MS,
      () => {
        this.rest();
        this.start();
      },
      true,
    );
  }

  /** Writes are over, as far as the picker is concerned. */
  rest(): void {
    this.#restTimer?.cancel();
    this.#restTimer = undefined;
  }

  /** Nothing is under way, and nothing will be begun: a timer would hold the engine, with its memory. */
  close(): void {
    this.rest();
    this.#wakeTimer?.cancel();
    this.#rulesTimer?.cancel();
  }

  /** Begins what is wanted most, unless a compaction is under way or nothing is wanted. */
  start(): void {
    if (this.#running || this.#progress.isOver) return;
    const { version, facts } = this.#versions;
    const circumstances = {
      snapshots: this.#snapshots.sequences,
      pace: this.#pace(),
      nowMs: this.#expiryTime.dropMs,
      level0Probes: this.#versions.level0Probes - this.#probesPaid,
      hiddenPages: (table: TableMeta) => this.#versions.hiddenPages(table),
      rules: this.#rules(),
    };
    const compaction =
      this.#nextDemanded(this.#snapshots.oldest ?? Infinity) ?? pickCompaction(version, this.#settings, circumstances, facts);
    this.#wakeTimer?.cancel();
    if (compaction === undefined) {
      this.#progress.foundSpace('compaction');
      this.#wakeLater(circumstances);
      return;
    }
    if (compaction.move || compaction.drop) {
      this.#takeEffect(compaction);
      this.#progress.ended();
      this.start();
      return;
    }
    this.#running = true;
    this.#current = compaction;
    const ended = this.#tell(compaction);
    const job = this.#job(compaction);
    compactInParts(this.#background, job, this.#parting(compaction), (error, results) => {
      this.#running = false;
      this.#current = undefined;
      const result = error ? undefined : joinResults(results);
      const inVain = result !== undefined && this.#takesFromReaders(job, result);
      ended(error, inVain ? undefined : result, inVain, results.length);
      // Parts that were done before another failed.
      for (const { outputs, blockFiles } of error ? results : []) this.#versions.discard(outputs, blockFiles);
      if (error) this.#progress.jobFailed('compaction', error, () => this.start());
      else {
        this.#progress.foundSpace('compaction');
        this.#progress.guarded('compaction', () => {
          if (inVain) this.#inVain(result);
          else this.#compacted(compaction, result!);
          this.start();
        });
      }
      this.#progress.ended();
    });
  }

  #pace(): Pace {
    if (this.#restTimer !== undefined) return 'loaded';
    return this.#quietMs() < IDLE_AFTER_MS ? 'resting' : 'idle';
  }

  #quietMs(): number {
    return this.#clock.monotonicMs() - this.#busyMs;
  }

  /** Goes before everything else until it is done; `isDemanded` tells. */
  demand(demand: Demand): void {
    this.#demands.add(demand);
    this.start();
  }

  isDemanded(demand: Demand): boolean {
    return this.#demands.has(demand);
  }

  #nextDemanded(oldestSnapshot: number): Compaction | undefined {
    for (const demand of this.#demands) {
      const compaction = pickDemanded(this.#versions.version, demand, oldestSnapshot);
      if (compaction) return compaction;
      this.#demands.delete(demand);
    }
    return undefined;
  }

  /** Nothing is wanted now. Time alone may change that: values expire, and reads add up. */
  #wakeLater({ nowMs, pace }: Pick<Circumstances, 'nowMs' | 'pace'>): void {
    const { version, facts } = this.#versions;
    const delays: number[] = [];
    // Time that is told passes with what is flushed, after which this is asked anyway.
    const expiryMs = this.#expiryTime.isTold
      ? undefined
      : nextExpiry(version, this.#settings, garbageShareAt(pace, this.#settings), nowMs, facts);
    // The wall clock may jump: it is asked again once in a while.
    if (expiryMs !== undefined) delays.push(Math.min(expiryMs - nowMs, WAKE_AFTER_MS_MAX));
    if (version.levels[0]!.length > 1) delays.push(READS_CHECK_MS);
    if (pace !== 'idle' && pickOverlap(version, this.#settings, facts)) delays.push(Math.max(0, IDLE_AFTER_MS - this.#quietMs()));
    if (delays.length > 0) this.#wakeTimer = this.#scheduler.after(Math.ceil(Math.min(...delays)), () => this.start(), true);
  }

  /** What level 0 has cost so far is repaid when tables of it go. */
  #pay(inputs: readonly CompactionInput[]): void {
    if (inputs.some(({ level }) => level === 0)) this.#probesPaid = this.#versions.level0Probes;
  }

  /** One that is done when it counts. */
  #takeEffect({ reason, target, inputs, drop }: Compaction): void {
    this.#pay(inputs);
    const tablesRemoved = inputs.map(({ level, table }) => ({ level, fileId: table.fileId }));
    const tables = inputs.map(({ table }) => table.fileId);
    if (drop) {
      this.#versions.install({ tablesRemoved });
      this.#events.emit({ type: 'tables-dropped', reason, tables });
    } else {
      this.#versions.install({ tablesRemoved, tablesAdded: inputs.map(({ table }) => ({ level: target, table })) });
      this.#events.emit({ type: 'tables-moved', reason, target, tables });
    }
  }

  /** Level 0 is in the order of its tables: what is rewritten there stays one. */
  #parting({ inputs, target, relocate }: Compaction): Parting {
    const { tableBytes } = this.#settings;
    const partBytesMin = PART_TABLES_MIN * tableBytes;
    const bytes = inputs.reduce((sum, { table }) => sum + table.bytes, 0);
    const partsMax = target === 0 ? 1 : Math.min(this.#background.compactionsFree, Math.floor(bytes / partBytesMin));
    return { partsMax, partBytesMin, fileIds: (part) => this.#takeFileIds({ inputs: part.inputs, relocate }) };
  }

  #takeFileIds(of: Pick<Compaction, 'inputs' | 'relocate'>): number[] {
    const wanted = fileIdsWanted(of, this.#settings.tableBytes, this.#versions.version.keyspaces.keys());
    return Array.from({ length: wanted }, () => this.#versions.takeFileId());
  }

  #job({ inputs, dropDeletes, relocate, target }: Compaction): CompactionJob {
    const { tableBytes } = this.#settings;
    const fileIds = this.#takeFileIds({ inputs, relocate });
    const [snapshots, nowMs] = [this.#snapshots.sequences, this.#expiryTime.dropMs];
    const { rangeTombstones: all, lastSequence: clearedTo } = this.#versions.version;
    const rangeTombstones = all.filter((tombstone) => inputs.some(({ table }) => hidesIn(tombstone, table)));
    const cleared = { rangeTombstones, clearedTo };
    const rules = this.#rules().filter(({ keyspace }) => inputs.some(({ table }) => mayHave(table, keyspace)));
    const ruledTo = Math.max(0, ...rules.map(({ rule }) => rule.id));
    const common = {
      directory: this.#directory,
      forms: this.#forms(inputs, target),
      snapshots,
      nowMs,
      rules,
      ruledTo,
      tableBytes,
      fileIds,
    };
    return { ...common, inputs, dropDeletes, relocate, ...cleared };
  }

  #forms(inputs: readonly CompactionInput[], target: number): TableForms {
    const forms = tableForms(this.#versions.version.keyspaces, this.#settings, this.#isDeepest(target) ? 'bottom' : 'upper');
    const ids = inputs.flatMap(({ table }) => [keyspaceOf(table.smallest), keyspaceOf(table.largest)]);
    return formsWithin(forms, Math.min(...ids), Math.max(...ids));
  }

  #rules(): KeyspaceRule[] {
    if (this.#rulesTimer !== undefined) return [];
    return [...this.#versions.version.keyspaces].flatMap(([keyspace, { rule }]) => (rule ? [{ keyspace, rule }] : []));
  }

  /** Whether somebody reads now who did not when the job began, and rules left out anything. */
  #takesFromReaders({ snapshots }: CompactionJob, { versionsLeftOut }: CompactionResult): boolean {
    return versionsLeftOut > 0 && this.#snapshots.sequences.some((sequence) => !snapshots.includes(sequence));
  }

  #inVain({ outputs, blockFiles }: CompactionResult): void {
    this.#versions.discard(outputs, blockFiles);
    const resume = (): void => {
      this.#rulesTimer = undefined;
      this.start();
    };
    this.#rulesTimer = this.#scheduler.after(RULES_REST_MS, resume, true);
  }

  /** Whether no level below has tables. What level 0 holds is on its way down. */
  #isDeepest(level: number): boolean {
    return level > 0 && this.#versions.version.levels.slice(level + 1).every((tables) => tables.length === 0);
  }

  /** Tells that the compaction begins, and by what it returns that it has ended. */
  #tell({
    reason,
    target,
    inputs,
    relocate,
  }: Compaction): (error: Error | undefined, result: CompactionResult | undefined, inVain: boolean, parts: number) => void {
    const events = this.#events;
    const begunMs = events.nowMs();
    const tables = inputs.map(({ level, table }) => ({ level, table: table.fileId, bytes: table.bytes }));
    const inputBytes = tables.reduce((sum, table) => sum + table.bytes, 0);
    const told = { job: ++this.#jobs, reason, target, inputs: tables, inputBytes, relocated: relocate };
    events.emit({ type: 'compaction-begun', ...told });
    return (error, result, inVain, parts) => {
      events.corruption('compaction', error);
      events.emit({
        type: 'compaction-ended',
        ...told,
        outcome: inVain ? 'repeated' : outcomeOf(error),
        durationMs: events.nowMs() - begunMs,
        outputs: (result?.outputs ?? []).map((table) => ({ level: target, table: table.fileId, bytes: table.bytes })),
        blockFiles: result?.blockFiles ?? [],
        parts,
        bytesRead: result?.bytesRead ?? 0,
        bytesWritten: result?.bytesWritten ?? 0,
        versionsDropped: result?.versionsDropped ?? 0,
        valueBytesFreed: (result?.dead ?? []).reduce((sum, { bytes }) => sum + bytes, 0),
      });
    };
  }

  #compacted(compaction: Compaction, result: CompactionResult): void {
    this.#pay(compaction.inputs);
    for (const table of result.outputs) this.#versions.openTable(table);
    this.#versions.install({
      tablesRemoved: compaction.inputs.map(({ level, table }) => ({ level, fileId: table.fileId })),
      tablesAdded: result.outputs.map((table) => ({ level: compaction.target, table })),
      ...(result.blockFiles.length > 0 && { segmentsAdded: [...result.blockFiles] }),
    });
  }
}

function mayHave({ smallest, largest }: TableMeta, keyspace: number): boolean {
  return keyspaceOf(smallest) <= keyspace && keyspace <= keyspaceOf(largest);
}
