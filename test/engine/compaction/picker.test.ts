/**
 * Golden scripts of the compaction picker: test/scripts/compaction/*.txt. A script states levels and block files and shows what is picked:
 *
 *   # a comment, or what the case shows
 *   set level0Compact=2 snapshots=40,60 pace=loaded     settings, until the script's end
 *   level 0: 9[a-k] 8[c-z 6M]                             table 9 holds a to k in 4M (the default); level 0 newest first
 *   level 0: 7[1:a-2:c]                                   ... from keyspace 1 to keyspace 2 (else: all in the default one)
 *   level 1: 3[a-f 8M refers 5:1M del 60%]                refers to 1M of segment 5; 60 % of its entries are deletes
 *   level 2: 4[a-f dense 10%]                             on a tenth of its 512 pages deletes are dense
 *   level 2: 4[a-f expires 50% 100-300]                   half of its entries and bytes expire, between 100 and 300 ms
 *   level 2: 4[a-f hidden 40%]                            40 % of its pages lie within the range tombstones that reach it
 *   level 2: 4[1:a-1:f ruled 3]                           the rule with id 3 has been applied to it
 *   rule 1: 5 gte c lt k hash                             keyspace 1 has a rule with id 5; each of its parts may be missing
 *   range a-f: 9                                          a range tombstone with sequence 9; tables are of the sequence that is their id
 *   block 5: 10M                                          a block file; its live bytes follow from the tables
 *   pick                                                  what follows, up to an empty line, is the answer
 *   settle                                                picks and applies until nothing is picked: the answers in order
 *
 * `UPDATE_SCRIPTS=1` writes the answers into the scripts; look at the difference.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { pickCompaction, type Compaction, type KeyspaceRule, type Pace, type PickerSettings } from '../../../engine/compaction/index.ts';
import { internalKey } from '../../../engine/keyspace-key.ts';
import { type RangeTombstone, spentTombstones } from '../../../engine/manifest/index.ts';
import type { TableMeta } from '../../../engine/table/index.ts';

const SCRIPTS = join(import.meta.dirname, '../../scripts/compaction');
const MIB = 1024 * 1024;
const LEVELS = 7;
const STEPS_MAX = 50;
const HEADER_BYTES = 64;

class Store {
  settings: PickerSettings = {
    level0Compact: 4,
    level1Bytes: 16 * MIB,
    levelRatio: 10,
    garbageRatio: 0.3,
    tableBytes: 4 * MIB,
    expiryLagMs: 1000,
  };
  snapshots: number[] = [];
  nowMs = 0;
  probes = 0;
  rangeTombstones: RangeTombstone[] = [];
  /** By table. */
  readonly hidden = new Map<number, number>();
  pace: Pace = 'resting';
  rules: KeyspaceRule[] = [];
  levels: TableMeta[][] = Array.from({ length: LEVELS }, () => []);
  readonly blockBytes = new Map<number, number>();
  #nextId = 100;

  pick(): Compaction | undefined {
    const segments = new Map([...this.blockBytes].map(([segment, bytes]) => [segment, { bytes, liveBytes: this.#liveBytes(segment) }]));
    const version = { levels: this.levels, segments, rangeTombstones: this.rangeTombstones };
    return pickCompaction(version, this.settings, {
      snapshots: this.snapshots,
      pace: this.pace,
      nowMs: this.nowMs,
      level0Probes: this.probes,
      hiddenPages: (table) => table.pages * (this.hidden.get(table.fileId) ?? 0),
      rules: this.rules,
    });
  }

  /** What a job would leave: inputs of one level stay as large as they were, in tables of the target size. */
  apply(compaction: Compaction): void {
    const { inputs, target, move, drop, dropDeletes, relocate } = compaction;
    const tables = inputs.map(({ table }) => table);
    if (inputs.some(({ level }) => level === 0)) this.probes = 0;
    this.levels = this.levels.map((level) => level.filter((table) => !tables.includes(table)));
    const moved = new Map<number, number>();
    const outputs = move ? tables : drop ? [] : this.#merged(tables, dropDeletes, relocate, moved);
    this.levels[target] = [...outputs, ...this.levels[target]!].toSorted((a, b) =>
      target === 0 ? b.fileId - a.fileId : Buffer.compare(a.smallest, b.smallest),
    );
    for (const [segment, bytes] of moved) this.blockBytes.set(segment, bytes + HEADER_BYTES);
    const spent = spentTombstones(this.rangeTombstones, this.levels, [], this.snapshots);
    this.rangeTombstones = this.rangeTombstones.filter((tombstone) => !spent.has(tombstone));
    for (const segment of this.blockBytes.keys()) if (this.#liveBytes(segment) === 0) this.blockBytes.delete(segment);
  }

  #merged(tables: readonly TableMeta[], dropDeletes: boolean, relocate: readonly number[], moved: Map<number, number>): TableMeta[] {
    const sorted = tables.map((table) => this.#expired(table)).toSorted((a, b) => Buffer.compare(a.smallest, b.smallest));
    const target = this.#nextId++;
    const references = new Map<number, number>();
    for (const { segment, bytes } of sorted.flatMap((table) => table.references)) {
      const place = relocate.includes(segment) ? target : segment;
      references.set(place, (references.get(place) ?? 0) + bytes);
      if (place === target) moved.set(target, (moved.get(target) ?? 0) + bytes);
    }
    const bytes = sorted.reduce(
      (sum, table) => sum + (dropDeletes ? (table.bytes * (table.entries - table.tombstones)) / table.entries : table.bytes),
      0,
    );
    if (bytes === 0) return [];
    const largest = sorted.reduce((best, table) => (Buffer.compare(table.largest, best) > 0 ? table.largest : best), sorted[0]!.largest);
    return [
      {
        ...sorted[0]!,
        fileId: this.#nextId++,
        bytes,
        largest,
        clearedTo: Math.max(0, ...this.rangeTombstones.map(({ sequence }) => sequence)),
        ...(this.rules.length > 0 && { ruledTo: Math.max(...this.rules.map(({ rule }) => rule.id)) }),
        densePages: dropDeletes ? 0 : Math.max(...sorted.map((table) => table.densePages)),
        tombstones: dropDeletes ? 0 : Math.max(...sorted.map((table) => table.tombstones)),
        maxSequence: Math.max(...sorted.map((table) => table.maxSequence)),
        references: [...references].map(([segment, held]) => ({ segment, bytes: held })).toSorted((a, b) => a.segment - b.segment),
      },
    ];
  }

  /** What has expired counts as deletes, evenly between the earliest and the latest expiry. */
  #expired(table: TableMeta): TableMeta {
    const { expiring, ...rest } = table;
    if (!expiring || expiring.earliestMs > this.nowMs) return table;
    const { entries, bytes, earliestMs, latestMs } = expiring;
    const passed = latestMs <= this.nowMs ? 1 : (this.nowMs - earliestMs) / (latestMs - earliestMs);
    const left = { entries: Math.round(entries * (1 - passed)), bytes: bytes * (1 - passed), earliestMs: this.nowMs + 1, latestMs };
    return { ...rest, tombstones: rest.tombstones + entries - left.entries, ...(left.entries > 0 && { expiring: left }) };
  }

  #liveBytes(segment: number): number {
    return this.levels
      .flat()
      .reduce(
        (sum, table) => sum + table.references.filter((held) => held.segment === segment).reduce((all, held) => all + held.bytes, 0),
        0,
      );
  }
}

function size(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KM])$/.exec(text);
  if (!match) throw new Error(`not a size: ${text}`);
  return Number(match[1]) * (match[2] === 'M' ? MIB : 1024);
}

function parseTables(text: string, hidden: Map<number, number>): TableMeta[] {
  return [...text.matchAll(/(\d+)\[(\S+)-(\S+?)((?: [^\]]*)?)\]/g)].map(([, id, smallest, largest, rest]) => {
    const references = [...rest!.matchAll(/refers (\d+):(\S+)/g)].map(([, segment, bytes]) => ({
      segment: Number(segment),
      bytes: size(bytes!),
    }));
    const deletes = /del (\d+)%/.exec(rest!);
    const bytes = /^ (\d\S*[KM])/.exec(rest!);
    const dense = /dense (\d+)%/.exec(rest!);
    const expires = /expires (\d+)% (\d+)-(\d+)/.exec(rest!);
    const tableBytes = bytes ? size(bytes[1]!) : 4 * MIB;
    const ruled = /ruled (\d+)/.exec(rest!);
    const covered = /hidden (\d+)%/.exec(rest!);
    if (covered) hidden.set(Number(id), Number(covered[1]) / 100);
    return {
      fileId: Number(id),
      bytes: tableBytes,
      pages: 512,
      entries: 1000,
      tombstones: deletes ? Number(deletes[1]) * 10 : 0,
      smallest: keyIn(smallest!),
      largest: keyIn(largest!),
      minSequence: Number(id),
      maxSequence: Number(id),
      densePages: dense ? Math.ceil((512 * Number(dense[1])) / 100) : 0,
      ...(expires && {
        expiring: {
          entries: Number(expires[1]) * 10,
          bytes: (tableBytes * Number(expires[1])) / 100,
          earliestMs: Number(expires[2]),
          latestMs: Number(expires[3]),
        },
      }),
      pinnedBytes: 0,
      clearedTo: 0,
      ...(ruled && { ruledTo: Number(ruled[1]) }),
      references,
    };
  });
}

function show(compaction: Compaction | undefined): string {
  if (!compaction) return 'nothing';
  const { reason, score, inputs, target, move, drop, dropDeletes, relocate } = compaction;
  const levels = [...new Set(inputs.map(({ level }) => level))];
  const from = levels.map(
    (level) =>
      `${inputs
        .filter((input) => input.level === level)
        .map(({ table }) => table.fileId)
        .join(' ')} of level ${level}`,
  );
  if (drop) return `${reason} (${score.toFixed(2)}): drop ${from.join(' and ')}`;
  const verb = move ? 'move' : levels.length === 1 && levels[0] === target ? 'rewrite' : 'merge';
  const where = verb === 'rewrite' ? '' : ` to level ${target}`;
  const extras = [dropDeletes ? 'dropping deletes' : '', relocate.length > 0 ? `relocating out of ${relocate.join(' ')}` : ''].filter(
    Boolean,
  );
  return `${reason} (${score.toFixed(2)}): ${verb} ${from.join(' and ')}${where}${extras.map((extra) => `, ${extra}`).join('')}`;
}

function settle(store: Store, stepsMax = STEPS_MAX): string[] {
  const steps: string[] = [];
  for (let compaction = store.pick(); compaction; compaction = store.pick()) {
    steps.push(show(compaction));
    if (steps.length > stepsMax) return [...steps, 'and so on, without end'];
    store.apply(compaction);
  }
  return [...steps, 'nothing'];
}

/** The script with the answers that the picker gives. */
function run(script: string): string {
  const out: string[] = [];
  let store = new Store();
  let answering = false;
  for (const line of script.split('\n')) {
    if (line === '') {
      if (answering) {
        const { settings, snapshots, pace, nowMs } = store;
        store = Object.assign(new Store(), { settings, snapshots, pace, nowMs });
      }
      answering = false;
    }
    if (answering) continue;
    out.push(line);
    const set = /^set (.*)$/.exec(line);
    const level = /^level (\d): (.*)$/.exec(line);
    const range = /^range (\S+)-(\S+): (\d+)$/.exec(line);
    const rule = /^rule (\d+): (\d+)(?: gte (\S+))?(?: lt (\S+))?( hash)?$/.exec(line);
    const block = /^block (\d+): (\S+)$/.exec(line);
    if (set) {
      for (const [name, value] of set[1]!.split(' ').map((pair) => pair.split('='))) {
        if (name === 'now') store.nowMs = Number(value);
        else if (name === 'probes') store.probes = Number(value);
        else if (name === 'snapshots') store.snapshots = value === 'none' ? [] : value!.split(',').map(Number);
        else if (name === 'pace') store.pace = value as Pace;
        else store.settings = { ...store.settings, [name!]: /[KM]$/.test(value!) ? size(value!) : Number(value) };
      }
    } else if (level) store.levels[Number(level[1])] = parseTables(level[2]!, store.hidden);
    else if (range) store.rangeTombstones.push({ start: keyIn(range[1]!), end: keyIn(range[2]!), sequence: Number(range[3]) });
    else if (rule) {
      const [gte, lt] = [rule[3], rule[4]].map((text) => text && Buffer.from(text)) as (Buffer | undefined)[];
      const parts = { ...(gte && { gte }), ...(lt && { lt }), ...(rule[5] && { hash: { mask: 1, value: 0 } }) };
      store.rules.push({ keyspace: Number(rule[1]), rule: { id: Number(rule[2]), ...parts } });
    } else if (block) store.blockBytes.set(Number(block[1]), size(block[2]!) + HEADER_BYTES);
    else if (line === 'pick' || line === 'settle') {
      answering = true;
      out.push(...(line === 'pick' ? [show(store.pick())] : settle(store)));
    } else if (line !== '' && !line.startsWith('#')) throw new Error(`a script does not say: ${line}`);
  }
  return out.join('\n');
}

for (const name of readdirSync(SCRIPTS).toSorted()) {
  test(`script ${name}`, () => {
    const path = join(SCRIPTS, name);
    const answered = run(readFileSync(path, 'utf8'));
    if (process.env['UPDATE_SCRIPTS'] === '1') writeFileSync(path, answered);
    expect(answered).toBe(readFileSync(path, 'utf8'));
  });
}

/** `b`, or `2:b` in keyspace 2. */
function keyIn(text: string): Uint8Array {
  const [, keyspace, key] = /^(?:(\d+):)?(.*)$/.exec(text)!;
  return internalKey(Number(keyspace ?? 0), Buffer.from(key!));
}

/** Cuts of the key space: tables between neighbours do not overlap. */
const cuts = fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 2, maxLength: 12 }).map((all) => all.toSorted((a, b) => a - b));
const keyAt = (place: number): Uint8Array => keyIn(`k${String(place).padStart(2, '0')}`);
const tableFacts = fc.record({
  bytes: fc.integer({ min: 8192, max: 8 * MIB }),
  deletes: fc.integer({ min: 0, max: 1000 }),
  dense: fc.nat(512),
  expiring: fc.option(fc.record({ share: fc.integer({ min: 1, max: 100 }), from: fc.nat(2000), more: fc.nat(3000) }), { nil: undefined }),
  hidden: fc.nat(100),
  sequence: fc.integer({ min: 1, max: 90 }),
  cleared: fc.nat(60),
  ruled: fc.option(fc.nat(9), { nil: undefined }),
  refers: fc.option(fc.record({ segment: fc.integer({ min: 1, max: 4 }), bytes: fc.integer({ min: 1, max: 4 * MIB }) }), {
    nil: undefined,
  }),
});

test('picking comes to an end, whatever the version, the clock and the snapshots', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(cuts, fc.array(tableFacts, { minLength: 12, maxLength: 12 })), { minLength: 1, maxLength: 5 }),
      fc.array(fc.tuple(fc.nat(98), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 90 })), { maxLength: 80 }),
      fc.uniqueArray(fc.nat(95), { maxLength: 3 }),
      fc.nat(4000),
      fc.constantFrom<Pace>('loaded', 'resting', 'idle'),
      fc.nat(1e8),
      fc.option(fc.record({ id: fc.nat(9), gte: fc.nat(98), hash: fc.boolean() }), { nil: undefined }),
      (levels, ranges, snapshots, nowMs, pace, probes, rule) => {
        const store = new Store();
        Object.assign(store, { nowMs, pace, probes, snapshots: snapshots.toSorted((a, b) => a - b) });
        if (rule) {
          const hash = rule.hash ? { hash: { mask: 1, value: 0 } } : {};
          store.rules = [{ keyspace: 0, rule: { id: rule.id, gte: keyAt(rule.gte).subarray(1), ...hash } }];
        }
        for (const [from, bytes, sequence] of ranges)
          store.rangeTombstones.push({ start: keyAt(from), end: keyAt(Math.min(99, from + bytes)), sequence });
        let fileId = 0;
        for (const [level, [places, facts]] of levels.entries()) {
          store.levels[level] = places.slice(1).map((end, i): TableMeta => {
            const { bytes, deletes, dense, expiring, hidden, sequence, cleared, ruled, refers } = facts[i]!;
            store.hidden.set(++fileId, hidden / 100);
            if (refers) store.blockBytes.set(refers.segment, 40 * MIB);
            return {
              fileId,
              bytes,
              pages: 512,
              entries: 1000,
              tombstones: deletes,
              densePages: dense,
              pinnedBytes: 0,
              clearedTo: cleared,
              ...(ruled !== undefined && { ruledTo: ruled }),
              // Level 0 overlaps, the others do not.
              smallest: keyAt(level === 0 ? places[0]! : places[i]!),
              largest: Buffer.concat([keyAt(end - 1), Buffer.from('~')]),
              minSequence: Math.max(1, sequence - 5),
              maxSequence: sequence,
              references: refers ? [refers] : [],
              ...(expiring && {
                expiring: {
                  entries: Math.min(1000 - deletes, expiring.share * 10),
                  bytes: (bytes * expiring.share) / 100,
                  earliestMs: expiring.from,
                  latestMs: expiring.from + expiring.more,
                },
              }),
            };
          });
        }
        const steps = settle(store, 2000);
        expect(steps.at(-1)).toBe('nothing');
      },
    ),
    { numRuns: 200 },
  );
});
