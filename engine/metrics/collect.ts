/** Asks the parts of an engine for its figures. */
import type { Clock, FileSystem } from '../../base/env.ts';
import type { ColdReads } from '../cold-reads/index.ts';
import { levelBytesMax } from '../compaction/index.ts';
import { COMPACTION_REASONS } from '../compaction-reason.ts';
import { type Events, STALL_REASONS, type Tallies } from '../events/index.ts';
import { IO_KINDS } from '../io-kind.ts';
import { shownSettings } from '../keyspace-settings.ts';
import type { EngineLog } from '../log/index.ts';
import type { Maintenance } from '../maintenance/index.ts';
import type { Manifest, Version } from '../manifest/index.ts';
import type { Reader } from '../reader.ts';
import type { SharedResources } from '../resources.ts';
import type { EngineSettings } from '../settings.ts';
import type { Snapshots } from '../snapshots.ts';
import type { ValueFiles } from '../value-files.ts';
import type { EngineWriter } from '../writer.ts';
import type { CacheMetrics, EngineMetrics, LevelMetrics, WorkMetrics } from '../engine-metrics.ts';
import { compactionDebt, reclaimable } from './reclaimable.ts';

export interface MetricsSources {
  readonly settings: Readonly<EngineSettings>;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  /** By the monotonic clock. */
  readonly openedMs: number;
  readonly resources: SharedResources;
  readonly log: EngineLog;
  readonly manifest: Manifest;
  readonly writer: EngineWriter;
  readonly reader: Reader;
  readonly coldReads: ColdReads;
  readonly values: ValueFiles;
  readonly maintenance: Maintenance;
  readonly snapshots: Snapshots;
  readonly events: Events;
}

export function collectMetrics(sources: MetricsSources): EngineMetrics {
  const { settings, fileSystem, clock, openedMs, resources, log, manifest, writer, reader, maintenance, snapshots, events } = sources;
  const { tallies } = events;
  const { version } = maintenance;
  const tables = tablesOf(version, settings);
  const logBytes = sum(maintenance.closedSegments.values()) + log.nextOffset;
  const fileBytes = sum([...version.segments.values()].map(({ bytes }) => bytes));
  const liveBytes = sum(version.referencedBytes.values());
  const diskBytes = logBytes + fileBytes + tables.bytes + manifest.bytes;
  const flushes = { ...tallies.flushes, running: maintenance.flushing };
  const compactions = compactionsOf(tallies, tables.levels, settings, maintenance.compacting);
  const { garbage, deleted, expired } = reclaimable(version, settings, {
    oldestSnapshot: snapshots.oldest ?? Infinity,
    nowMs: clock.wallMs(),
    debtBytes: compactions.debtBytes,
    compactionBytesPerMs: speedOf(compactions),
  });
  const seenBytes = tables.bytes + liveBytes + maintenance.memtableBytes - deleted.bytes - expired.bytes;
  const written = log.bytesWritten + flushes.bytesWritten + compactions.bytesWritten + manifest.bytesWritten;
  return {
    uptimeMs: clock.monotonicMs() - openedMs,
    sequence: writer.sequence,
    keyspaces: version.keyspaces.size,
    keyspaceSettings: settingsOf(version),
    failure: log.failure?.message ?? maintenance.failure?.message,
    writes: { operations: writer.puts, userBytes: writer.userBytes, amplification: ratio(written, writer.userBytes) },
    reads: { gets: reader.gets, pageReads: reader.pageReads, awayReads: sources.coldReads.count },
    log: {
      segments: maintenance.closedSegments.size + (log.segment === 0 ? 0 : 1),
      bytes: logBytes,
      pendingBytes: log.pendingBytes,
      bytesWritten: log.bytesWritten,
      ...log.syncs,
    },
    memtables: {
      bytes: maintenance.memtableBytes,
      valueBytes: maintenance.memtableValueBytes,
      ...maintenance.memtableCounts,
      sealed: maintenance.sealedCount,
      bytesMax: settings.memtableBytes,
    },
    flushes,
    compactions,
    tables,
    rangeTombstones: version.rangeTombstones.length + maintenance.memtableRangeTombstones,
    manifest: { bytes: manifest.bytes, bytesWritten: manifest.bytesWritten },
    indexes: indexesOf(resources),
    pageCache: pageCacheOf(resources),
    valueCache: valueCacheOf(sources.values, resources),
    values: { files: version.segments.size, fileBytes, liveBytes },
    space: {
      diskBytes,
      amplification: ratio(diskBytes, Math.max(0, seenBytes)),
      garbage,
      deleted,
      expired,
      filesRemoved: tallies.filesRemoved,
      bytesRemoved: tallies.bytesRemoved,
    },
    snapshots: {
      count: snapshots.count,
      iterators: snapshots.iterators,
      oldestSequence: snapshots.oldest,
      pinnedBytes: maintenance.pinnedBytes(),
    },
    stalls: stallsOf(tallies),
    diskFull: { ...tallies.diskFull, now: [...tallies.diskFullFor] },
    backgroundIo: {
      bytesByKind: recordOf(IO_KINDS, (kind) => resources.ioBudget.spentOn(kind)),
      bytesPerSec: resources.ioBudget.rate,
    },
    corruptions: tallies.corruptions,
    checkpoints: tallies.checkpoints,
    backups: tallies.backups,
    events: { dropped: events.dropped, listenerFailures: events.failures },
    memory: { linearBytes: resources.memory.usedBytes, linearBytesMax: resources.memory.bytes, fileBytes: fileSystem.heldBytes ?? 0 },
  };
}

function settingsOf({ keyspaces }: Version): EngineMetrics['keyspaceSettings'] {
  const own = [...keyspaces.values()].filter(({ settings }) => Object.keys(settings).length > 0);
  return Object.fromEntries(own.map(({ name, settings }) => [name, shownSettings(settings)]));
}

function tablesOf(version: Version, settings: EngineSettings): EngineMetrics['tables'] {
  const last = version.levels.length - 1;
  const used = version.levels.findLastIndex((tables) => tables.length > 0);
  const levels: LevelMetrics[] = version.levels.slice(0, used + 1).map((tables, level) => ({
    tables: tables.length,
    bytes: sum(tables.map(({ bytes }) => bytes)),
    bytesMax: level === 0 || level === last ? undefined : levelBytesMax(level, settings),
  }));
  const tables = version.levels.flat();
  return {
    count: tables.length,
    bytes: sum(levels.map(({ bytes }) => bytes)),
    entries: sum(tables.map(({ entries }) => entries)),
    deletes: sum(tables.map(({ tombstones }) => tombstones)),
    levels,
  };
}

function compactionsOf(
  tallies: Tallies,
  levels: readonly LevelMetrics[],
  settings: EngineSettings,
  running: boolean,
): EngineMetrics['compactions'] {
  const all = [...tallies.compactions.values()];
  return {
    count: sum(all.map(({ count }) => count)),
    bytesRead: sum(all.map(({ bytesRead }) => bytesRead)),
    bytesWritten: sum(all.map(({ bytesWritten }) => bytesWritten)),
    ms: sum(all.map(({ ms }) => ms)),
    running,
    byReason: recordOf(COMPACTION_REASONS, (reason) => ({ ...tallies.compactions.get(reason)! })),
    moves: tallies.tablesMoved,
    versionsDropped: tallies.versionsDropped,
    debtBytes: compactionDebt(levels, settings.level0Compact),
  };
}

/** Bytes that a millisecond of compacting has read and written. */
function speedOf({ bytesRead, bytesWritten, ms }: WorkMetrics): number | undefined {
  return ratio(bytesRead + bytesWritten, ms);
}

function stallsOf(tallies: Tallies): EngineMetrics['stalls'] {
  const all = [...tallies.stalls.values()];
  return {
    count: sum(all.map(({ count }) => count)),
    ms: sum(all.map(({ ms }) => ms)),
    now: [...tallies.stalled],
    byReason: recordOf(STALL_REASONS, (reason) => ({ ...tallies.stalls.get(reason)! })),
    blocking: { ...tallies.blocking },
  };
}

function indexesOf({ indexBudget }: SharedResources): EngineMetrics['indexes'] {
  const { bytes, bytesMax, wholeTables, pagedTables } = indexBudget;
  return { bytes, bytesMax, wholeTables, pagedTables };
}

function pageCacheOf({ pageCache, settings }: SharedResources): CacheMetrics {
  const { uses, loads } = pageCache.stats();
  // A page that was loaded is used next.
  return cacheOf(pageCache.usedBytes, settings.pageCacheBytes, Math.max(0, uses - loads), loads);
}

function valueCacheOf(values: ValueFiles, { valueCache, settings }: SharedResources): CacheMetrics {
  return cacheOf(valueCache.usedBytes, settings.valueCacheBytes, values.hits, values.misses);
}

function cacheOf(bytes: number, bytesMax: number, hits: number, misses: number): CacheMetrics {
  return { bytes, bytesMax, hits, misses, hitRate: ratio(hits, hits + misses) };
}

function recordOf<K extends string, T>(keys: readonly K[], of: (key: K) => T): Record<K, T> {
  return Object.fromEntries(keys.map((key) => [key, of(key)])) as Record<K, T>;
}

function ratio(part: number, whole: number): number | undefined {
  return whole > 0 ? part / whole : undefined;
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
