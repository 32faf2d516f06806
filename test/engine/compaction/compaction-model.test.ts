/** Compactions of any tables, beside a twin that knows all versions, and in parts beside as a whole. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KIND_DELETE, KIND_POINTER, PAGE_BYTES } from '../../../assembly/memory-map.ts';
import { blockFileName, type CompactionResult } from '../../../engine/compaction/index.ts';
import { internalKey } from '../../../engine/keyspace-key.ts';
import { PAGE_COMPRESSIONS, type TableMeta } from '../../../engine/table/index.ts';
import { compareVersions, del, put, showVersion, type Version } from '../../assembly/sources.ts';
import { survivors } from '../../assembly/twins/merge.ts';
import { bytesOfLength, type CompactionStore, eachWithStore, jobOf, summary } from './compaction-store.ts';

const KIB = 1024;

let store: CompactionStore;
eachWithStore((made) => (store = made));

describe('compaction', () => {
  test('keeps what its twin keeps, whatever the tables and snapshots', () => {
    const draft = fc.record({ key: fc.nat(150), deleted: fc.nat(4), bytes: fc.nat(700), place: fc.nat(99) });
    fc.assert(
      fc.property(
        fc.array(draft, { minLength: 1, maxLength: 400, size: 'max' }),
        fc.integer({ min: 1, max: 5 }),
        fc.uniqueArray(fc.nat(420), { maxLength: 4 }),
        fc.boolean(),
        (drafts, level0, snapshotDrafts, dropDeletes) => {
          store.clear();
          const versions = drafts.map(({ key, deleted, bytes }, i): Version => {
            const text = `k${String(key).padStart(3, '0')}`;
            return deleted === 0 ? del(text, i + 1) : { ...put(text, i + 1), value: new Uint8Array(bytes).fill(i) };
          });
          const snapshots = snapshotDrafts.toSorted((a, b) => a - b);
          const runs = Array.from({ length: level0 + 1 }, (_, i) => versions.filter((_, at) => drafts[at]!.place % (level0 + 1) === i));
          const below = runs.pop()!.toSorted(compareVersions);
          const middle = below[below.length >> 1]?.key;
          const halves = [
            below.filter(({ key }) => Buffer.compare(key, middle!) < 0),
            below.filter(({ key }) => Buffer.compare(key, middle!) >= 0),
          ];
          const inputs = [...runs.map((run) => ({ level: 0, run })), ...halves.map((run) => ({ level: 1, run }))]
            .filter(({ run }) => run.length > 0)
            .map(({ level, run }, i) => ({ level, table: store.writeTable(10 + i, run) }));
          const { outputs } = store.run(jobOf(inputs, { dropDeletes, snapshots, tableBytes: 16 * KIB }));
          expect(outputs.flatMap(store.readTable).map(showVersion)).toEqual(survivors(versions, snapshots, dropDeletes).map(showVersion));
          for (const table of outputs) {
            const held = store.readTable(table);
            expect(table).toMatchObject({ entries: held.length, tombstones: held.filter(({ kind }) => kind === KIND_DELETE).length });
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('in parts it keeps, drops, moves and counts what it does as a whole', () => {
    const draft = fc.record({ key: fc.nat(300), kind: fc.nat(9), bytes: fc.nat(700), place: fc.nat(99) });
    let divided = 0;
    fc.assert(
      fc.property(
        fc.array(draft, { minLength: 500, maxLength: 1200, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        fc.uniqueArray(fc.nat(900), { maxLength: 4 }),
        fc.boolean(),
        fc.array(fc.tuple(fc.nat(299), fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 900 })), { maxLength: 4 }),
        fc.constantFrom(...PAGE_COMPRESSIONS),
        fc.integer({ min: 2, max: 5 }),
        fc.option(fc.nat(300), { nil: undefined }),
        (drafts, level0, pins, dropDeletes, ranges, compression, partsMax, keepFrom) => {
          store.clear();
          // Of two keyspaces; every tenth a value of a segment.
          const name = (key: number): Uint8Array => internalKey(key % 2, Buffer.from(`k${String(key >> 1).padStart(3, '0')}`));
          const held = drafts.flatMap(({ key, kind, bytes }, i) =>
            kind === 1
              ? [{ key: Buffer.from(name(key)).toString('latin1'), sequence: i + 1, value: bytesOfLength(1000 + bytes, i % 251) }]
              : [],
          );
          const pointers = new Map(store.writeSegment(3, held).map((version) => [version.sequence, version]));
          const versions = drafts.map(({ key, kind, bytes }, i): Version => {
            const moved = pointers.get(i + 1);
            if (moved) return { ...moved, key: name(key) };
            const version = kind === 0 ? del('', i + 1) : { ...put('', i + 1), value: new Uint8Array(300 + bytes).fill(i) };
            return { ...version, key: name(key) };
          });
          const runs = Array.from({ length: level0 + 1 }, (_, n) => versions.filter((_, at) => drafts[at]!.place % (level0 + 1) === n));
          const inputs = runs
            .filter((each) => each.length > 0)
            .map((each, n, all) => ({ level: n < all.length - 1 ? 0 : 1, table: store.writeTable(10 + n, each, compression) }));
          const rangeTombstones = ranges.flatMap(([from, length, sequence]) => {
            const [start, end] = [name(from & ~1), name((from & ~1) + 2 * length)];
            return [{ start, end, sequence }];
          });
          const rules =
            keepFrom === undefined ? [] : [{ keyspace: 1, rule: { id: 7, gte: Buffer.from(`k${String(keepFrom).padStart(3, '0')}`) } }];
          const rest = { dropDeletes, rangeTombstones, rules, ruledTo: 7, relocate: [3], clearedTo: 900, compression };
          const job = jobOf(inputs, { ...rest, snapshots: pins.toSorted((a, b) => a - b), tableBytes: 4 * PAGE_BYTES });
          const whole = store.run({ ...job, fileIds: Array.from({ length: 500 }, (_, n) => 400_000 + n) });
          const { result, parts } = store.runInParts(job, partsMax);
          divided += parts > 1 ? 1 : 0;
          const contents = ({ outputs }: CompactionResult): string[] =>
            outputs.flatMap(store.readTable).map((version) => {
              if (version.kind !== KIND_POINTER) return showVersion(version);
              const value = store.readValue(
                version,
                blockFileName(new DataView(version.value.buffer, version.value.byteOffset).getUint32(0, true)),
              );
              return `${showVersion({ ...version, value: new Uint8Array(0) })} ${summary(value).join(' ')}`;
            });
          expect(contents(result)).toEqual(contents(whole));
          const facts = ({ dead, versionsDropped, versionsLeftOut }: CompactionResult): object => ({
            dead,
            versionsDropped,
            versionsLeftOut,
          });
          expect(facts(result)).toEqual(facts(whole));
          const sizeOf = (tables: readonly TableMeta[], field: 'entries' | 'tombstones' | 'pinnedBytes'): number =>
            tables.reduce((sum, table) => sum + table[field], 0);
          for (const field of ['entries', 'tombstones', 'pinnedBytes'] as const)
            expect(sizeOf(result.outputs, field)).toBe(sizeOf(whole.outputs, field));
          // Tables ascend and do not share a key.
          for (const [n, table] of result.outputs.entries())
            if (n > 0) expect(Buffer.compare(result.outputs[n - 1]!.largest, table.smallest)).toBeLessThan(0);
          for (const { references } of result.outputs)
            for (const { segment } of references) expect(result.blockFiles.map((file) => file.segment)).toContain(segment);
        },
      ),
      { numRuns: 30, endOnFailure: true, unbiased: true },
    );
    expect(divided).toBeGreaterThan(20);
  });
});
