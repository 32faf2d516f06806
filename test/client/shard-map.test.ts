/** The map of a table's shards against a model: shards that were split and merged, whose entries are learned in any order, some of them old. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { keyHash } from '../../base/key-hash.ts';
import { hasKey, overlap, type ShardKeys, ShardMap, type ShardPlace } from '../../client/shard-map.ts';

const TABLE = 7;

interface History {
  /** Entries as they are in the end. */
  readonly current: ShardPlace[];
  /** All that ever were. */
  readonly ever: ShardPlace[];
}

function placeOf(shard: number, epoch: number, keys: ShardKeys): ShardPlace {
  return { shard, epoch, keys, replicas: [{ node: 1 + (shard % 3), witness: false }], leader: 0 };
}

/** What splits and merges make of one shard. `choices`: numbers that decide. */
function historyOf(kind: ShardKeys['kind'], choices: readonly number[]): History {
  let shard = 16;
  const whole: ShardKeys = kind === 'hash' ? { kind, bits: 0, index: 0 } : { kind, start: new Uint8Array(0), end: undefined };
  let current = [placeOf(shard++, 1, whole)];
  const ever = [...current];
  for (const choice of choices) {
    const place = current[choice % current.length]!;
    const made = choice % 3 === 0 ? merged(current, place) : split(place, shard, choice);
    if (made === undefined) continue;
    shard++;
    current = current.filter((other) => !made.some(({ keys }) => overlap(keys, other.keys)));
    current.push(...made);
    ever.push(...made);
  }
  return { current, ever };
}

function split({ shard, epoch, keys }: ShardPlace, child: number, choice: number): ShardPlace[] | undefined {
  if (keys.kind === 'hash') {
    if (keys.bits === 20) return undefined;
    const bits = keys.bits + 1;
    return [
      placeOf(shard, epoch + 1, { kind: 'hash', bits, index: keys.index }),
      placeOf(child, epoch + 1, { kind: 'hash', bits, index: keys.index + 2 ** keys.bits }),
    ];
  }
  const at = Uint8Array.of(choice & 0xff, (choice >>> 8) & 0xff);
  if (!hasKey(keys, at) || Buffer.compare(keys.start, at) === 0) return undefined;
  return [
    placeOf(shard, epoch + 1, { kind: 'range', start: keys.start, end: at }),
    placeOf(child, epoch + 1, { kind: 'range', start: at, end: keys.end }),
  ];
}

function merged(current: readonly ShardPlace[], one: ShardPlace): ShardPlace[] | undefined {
  const { keys } = one;
  if (keys.kind === 'hash') {
    const sibling = current.find(
      ({ keys: other }) =>
        other.kind === 'hash' && other.bits === keys.bits && keys.bits > 0 && (other.index ^ keys.index) === 2 ** (keys.bits - 1),
    );
    if (sibling === undefined) return undefined;
    const bits = keys.bits - 1;
    return [placeOf(one.shard, Math.max(one.epoch, sibling.epoch) + 1, { kind: 'hash', bits, index: keys.index % 2 ** bits })];
  }
  const next = current.find(
    ({ keys: other }) => other.kind === 'range' && keys.end !== undefined && Buffer.compare(other.start, keys.end) === 0,
  );
  if (next?.keys.kind !== 'range') return undefined;
  return [placeOf(one.shard, Math.max(one.epoch, next.epoch) + 1, { kind: 'range', start: keys.start, end: next.keys.end })];
}

const choices = fc.array(fc.nat(0xffff), { maxLength: 40 });
const kinds = fc.constantFrom<ShardKeys['kind'][]>('range', 'hash');
const key = fc.uint8Array({ minLength: 1, maxLength: 4 });

function ownerIn(places: readonly ShardPlace[], of: Uint8Array): number | undefined {
  return places.find(({ keys }) => hasKey(keys, of))?.shard;
}

describe('the map of a table', () => {
  it('finds for each key the shard that has it', () => {
    fc.assert(
      fc.property(kinds, choices, fc.array(key, { minLength: 1 }), (kind, some, keys) => {
        const { current } = historyOf(kind, some);
        const map = new ShardMap(TABLE, kind, current);
        expect(map.whole).toBe(true);
        expect(map.count).toBe(current.length);
        for (const each of keys) expect(map.find(each)?.shard).toBe(ownerIn(current, each));
      }),
    );
  });

  it('is right in the end, in whichever order it learned what there was at what time', () => {
    fc.assert(
      fc.property(kinds, choices, fc.infiniteStream(fc.nat(0xffff)), fc.array(key, { minLength: 1 }), (kind, some, order, keys) => {
        const { current, ever } = historyOf(kind, some);
        const map = new ShardMap(TABLE, kind);
        const rank = new Map(ever.map((place) => [place, order.next().value as number]));
        for (const place of [...ever].sort((a, b) => rank.get(a)! - rank.get(b)!)) {
          map.learn(place);
          const places = map.places();
          // Never two owners.
          for (const [i, one] of places.entries())
            for (const other of places.slice(i + 1)) expect(overlap(one.keys, other.keys)).toBe(false);
        }
        const { map: now } = map.merged(current);
        expect(now.whole).toBe(true);
        for (const each of keys) expect(now.find(each)?.shard).toBe(ownerIn(current, each));
        // What came of all the notes alone may have holes, and is not wrong.
        for (const each of keys) {
          const found = map.find(each);
          if (found !== undefined && current.includes(found)) expect(found.shard).toBe(ownerIn(current, each));
        }
      }),
    );
  });

  it('keeps what it knows better than an old map of the metaserver', () => {
    fc.assert(
      fc.property(kinds, choices, fc.nat(), fc.array(key, { minLength: 1 }), (kind, some, at, keys) => {
        const { current } = historyOf(kind, some);
        const old = historyOf(kind, some.slice(0, at % (some.length + 1))).current;
        const { map } = new ShardMap(TABLE, kind, current).merged(old);
        for (const each of keys) expect(map.find(each)?.shard).toBe(ownerIn(current, each));
        const { map: later, changed } = new ShardMap(TABLE, kind, old).merged(current);
        for (const each of keys) expect(later.find(each)?.shard).toBe(ownerIn(current, each));
        const same =
          old.length === current.length && old.every((place, i) => place.shard === current[i]!.shard && place.epoch === current[i]!.epoch);
        if (same) expect(changed).toBe(false);
      }),
    );
  });

  it('finds the shard just below a key', () => {
    fc.assert(
      fc.property(choices, key, (some, end) => {
        const { current } = historyOf('range', some);
        const map = new ShardMap(TABLE, 'range', current);
        const below = map.findBelow(end)!;
        expect(below.keys.kind === 'range' && Buffer.compare(below.keys.start, end) < 0).toBe(true);
        expect(below.keys.kind === 'range' && (below.keys.end === undefined || Buffer.compare(below.keys.end, end) >= 0)).toBe(true);
        const last = map.findBelow(undefined)!;
        expect(last.keys.kind === 'range' && last.keys.end).toBe(undefined);
      }),
    );
  });

  it('takes what a node says of a child with the replicas of its parent', () => {
    const parent: ShardPlace = { ...placeOf(16, 1, { kind: 'range', start: new Uint8Array(0), end: undefined }), leader: 2 };
    const at = Buffer.from('m');
    const rest = { shard: 16, table: TABLE, epoch: 2, keys: { kind: 'range', start: new Uint8Array(0), end: at } } as const;
    const child = { shard: 17, table: TABLE, epoch: 2, keys: { kind: 'range', start: at, end: undefined } } as const;
    for (const notes of [
      [rest, child],
      [child, rest],
    ]) {
      const map = new ShardMap(TABLE, 'range', [parent]);
      expect(map.learnNotes(notes)).toBe(true);
      expect(map.find(Buffer.from('z'))).toMatchObject({ shard: 17, replicas: parent.replicas, leader: 2 });
      expect(map.find(Buffer.from('a'))).toMatchObject({ shard: 16, epoch: 2 });
      expect(map.whole).toBe(true);
      expect(map.learnNotes(notes)).toBe(false);
    }
    const map = new ShardMap(TABLE, 'range', [parent]);
    expect(map.learnNotes([child])).toBe(true);
    expect(map.find(Buffer.from('a'))).toBe(undefined);
    expect(map.whole).toBe(false);
    expect(
      map.learnNotes([
        { ...rest, epoch: 1 },
        { ...rest, table: TABLE + 1, epoch: 9 },
      ]),
    ).toBe(true);
    expect(map.find(Buffer.from('a'))).toMatchObject({ shard: 16, epoch: 1 });
    expect(map.learnNotes([{ shard: 99, table: TABLE, epoch: 9, keys: { kind: 'hash', bits: 0, index: 0 } }])).toBe(false);
  });

  it('looks hash shards up by the low bits', () => {
    const map = new ShardMap(
      TABLE,
      'hash',
      [0, 1, 2, 3].map((index) => placeOf(16 + index, 1, { kind: 'hash', bits: 2, index })),
    );
    for (let i = 0; i < 100; i++) {
      const some = Buffer.from(`key ${i}`);
      expect(map.find(some)?.shard).toBe(16 + (keyHash(some) & 3));
    }
  });

  it('is made of a hundred thousand shards at once', () => {
    const places = Array.from({ length: 100_000 }, (_, i) => {
      const start = i === 0 ? new Uint8Array(0) : bytesOfNumber(i);
      return placeOf(16 + i, 1, { kind: 'range', start, end: i === 99_999 ? undefined : bytesOfNumber(i + 1) });
    });
    const map = new ShardMap(TABLE, 'range', places);
    expect(map.merged(places).changed).toBe(false);
    expect(map.find(bytesOfNumber(54_321))?.shard).toBe(16 + 54_321);
  });
});

function bytesOfNumber(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
