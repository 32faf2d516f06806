/**
 * Verifies a store: reads every byte that counts and changes nothing. What it finds is data: problems are damage, notices are harmless.
 *
 *   CURRENT and manifest   each byte, and that the edits make a version (version.ts asserts that levels do not overlap, that what is referred to exists)
 *   tables                 verify-table.ts, the values that they refer to among it
 *   log                    verify-log.ts
 *   the directory          files that the version names and that are missing; files that belong to nothing
 *
 * Memory: one block of a table with its index and filter, one batch of the log or one value, whichever is largest.
 */
import type { FileSystem, Zstd } from '../../base/env.ts';
import type { VerifyReport } from '../files-api.ts';
import { logFileSegment } from '../log/index.ts';
import {
  CURRENT_NAME,
  manifestName,
  missingFiles,
  obsoleteFiles,
  parseFileName,
  readVersion,
  tableName,
  type Version,
} from '../manifest/index.ts';
import { LinearMemory } from '../memory/linear-memory.ts';
import type { TableMeta } from '../table/index.ts';
import { Findings } from './findings.ts';
import type { Steps } from './steps.ts';
import { imageOfDirectory, type StoreImage } from './store-image.ts';
import { ValueCheck } from './value-check.ts';
import { unknownKeyspace, verifyLog, verifyPassedSegment } from './verify-log.ts';
import { checkBlockFiles } from './block-files.ts';
import { verifyTable } from './verify-table.ts';

/** Address space; memory is taken as it is touched. */
const MEMORY_BYTES = 1024 * 1024 * 1024;

/** A store that nobody has open; the caller holds its lock. */
export function* verifyDirectory(fileSystem: FileSystem, directory: string, zstd: Zstd | undefined): Steps<VerifyReport> {
  const findings = new Findings();
  let version: Version;
  try {
    const found = readVersion(fileSystem, directory);
    version = found.version;
    const manifest = `${directory}/${manifestName(found.manifestId)}`;
    if (found.tornAt !== undefined) findings.notice(manifest, found.tornAt, 'the torn end of edits that were never acknowledged');
    const listing = fileSystem.listSync(directory);
    for (const name of obsoleteFiles(version, listing, found.manifestId)) {
      findings.notice(`${directory}/${name}`, 0, 'it belongs to nothing: opening removes it');
    }
    for (const name of listing) {
      if (parseFileName(name) === undefined && !name.startsWith('LOCK'))
        findings.notice(`${directory}/${name}`, 0, 'it is no file of the store');
    }
  } catch (error) {
    findings.caught(error, `${directory}/${CURRENT_NAME}`);
    return report(directory, findings, { files: 0, tables: 0, logSegments: 0 }, 0, {
      entries: 0,
      values: 0,
      valueBytes: 0,
      batches: 0,
      lastSequence: 0,
    });
  }
  return yield* verifyImage(fileSystem, imageOfDirectory(fileSystem, directory, version), zstd, findings);
}

/**
 * The files of an image; they stay while this runs. `only`: the names of those that have not been verified before, when the others have; a
 * table is looked at, too, when one of them holds values of it.
 */
export function* verifyImage(
  fileSystem: FileSystem,
  image: StoreImage,
  zstd: Zstd | undefined,
  findings: Findings = new Findings(),
  only?: ReadonlySet<string>,
): Steps<VerifyReport> {
  const { directory, version } = image;
  const memory = new LinearMemory(MEMORY_BYTES);
  const parts = { memory, fileSystem, directory, findings };
  const missing = new Set(missingFiles(version, fileSystem.listSync(directory)));
  for (const name of missing) findings.problem(`${directory}/${name}`, 0, 'it is part of the store, by its manifest, and is missing');
  const gone = new Set([...missing].map((name) => parseFileName(name)!).flatMap(({ kind, id }) => (kind === 'table' ? [] : [id])));
  const chosen = image.files.filter(({ name }) => only === undefined || only.has(name));
  const segmentsChosen = new Set(
    chosen.flatMap(({ name }) => parseFileName(name) ?? []).flatMap(({ kind, id }) => (kind === 'table' ? [] : [id])),
  );
  const isChosen = ({ fileId, references }: TableMeta): boolean =>
    only === undefined || only.has(tableName(fileId)) || references.some(({ segment }) => segmentsChosen.has(segment));
  for (const segment of version.referencedBytes.keys()) if (only && !segmentsChosen.has(segment)) gone.add(segment);
  const values = new ValueCheck(memory, fileSystem, directory, { missing: gone });
  const totals = { entries: 0, values: 0, valueBytes: 0, batches: 0, lastSequence: version.lastSequence };
  let bytes = 0;
  const count = (looked: number): number => {
    bytes += looked;
    return looked;
  };
  try {
    for (const table of version.levels.flat()) {
      if (missing.has(tableName(table.fileId)) || !isChosen(table)) continue;
      const of = yield* counted(verifyTable({ ...parts, zstd, table, values }), count);
      totals.entries += of.entries;
      totals.values += of.values;
      totals.valueBytes += of.valueBytes;
      for (const id of of.keyspaces) {
        if (id >= version.nextKeyspaceId) findings.problem(`${directory}/${tableName(table.fileId)}`, 0, unknownKeyspace(id));
      }
      if (table.maxSequence > version.lastSequence) {
        const path = `${directory}/${tableName(table.fileId)}`;
        findings.problem(
          path,
          0,
          `it has sequence number ${table.maxSequence}; the manifest says that tables have up to ${version.lastSequence}`,
        );
      }
    }
    for (const { name, bytes: stated } of chosen) {
      const segment = logFileSegment(name);
      if (segment === undefined || !version.segments.has(segment) || !fileSystem.existsSync(`${directory}/${name}`)) continue;
      yield* counted(verifyPassedSegment(parts, segment, stated), count);
    }
    const logged = image.files.flatMap(({ name, bytes }) => {
      const segment = logFileSegment(name);
      return segment === undefined || version.segments.has(segment) ? [] : [{ segment, bytes, name }];
    });
    // The log is one: of a segment alone nobody could say whether it ends where it should.
    const segments = only === undefined || logged.some(({ name }) => only.has(name)) ? logged : [];
    const log = yield* counted(verifyLog({ ...parts, segments, floor: version.logFloor, isWhole: image.logIsWhole }), count);
    for (const [id, { file, offset }] of log.keyspaces)
      if (id >= version.nextKeyspaceId) findings.problem(file, offset, unknownKeyspace(id));
    totals.batches = log.frames;
    totals.lastSequence = Math.max(totals.lastSequence, log.lastSequence);
    checkBlockFiles(fileSystem, directory, version, findings);
    const files = { files: image.files.length + 2, tables: version.levels.flat().length, logSegments: segments.length };
    return report(directory, findings, files, bytes, totals);
  } finally {
    values.close();
  }
}

function* counted<T>(steps: Steps<T>, count: (bytes: number) => number): Steps<T> {
  try {
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      yield count(step.value);
    }
  } finally {
    steps.return(undefined as never);
  }
}

function report(
  directory: string,
  findings: Findings,
  files: Pick<VerifyReport, 'files' | 'tables' | 'logSegments'>,
  bytes: number,
  totals: Pick<VerifyReport, 'entries' | 'values' | 'valueBytes' | 'batches' | 'lastSequence'>,
): VerifyReport {
  const { problems, notices, problemCount, noticeCount } = findings;
  return { directory, sound: problemCount === 0, problems, problemCount, notices, noticeCount, ...files, bytes, ...totals };
}
