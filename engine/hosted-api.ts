/**
 * An engine that has no log of its own: its host keeps a durable log, writes to the engine what stands in it, in order and by sequence number,
 * and after a crash writes again what the engine had not made durable. `open(path, settings, { hosted })`. For a replicated log, say: each value is
 * written to the disk once, by the log, however many engines a host has. Decided in docs/adr/0014-engines-under-a-log.md. Types only.
 */
import type { BatchOperation, BatchOptions, Engine, WriteResult } from './api.ts';
import type { ExpiryTime } from './expiry-time.ts';

/** What the engine asks of its host. */
export interface Hosted {
  /**
   * The path of segment `segment` of the host's log, a file on the file system of the engine's directory. The engine gives it another name (a hard link)
   * in its own directory when a batch first points into it, and reads values by that name. Bytes that batches have pointed to never change.
   */
  segmentPath(segment: number): string;
  /**
   * Settles when all bytes that batches have pointed to so far are on disk. Asked before the engine's manifest refers to any of them. A rejection stops the
   * engine from writing, unless its code is ENOSPC or DISK_FULL: then it is asked again. Left out: what batches point to is on disk before they come.
   */
  sync?(): Promise<void>;
  /**
   * `told`: what has expired is not for the clock to say, but for the host (`HostedEngine.expiry`), so that what it reads follows from the batches and the times that
   * it tells alone. Before it tells, nothing has expired. Left out: the clock says.
   */
  expiry?: 'told' | undefined;
}

/** Where a value's bytes lie in the host's log. */
export interface ValuePlace {
  /** The host's number of the segment, 1 to 2^32 - 1. Of one log a number is given to one segment, ever. */
  readonly segment: number;
  /** Of the value's first byte in the file; the value ends below 4 GiB. */
  readonly offset: number;
}

/**
 * As BatchOperation; a put may say where the host's log has its value. A value of at least `inlineThreshold` bytes then stays there and the engine keeps
 * a pointer; a smaller one is stored with its key, as every value is that has no place. One that fits no page (8,000 bytes with its key) needs a place:
 * `invalid/NO_PLACE`.
 */
export type HostedOperation =
  | Exclude<BatchOperation, { type: 'put' }>
  | (Extract<BatchOperation, { type: 'put' }> & { at?: ValuePlace | undefined });

/** `sequence` is required of every write: `invalid/SEQUENCE`. `durability` is not chosen: `invalid/OPTION_HOSTED`. */
export type HostedBatchOptions = Omit<BatchOptions, 'durability' | 'sequence'> & { sequence: number };

/** A segment of the host's log that files of the engine lead into. */
export interface HostSegment {
  /**
   * The host's number. 0 stands for all that have none here: files of a copy (checkpoint, restore), which is under no host's log or under another one's; and
   * those of a repaired store, whose manifest was lost, and with it the numbers.
   */
  readonly segment: number;
  /** Where the last of the values ends: a copy takes that much of the file. Of segment 0, of all its files together. */
  readonly end: number;
  /** Of values that the engine has pointed to there, and of those that it still does. */
  readonly bytes: number;
  readonly liveBytes: number;
}

/** A table as its file says it, of the default keyspace: where keys are, and how much, without reading any. */
export interface TableSpan {
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
  /** Of its file, and of large values that it refers to. */
  readonly bytes: number;
  /** Versions of keys, deletes included. */
  readonly entries: number;
}

/**
 * An engine under a host's log. What differs from other engines:
 *
 * - Writes settle at once, or when the background has caught up; they are in memory until a flush brings them to tables.
 * - `sequence`, when it is opened, is that of the last batch that is in tables: the host writes those behind it again. The same batches by the same
 *   sequence numbers make the same content, if the host stamps what expires (`expiresAtMs`), and says
 *   what has (`Hosted.expiry`).
 * - `flush` and `sync` are one. `checkpoint` and `backup` flush before they begin.
 * - Batches without operations count: `durableSequence` passes them with the next flush.
 */
export interface HostedEngine extends Engine {
  /**
   * Everything up to this sequence number is in tables, and on disk: the host may forget its log up to it. The event `made-durable` tells when it has
   * moved. Asked for the first time since opening it may sync the manifest, on the caller's thread.
   */
  readonly durableSequence: number;
  /** By which reads and the background know what has expired. */
  readonly expiry: ExpiryTime;
  /** From this size on a value stays where the host's log has it, if the put says where; of the default keyspace. */
  readonly inlineThreshold: number;
  write(batch: readonly HostedOperation[], options: HostedBatchOptions): Promise<WriteResult>;
  /**
   * As `write` with this sequence number; done when it returns, throws what `write` rejects with. A promise, which does not reject: the background is behind, and
   * whoever writes waits for it before the next batch.
   */
  writeNow(batch: readonly HostedOperation[], sequence: number): Promise<void> | undefined;
  /** Segments of the host's log that files of the engine lead into, oldest first. */
  hostSegments(): HostSegment[];
  /** All tables of the default keyspace, in no order. What is in memory is in none. */
  tableSpans(): TableSpan[];
  /**
   * Moves every value that lies in the host's segment, or in any of several, to files of the engine's own, and gives up its names for them: so that old
   * segments of the log can be freed. Flushes before. Settles when all that is on disk; names that a checkpoint or backup under way still needs go after it.
   * Each table that refers to any of them is rewritten once. `exhausted/DISK_FULL` when that cannot be now.
   */
  relocate(segments: number | readonly number[]): Promise<void>;
}
