/**
 * The log of a node: one for all groups, so that one sync serves all of them.
 *
 * Opening reads every segment once (recovery.ts), cuts a torn end off, and writes again what may be in the system's cache only. What it finds of a
 * group is `group(id).contents()`; damage is there for the group that it concerns, and in `damage` as files and offsets.
 *
 * Called by whoever hosts replicas. Calls recovery.ts, log-writer.ts, group-log.ts.
 */
import { assert } from '../../../base/assert.ts';
import type { Clock, FileSystem, File, Random, Scheduler } from '../../../base/env.ts';
import type { SparrowError } from '../../../base/errors.ts';
import { EntryCache } from './entry-cache.ts';
import { GroupLog } from './group-log.ts';
import { GroupState } from './group-state.ts';
import { type Hash64, SEGMENT_HEADER_BYTES } from './log-format.ts';
import { LogWriter } from './log-writer.ts';
import { type LogDamage, type RecoveredLog, recoverLog } from './recovery.ts';
import { SegmentFiles } from './segment-files.ts';

export interface NodeLogOptions {
  fileSystem: FileSystem;
  directory: string;
  hash: Hash64;
  clock: Pick<Clock, 'monotonicMs'>;
  scheduler: Scheduler;
  /** For the salt of a new log. */
  random: Random;
  /** A segment takes no new batch once it is this large. */
  segmentBytes: number;
  /** Entries that were appended last stay in memory, up to so many bytes over all groups. */
  cacheBytes: number;
}

export interface NodeLogStats {
  segments: number;
  bytes: number;
  /** Batches made durable, and bytes written in them. */
  syncs: number;
  bytesWritten: number;
  groups: number;
  /** Memory of what is known of every entry, and of entries in the cache. */
  indexBytes: number;
  cacheBytes: number;
}

export class NodeLog {
  /** Places that did not hold what they held when the log was opened. */
  readonly damage: readonly LogDamage[];
  readonly #groups: Map<number, GroupState>;
  readonly #logs: Map<number, GroupLog> = new Map();
  readonly #segments: SegmentFiles;
  readonly #cache: EntryCache;
  readonly #writer: LogWriter;
  /** Damage may have taken all that there was of a group. */
  readonly #unlisted: boolean;
  readonly #segmentBytes: number;
  readonly #fullListeners: Set<(full: boolean) => void> = new Set();

  /** Throws `corrupt/CORRUPT_RAFT_LOG` when nothing of the log can be read, and `invalid/FORMAT_NEWER`. */
  static open(options: NodeLogOptions): NodeLog {
    const { fileSystem, directory } = options;
    fileSystem.makeDirectorySync(directory);
    return new NodeLog(options, recoverLog(options));
  }

  private constructor(options: NodeLogOptions, recovered: RecoveredLog) {
    const { groups, frames, damage, lastDamaged, unlisted } = recovered;
    this.damage = damage;
    this.#unlisted = unlisted;
    this.#groups = groups;
    this.#segments = new SegmentFiles(options, recovered.salt ?? drawSalt(options.random), recovered.segments);
    this.#cache = new EntryCache(options.cacheBytes);
    const file = this.#openLast(options, recovered);
    if (lastDamaged) file?.closeSync();
    const last = this.#segments.last;
    const { clock, scheduler, segmentBytes } = options;
    this.#segmentBytes = segmentBytes;
    const parts = {
      segments: this.#segments,
      groups,
      cache: this.#cache,
      clock,
      scheduler,
      segmentBytes,
      onFull: (full: boolean) => this.#tellFull(full),
    };
    this.#writer = new LogWriter(parts, {
      frames,
      current: file === undefined || lastDamaged ? undefined : { file, bytes: last!.bytes },
      nextSegment: (last?.number ?? 0) + 1,
    });
  }

  /** Why nothing can be appended any more. */
  get failure(): SparrowError | undefined {
    return this.#writer.failure;
  }

  /** The disk is full: what is appended does not settle until there is room. Whoever takes writes in should refuse them. */
  get full(): boolean {
    return this.#writer.full;
  }

  /** Calls `listener` when the disk becomes full and when there is room again. Returns what takes it off. */
  onFull(listener: (full: boolean) => void): () => void {
    this.#fullListeners.add(listener);
    return () => this.#fullListeners.delete(listener);
  }

  /** Groups of which the log has something. */
  get groups(): number[] {
    return [...this.#groups.keys()].sort((a, b) => a - b);
  }

  /** The log of a group, new when there is none. After damage, all groups that there should be are asked for before anything is appended. */
  group(id: number): GroupLog {
    assert(Number.isInteger(id) && id > 0 && id < 2 ** 32, 'the id of a group is an integer from 1 to 2^32 - 1');
    let state = this.#groups.get(id);
    if (state === undefined) {
      state = new GroupState(id);
      state.endLost = this.#unlisted;
      this.#groups.set(id, state);
    }
    let log = this.#logs.get(id);
    if (log?.isOf(state) !== true) this.#logs.set(id, (log = new GroupLog(state, this.#writer, this.#segments, this.#cache)));
    return log;
  }

  /** Whether a replica of the group was destroyed here once (GroupLog.retire). */
  isRetired(group: number): boolean {
    return this.#groups.get(group)?.retired === true;
  }

  /** The file of a segment that holds an entry. It may be linked; it is not written over then. */
  segmentPath(segment: number): string {
    return this.#segments.path(segment);
  }

  /** Of its segments, about. */
  get bytes(): number {
    return this.#segments.bytes;
  }

  /** Counts what was written to it. */
  get bytesWritten(): number {
    return this.#writer.bytesWritten;
  }

  /** Segments before it are in the log no more; somebody may have them under another name. */
  get oldestSegment(): number {
    return this.#segments.oldest;
  }

  /** At which a segment takes no more: what most are about as large as. */
  get segmentBytes(): number {
    return this.#segmentBytes;
  }

  /** Who keeps the oldest segment from being removed: groups that hold an entry of it. Undefined when only one segment is left. */
  oldest(): { segment: number; groups: number[] } | undefined {
    if (this.#segments.count < 2) return undefined;
    const segment = this.#segments.oldest;
    const holders = [...this.#groups.values()].filter((state) => state.oldestSegment() <= segment);
    return { segment, groups: holders.map(({ id }) => id) };
  }

  /** How long syncs take: the mean of the last so many milliseconds, or what the one under way takes already; undefined: there were none. */
  syncMs(withinMs: number): number | undefined {
    return this.#writer.syncMs(withinMs);
  }

  stats(): NodeLogStats {
    let indexBytes = 0;
    for (const { heldBytes } of this.#groups.values()) indexBytes += heldBytes;
    return {
      segments: this.#segments.count,
      bytes: this.#segments.bytes,
      syncs: this.#writer.syncs,
      bytesWritten: this.#writer.bytesWritten,
      groups: this.#groups.size,
      indexBytes,
      cacheBytes: this.#cache.bytes,
    };
  }

  /** Waits for what was appended; on a full disk what waits is rejected with `exhausted/DISK_FULL`. Idempotent. */
  close(): Promise<void> {
    return this.#writer.close();
  }

  /** Stops at once: what is being written may or may not be durable. */
  abort(): void {
    this.#writer.abort();
  }

  /**
   * What was found in the last segment may be in the system's cache only: the process before this one died before its sync, or the sync failed,
   * after which the system calls the pages clean and no later sync writes them. It is written again before anything is built upon it.
   * Frames behind a torn one may have reached the disk: left there, they could come back to life behind a new one.
   */
  #openLast({ fileSystem, directory }: NodeLogOptions, { synced }: RecoveredLog): File | undefined {
    const last = this.#segments.last;
    if (last === undefined) return undefined;
    const file = fileSystem.openSync(this.#segments.path(last.number), 'write');
    try {
      if (file.sizeSync() > last.bytes) file.truncateSync(last.bytes);
      const from = synced === SEGMENT_HEADER_BYTES ? 0 : synced;
      const found = Buffer.allocUnsafe(Math.max(0, last.bytes - from));
      const read = file.readSync(found, 0, found.length, from);
      assert(read === found.length, 'what was recovered is there');
      file.writeSync(found, 0, found.length, from);
      file.datasyncSync();
      fileSystem.syncDirectorySync(directory);
      return file;
    } catch (error) {
      file.closeSync();
      throw error;
    }
  }

  #tellFull(full: boolean): void {
    for (const listener of [...this.#fullListeners]) listener(full);
  }
}

function drawSalt(random: Random): bigint {
  return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
}
