/**
 * Flushes, one at a time, the oldest sealed memtable first: lends the job its scratch space, and when the table is on disk puts it in the
 * memtable's place.
 */
import type { Background, FlushJob, FlushResult } from '../background/index.ts';
import type { ExpiryTime } from '../expiry-time.ts';
import type { Events } from '../events/index.ts';
import { tableForms } from '../keyspace-settings.ts';
import { BLOCK_HEADER_BYTES } from '../compaction/index.ts';
import type { EngineLog } from '../log/index.ts';
import type { AddedSegment } from '../manifest/index.ts';
import type { MemtableLink } from '../memtable/index.ts';
import type { TableMeta } from '../table/index.ts';
import { isMemoryShort, type LinearMemory } from '../memory/linear-memory.ts';
import type { Reserve } from '../memory/reserve.ts';
import { flushScratchBytes } from '../flush-scratch.ts';
import type { EngineSettings } from '../settings.ts';
import type { Snapshots } from '../snapshots.ts';
import type { Memtables, Sealed } from './memtables.ts';
import { outcomeOf, type Progress } from './progress.ts';
import type { Versions } from './versions.ts';

type BegunFlush = {
  readonly job: FlushJob;
  /** Lent out of the memory; 0: it has what is set aside for flushes. */
  readonly allocatedBytes: number;
  readonly told: { table: number; records: number; memtableBytes: number };
  readonly begunMs: number;
};

export class Flushes {
  readonly #memory: LinearMemory;
  readonly #scratch: Reserve;
  readonly #directory: string;
  readonly #settings: Readonly<EngineSettings>;
  readonly #expiryTime: ExpiryTime;
  readonly #background: Background;
  readonly #memtables: Memtables;
  readonly #versions: Versions;
  readonly #snapshots: Snapshots;
  readonly #progress: Progress;
  readonly #events: Events;
  readonly #onFlushed: () => void;
  readonly #isHosted: boolean;
  #log: EngineLog | undefined;
  #running = false;
  /** By how much the next flush is lent more than it should need. */
  #times = 1;

  constructor(parts: {
    memory: LinearMemory;
    /** Set aside for flushes. */
    flushScratch: Reserve;
    directory: string;
    settings: Readonly<EngineSettings>;
    expiryTime: ExpiryTime;
    background: Background;
    memtables: Memtables;
    versions: Versions;
    snapshots: Snapshots;
    progress: Progress;
    events: Events;
    /** The log is the host's: its floor is nothing that the manifest knows. */
    isHosted: boolean;
    /** A table came to level 0. */
    onFlushed: () => void;
  }) {
    this.#memory = parts.memory;
    this.#scratch = parts.flushScratch;
    this.#directory = parts.directory;
    this.#settings = parts.settings;
    this.#expiryTime = parts.expiryTime;
    this.#background = parts.background;
    this.#memtables = parts.memtables;
    this.#versions = parts.versions;
    this.#snapshots = parts.snapshots;
    this.#progress = parts.progress;
    this.#events = parts.events;
    this.#onFlushed = parts.onFlushed;
    this.#isHosted = parts.isHosted;
  }

  /** The log, once recovery has made it. */
  attachLog(log: EngineLog): void {
    this.#log = log;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Begins the next flush, if there is something to flush and none is under way. */
  start(): void {
    if (this.#running || this.#progress.isOver || this.#memtables.sealed.length === 0) return;
    const sealed = this.#memtables.sealed.at(-1)!;
    this.#running = true;
    let begun: BegunFlush | undefined;
    const prepare = (): FlushJob => {
      begun = this.#begin(sealed);
      return begun.job;
    };
    this.#background.flush(prepare, (error, result) => {
      this.#running = false;
      // When there was too little scratch space it is done again.
      const again = begun !== undefined && isMemoryShort(error);
      if (begun) this.#ended(begun, again, error, result);
      if (again) {
        this.#times *= 2;
        this.start();
      } else if (error) this.#progress.jobFailed('flush', error, () => this.start());
      else {
        this.#times = 1;
        this.#progress.foundSpace('flush');
        this.#progress.guarded('flush', () => this.#flushed(result!));
      }
      this.#progress.ended();
    });
  }

  #begin({ memtable, lastSegment }: Sealed): BegunFlush {
    const { records, rangeTombstones } = memtable;
    const wanted = { records, bytes: memtable.bytes, rangeTombstones: rangeTombstones.length };
    const lentBytes = (flushScratchBytes(wanted) + 64) * this.#times - 64;
    const reserved = this.#scratch.take(lentBytes);
    const from = reserved ?? this.#allocate(lentBytes);
    const bytes = reserved === undefined ? lentBytes : this.#scratch.bytes;
    const job = {
      directory: this.#directory,
      fileId: this.#versions.takeFileId(),
      memtable: memtable.address,
      records,
      lastSequence: memtable.lastSequence,
      rangeTombstones,
      snapshots: this.#snapshots.sequences,
      nowMs: this.#expiryTime.dropMs,
      forms: tableForms(this.#versions.version.keyspaces, this.#settings, 'upper'),
      segments: Math.max(lastSegment - memtable.firstSegment + 1, memtable.links.size),
      lent: { from, to: from + bytes + 64 },
    };
    const told = { table: job.fileId, records, memtableBytes: memtable.bytes };
    this.#events.emit({ type: 'flush-begun', ...told });
    return { job, allocatedBytes: reserved === undefined ? lentBytes : 0, told, begunMs: this.#events.nowMs() };
  }

  #ended(
    { job, allocatedBytes, told, begunMs }: BegunFlush,
    again: boolean,
    error: Error | undefined,
    result: FlushResult | undefined,
  ): void {
    if (allocatedBytes > 0) this.#memory.free(job.lent.from, allocatedBytes);
    else this.#scratch.give();
    const durationMs = this.#events.nowMs() - begunMs;
    this.#events.corruption('flush', error);
    const outcome = again ? 'repeated' : outcomeOf(error);
    this.#events.emit({ type: 'flush-ended', ...told, outcome, durationMs, bytesWritten: result?.bytesWritten ?? 0 });
  }

  #allocate(bytes: number): number {
    try {
      return this.#memory.allocate(bytes);
    } catch {
      this.#memory.giveBack();
      return this.#memory.allocate(bytes);
    }
  }

  #flushed(result: FlushResult): void {
    const memtables = this.#memtables;
    const { lastSequence, rangeTombstones, links } = memtables.sealed.at(-1)!.memtable;
    memtables.flushed();
    const written = memtables.writeLog();
    if (result.table) this.#versions.openTable(result.table);
    const edit = {
      lastSequence,
      ...(result.table && { tablesAdded: [{ level: 0, table: result.table }] }),
      ...(rangeTombstones.length > 0 && { rangeTombstonesAdded: rangeTombstones }),
      ...(links.size > 0 && { segmentsAdded: linksKept(links, result.table) }),
    };
    if (this.#isHosted) this.#versions.install(edit);
    else if (this.#log) this.#versions.install({ ...edit, logFloor: this.#logFloor(this.#log) });
    // In the midst of recovery: the log's floor stays where it is until all of it has been replayed.
    else this.#versions.install(edit);
    memtables.show();
    if (written) memtables.freeWritten();
    this.#discardLinks(links, edit.segmentsAdded);
    this.start();
    if (this.#log) this.#onFlushed();
  }

  /** What the table does not refer to has been overwritten: nobody will. */
  #discardLinks(links: ReadonlyMap<number, MemtableLink>, kept: readonly AddedSegment[] = []): void {
    const unused = [...links.values()].filter(({ segment }) => !kept.some((each) => each.segment === segment));
    if (unused.length > 0) this.#versions.discard([], unused);
  }

  /** The oldest segment that an unflushed record may be in. */
  #logFloor(log: EngineLog): number {
    const { firstSegment } = this.#memtables;
    if (firstSegment !== undefined) return firstSegment;
    this.#retireLog(log);
    return log.segment || this.#versions.nextFileId;
  }

  /** Everything in the log is in tables: the next opening has nothing to replay, and what holds no large values can go. */
  #retireLog(log: EngineLog): void {
    const closed = log.retire();
    if (closed) this.#versions.segmentClosed(closed.segment, closed.bytes);
  }
}

/** Links that the memtable's table refers to, as block files: each as large as one of the same values would be, so that garbage shows as it does there. */
function linksKept(links: ReadonlyMap<number, MemtableLink>, table: TableMeta | undefined): AddedSegment[] {
  const referred = new Set(table?.references.map(({ segment }) => segment));
  return [...links]
    .filter(([, { segment }]) => referred.has(segment))
    .map(([hostSegment, { segment, bytes, end }]) => ({ segment, bytes: BLOCK_HEADER_BYTES + bytes, link: { hostSegment, end } }));
}
