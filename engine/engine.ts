/**
 * The engine: wires the parts and gives them the public face of api.ts. What a call does is in key-values.ts and from there in writer.ts
 * (writes), reader.ts and scan.ts (reads), in keyspaces.ts and maintenance/ (flush, compaction, versions); how it came to be is in open.ts.
 */
import type { DirectoryLock, Random, Scheduler, Zstd } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import type { BatchOperation, BatchOptions, CompactRange, Engine, Keyspace, Snapshot, WriteResult } from './api.ts';
import { UpkeepIo } from './background/index.ts';
import { type BatchPlan, BatchPlanner } from './batch-plan.ts';
import { assertConditions } from './conditions.ts';
import type {
  BackupOptions,
  BackupResult,
  CheckpointOptions,
  CheckpointResult,
  IngestOptions,
  IngestResult,
  InspectOptions,
  VerifyReport,
} from './files-api.ts';
import { drive, imageOfEngine, type StoreImage, verifyImage } from './inspect/index.ts';
import { DeleteRuns } from './delete-runs.ts';
import type { IoKind } from './io-kind.ts';
import { checkOptions } from './keys.ts';
import { DEFAULT_KEYSPACE } from './keyspace-key.ts';
import { tableForms } from './keyspace-settings.ts';
import type { KeyspaceSettings } from './keyspaces-api.ts';
import { Keyspaces } from './keyspaces.ts';
import { type KeyValueParts, StoredKeyValues } from './key-values.ts';
import type { EngineMetrics } from './engine-metrics.ts';
import type { EngineEvents, EventError } from './events/index.ts';
import { collectMetrics, type MetricsSources } from './metrics/index.ts';
import { withNextStep } from './next-step.ts';
import { OpenKeyspace } from './open-keyspace.ts';
import { internalRange, scanRange } from './scan-range.ts';
import type { ScanSource } from './scan.ts';
import { PinnedSnapshot, type Snapshots } from './snapshots.ts';
import { makeBackup, makeCheckpoint, newStoreId, runIngest } from './upkeep/index.ts';
import type { View } from './view.ts';
import type { EngineWriter } from './writer.ts';

const BATCH_OPTIONS: readonly string[] = ['durability', 'sequence', 'conditions'];
const BACKUP_OPTIONS: readonly string[] = ['onProgress', 'signal'];
const CHECKPOINT_OPTIONS: readonly string[] = ['copy'];
const COMPACT_OPTIONS: readonly string[] = ['gt', 'gte', 'lt', 'lte', 'prefix', 'keyspace'];
const INGEST_OPTIONS: readonly string[] = ['mode', 'sequence', 'onProgress'];
const INGEST_MODES: readonly string[] = ['link', 'copy', 'move'];
const INSPECT_OPTIONS: readonly string[] = ['onProgress', 'signal'];
/** At closing, a memtable with more than this is flushed, so that the next opening has little to replay. */
const FLUSH_AT_CLOSE_BYTES = 1024 * 1024;

export interface EngineParts extends MetricsSources {
  readonly path: string;
  readonly scheduler: Scheduler;
  /** For the ids of copies; undefined: they have none. */
  readonly random: Random | undefined;
  readonly zstd: Zstd | undefined;
  /** Lets go of the resources, and closes them when they are the engine's own. */
  readonly leave: () => void | Promise<void>;
  readonly view: View;
  readonly lock: DirectoryLock;
}

export class SparrowEngine extends StoredKeyValues implements Engine {
  readonly path: string;
  readonly #parts: EngineParts;
  readonly #writer: EngineWriter;
  readonly #snapshots: Snapshots;
  readonly #keyspace: OpenKeyspace;
  readonly #keyspaces: Keyspaces;
  readonly #planner: BatchPlanner;
  readonly #isHosted: boolean;
  readonly #keyspaceOf = (given: Keyspace | undefined): OpenKeyspace =>
    given === undefined ? this.#keyspace : this.#keyspaces.openOf(given);
  /** Calls that use the files for a while: closing waits for them. */
  readonly #upkeep = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  /** `isHosted`: it has no log of its own. */
  constructor(parts: EngineParts, isHosted = false) {
    const { settings, clock, writer, reader, coldReads, snapshots, view, resources } = parts;
    const { memory } = resources;
    const keyspace = new OpenKeyspace(DEFAULT_KEYSPACE, {}, settings);
    const scanSource: ScanSource = {
      memory,
      get viewAddress() {
        keyspace.assertOpen();
        return view.address;
      },
      satisfy: (answer) => reader.satisfy(answer),
      get nowMs() {
        return reader.nowMs;
      },
      readPointer: (pointer, key, sequence, expires) => {
        keyspace.assertOpen();
        return reader.readPointer(pointer, key, sequence, expires);
      },
      comes: (error) => coldReads.bringMeanwhile(error),
      scanned: (start, head, deletes, sequence) => {
        if (sequence === writer.sequence) runs.scanned(start, head, deletes);
      },
    };
    const runs = new DeleteRuns(
      scanSource,
      resources.scanWindow,
      () => writer.sequence,
      (key) => parts.maintenance.tombstoneBefore(key),
    );
    const shared: KeyValueParts = {
      settings,
      clock,
      writer,
      reader,
      coldReads,
      snapshots,
      scanWindow: resources.scanWindow,
      assertEngineOpen: () => keyspace.assertOpen(),
      scanSource,
      runs,
      isHosted,
    };
    super(shared, keyspace);
    this.#parts = parts;
    this.#isHosted = isHosted;
    this.path = parts.path;
    this.#writer = writer;
    this.#snapshots = snapshots;
    this.#keyspace = keyspace;
    this.#keyspaces = new Keyspaces(shared, parts.maintenance, parts.zstd);
    this.#planner = new BatchPlanner(settings, reader, parts.clock, runs, isHosted);
  }

  async write(batch: readonly BatchOperation[], options?: BatchOptions): Promise<WriteResult> {
    this.assertOpen();
    const durability = this.durabilityOf(options, BATCH_OPTIONS);
    if (options?.conditions !== undefined) {
      assertConditions(options.conditions, this.#keyspaceOf, this.#parts.settings.maxKeyBytes, this.#parts.reader);
    }
    const plan = this.planned(batch);
    const settled = this.#writer.batch(plan, durability, options?.sequence);
    const { sequence } = this.#writer;
    await settled;
    return { sequence, counters: plan.counters };
  }

  /** What is to be written, checked. */
  protected planned(batch: readonly BatchOperation[]): BatchPlan {
    this.assertOpen();
    return this.#planner.plan(batch, this.#keyspaceOf);
  }

  async keyspace(name: string, settings?: KeyspaceSettings): Promise<Keyspace> {
    this.assertOpen();
    const keyspace = await this.#keyspaces.open(name, settings);
    this.assertOpen();
    return keyspace;
  }

  keyspaces(): string[] {
    this.assertOpen();
    return this.#keyspaces.names;
  }

  snapshot(): Snapshot {
    this.assertOpen();
    const { maintenance } = this.#parts;
    return new PinnedSnapshot(this.#snapshots, this.#writer.sequence, (sequence) => maintenance.pinnedBytes(sequence));
  }

  // ---- upkeep ----

  async sync(): Promise<void> {
    this.assertOpen();
    await this.#writer.sync();
  }

  async flush(): Promise<void> {
    this.assertOpen();
    this.#writer.write();
    await this.#parts.maintenance.flush();
  }

  async settled(): Promise<void> {
    this.assertOpen();
    await this.#parts.maintenance.settled();
  }

  async compact(range?: CompactRange): Promise<void> {
    this.assertOpen();
    this.#writer.write();
    const { maintenance, settings } = this.#parts;
    if (range === undefined) return maintenance.compact(undefined, undefined);
    checkOptions(range, COMPACT_OPTIONS);
    const { keyspace, ...bounds } = range;
    const { id } = keyspace === undefined ? this.#keyspace : this.#keyspaces.openOf(keyspace);
    // Tables are looked at whole: whether a bound is part of the range makes no difference.
    const { lower, upper } = internalRange(scanRange(bounds, settings.maxKeyBytes), id);
    return maintenance.compact(lower, upper);
  }

  async checkpoint(directory: string, options: CheckpointOptions = {}): Promise<CheckpointResult> {
    checkDirectory(directory);
    checkOptions(options, CHECKPOINT_OPTIONS);
    this.assertOpen();
    const { events } = this.#parts;
    const begunMs = events.nowMs();
    events.emit({ type: 'checkpoint-begun', directory });
    const ended = (
      error: unknown,
      { files, linkedBytes, copiedBytes }: Pick<CheckpointResult, 'files' | 'linkedBytes' | 'copiedBytes'>,
    ): void =>
      events.emit({
        type: 'checkpoint-ended',
        directory,
        ...outcome(error),
        durationMs: events.nowMs() - begunMs,
        files,
        linkedBytes,
        copiedBytes,
      });
    try {
      const result = await this.#checkpoint(directory, options);
      ended(undefined, result);
      return result;
    } catch (error) {
      events.corruption('checkpoint', error);
      ended(error, { files: 0, linkedBytes: 0, copiedBytes: 0 });
      throw withNextStep(error, this.path, 'open');
    }
  }

  #checkpoint(directory: string, options: CheckpointOptions): Promise<CheckpointResult> {
    return this.#withFiles('checkpoint', (image, io) =>
      makeCheckpoint(io.fileSystem, image, directory, options, {
        sync: () => this.#parts.log.sync(),
        assertOpen: () => this.assertOpen(),
        storeId: this.#parts.random && newStoreId(this.#parts.random),
        sequence: this.#sequenceOf(image),
        pause: () => io.pause(),
      }),
    );
  }

  async backup(target: string, options: BackupOptions = {}): Promise<BackupResult> {
    checkDirectory(target);
    checkOptions(options, BACKUP_OPTIONS);
    this.assertOpen();
    const { events } = this.#parts;
    const begunMs = events.nowMs();
    events.emit({ type: 'backup-begun', target });
    const ended = (error: unknown, { files, bytes, copiedBytes }: Pick<BackupResult, 'files' | 'bytes' | 'copiedBytes'>): void =>
      events.emit({ type: 'backup-ended', target, ...outcome(error), durationMs: events.nowMs() - begunMs, files, bytes, copiedBytes });
    try {
      const result = await this.#backup(target, options);
      ended(undefined, result);
      return result;
    } catch (error) {
      events.corruption('backup', error);
      ended(error, { files: 0, bytes: 0, copiedBytes: 0 });
      throw withNextStep(error, this.path, 'open');
    }
  }

  #backup(target: string, options: BackupOptions): Promise<BackupResult> {
    const { scheduler, zstd, clock, log } = this.#parts;
    return this.#withFiles('backup', (image, io) => {
      const sequence = this.#sequenceOf(image);
      const assertOpen = (): void => this.assertOpen();
      const source = { image, scheduler, zstd, sequence, sync: () => log.sync(), assertOpen, pause: () => io.pause() };
      return makeBackup(io.fileSystem, source, target, clock.wallMs(), options);
    });
  }

  /** Of the last batch in an image that was taken in this turn: what is in memory alone counts with a log. */
  #sequenceOf(image: StoreImage): number {
    return this.#isHosted ? image.version.lastSequence : this.#writer.sequence;
  }

  async ingest(directory: string, options: IngestOptions = {}): Promise<IngestResult> {
    checkDirectory(directory);
    checkOptions(options, INGEST_OPTIONS);
    const { mode = 'link' } = options;
    if (!INGEST_MODES.includes(mode)) {
      throw new SparrowError('invalid', 'OPTION_RANGE', `mode is one of ${INGEST_MODES.join(', ')}, not '${String(mode)}'`, {
        field: 'mode',
      });
    }
    this.assertOpen();
    const { events } = this.#parts;
    const begunMs = events.nowMs();
    events.emit({ type: 'ingest-begun', directory });
    const ended = (error: unknown, { sequence, entries, tables, bytes }: Omit<IngestResult, 'levels'>): void => {
      const durationMs = events.nowMs() - begunMs;
      events.emit({ type: 'ingest-ended', directory, ...outcome(error), durationMs, sequence, entries, tables, bytes });
    };
    try {
      const result = await this.#tracked(() => this.#withIo('ingest', (io) => this.#ingest(directory, mode, options, io)));
      ended(undefined, result);
      return result;
    } catch (error) {
      ended(error, { sequence: 0, entries: 0, tables: 0, bytes: 0 });
      throw error;
    }
  }

  #ingest(directory: string, mode: NonNullable<IngestOptions['mode']>, options: IngestOptions, io: UpkeepIo): Promise<IngestResult> {
    const { maintenance, settings, zstd } = this.#parts;
    return runIngest(
      directory,
      { ...options, mode },
      {
        fileSystem: io.fileSystem,
        directory: this.path,
        tableBytes: settings.tableBytes,
        writer: this.#writer,
        takeFileId: () => maintenance.takeFileId(),
        forms: () => tableForms(maintenance.version.keyspaces, settings, 'bottom'),
        zstd,
        keyspaceId: async (name) => this.#keyspaces.openOf(await this.keyspace(name)).id,
        adopt: (at) => maintenance.adopt(at),
        pause: () => io.pause(),
      },
    );
  }

  /** Closing waits for the work. */
  async #tracked<T>(work: () => Promise<T>): Promise<T> {
    const running = work();
    this.#upkeep.add(running);
    try {
      return await running;
    } finally {
      this.#upkeep.delete(running);
    }
  }

  async verify(options: InspectOptions = {}): Promise<VerifyReport> {
    checkOptions(options, INSPECT_OPTIONS);
    const { scheduler, zstd } = this.#parts;
    const check = (): void => this.assertOpen();
    const report = await this.#withFiles('verify', (image, io) =>
      drive(verifyImage(io.fileSystem, image, zstd), scheduler, options, check, () => io.pause()),
    );
    for (const { file, offset, what } of report.problems) {
      this.#parts.events.emit({ type: 'corruption', during: 'verify', file, offset, code: 'CORRUPT_STORE', message: `${file}: ${what}` });
    }
    return report;
  }

  /** What the work reads and writes is spent of the budget. */
  async #withIo<T>(kind: IoKind, work: (io: UpkeepIo) => Promise<T>): Promise<T> {
    const { fileSystem, resources, scheduler } = this.#parts;
    const io = new UpkeepIo(fileSystem, resources.ioBudget, kind, scheduler, () => this.assertOpen());
    try {
      return await work(io);
    } finally {
      io.end();
    }
  }

  /** Lends out the files of this moment. They are kept until the work has ended, and closing waits for it. */
  async #withFiles<T>(kind: IoKind, work: (image: StoreImage, io: UpkeepIo) => Promise<T>): Promise<T> {
    this.assertOpen();
    const { fileSystem, maintenance, log } = this.#parts;
    this.#writer.write();
    const release = maintenance.holdFiles();
    const run = async (): Promise<T> => {
      try {
        const { version, nextFileId, closedSegments } = maintenance;
        const active = { segment: log.segment, bytes: log.nextOffset };
        const image = imageOfEngine(fileSystem, this.path, { version, nextFileId, closedSegments, active });
        return await this.#withIo(kind, (io) => work(image, io));
      } finally {
        release();
      }
    };
    return this.#tracked(run);
  }

  get events(): EngineEvents {
    return this.#parts.events;
  }

  get sequence(): number {
    this.assertOpen();
    return this.#writer.sequence;
  }

  metrics(): EngineMetrics {
    this.assertOpen();
    return collectMetrics(this.#parts);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { maintenance, log, values, view, leave, lock } = this.#parts;
    const refusal = (): SparrowError =>
      new SparrowError('closed', 'ENGINE_CLOSED', `the engine at ${this.path} is closed`, { path: this.path });
    this.#keyspace.close(refusal);
    this.#keyspaces.close(refusal);
    await Promise.allSettled(this.#upkeep);
    await this.#parts.coldReads.settled();
    try {
      if (!log.failure && !maintenance.failure && maintenance.activeBytes > FLUSH_AT_CLOSE_BYTES) {
        // A convenience for the next opening: what does not get into a table now is in the log.
        await maintenance.flush().catch(() => undefined);
      }
      await maintenance.close();
    } finally {
      // Whatever failed: the log gets what it still has to write, and the directory is let go.
      try {
        await log.close();
      } finally {
        try {
          values.close();
        } finally {
          view.free();
          try {
            await leave();
          } finally {
            lock.release();
          }
        }
      }
    }
  }

  protected assertOpen(): void {
    this.#keyspace.assertOpen();
  }
}

/** How work ended, for its event. */
function outcome(error: unknown): { done: boolean; error: EventError | undefined } {
  if (error === undefined) return { done: true, error: undefined };
  const { code = '', message } = error as NodeJS.ErrnoException;
  return { done: false, error: { code, message } };
}

function checkDirectory(directory: string): void {
  if (typeof directory === 'string' && directory !== '') return;
  throw new SparrowError('invalid', 'TYPE', 'directory is the name of a directory', { field: 'directory' });
}
