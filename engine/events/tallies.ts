/** What the events of an engine add up to since it was opened. Read by its metrics; changed by Events alone. */
import { COMPACTION_REASONS, type CompactionReason } from '../compaction-reason.ts';
import { type DiskWork, type EngineEvent, STALL_REASONS, type StallReason } from './event.ts';

/** Work of one kind that was done. */
export interface Work {
  count: number;
  bytesRead: number;
  bytesWritten: number;
  /** How long it took, from its being asked for to its end, milliseconds. */
  ms: number;
}

export interface Waits {
  count: number;
  /** Of those that have ended, milliseconds. */
  ms: number;
}

export class Tallies {
  readonly flushes: Work = noWork();
  readonly compactions: ReadonlyMap<CompactionReason, Work> = new Map(COMPACTION_REASONS.map((reason) => [reason, noWork()]));
  versionsDropped = 0;
  valueBytesFreed = 0;
  tablesMoved = 0;
  tablesDropped = 0;
  filesRemoved = 0;
  bytesRemoved = 0;
  readonly stalls: ReadonlyMap<StallReason, Waits> = new Map(STALL_REASONS.map((reason) => [reason, noWaits()]));
  /** Part of the stalls: the caller's thread was held. */
  readonly blocking: Waits = noWaits();
  readonly stalled: Set<StallReason> = new Set();
  readonly diskFull: Waits = noWaits();
  readonly diskFullFor: Set<DiskWork> = new Set();
  corruptions = 0;
  writingFailed: string | undefined;
  checkpoints = 0;
  backups = 0;

  count(event: EngineEvent): void {
    switch (event.type) {
      case 'flush-ended':
        if (event.outcome === 'done') add(this.flushes, event, 0);
        return;
      case 'compaction-ended':
        if (event.outcome !== 'done') return;
        add(this.compactions.get(event.reason)!, event, event.bytesRead);
        this.versionsDropped += event.versionsDropped;
        this.valueBytesFreed += event.valueBytesFreed;
        return;
      case 'tables-moved':
        this.tablesMoved += event.tables.length;
        return;
      case 'tables-dropped':
        this.tablesDropped += event.tables.length;
        return;
      case 'files-removed':
        this.filesRemoved += event.tables.length + event.segments.length;
        this.bytesRemoved += event.bytes;
        return;
      case 'stall-begun':
        this.stalled.add(event.reason);
        return;
      case 'stall-ended':
        this.stalled.delete(event.reason);
        wait(this.stalls.get(event.reason)!, event.durationMs);
        if (event.blocking) wait(this.blocking, event.durationMs);
        return;
      case 'disk-full-begun':
        this.diskFullFor.add(event.work);
        return;
      case 'disk-full-ended':
        this.diskFullFor.delete(event.work);
        wait(this.diskFull, event.durationMs);
        return;
      case 'corruption':
        this.corruptions++;
        return;
      case 'writing-failed':
        this.writingFailed ??= event.message;
        return;
      case 'checkpoint-ended':
        if (event.done) this.checkpoints++;
        return;
      case 'backup-ended':
        if (event.done) this.backups++;
        return;
      case 'flush-begun':
      case 'made-durable':
      case 'compaction-begun':
      case 'checkpoint-begun':
      case 'backup-begun':
      case 'ingest-begun':
      case 'ingest-ended':
      case 'listener-failed':
    }
  }
}

function noWork(): Work {
  return { count: 0, bytesRead: 0, bytesWritten: 0, ms: 0 };
}

function noWaits(): Waits {
  return { count: 0, ms: 0 };
}

function add(work: Work, { durationMs, bytesWritten }: { durationMs: number; bytesWritten: number }, bytesRead: number): void {
  work.count++;
  work.bytesRead += bytesRead;
  work.bytesWritten += bytesWritten;
  work.ms += durationMs;
}

function wait(waits: Waits, ms: number): void {
  waits.count++;
  waits.ms += ms;
}
