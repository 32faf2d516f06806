import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BUILDER_BYTES,
  BUILDER_ENTRIES,
  BUILDER_OUT,
  BUILDER_PAGES,
  KIND_DELETE,
  KIND_POINTER,
  KIND_PUT,
  MERGE_DONE,
  MERGE_DROP_DELETES,
  MERGE_INPUT,
  MERGE_NEEDS_INPUT,
  MERGE_OUTPUT_READY,
  MERGE_POINTER,
  MERGE_RELOCATE,
  MERGE_SPLIT,
  PAGE_BYTES,
  WORK,
} from '../../assembly/memory-map.ts';
import type { KeyspaceRule } from '../../engine/compaction/index.ts';
import { layRules } from '../../engine/compaction/rule-table.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { SegmentTable, type SegmentReference } from '../../engine/table/index.ts';
import { buildTable, del, pointer, put, range, readPages, showVersion as show, type Version } from './sources.ts';
import type { RangeTombstone } from '../../engine/manifest/index.ts';
import { RangeTombstones } from '../../engine/range-tombstones.ts';
import { withExpiry } from './twins/expiry.ts';
import { isLeftOut } from './twins/keep-rules.ts';
import { bytesBySegment, survivors } from './twins/merge.ts';
import { covers } from './twins/range-tombstones.ts';

const WINDOW_BYTES = 5 * PAGE_BYTES;
const NOW = 50;

interface MergeOptions {
  dropDeletes?: boolean;
  snapshots?: number[];
  pagesMax?: number;
  /** Pages in each feed. */
  chunk?: number;
  relocate?: number[];
  /** The new pointer for an old one. */
  moved?: (old: Uint8Array) => Uint8Array;
  nowMs?: number;
  tombstones?: RangeTombstone[];
  rules?: KeyspaceRule[];
}

interface Merged {
  outputs: Version[][];
  live: SegmentReference[][];
  dead: SegmentReference[];
  dropped: number;
  keptUnder: number;
  leftOut: number;
  spared: number;
}

/** Drives the kernel as the compaction job does, over inputs in memory. */
function merge(inputs: readonly (readonly Version[])[], options: MergeOptions = {}): Merged {
  const { dropDeletes = false, snapshots = [], pagesMax = 0xffffffff, chunk = 2, relocate = [] } = options;
  const memory = new LinearMemory(64 * 1024 * 1024);
  const { kernel, u8, u32, f64 } = memory;
  const segments = new SegmentTable(memory, 20);
  for (const segment of relocate) segments.markRelocate(segment);
  const shared = sharedBytes(inputs.flat().map(({ key }) => key));
  const streams = inputs.map((versions, i) => {
    const image = buildTable(memory, 100 + i, versions);
    kernel['mergeInput']!(WORK, i, shared);
    return { image, page: 0, buffer: memory.allocate(chunk * PAGE_BYTES) };
  });
  const feed = (i: number): void => {
    const { image, page, buffer } = streams[i]!;
    const pages = Math.min(chunk, image.pageCount - page);
    // The kernel must not look at what it was fed before.
    u8.fill(0xee, buffer, buffer + chunk * PAGE_BYTES);
    u8.set(image.pages.subarray(page * PAGE_BYTES, (page + pages) * PAGE_BYTES), buffer);
    expect(kernel['pagesVerify']!(buffer, pages, 100 + i, page)).toBe(pages);
    streams[i]!.page += pages;
    kernel['mergeFeed']!(WORK, i, buffer, pages, streams[i]!.page === image.pageCount ? 1 : 0);
  };
  streams.forEach((_, i) => feed(i));

  const ranges = new RangeTombstones(memory);
  ranges.reset(options.tombstones ?? [], snapshots);
  const list = memory.allocate(snapshots.length * 8 + 8);
  f64.set(snapshots, list >>> 3);
  const builder = memory.allocateSmall(BUILDER_BYTES);
  const window = memory.allocate(WINDOW_BYTES);
  const index = memory.allocate(1 << 22);
  const hashes = memory.allocate(1 << 20);
  const outputs: Version[][] = [];
  const live: SegmentReference[][] = [];
  let pages: Uint8Array[] = [];
  const begin = (): void => {
    kernel['builderBegin']!(builder, 900 + outputs.length, window, WINDOW_BYTES, index, 1 << 22, hashes, 1 << 20);
    kernel['mergeOutput']!(WORK, builder, pagesMax);
  };
  const drain = (): void => {
    pages.push(u8.slice(window, u32[(builder + BUILDER_OUT) >>> 2]!));
    kernel['builderRewind']!(builder);
  };
  const finish = (): void => {
    const entries = u32[(builder + BUILDER_ENTRIES) >>> 2]!;
    kernel['builderFinish']!(builder);
    drain();
    const versions = pages.flatMap(readPages);
    expect(versions).toHaveLength(entries);
    expect(u32[(builder + BUILDER_PAGES) >>> 2]).toBeLessThanOrEqual(pagesMax + Math.ceil(versionsOfLastKey(versions) / 2) + 1);
    if (entries > 0) outputs.push(versions);
    live.push(segments.takeLive());
    pages = [];
  };
  kernel['mergeBegin']!(
    WORK,
    inputs.length,
    dropDeletes ? MERGE_DROP_DELETES : 0,
    list,
    snapshots.length,
    segments.address,
    segments.entries,
    options.nowMs ?? 0,
    ranges.address,
  );
  const rules = layRules(memory, options.rules ?? []);
  kernel['mergeRules']!(WORK, rules.from, rules.to);
  begin();
  const fresh = memory.allocateSmall(64);
  for (;;) {
    const answer = kernel['mergeStep']!(WORK);
    if (answer === MERGE_DONE) break;
    if (answer === MERGE_NEEDS_INPUT) feed(u32[(WORK + MERGE_INPUT) >>> 2]!);
    else if (answer === MERGE_OUTPUT_READY) drain();
    else if (answer === MERGE_SPLIT) {
      finish();
      begin();
    } else if (answer === MERGE_RELOCATE) {
      const at = u32[(WORK + MERGE_POINTER) >>> 2]!;
      const old = u8.slice(at, at + 24);
      const moved = options.moved!(old);
      u8.set(moved, fresh);
      kernel['mergeRelocated']!(WORK, fresh);
    } else throw new Error(`the merge answered ${answer}`);
  }
  finish();
  const keptUnder = kernel['mergeTakeKeptUnder']!(WORK);
  const [dropped, leftOut, spared] = [kernel['mergeDropped']!(WORK), kernel['mergeLeftOut']!(WORK), kernel['mergeTakeSpared']!(WORK)];
  expect(kernel['mergeTakeSpared']!(WORK)).toBe(0);
  return { outputs, live, dead: segments.takeDead(), dropped, keptUnder, leftOut, spared };
}

function versionsOfLastKey(versions: readonly Version[]): number {
  const last = versions.at(-1);
  return last ? versions.filter((version) => Buffer.compare(version.key, last.key) === 0).length : 0;
}

function sharedBytes(keys: readonly Uint8Array[]): number {
  let shared = 0;
  while (keys.every((key) => shared < key.length && key[shared] === keys[0]![shared])) shared++;
  return shared;
}

describe('merge', () => {
  test('of one input gives it back', () => {
    const versions = Array.from({ length: 5000 }, (_, i) => put(`key:${String(i).padStart(6, '0')}`, i + 1));
    const { outputs, dropped } = merge([versions]);
    expect(outputs.flat().map(show)).toEqual(versions.map(show));
    expect(dropped).toBe(0);
  });

  test('keeps the newest version, and of older ones what a snapshot sees', () => {
    const inputs = [
      [put('a', 9), put('b', 8)],
      [put('a', 5), put('c', 4)],
      [put('a', 2), put('a', 3), put('b', 1)],
    ];
    const keys = (snapshots: number[]): string[] =>
      merge(inputs, { snapshots })
        .outputs.flat()
        .map(({ key, sequence }) => `${Buffer.from(key).toString()}${sequence}`);
    expect(keys([])).toEqual(['a9', 'b8', 'c4']);
    expect(keys([2])).toEqual(['a9', 'a2', 'b8', 'b1', 'c4']);
    expect(keys([4, 7])).toEqual(['a9', 'a5', 'a3', 'b8', 'b1', 'c4']);
    expect(keys([9])).toEqual(['a9', 'b8', 'c4']);
  });

  test('keeps a delete while something below may need it or a snapshot is older', () => {
    const inputs = [
      [del('a', 9), put('b', 8)],
      [put('a', 5), del('b', 4), del('c', 3)],
    ];
    const kept = (options: MergeOptions): string[] => merge(inputs, options).outputs.flat().map(show);
    expect(kept({})).toEqual([del('a', 9), put('b', 8), del('c', 3)].map(show));
    expect(kept({ dropDeletes: true })).toEqual([put('b', 8)].map(show));
    expect(kept({ dropDeletes: true, snapshots: [6] })).toEqual([del('a', 9), put('a', 5), put('b', 8)].map(show));
    expect(kept({ dropDeletes: true, snapshots: [2] })).toEqual([del('a', 9), put('b', 8), del('c', 3)].map(show));
  });

  test('never divides the versions of one key between outputs', () => {
    const versions = [
      ...Array.from({ length: 200 }, (_, i) => put('hot', 1000 + i, 'x'.repeat(500))),
      ...Array.from({ length: 300 }, (_, i) => put(`key:${i}`, 1 + i, 'y'.repeat(300))),
    ];
    const snapshots = Array.from({ length: 200 }, (_, i) => 1000 + i);
    const { outputs } = merge([versions.filter((_, i) => i % 2 === 0), versions.filter((_, i) => i % 2 === 1)], { snapshots, pagesMax: 3 });
    expect(outputs.length).toBeGreaterThan(3);
    for (let i = 1; i < outputs.length; i++) expect(Buffer.compare(outputs[i - 1]!.at(-1)!.key, outputs[i]![0]!.key)).toBeLessThan(0);
    expect(outputs.flat().map(show)).toEqual(survivors(versions, snapshots, false).map(show));
  });

  test('ends an output where its keyspace ends, unless it takes all that is left', () => {
    const keys = [...['a', 'b'].map((key) => `\u0000${key}`), '\u0001a', '\u0003a', '\u0003b'].map((key) => Buffer.from(key));
    keys.push(...[240, 240, 241, 65535].map((id, i) => Buffer.from([0xf0, id >>> 8, id & 0xff, i])));
    const versions = keys.map((key, i): Version => ({ key, sequence: i + 1, kind: KIND_PUT, value: Buffer.from('v') }));
    const sizes = (pagesMax: number, dropped: readonly Version[] = []): number[] =>
      merge([versions, dropped], { pagesMax, dropDeletes: true }).outputs.map((output) => output.length);
    expect(sizes(1e6)).toEqual([2, 1, 2, 2, 1, 1]);
    expect(sizes(0xffffffff)).toEqual([9]);
    // What goes away opens no output.
    expect(sizes(1e6, [del('\u0002x', 99), { ...versions[2]!, kind: KIND_DELETE, value: Buffer.alloc(0), sequence: 98 }])).toEqual([
      2, 2, 2, 1, 1,
    ]);
  });

  test('counts the bytes that pointers hold, by output, and those that it drops', () => {
    const newer = [pointer('a', 9, 7, 5000), put('b', 8), del('c', 7), pointer('d', 6, 8, 100)];
    const older = [pointer('a', 1, 3, 1111), pointer('b', 2, 3, 2222), pointer('c', 3, 4, 4444), pointer('e', 4, 3, 3333)];
    const { live, dead, dropped } = merge([newer, older], { dropDeletes: true });
    expect(live.flat()).toEqual([
      { segment: 3, bytes: 3333 },
      { segment: 7, bytes: 5000 },
      { segment: 8, bytes: 100 },
    ]);
    expect(dead).toEqual([
      { segment: 3, bytes: 3333 },
      { segment: 4, bytes: 4444 },
    ]);
    expect(dropped).toBe(4);
  });

  test('takes what has expired for a delete, and gives its value up', () => {
    const inputs = [
      [withExpiry(put('a', 9), NOW), withExpiry(put('b', 8), NOW + 1), withExpiry(pointer('c', 7, 3, 500), NOW)],
      [put('a', 5), withExpiry(pointer('d', 4, 3, 70), NOW - 1), withExpiry(pointer('e', 3, 3, 6), NOW + 1)],
    ];
    const kept = (options: MergeOptions): string[] =>
      merge(inputs, { nowMs: NOW, ...options })
        .outputs.flat()
        .map(show);
    const [b, e] = [inputs[0]![1]!, inputs[1]![2]!];
    expect(kept({})).toEqual([del('a', 9), b, del('c', 7), del('d', 4), e].map(show));
    expect(kept({ dropDeletes: true })).toEqual([b, e].map(show));
    expect(kept({ dropDeletes: true, snapshots: [5] })).toEqual([del('a', 9), put('a', 5), b, del('c', 7), e].map(show));
    expect(merge(inputs, { nowMs: NOW })).toMatchObject({
      live: [[{ segment: 3, bytes: 6 }]],
      dead: [{ segment: 3, bytes: 570 }],
      dropped: 1,
    });
  });

  test('drops what a range tombstone hides from all who read, and says up to where it has done so', () => {
    const inputs = [
      [put('a', 9), put('b', 8), put('c', 1)],
      [pointer('a', 5, 3, 700), put('c', 12), del('d', 4), put('e', 6)],
    ];
    const kept = (options: MergeOptions): [string[], number] => {
      const { outputs, keptUnder } = merge(inputs, options);
      return [outputs.flat().map(({ key, sequence }) => `${Buffer.from(key).toString()}${sequence}`), keptUnder];
    };
    const tombstones = [range('a', 'e', 10), range('a', 'b', 7)];
    expect(kept({ tombstones })).toEqual([['c12', 'e6'], 0]);
    expect(merge(inputs, { tombstones })).toMatchObject({ dead: [{ segment: 3, bytes: 700 }], dropped: 5 });
    expect(kept({ tombstones, snapshots: [8] })).toEqual([['b8', 'c12', 'c1', 'd4', 'e6'], 10]);
    expect(kept({ tombstones, snapshots: [6, 8] })).toEqual([['a5', 'b8', 'c12', 'c1', 'd4', 'e6'], 7]);
    expect(kept({ tombstones, snapshots: [10, 20] })).toEqual([['c12', 'e6'], 0]);
    expect(kept({ tombstones: [range('b', 'c', 5)] })).toEqual([['a9', 'b8', 'c12', 'd4', 'e6'], 0]);
  });

  test('what the rule of its keyspace leaves out becomes a delete, or goes; what a snapshot sees stays', () => {
    const inputs = [
      [put('\u0001a', 9), put('\u0001b', 8), put('\u0002a', 1)],
      [pointer('\u0001a', 5, 3, 700), pointer('\u0001c', 6, 3, 40), del('\u0001d', 4)],
    ];
    const rules = [{ keyspace: 1, rule: { id: 7, gte: Buffer.from('b'), lt: Buffer.from('c') } }];
    const kept = (options: MergeOptions): [string[], number, number] => {
      const { outputs, leftOut, spared } = merge(inputs, { rules, ...options });
      return [
        outputs.flat().map(({ key, sequence, kind }) => `${key[0]}${String.fromCharCode(key[1]!)}${sequence}:${kind}`),
        leftOut,
        spared,
      ];
    };
    expect(kept({})).toEqual([['1a9:3', '1b8:1', '1c6:3', '1d4:3', '2a1:1'], 2, 0]);
    expect(kept({ dropDeletes: true })).toEqual([['1b8:1', '2a1:1'], 2, 0]);
    expect(merge(inputs, { rules }).dead).toEqual([{ segment: 3, bytes: 740 }]);
    expect(kept({ snapshots: [6] })).toEqual([['1a9:3', '1a5:2', '1b8:1', '1c6:2', '1d4:3', '2a1:1'], 1, 2]);
    expect(kept({ snapshots: [20], dropDeletes: true })).toEqual([['1a9:1', '1b8:1', '1c6:2', '2a1:1'], 0, 2]);
    expect(kept({ rules: [{ keyspace: 3, rule: { id: 7, lt: Buffer.from('a') } }] })[1]).toBe(0);
  });

  test('moves the value of a pointer that expires, and leaves the expiry as it is', () => {
    const fresh = withExpiry(pointer('a', 2, 12, 40), NOW + 1);
    const { outputs } = merge([[withExpiry(pointer('a', 2, 3, 40), NOW + 1)]], {
      relocate: [3],
      nowMs: NOW,
      moved: () => fresh.value.subarray(8),
    });
    expect(outputs.flat().map(show)).toEqual([show(fresh)]);
  });

  test('asks for a new place for each value of a segment under relocation that stays', () => {
    const inputs = [
      [pointer('a', 9, 3, 10, 640), put('b', 8)],
      [pointer('a', 1, 3, 20), pointer('b', 2, 3, 30), pointer('c', 3, 3, 40), pointer('d', 4, 5, 50)],
    ];
    const asked: number[] = [];
    const moved = (old: Uint8Array): Uint8Array => {
      const view = new DataView(old.buffer);
      asked.push(view.getUint32(4, true));
      if (view.getUint32(4, true) === 40) return old;
      const fresh = old.slice();
      new DataView(fresh.buffer).setUint32(0, 12, true);
      return fresh;
    };
    const { outputs, live, dead } = merge(inputs, { relocate: [3], moved, snapshots: [1] });
    expect(asked).toEqual([10, 20, 40]);
    expect(live.flat()).toEqual([
      { segment: 3, bytes: 40 },
      { segment: 5, bytes: 50 },
      { segment: 12, bytes: 30 },
    ]);
    expect(dead).toEqual([{ segment: 3, bytes: 60 }]);
    expect(outputs.flat().map(show)).toEqual(
      [pointer('a', 9, 12, 10, 640), pointer('a', 1, 12, 20), put('b', 8), pointer('c', 3, 3, 40), pointer('d', 4, 5, 50)].map(show),
    );
  });

  test('a page with a flipped bit, or of another table or place, does not verify', () => {
    const memory = new LinearMemory(16 * 1024 * 1024);
    const image = buildTable(
      memory,
      7,
      Array.from({ length: 500 }, (_, i) => put(`key:${i}`, i + 1)),
    );
    const at = memory.allocate(image.pages.length);
    const verify = (fileId = 7, first = 0): number => memory.kernel['pagesVerify']!(at, image.pageCount, fileId, first);
    memory.u8.set(image.pages, at);
    expect(image.pageCount).toBeGreaterThan(1);
    expect(verify()).toBe(image.pageCount);
    expect(verify(8)).toBe(0);
    expect(verify(7, 1)).toBe(0);
    for (const offset of [0, 9, 4000, 8191]) {
      memory.u8[at + PAGE_BYTES + offset]! ^= 4;
      expect(verify()).toBe(1);
      memory.u8[at + PAGE_BYTES + offset]! ^= 4;
    }
  });

  test('agrees with its twin on any inputs, snapshots and sizes', () => {
    const versionArbitrary = fc.record({
      key: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => bytes.map((byte) => [0, 0x61, 0xff][byte % 3]!)),
        fc.nat(60).map((n) => new TextEncoder().encode(`a-rather-long-common-prefix/${n}`)),
      ),
      kind: fc.constantFrom(1, 1, 2, 3),
      bytes: fc.nat(1000),
      place: fc.nat(99),
      expiry: fc.option(fc.nat(100), { nil: undefined }),
    });
    // Keyspaces 0 and 0x61, of which those keys are.
    const bound = fc.option(
      fc.constantFrom('-', 'a', '-rather-long-common-prefix/3').map((text) => Buffer.from(text)),
      { nil: undefined },
    );
    const rulesArbitrary = fc.uniqueArray(
      fc
        .record({ keyspace: fc.constantFrom(0, 0x61), gte: bound, lt: bound, mask: fc.nat(3), value: fc.nat(3) })
        .map(({ keyspace, gte, lt, mask, value }): KeyspaceRule => ({
          keyspace,
          rule: { id: 1, ...(gte && { gte }), ...(lt && { lt }), ...(mask && { hash: { mask, value: value & mask } }) },
        })),
      { maxLength: 2, selector: ({ keyspace }) => keyspace },
    );
    fc.assert(
      fc.property(
        fc.array(versionArbitrary, { minLength: 1, maxLength: 300, size: 'max' }),
        fc.integer({ min: 1, max: 9 }),
        fc.uniqueArray(fc.nat(320), { maxLength: 6 }),
        fc.boolean(),
        fc.constantFrom(1, 2, 5, 1000),
        fc.integer({ min: 1, max: 3 }),
        fc.oneof(fc.constant([]), fc.array(fc.tuple(fc.nat(299), fc.nat(299), fc.nat(330)), { maxLength: 8 })),
        fc.oneof(fc.constant<KeyspaceRule[]>([]), rulesArbitrary),
        (drafts, inputCount, snapshotDrafts, dropDeletes, pagesMax, chunk, rangeDrafts, rules) => {
          const plain = drafts.map(({ key, kind, bytes }, i): Version => {
            if (kind === KIND_POINTER) return { ...pointer('', i + 1, 1 + (bytes % 4), bytes), key };
            return { key, sequence: i + 1, kind, value: new Uint8Array(kind === KIND_DELETE ? 0 : bytes).fill(i) };
          });
          const versions = plain.map((version, i) =>
            drafts[i]!.expiry === undefined || version.kind === KIND_DELETE ? version : withExpiry(version, drafts[i]!.expiry!),
          );
          const tombstones = rangeDrafts.flatMap(([i, j, sequence]): RangeTombstone[] => {
            const [a, b] = [drafts[i % drafts.length]!.key, drafts[j % drafts.length]!.key].toSorted((x, y) => Buffer.compare(x, y));
            return Buffer.compare(a!, b!) === 0 ? [] : [{ start: a!, end: b!, sequence: sequence + 1 }];
          });
          const snapshots = snapshotDrafts.toSorted((a, b) => a - b);
          const inputs = Array.from({ length: inputCount }, (_, i) => versions.filter((_, at) => drafts[at]!.place % inputCount === i));
          const merged = merge(
            inputs.filter((input) => input.length > 0),
            { dropDeletes, snapshots, pagesMax, chunk, nowMs: NOW, tombstones, rules },
          );
          const expected = survivors(versions, snapshots, dropDeletes, NOW, tombstones, rules);
          const under = expected.flatMap(({ key, sequence }) => tombstones.filter((each) => each.sequence > sequence && covers(each, key)));
          // The oldest, or a later one that no snapshot can tell from it.
          const oldest = Math.min(Infinity, ...under.map(({ sequence }) => sequence));
          expect(merged.keptUnder === 0).toBe(oldest === Infinity);
          if (oldest < Infinity) expect(merged.keptUnder).toBeGreaterThanOrEqual(oldest);
          const spared = expected.filter((version) => version.kind !== KIND_DELETE && isLeftOut(rules, version.key));
          expect(merged.spared).toBe(spared.length);
          expect(merged.outputs.flat().map(show)).toEqual(expected.map(show));
          expect(merged.dropped).toBe(versions.length - expected.length);
          expect(merged.dead).toEqual(
            bytesBySegment(versions.filter((version) => !expected.includes(version))).filter(({ bytes }) => bytes > 0),
          );
          merged.outputs.forEach((output, i) => expect(merged.live[i]).toEqual(bytesBySegment(output).filter(({ bytes }) => bytes > 0)));
        },
      ),
      { numRuns: 150 },
    );
  });
});
