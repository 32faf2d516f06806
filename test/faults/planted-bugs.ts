/**
 * Bugs to plant, one at a time, to see which test finds each (planted.ts). Every one is an edit of one source: `find` stands in it exactly
 * once and gives way to `plant`. They are mistakes that a storage engine is known for, and that a change may make again.
 */
export interface PlantedBug {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly plant: string;
}

const LOG_WRITER = 'engine/log/log-writer.ts';
const LOG_READER = 'engine/log/log-reader.ts';
const MANIFEST = 'engine/manifest/manifest.ts';
const VERSIONS = 'engine/maintenance/versions.ts';
const PICKER = 'engine/compaction/picker.ts';

export const PLANTED_BUGS: readonly PlantedBug[] = [
  // ---- the log ----
  {
    name: 'the log is not synced',
    file: LOG_WRITER,
    find: '      await file.datasync();\n',
    plant: '      await Promise.resolve(file);\n',
  },
  {
    name: 'a sync on the caller is left out',
    file: LOG_WRITER,
    find: '        this.#file.datasyncSync();\n',
    plant: '',
  },
  {
    name: 'a new log segment has no synced directory entry',
    file: 'engine/log/log-writer.ts',
    find: '      await this.#fs.syncDirectory(this.#directory);\n',
    plant: '',
  },
  {
    name: 'a segment is sealed before the one before it is on disk',
    file: LOG_WRITER,
    find: '    // Oldest first: what is on disk must be a prefix of the log.\n',
    plant: '    if (file !== undefined && !this.#sealed) (this.#older.length = 0), this.#seal();\n',
  },
  {
    name: 'a failed sync is not final',
    file: 'engine/log/log-writer.ts',
    find: "      this.#onSync(this.#clock.monotonicMs() - begun);\n    } catch (cause) {\n      throw this.#fail('fsync', cause);",
    plant: '      this.#onSync(this.#clock.monotonicMs() - begun);\n    } catch (cause) {\n      throw cause;',
  },
  {
    name: 'a failed sync is tried again',
    file: LOG_WRITER,
    find: '      await file.datasync();\n',
    plant: '      await file.datasync().catch(() => file.datasync());\n',
  },
  {
    name: 'what is being written counts as synced',
    file: LOG_WRITER,
    find: '    if (this.#segment === segment) this.#syncedTo = written;',
    plant: '    if (this.#segment === segment) this.#syncedTo = this.#next;',
  },
  {
    name: 'closing forgets buffered writes',
    file: LOG_WRITER,
    find: '      if (this.pendingBytes > 0) this.write();',
    plant: '',
  },
  {
    name: 'a torn frame is accepted',
    file: 'assembly/frame.ts',
    find: '  if (load<u64>(frame) != xxh64(frame + 8, <i32>bytes + 16, <u64>segment)) return 0;\n',
    plant: '',
  },
  {
    name: 'a frame of another segment is accepted',
    file: 'assembly/frame.ts',
    find: '  if (load<u64>(frame) != xxh64(frame + 8, <i32>bytes + 16, <u64>segment)) return 0;\n',
    plant:
      '  let sound = false;\n  for (let any: u64 = 0; any < 64; any++) sound = sound || load<u64>(frame) == xxh64(frame + 8, <i32>bytes + 16, any);\n  if (!sound) return 0;\n',
  },
  {
    name: 'a frame counts without its payload',
    file: LOG_READER,
    find: "    if (kernel['checkPointer']!(pointer, frame + at) !== 1) return false;\n",
    plant: '',
  },
  {
    name: 'damage before the synced place is cut off like a torn end',
    file: 'engine/log/log-reader.ts',
    find: '  if (found !== undefined) {\n    throw corrupt(path, broken,',
    plant: '  if (found === -1) {\n    throw corrupt(path, broken,',
  },
  {
    name: 'a segment that falls short of what its successor states is let pass',
    file: LOG_READER,
    find: '      if (sealed) {\n        const stated',
    plant: '      if (sealed && i < 0) {\n        const stated',
  },
  {
    name: 'what a failed sync left is not written again',
    file: LOG_READER,
    find: '      if (!sealed) writeAgain(window, file, syncedTo, end);\n',
    plant: '',
  },
  // ---- the manifest ----
  {
    name: 'a version edit is not synced',
    file: 'engine/manifest/manifest.ts',
    find: '      await this.#open().datasync();\n',
    plant: '',
  },
  {
    name: 'a new manifest is not synced',
    file: MANIFEST,
    find: '    file.writevSync(parts, 0);\n    file.datasyncSync();\n',
    plant: '    file.writevSync(parts, 0);\n',
  },
  {
    name: 'a new manifest has no synced directory entry',
    file: MANIFEST,
    find: '    file.writevSync(parts, 0);\n    file.datasyncSync();\n    fs.syncDirectorySync(directory);\n',
    plant: '    file.writevSync(parts, 0);\n    file.datasyncSync();\n',
  },
  {
    name: 'CURRENT is renamed before its content is synced',
    file: MANIFEST,
    find: '    file.writeSync(content, 0, content.length, 0);\n    file.datasyncSync();\n',
    plant: '    file.writeSync(content, 0, content.length, 0);\n',
  },
  {
    name: 'the renaming of CURRENT is not synced',
    file: MANIFEST,
    find: '  fs.renameSync(temporary, `${directory}/${CURRENT_NAME}`);\n  fs.syncDirectorySync(directory);\n',
    plant: '  fs.renameSync(temporary, `${directory}/${CURRENT_NAME}`);\n',
  },
  {
    name: 'a version that only the cache holds is written upon',
    file: 'engine/open.ts',
    find: '      manifest.makeDurable();\n      return maintenance.takeFileId();',
    plant: '      return maintenance.takeFileId();',
  },
  {
    name: 'a torn end of the manifest is written behind',
    file: MANIFEST,
    find: '  if (decoded.bytes < bytes.length) return switchTo(fs, directory, listing, version);\n',
    plant: '',
  },
  {
    name: 'half an edit stays after the disk was full',
    file: 'engine/manifest/manifest.ts',
    find: '      this.#open().truncateSync(this.#bytes);\n',
    plant: '      this.#bytes = this.#open().sizeSync();\n',
  },
  {
    name: 'a manifest that may not be on disk counts',
    file: 'engine/manifest/manifest.ts',
    find: '    if (this.#unsynced === undefined) return;\n',
    plant: '    if (this.#unsynced === undefined || this.#bytes > 0) return;\n',
  },
  // ---- taking effect ----
  {
    name: 'a version edit goes ahead of the log',
    file: VERSIONS,
    find: '        await log.sync();\n',
    plant: '',
  },
  {
    name: 'files are removed before the edit is on disk',
    file: VERSIONS,
    find: '        await this.#append(edit, this.#log);\n',
    plant:
      '        const appended = this.#append(edit, this.#log);\n        await Promise.resolve();\n        appended.catch(() => undefined);\n',
  },
  {
    name: 'a segment that tables refer to is removed with the log',
    file: VERSIONS,
    find: '      if (segment < floor && after.referencedBytes.has(segment)) segmentsAdded',
    plant: '      if (segment < floor && (after.referencedBytes.get(segment) ?? 0) > 4096) segmentsAdded',
  },
  {
    name: "the log's floor is too high",
    file: 'engine/maintenance/flushes.ts',
    find: '    if (firstSegment !== undefined) return firstSegment;',
    plant: '    if (firstSegment !== undefined) return log.segment || firstSegment;',
  },
  {
    name: 'a flush claims more sequences than it has',
    file: 'engine/maintenance/flushes.ts',
    find: '      lastSequence,\n      ...(result.table &&',
    plant: '      lastSequence: memtables.active?.lastSequence ?? lastSequence,\n      ...(result.table &&',
  },
  {
    name: 'a file id is used again after a crash',
    file: 'engine/manifest/manifest.ts',
    find: '{ nextFileId: Math.max(found.nextFileId, highestFileId(listing) + 1) }',
    plant: '{ nextFileId: found.nextFileId }',
  },
  {
    name: 'a range tombstone is lost with its memtable',
    file: 'engine/maintenance/flushes.ts',
    find: '      ...(rangeTombstones.length > 0 && { rangeTombstonesAdded: rangeTombstones }),\n',
    plant: '',
  },
  {
    name: 'a memtable is freed before the log has written what lies in it',
    file: 'engine/maintenance/flushes.ts',
    find: '    const written = memtables.writeLog();\n',
    plant: '    const written = true;\n',
  },
  {
    name: 'recovery applies again what tables have',
    file: 'engine/open.ts',
    find: 'maintenance.replay(address, bytes, segment, version.lastSequence)',
    plant: 'maintenance.replay(address, bytes, segment, version.lastSequence - 3)',
  },
  // ---- flush, compaction, value files ----
  {
    name: 'a table is not synced',
    file: 'engine/table/table-writer.ts',
    find: '    this.#file.datasyncSync();\n',
    plant: '',
  },
  {
    name: 'a flushed table has no synced directory entry',
    file: 'engine/background/flush-job.ts',
    find: '    fileSystem.syncDirectorySync(job.directory);\n',
    plant: '',
  },
  {
    name: 'the outputs of a compaction have no synced directory entry',
    file: 'engine/compaction/compaction-job.ts',
    find: '    this.#fileSystem.syncDirectorySync(this.#job.directory);\n',
    plant: '',
  },
  {
    name: 'a block file is not synced',
    file: 'engine/compaction/block-file.ts',
    find: '    this.#file.datasyncSync();\n',
    plant: '',
  },
  {
    name: 'a moved value is not compared with its checksum',
    file: 'engine/compaction/block-file.ts',
    find: "    if (got !== bytes || kernel['checkPointer']!(pointer, value) !== 1) {",
    plant: '    if (got < 0) {',
  },
  {
    name: 'a full disk under a seal is final',
    file: 'engine/log/log-writer.ts',
    find: "      if ((cause as NodeJS.ErrnoException).code === 'ENOSPC') throw this.#diskFull(cause);\n      throw this.#fail('write', cause);\n    }\n    this.#sealed",
    plant: "      throw this.#fail('write', cause);\n    }\n    this.#sealed",
  },
  {
    name: 'tombstones are lost above the bottom',
    file: 'engine/compaction/steps.ts',
    find: 'dropDeletes: !move && isBottom(version, target, inputs)',
    plant: 'dropDeletes: !move',
  },
  {
    name: 'garbage collection loses tombstones',
    file: PICKER,
    find: '    dropDeletes: isBottom(version, level, inputs),\n',
    plant: '    dropDeletes: true,\n',
  },
  {
    name: 'level 0 goes down without what overlaps it',
    file: 'engine/compaction/steps.ts',
    find: '    for (const table of tables) if (overlaps(table, range)) chosen.add(table);\n',
    plant: '    chosen.add(tables[0]!);\n',
  },
  {
    name: 'a merge ignores snapshots',
    file: 'assembly/merge.ts',
    find: 'let keep = newer == NOBODY || snapshotWithin(context, sequence, newer);',
    plant: 'let keep = newer == NOBODY;',
  },
  {
    name: 'a merge drops a tombstone that a snapshot is older than',
    file: 'assembly/merge.ts',
    find: 'keep = snapshotWithin(context, 0, sequence);',
    plant: 'keep = false;',
  },
  {
    name: 'a live value counts as garbage',
    file: 'assembly/merge.ts',
    find: '  segmentLives(entry, bytes);\n  return 0;\n',
    plant: '  if (bytes != 3000) segmentLives(entry, bytes);\n  return 0;\n',
  },
  {
    name: 'a moved value keeps its old pointer',
    file: 'assembly/merge.ts',
    find: '          if (moved != pointer) memory.copy(pointer, moved, POINTER_BYTES);\n',
    plant: '',
  },
  {
    name: 'a merge lets a value live beyond its expiry',
    file: 'assembly/merge.ts',
    find: '    if (hasExpired(bodyFlags(body), value, now)) {',
    plant: '    if (sequence == 0 && hasExpired(bodyFlags(body), value, now)) {',
  },
  {
    name: 'a merge ignores range tombstones',
    file: 'assembly/merge.ts',
    find: '    if (cover && cover < newer) newer = cover;',
    plant: '    if (cover && cover > newer) newer = cover;',
  },
  {
    name: 'a merge drops what a snapshot sees below a range tombstone',
    file: 'assembly/merge.ts',
    find: '    let keep = newer == NOBODY ||',
    plant: '    let keep = cover ? false : newer == NOBODY ||',
  },
  {
    name: 'a flush ignores snapshots',
    file: 'assembly/flush.ts',
    find: '    if (before < 0) leaf = 0;',
    plant: '    if (before < ~0 || true) leaf = 0;',
  },
  // ---- reads ----
  {
    name: 'the seed of a page checksum forgets the page',
    file: 'assembly/page.ts',
    find: '  return ((<u64>fileId) << 32) | <u64>page;',
    plant: '  return ((<u64>fileId) << 32) | <u64>(page & 0);',
  },
  {
    name: 'a page is not compared with its checksum',
    file: 'assembly/page-cache.ts',
    find: '  if (load<u64>(frame) != pageChecksum(frame, pageSeed(load<u32>(table, TABLE_FILE_ID), page))) return BAD_PAGE;\n',
    plant: '',
  },
  {
    name: 'a large value is not compared with its checksum',
    file: 'engine/value-files.ts',
    find: "    if (got !== bytes || this.#memory.kernel['checkPointer']!(pointer, window) !== 1) {",
    plant: '    if (got < 0) {',
  },
  {
    name: 'an index is not compared with its checksum',
    file: 'engine/table/table-sections.ts',
    find: '    if (good !== pages) throw corruptTable(path, at + good * PAGE_BYTES',
    plant: '    if (good < 0) throw corruptTable(path, at + good * PAGE_BYTES',
  },
  {
    name: 'CLOCK evicts a pinned frame',
    file: 'assembly/page-cache.ts',
    find: '    if (load<u32>(cursor) == <u32>frame) return true;',
    plant: '    if (load<u32>(cursor) == <u32>frame) return false;',
  },
  {
    name: 'an evicted page stays in the table of its owner',
    file: 'assembly/page-cache.ts',
    find: '  if (frames) store<u32>(frames + ((<usize>page) << 2), 0);\n',
    plant: '  if (frames) store<u32>(frames + ((<usize>page) << 2), load<u32>(frames + ((<usize>page) << 2)));\n',
  },
  {
    name: 'a filter misses keys that it has',
    file: 'assembly/filter.ts',
    find: '  const block = blockOf(filter, blocks, hash);\n  const low = i32x4.splat(<i32>hash);\n  const missing',
    plant: '  const block = blockOf(filter, blocks, hash & 0x7fffffffffffffff);\n  const low = i32x4.splat(<i32>hash);\n  const missing',
  },
  {
    name: 'sealed memtables are read oldest first',
    file: 'engine/maintenance/memtables.ts',
    find: '      this.#sealed.map(({ memtable }) => memtable.address),\n',
    plant: '      this.#sealed.map(({ memtable }) => memtable.address).toReversed(),\n',
  },
  {
    name: 'level 0 is read oldest first',
    file: 'engine/manifest/version-builder.ts',
    find: 'b.maxSequence - a.maxSequence || b.fileId - a.fileId',
    plant: 'a.maxSequence - b.maxSequence || a.fileId - b.fileId',
  },
  {
    name: 'versions that go on in the next page are not found',
    file: 'assembly/table-index.ts',
    find: '  return pageContinuesKey(<usize>load<u32>(table, TABLE_KEY_OFFSETS), page, key, keyBytes);',
    plant: '  return page < 0 && pageContinuesKey(<usize>load<u32>(table, TABLE_KEY_OFFSETS), page, key, keyBytes);',
  },
  {
    name: 'an iterator does not hold its point in time',
    file: 'engine/key-values.ts',
    find: 'scanWindow, snapshots.pinIterator(sequence));\n  }\n\n  iterator(',
    plant: 'scanWindow, () => snapshots.count);\n  }\n\n  iterator(',
  },
  {
    name: 'a long key ties with another that begins alike',
    file: 'assembly/scan.ts',
    find: '  return keyBytes <= 8 || commonBytes',
    plant: '  return keyBytes <= 64 || commonBytes',
  },
  {
    name: 'the second holder of a directory is let in',
    file: 'engine/open.ts',
    find: '  const lock = fileSystem.lockDirectory(path);\n',
    plant: '  const lock = { release(): void {} };\n',
  },
];
