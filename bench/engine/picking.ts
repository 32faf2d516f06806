/**
 * What the caller's thread does when a compaction has ended in a store of many tables: the next version is made of the edit, the view shows it, and the picker
 * says what comes next. Made-up tables, no files.
 *
 *   node bench/engine/picking.ts [--tables 1000,5000] [--segments 0,5000] [--rounds 300]
 *
 * Writes one line of JSON for each size: medians, and the 99th percentile of the whole, in microseconds.
 *   { "tables", "segments", "editUs", "factsUs", "viewUs", "pickUs", "allUs", "allP99Us", "pickAnewUs": without what is carried on }
 */
import { parseArgs } from 'node:util';
import { LevelFacts, pickCompaction, type Circumstances } from '../../engine/compaction/index.ts';
import { applyEdit, EMPTY_VERSION, type Version, type VersionEdit } from '../../engine/manifest/index.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import type { TableMeta } from '../../engine/table/index.ts';
import { View } from '../../engine/view.ts';

const { values: options } = parseArgs({
  options: {
    tables: { type: 'string', default: '1000,5000' },
    segments: { type: 'string', default: '0,5000' },
    rounds: { type: 'string', default: '300' },
  },
});
const rounds = Number(options.rounds);

const MIB = 2 ** 20;
const TABLE_BYTES = 32 * MIB;
const RATIO = 10;
const LEVEL0_TABLES = 3;
const SETTINGS = {
  level0Compact: 4,
  level1Bytes: 128 * MIB,
  levelRatio: RATIO,
  garbageRatio: 0.3,
  tableBytes: TABLE_BYTES,
  expiryLagMs: 3.6e6,
};
const CIRCUMSTANCES: Circumstances = {
  snapshots: [],
  pace: 'loaded',
  nowMs: 0,
  level0Probes: 1,
  hiddenPages: () => 0,
  rules: [],
};
const FIRST_TABLE_ID = 100_000;

let nextFileId = FIRST_TABLE_ID;

function keyOf(place: number): Uint8Array {
  return Buffer.from(`\0user${String(Math.round(place * 1e9)).padStart(12, '0')}`);
}

const REFERENCES = 8;
const REFERENCE_BYTES = 4 * MIB;

/** From one place of [0, 1] to another. */
function tableAt(from: number, to: number, segments: number): TableMeta {
  const fileId = nextFileId++;
  const references = Array.from({ length: Math.min(segments, REFERENCES) }, (_, i) => ({
    segment: 1 + Math.floor(((fileId * 7919 + i * 104_729) % segments) * 1),
    bytes: REFERENCE_BYTES,
  }));
  return {
    fileId,
    bytes: TABLE_BYTES,
    pages: 4096,
    entries: 250_000,
    tombstones: 0,
    smallest: keyOf(from),
    largest: keyOf(to),
    minSequence: fileId,
    maxSequence: fileId,
    densePages: 0,
    pinnedBytes: 0,
    clearedTo: 0,
    references: [...new Map(references.map((each) => [each.segment, each])).values()].toSorted((a, b) => a.segment - b.segment),
  };
}

/** Levels that are all a little over their share, the last one with most of the tables. */
function storeOf(tables: number, segments: number): Version {
  const counts: number[] = [];
  for (let left = tables, share = SETTINGS.level1Bytes / TABLE_BYTES; left > 0; share *= RATIO) {
    const count = Math.min(left, share + 1);
    counts.push(count);
    left -= count;
  }
  const levels = counts.map((count) => Array.from({ length: count }, (_, i) => tableAt(i / count, (i + 0.9) / count, segments)));
  const flushed = Array.from({ length: LEVEL0_TABLES }, () => tableAt(0, 1, segments));
  const added = [flushed, ...levels].flatMap((some, level) => some.map((table) => ({ level, table })));
  return applyEdit(EMPTY_VERSION, {
    nextFileId,
    logFloor: FIRST_TABLE_ID,
    tablesAdded: added,
    // A fifth of what was written there is garbage.
    segmentsAdded: Array.from({ length: segments }, (_, i) => ({
      segment: i + 1,
      bytes: Math.ceil((tables * REFERENCES * REFERENCE_BYTES * 1.25) / segments),
    })),
  });
}

/** A table of a level and what it overlaps become as many tables of the next. */
function compactionOf({ levels }: Version, round: number, segments: number): VersionEdit {
  const deepest = levels.findLastIndex((tables) => tables.length > 0);
  const level = 1 + (round % (deepest - 1));
  const tables = levels[level]!;
  const table = tables[(round * 31) % tables.length]!;
  const below = levels[level + 1]!.filter(
    (other) => Buffer.compare(table.smallest, other.largest) <= 0 && Buffer.compare(other.smallest, table.largest) <= 0,
  );
  const renewed = below.map((other) => ({ ...tableAt(0, 0, segments), smallest: other.smallest, largest: other.largest }));
  // The level above refills the one that loses a table, so that the store stays as large as it is.
  const refilled = { ...tableAt(0, 0, segments), smallest: table.smallest, largest: table.largest };
  return {
    nextFileId,
    tablesRemoved: [{ level, fileId: table.fileId }, ...below.map(({ fileId }) => ({ level: level + 1, fileId }))],
    tablesAdded: [{ level, table: refilled }, ...renewed.map((each) => ({ level: level + 1, table: each }))],
  };
}

function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]! * 10) / 10;
}

function measure(tables: number, segments: number): Record<string, number> {
  const memory = new LinearMemory(64 * MIB);
  const view = new View(memory);
  let version = storeOf(tables, segments);
  const facts = new LevelFacts(version.levels);
  view.setTables(version.levels, ({ fileId }) => fileId);
  const times: Record<'edit' | 'facts' | 'view' | 'pick' | 'all' | 'pickAnew', number[]> = {
    edit: [],
    facts: [],
    view: [],
    pick: [],
    all: [],
    pickAnew: [],
  };
  for (let round = -50; round < rounds; round++) {
    const edit = compactionOf(version, round + 50, segments);
    const marks = [performance.now()];
    version = applyEdit(version, edit);
    marks.push(performance.now());
    facts.update(version.levels);
    marks.push(performance.now());
    view.setTables(version.levels, ({ fileId }) => fileId);
    marks.push(performance.now());
    const picked = pickCompaction(version, SETTINGS, CIRCUMSTANCES, facts);
    marks.push(performance.now());
    const anew = pickCompaction(version, SETTINGS, CIRCUMSTANCES);
    marks.push(performance.now());
    if (picked?.inputs[0]?.table !== anew?.inputs[0]?.table) throw new Error('what was carried on differs from what is found anew');
    if (round < 0) continue;
    const [begun, edited, counted, shown, chosen, again] = marks.map((mark) => mark * 1000) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    times.edit.push(edited - begun);
    times.facts.push(counted - edited);
    times.view.push(shown - counted);
    times.pick.push(chosen - shown);
    times.all.push(chosen - begun);
    times.pickAnew.push(again - chosen);
  }
  const medians = Object.entries(times).map(([what, values]) => [`${what}Us`, percentile(values, 0.5)]);
  return { tables, segments, ...(Object.fromEntries(medians) as Record<string, number>), allP99Us: percentile(times.all, 0.99) };
}

for (const tables of options.tables.split(',').map(Number)) {
  for (const segments of options.segments.split(',').map(Number)) process.stdout.write(`${JSON.stringify(measure(tables, segments))}\n`);
}
