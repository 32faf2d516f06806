/**
 * Makes a store out of what is left of one. Everything that has a valid checksum is kept: tables page by page, the log batch by batch, large
 * values one by one. What is lost is told.
 *
 * The manifest is known (or can be told without CURRENT): sound tables stay where they are. Of a damaged one the sound pages become a new table in
 * its place. A damaged log becomes tables of level 0; a sound one stays a log.
 *
 * Nobody knows the manifest any more: the tables of the directory are all there is, less those that some sound edit removed. Which of two that
 * overlap lies above the other is not known, so they are merged by key and sequence number; the result is one sorted run at the bottom. The log
 * becomes tables of level 0, less what its sequence numbers say is in tables already.
 *
 * A value that is lost becomes a delete: what is older must not come back in its place. Keys of a lost page may show what was there before;
 * the report says which (`mayShowOlder`).
 *
 *   new tables, headers of block files | originals under second names in repair-NNN | manifest, CURRENT | originals go          each on disk before the next
 *
 * A crash in between leaves the damaged store as it was, or the new one; either way repair may be called again.
 */
import { KIND_RANGE_DELETE } from '../../assembly/memory-map.ts';
import { assert } from '../../base/assert.ts';
import type { FileSystem, Zstd } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { RepairOptions, RepairReport } from '../files-api.ts';
import { keyspaceOf } from '../keyspace-key.ts';
import { assertWritable, tableForms } from '../keyspace-settings.ts';
import { logFileName } from '../log/index.ts';
import { INCOMPLETE_NAME, LEVELS_MAX, logName, parseFileName, segmentsToReplay, tableName, type Version } from '../manifest/index.ts';
import { LinearMemory } from '../memory/linear-memory.ts';
import { type EngineSettings, resolveSettings } from '../settings.ts';
import { type LevelCompression, readTableMeta, requireZstd, type TableForms, type TableMeta } from '../table/index.ts';
import { checkBlockFiles, hasBlockHeader } from './block-files.ts';
import { Findings } from './findings.ts';
import { type FoundTable, overlapping } from './found-tables.ts';
import { type FoundLoss, Losses } from './losses.ts';
import { manifestFacts, type ManifestFacts } from './manifest-facts.ts';
import { RepairedVersion } from './repaired-version.ts';
import { replaceVersion } from './replace-version.ts';
import { type SalvagedBatch, salvageLog } from './salvage-log.ts';
import { mergeNewest } from './salvage-merge.ts';
import { type SalvagedEntry, type SalvageParts, salvageTable } from './salvage-table.ts';
import { EntryWriter } from './entry-writer.ts';
import { STEP_BYTES, type Steps } from './steps.ts';
import { ValueCheck } from './value-check.ts';
import { unknownKeyspace, verifyLog } from './verify-log.ts';
import { verifyTable } from './verify-table.ts';

const MEMORY_BYTES = 1024 * 1024 * 1024;
/** Records of the log that are sorted at once, in bytes of keys and values. */
const LOG_RUN_BYTES = 16 * 1024 * 1024;
/** Where merged tables go: below everything that will be written. */
const BOTTOM_LEVEL = 6;

/** The caller holds the directory's lock. `invalid/FORMAT_*` for another version's store, `corrupt/INCOMPLETE` for one that never was whole. */
export function* repairDirectory(
  fileSystem: FileSystem,
  directory: string,
  options: RepairOptions,
  zstd: Zstd | undefined,
): Steps<RepairReport> {
  if (fileSystem.existsSync(`${directory}/${INCOMPLETE_NAME}`)) {
    throw new SparrowError(
      'corrupt',
      'INCOMPLETE',
      `${directory} was being made out of another store and never became whole: make it again`,
      { directory },
    );
  }
  const repair = new Repair(fileSystem, directory, options, zstd);
  try {
    return yield* repair.steps();
  } finally {
    repair.close();
  }
}

class Repair {
  readonly #fileSystem: FileSystem;
  readonly #zstd: Zstd | undefined;
  readonly #directory: string;
  readonly #dryRun: boolean;
  readonly #memory = new LinearMemory(MEMORY_BYTES);
  /** Block files whose header is damaged. It says nothing that the name does not. */
  readonly #headless: ReadonlySet<number>;
  readonly #values: ValueCheck;
  readonly #findings = new Findings();
  readonly #losses = new Losses();
  readonly #writer: EntryWriter;
  readonly #facts: ManifestFacts;
  readonly #settings: Pick<EngineSettings, 'compression' | 'filterBitsPerKey'>;
  #nextFileId: number;
  readonly #repaired: RepairedVersion;
  /** Names of files that the new version has something else for. */
  readonly #replaced = new Set<string>();
  #batches = 0;

  constructor(
    fileSystem: FileSystem,
    directory: string,
    { dryRun = false, compression, filterBitsPerKey }: RepairOptions,
    zstd: Zstd | undefined,
  ) {
    this.#fileSystem = fileSystem;
    this.#zstd = zstd;
    this.#directory = directory;
    this.#dryRun = dryRun;
    this.#headless = this.#blocksWithoutHeader();
    this.#values = new ValueCheck(this.#memory, fileSystem, directory, { headless: this.#headless });
    this.#facts = manifestFacts(fileSystem, directory, this.#findings);
    this.#repaired = new RepairedVersion(fileSystem, directory, this.#facts);
    this.#nextFileId = this.#facts.base.nextFileId;
    this.#settings = resolveSettings({
      ...(compression !== undefined && { compression }),
      ...(filterBitsPerKey !== undefined && { filterBitsPerKey }),
    });
    if (Object.values(this.#settings.compression).includes('zstd')) requireZstd(zstd, 'what the option compression asks for');
    for (const keyspace of this.#facts.base.keyspaces.values()) assertWritable(keyspace, zstd);
    const takeFileId = dryRun ? undefined : (): number => this.#nextFileId++;
    this.#writer = new EntryWriter({ memory: this.#memory, fileSystem, directory, takeFileId, zstd }, this.#forms('bottom'));
  }

  *steps(): Steps<RepairReport> {
    const { version } = this.#facts;
    for (const name of this.#facts.damaged) this.#replaced.add(name);
    const keepsLog = version ? yield* this.#knownTables(version) : yield* this.#foundTables();
    if (this.#dryRun) return this.#report(undefined);
    if (this.#findings.problemCount === 0) {
      // A repair before this one may have died at its last step: what it made is here for all to see, and not on disk.
      this.#fileSystem.syncDirectorySync(this.#directory);
      return this.#report(undefined);
    }
    const repaired = this.#repaired.version(this.#nextFileId, keepsLog);
    return this.#report(
      replaceVersion(this.#fileSystem, this.#directory, repaired, {
        replaced: this.#replaced,
        everythingElse: this.#facts.version === undefined,
        headless: this.#headless,
      }),
    );
  }

  close(): void {
    this.#writer.discard();
    this.#values.close();
  }

  #blocksWithoutHeader(): Set<number> {
    const headless = new Set<number>();
    for (const name of this.#fileSystem.listSync(this.#directory)) {
      const parsed = parseFileName(name);
      if (parsed?.kind !== 'block' || hasBlockHeader(this.#fileSystem, this.#directory, parsed.id)) continue;
      headless.add(parsed.id);
      this.#findings.problem(`${this.#directory}/${name}`, 0, 'the header is damaged');
    }
    return headless;
  }

  // ---- the manifest is known ----

  /** Returns whether the log stays as it is. */
  *#knownTables(version: Version): Steps<boolean> {
    for (const [level, tables] of version.levels.entries()) {
      for (const table of tables) {
        if (yield* this.#isSound(table)) this.#repaired.keep(level, table);
        else yield* this.#rewrite(version, level, table);
      }
    }
    const segments = segmentsToReplay(version, this.#fileSystem.listSync(this.#directory));
    checkBlockFiles(this.#fileSystem, this.#directory, version, this.#findings);
    const findings = new Findings();
    const [memory, fileSystem, directory] = [this.#memory, this.#fileSystem, this.#directory];
    const whole = segments.map((segment) => ({ segment, bytes: Infinity }));
    const { frames, keyspaces } = yield* verifyLog({
      memory,
      fileSystem,
      directory,
      segments: whole,
      floor: version.logFloor,
      isWhole: false,
      findings,
    });
    this.#take(findings);
    for (const [id, { file, offset }] of keyspaces) {
      this.#repaired.addKeyspace(id);
      if (id >= version.nextKeyspaceId) this.#findings.problem(file, offset, unknownKeyspace(id));
    }
    if (findings.problemCount === 0) {
      this.#batches = frames;
      return true;
    }
    for (const segment of segments) this.#replaced.add(logFileName(segment));
    yield* this.#salvageLog(segments, version.lastSequence, false);
    return false;
  }

  *#rewrite(version: Version, level: number, table: TableMeta): Steps<void> {
    const name = tableName(table.fileId);
    if (!this.#fileSystem.existsSync(`${this.#directory}/${name}`)) {
      this.#lose({
        file: `${this.#directory}/${name}`,
        offset: 0,
        bytes: table.bytes,
        what: 'table',
        smallest: table.smallest,
        largest: table.largest,
        entries: table.entries,
      });
    } else {
      this.#replaced.add(name);
      const isDeepest = level > 0 && version.levels.slice(level + 1).every((tables) => tables.length === 0);
      this.#writer.forms = this.#forms(isDeepest ? 'bottom' : 'upper');
      yield* this.#write(salvageTable(this.#salvage(), table));
      for (const made of this.#writer.finish()) this.#repaired.make(level, made);
    }
    this.#markOlder(version, level, table);
  }

  /** What was lost of a table may uncover what lies below it. */
  #markOlder(version: Version, level: number, table: TableMeta): void {
    const file = `${this.#directory}/${tableName(table.fileId)}`;
    const below = version.levels.flatMap((tables, other) =>
      other > level || (other === 0 && level === 0)
        ? tables.filter(({ fileId, minSequence }) => fileId !== table.fileId && minSequence < table.maxSequence)
        : [],
    );
    for (const loss of this.#losses.found) {
      if (loss.file !== file || loss.smallest === undefined || loss.largest === undefined) continue;
      const { smallest, largest } = loss;
      loss.mayShowOlder = below.some(
        (other) => Buffer.compare(other.smallest, largest) <= 0 && Buffer.compare(smallest, other.largest) <= 0,
      );
    }
  }

  // ---- nobody knows the manifest ----

  *#foundTables(): Steps<false> {
    const listing = this.#fileSystem.listSync(this.#directory);
    const found: FoundTable[] = [];
    for (const name of listing) {
      const parsed = parseFileName(name);
      if (parsed?.kind !== 'table' || this.#facts.removedTables.has(parsed.id)) continue;
      const table = yield* this.#look(parsed.id);
      if (table) found.push(table);
      else this.#replaced.add(name);
    }
    const segments = listing
      .flatMap((name) => {
        const parsed = parseFileName(name);
        return parsed?.kind === 'log' && parsed.id >= this.#facts.base.logFloor ? [parsed.id] : [];
      })
      .toSorted((a, b) => a - b);
    for (const segment of segments) this.#replaced.add(logName(segment));
    // A table that is not complete proves nothing: what it has may be a part of what its memtable had.
    const complete = found.filter((table) => table.complete);
    const inTables = complete.reduce((last, { maxSequence }) => Math.max(last, maxSequence), this.#facts.base.lastSequence);
    // Where all are, what the log has besides is newer than they are, and goes above them. Otherwise it takes part in the merge.
    if (complete.length === found.length) yield* this.#salvageLog(segments, inTables, true);
    else found.push(...(yield* this.#logAsTable(segments, inTables)));
    for (const group of overlapping(found)) {
      const [only] = group;
      // Below level 0 a table has keys of one keyspace.
      if (group.length === 1 && only!.meta && keyspaceOf(only!.smallest) === keyspaceOf(only!.largest)) {
        this.#repaired.keep(BOTTOM_LEVEL, only!.meta);
        continue;
      }
      this.#writer.forms = this.#forms('bottom');
      for (const { fileId, records } of group) if (!records) this.#replaced.add(tableName(fileId));
      yield* this.#write(mergeNewest(group.map((table) => table.records?.values() ?? salvageTable(this.#salvage(), table))));
      for (const made of this.#writer.finish()) this.#repaired.make(BOTTOM_LEVEL, made);
    }
    return false;
  }

  /** What a table is by its own account, or by its pages when it is damaged; undefined: nothing of it can be read. */
  *#look(fileId: number): Steps<FoundTable | undefined> {
    const path = `${this.#directory}/${tableName(fileId)}`;
    let meta: TableMeta | undefined;
    const findings = new Findings();
    try {
      meta = readTableMeta(this.#fileSystem, this.#directory, fileId);
    } catch (error) {
      findings.caught(error, path);
    }
    this.#take(findings);
    if (meta && (yield* this.#isSound(meta))) return { ...meta, meta, complete: true };
    const pages = meta?.pages ?? this.#pagesMax(path);
    // Losses are told when it is read for good.
    const looking = { ...this.#salvage(), losses: new Losses() };
    let seen: { smallest: Uint8Array; largest: Uint8Array; maxSequence: number } | undefined;
    let bytes = 0;
    for (const { key, sequence, value } of salvageTable(looking, { fileId, pages })) {
      seen = { smallest: seen?.smallest ?? key, largest: key, maxSequence: Math.max(seen?.maxSequence ?? 0, sequence) };
      bytes += key.length + value.length;
      if (bytes < STEP_BYTES) continue;
      yield bytes;
      bytes = 0;
    }
    if (seen === undefined) {
      this.#lose({
        file: path,
        offset: 0,
        bytes: meta?.bytes ?? 0,
        what: 'table',
        smallest: meta?.smallest,
        largest: meta?.largest,
        entries: meta?.entries,
      });
      return undefined;
    }
    const maxSequence = Math.max(seen.maxSequence, meta?.maxSequence ?? 0);
    const { smallest, largest } = seen;
    return { fileId, pages, entries: meta?.entries, smallest, largest, maxSequence, meta: undefined, complete: meta !== undefined };
  }

  #pagesMax(path: string): number {
    const file = this.#fileSystem.openSync(path, 'read');
    try {
      // A packed page takes 24 bytes at least. The pages themselves tell where they end.
      return Math.floor(file.sizeSync() / 24);
    } finally {
      file.closeSync();
    }
  }

  // ---- both ----

  *#isSound(table: TableMeta): Steps<boolean> {
    const findings = new Findings();
    const [memory, fileSystem, directory] = [this.#memory, this.#fileSystem, this.#directory];
    const { keyspaces } = yield* verifyTable({ memory, fileSystem, zstd: this.#zstd, directory, table, values: this.#values, findings });
    for (const id of keyspaces) this.#repaired.addKeyspace(id);
    this.#take(findings);
    return findings.problemCount === 0;
  }

  *#write(entries: Iterable<SalvagedEntry>): Steps<void> {
    let bytes = 0;
    for (const entry of entries) {
      this.#repaired.addKeyspace(keyspaceOf(entry.key));
      this.#writer.add(entry);
      bytes += entry.key.length + entry.value.length;
      if (bytes < STEP_BYTES) continue;
      yield bytes;
      bytes = 0;
    }
    yield bytes;
  }

  /** Batches become sorted runs of level 0, each newer than the one before. */
  *#salvageLog(segments: readonly number[], inTables: number, olderRanges: boolean): Steps<void> {
    let run: SalvagedEntry[] = [];
    let bytes = 0;
    this.#writer.forms = this.#forms('upper');
    const flush = (): void => {
      for (const record of newestByKey(run)) this.#writer.add(record);
      for (const made of this.#writer.finish()) this.#repaired.make(0, made);
      run = [];
      bytes = 0;
    };
    for (const batch of salvageLog(this.#salvage(), segments, inTables, olderRanges)) {
      bytes += this.#takeBatch(batch, inTables, run);
      yield batch.bytes;
      if (bytes >= LOG_RUN_BYTES) flush();
    }
    flush();
  }

  /** Batches become one sorted run in memory, which takes part in a merge; none when there are none. */
  *#logAsTable(segments: readonly number[], inTables: number): Steps<FoundTable[]> {
    const run: SalvagedEntry[] = [];
    for (const batch of salvageLog(this.#salvage(), segments, inTables, true)) {
      this.#takeBatch(batch, inTables, run);
      yield batch.bytes;
    }
    const records = newestByKey(run);
    if (records.length === 0) return [];
    const [smallest, largest] = [records[0]!.key, records.at(-1)!.key];
    return [{ fileId: 0, pages: 0, smallest, largest, maxSequence: 0, meta: undefined, complete: true, records }];
  }

  /** Adds a batch's records to a run; their bytes, about. */
  #takeBatch(batch: SalvagedBatch, inTables: number, run: SalvagedEntry[]): number {
    let bytes = 0;
    if (batch.sequence > inTables) this.#batches++;
    for (const record of batch.records) {
      this.#repaired.addKeyspace(keyspaceOf(record.key));
      // Tables do not hold it: it hides what is older, here and in all of them.
      if (record.kind === KIND_RANGE_DELETE)
        this.#repaired.addRangeTombstone({ start: record.key, end: record.value, sequence: record.sequence });
      else {
        run.push(record);
        bytes += record.key.length + record.value.length + 64;
      }
    }
    return bytes;
  }

  #forms(place: keyof LevelCompression): TableForms {
    return tableForms(this.#facts.base.keyspaces, this.#settings, place);
  }

  #salvage(): SalvageParts {
    const [memory, fileSystem, zstd, directory] = [this.#memory, this.#fileSystem, this.#zstd, this.#directory];
    return { memory, fileSystem, zstd, directory, values: this.#values, losses: this.#losses };
  }

  #lose(loss: FoundLoss): void {
    this.#losses.add(loss);
  }

  #take(findings: Findings): void {
    for (const { file, offset, what } of findings.problems) this.#findings.problem(file, offset, what);
    for (const { file, offset, what } of findings.notices) this.#findings.notice(file, offset, what);
  }

  #report(quarantine: string | undefined): RepairReport {
    const { problems, problemCount, notices } = this.#findings;
    return {
      directory: this.#directory,
      dryRun: this.#dryRun,
      wasSound: problemCount === 0,
      manifest: this.#facts.version ? 'known' : 'lost',
      problems,
      problemCount,
      notices,
      lost: this.#losses.list(),
      lostCount: this.#losses.count,
      lostEntries: this.#losses.entries,
      tablesKept: this.#repaired.tablesKept,
      tablesMade: this.#repaired.tablesMade,
      entriesSalvaged: this.#writer.entries,
      batches: this.#batches,
      keyspacesNamed: this.#repaired.unnamedKeyspaces().map(({ name }) => name),
      quarantine,
    };
  }
}

/** Of a key that a run, or a batch, has more than once, the last counts. */
function newestByKey(run: readonly SalvagedEntry[]): SalvagedEntry[] {
  const newest = new Map<string, SalvagedEntry>();
  for (const record of run) newest.set(Buffer.from(record.key).toString('latin1'), record);
  return [...newest.values()].toSorted((a, b) => Buffer.compare(a.key, b.key));
}

assert(BOTTOM_LEVEL < LEVELS_MAX, 'the bottom is a level');
