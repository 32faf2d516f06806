/** The figures of the engine (engine/engine-metrics.ts) as Prometheus has them: each under its own name there. */
import type { EngineMetrics } from '../../engine/index.ts';
import { byLabel, type Family, family, labelled } from './exposition.ts';

const P = 'sparrowkv_engine_';

export function engineFamilies(metrics: EngineMetrics): Family[] {
  return [
    ...writing(metrics),
    ...background(metrics),
    ...stored(metrics),
    ...caches(metrics),
    ...space(metrics),
    ...troubles(metrics),
    family(`${P}linear_memory_bytes`, 'Linear memory that is handed out: memtables, caches, indexes.', metrics.memory.linearBytes),
    family(`${P}linear_memory_limit_bytes`, 'Address space for linear memory.', metrics.memory.linearBytesMax),
  ];
}

function writing({ sequence, writes, reads, log, memtables, flushes, compactions, manifest }: EngineMetrics): Family[] {
  return [
    family(`${P}sequence`, 'Sequence number of the last write.', sequence),
    family(`${P}write_operations_total`, 'Puts and deletes, those of batches one by one.', writes.operations),
    family(`${P}user_bytes_total`, 'Bytes of keys and values that were written.', writes.userBytes),
    byLabel(`${P}written_bytes_total`, 'Bytes written to files.', 'to', {
      log: log.bytesWritten,
      flush: flushes.bytesWritten,
      compaction: compactions.bytesWritten,
      manifest: manifest.bytesWritten,
    }),
    family(`${P}write_amplification_ratio`, 'Bytes written to files for one byte of the users, since the start.', writes.amplification),
    family(`${P}gets_total`, 'Point reads.', reads.gets),
    family(`${P}page_reads_total`, 'Pages read from files.', reads.pageReads),
    family(`${P}log_segments`, 'Segments of the log.', log.segments),
    family(`${P}log_bytes`, 'Bytes of the log.', log.bytes),
    family(`${P}log_syncs_total`, 'Syncs of the log that calls waited for.', log.syncs),
    family(`${P}log_sync_calls_total`, 'Calls that waited for them.', log.syncCalls),
    family(`${P}memtable_bytes`, 'Bytes in memtables.', memtables.bytes),
    family(`${P}memtables_sealed`, 'Memtables that wait to be flushed.', memtables.sealed),
  ];
}

function background({ flushes, compactions, backgroundIo }: EngineMetrics): Family[] {
  const reasons = Object.entries(compactions.byReason);
  const each = (of: (work: (typeof reasons)[number][1]) => number): Record<string, number> =>
    Object.fromEntries(reasons.map(([reason, work]) => [reason, of(work)]));
  return [
    family(`${P}flushes_total`, 'Memtables that were flushed.', flushes.count),
    family(`${P}flush_seconds_total`, 'How long flushes took together.', flushes.ms / 1000),
    byLabel(
      `${P}compactions_total`,
      'Compactions, by reason.',
      'reason',
      each(({ count }) => count),
    ),
    byLabel(
      `${P}compaction_seconds_total`,
      'How long compactions took together.',
      'reason',
      each(({ ms }) => ms / 1000),
    ),
    byLabel(
      `${P}compaction_read_bytes_total`,
      'Bytes that compactions read.',
      'reason',
      each(({ bytesRead }) => bytesRead),
    ),
    byLabel(
      `${P}compaction_written_bytes_total`,
      'Bytes that compactions wrote.',
      'reason',
      each(({ bytesWritten }) => bytesWritten),
    ),
    byLabel(`${P}background_running`, 'Whether the work is under way.', 'work', {
      flush: Number(flushes.running),
      compaction: Number(compactions.running),
    }),
    byLabel(`${P}background_io_bytes_total`, 'Bytes that work behind has read and written.', 'work', { ...backgroundIo.bytesByKind }),
    family(`${P}tables_moved_total`, 'Tables that changed level without being rewritten.', compactions.moves),
    family(`${P}versions_dropped_total`, 'Entries that compactions dropped.', compactions.versionsDropped),
    family(`${P}compaction_debt_bytes`, 'Bytes that levels hold beyond their share.', compactions.debtBytes),
  ];
}

function stored({ tables, rangeTombstones, values, snapshots, keyspaces }: EngineMetrics): Family[] {
  const levels = tables.levels.map((level, i) => ({ labels: { level: String(i) }, level }));
  return [
    labelled(
      `${P}tables`,
      'Table files, by level.',
      levels.map(({ labels, level }) => ({ labels, value: level.tables })),
    ),
    labelled(
      `${P}table_bytes`,
      'Bytes of table files, by level.',
      levels.map(({ labels, level }) => ({ labels, value: level.bytes })),
    ),
    family(`${P}table_entries`, 'Versions of keys in tables, deletes included.', tables.entries),
    family(`${P}table_deletes`, 'Deletes in tables.', tables.deletes),
    family(`${P}range_tombstones`, 'Range tombstones that may still hide something.', rangeTombstones),
    family(`${P}block_files`, 'Files that large values rest in.', values.files),
    family(`${P}block_file_bytes`, 'Bytes of those files.', values.fileBytes),
    family(`${P}live_value_bytes`, 'Bytes of large values that tables refer to.', values.liveBytes),
    family(`${P}keyspaces`, 'Keyspaces besides the default one.', keyspaces),
    family(`${P}snapshots`, 'Snapshots and iterators that hold a point in time.', snapshots.count),
    family(`${P}oldest_snapshot_sequence`, 'The oldest sequence number that is held.', snapshots.oldestSequence),
    family(`${P}snapshot_pinned_bytes`, 'Bytes that tables keep for snapshots alone.', snapshots.pinnedBytes),
  ];
}

function caches({ indexes, pageCache, valueCache }: EngineMetrics): Family[] {
  return [
    family(`${P}index_bytes`, 'Bytes of indexes and filters that are in memory as a whole.', indexes.bytes),
    family(`${P}index_limit_bytes`, 'Bytes that they may take.', indexes.bytesMax),
    byLabel(`${P}index_tables`, 'Tables by where their index is.', 'index', { whole: indexes.wholeTables, paged: indexes.pagedTables }),
    byLabel(`${P}cache_bytes`, 'Bytes in a cache.', 'cache', { page: pageCache.bytes, value: valueCache.bytes }),
    byLabel(`${P}cache_limit_bytes`, 'Bytes that a cache may hold.', 'cache', { page: pageCache.bytesMax, value: valueCache.bytesMax }),
    byLabel(`${P}cache_hits_total`, 'What a cache had.', 'cache', { page: pageCache.hits, value: valueCache.hits }),
    byLabel(`${P}cache_misses_total`, 'What a cache had not.', 'cache', { page: pageCache.misses, value: valueCache.misses }),
  ];
}

function space({ space: { diskBytes, amplification, garbage, deleted, expired, filesRemoved, bytesRemoved } }: EngineMetrics): Family[] {
  const kinds = { garbage, deleted, expired };
  const each = (of: (kind: typeof garbage) => number | undefined): Record<string, number | undefined> =>
    Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, of(kind)]));
  return [
    family(`${P}disk_bytes`, 'Bytes of all files.', diskBytes),
    family(`${P}space_amplification_ratio`, 'Bytes of all files for one byte that can be seen.', amplification),
    byLabel(
      `${P}reclaimable_bytes`,
      'Bytes on the disk that nobody can see any more.',
      'kind',
      each(({ bytes }) => bytes),
    ),
    byLabel(
      `${P}reclaimable_due`,
      'Whether they come back without another write.',
      'kind',
      each(({ due }) => Number(due)),
    ),
    byLabel(
      `${P}reclaimable_seconds`,
      'In about how long, when due.',
      'kind',
      each(({ inMs }) => (inMs === undefined ? undefined : inMs / 1000)),
    ),
    family(`${P}files_removed_total`, 'Files that were removed.', filesRemoved),
    family(`${P}removed_bytes_total`, 'Bytes of files that were removed.', bytesRemoved),
  ];
}

function troubles({ stalls, diskFull, corruptions, failure, events }: EngineMetrics): Family[] {
  const reasons = Object.entries(stalls.byReason);
  return [
    byLabel(
      `${P}stalls_total`,
      'How often writers had to wait.',
      'reason',
      Object.fromEntries(reasons.map(([reason, { count }]) => [reason, count])),
    ),
    byLabel(
      `${P}stall_seconds_total`,
      'How long they waited.',
      'reason',
      Object.fromEntries(reasons.map(([reason, { ms }]) => [reason, ms / 1000])),
    ),
    family(`${P}stalled`, 'Whether writers wait now.', Number(stalls.now.length > 0)),
    family(`${P}disk_full_total`, 'How often the disk was full and had room again.', diskFull.count),
    family(`${P}disk_full_seconds_total`, 'How long it was.', diskFull.ms / 1000),
    family(`${P}disk_full`, 'Whether it is now.', Number(diskFull.now.length > 0)),
    family(`${P}corruptions_total`, 'How often bytes were met that are not what was written.', corruptions),
    family(`${P}failed`, 'Whether nothing can be written any more.', Number(failure !== undefined)),
    family(`${P}events_dropped_total`, 'Events that were lost because too many waited to be told.', events.dropped),
  ];
}
