import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyHash } from '../../../base/key-hash.ts';
import {
  ALL_KEYS,
  checkDescriptor,
  compareEpochs,
  coversAll,
  coversKey,
  decodeDescriptor,
  encodeDescriptor,
  sameKeys,
  type ShardDescriptor,
  type ShardKeys,
  wholeTable,
} from '../../../server/shard/descriptor.ts';

const key = fc.uint8Array({ maxLength: 12 });
const range: fc.Arbitrary<ShardKeys> = fc
  .tuple(key, fc.option(fc.uint8Array({ minLength: 1, maxLength: 12 }), { nil: undefined }))
  .filter(([start, end]) => end === undefined || Buffer.compare(start, end) < 0)
  .map(([start, end]) => ({ kind: 'range', start, end }));
const hash: fc.Arbitrary<ShardKeys> = fc
  .integer({ min: 0, max: 32 })
  .chain((bits) => fc.record({ kind: fc.constant('hash' as const), bits: fc.constant(bits), index: fc.nat({ max: 2 ** bits - 1 }) }));
const u32 = fc.integer({ min: 1, max: 0xffffffff });
const described: fc.Arbitrary<ShardDescriptor> = fc.record({
  shard: u32,
  table: fc.nat({ max: 0xffffffff }),
  epoch: u32,
  keys: fc.oneof(range, hash),
  state: fc.constantFrom('normal' as const, 'splitting' as const, 'sealed' as const, 'retired' as const),
  ttlMs: fc.maxSafeNat(),
  inlineThreshold: fc.nat({ max: 0xffffffff }),
});
const descriptor: fc.Arbitrary<ShardDescriptor> = fc
  .tuple(described, fc.boolean())
  .map(([each, dropped]) => (dropped ? { ...each, dropped: true } : each));

describe('a shard descriptor', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(descriptor, (each) => {
        expect(decodeDescriptor(encodeDescriptor(each))).toEqual(each);
      }),
    );
  });

  it('that is damaged is refused, or is another one: nothing else is thrown', () => {
    fc.assert(
      fc.property(descriptor, fc.nat(), fc.nat({ max: 255 }), fc.boolean(), (each, at, byte, cut) => {
        const bytes = encodeDescriptor(each);
        const damaged = cut ? bytes.subarray(0, at % bytes.length) : Buffer.from(bytes);
        if (!cut) damaged[at % bytes.length] = byte;
        try {
          expect(encodeDescriptor(decodeDescriptor(damaged))).toEqual(damaged);
        } catch (error) {
          expect(error).toMatchObject({ code: 'CORRUPT_DESCRIPTOR' });
        }
      }),
    );
  });

  it('names the field that cannot be', () => {
    const whole = wholeTable(16, 2);
    const invalid: [Partial<ShardDescriptor>, string][] = [
      [{ shard: 0 }, 'shard'],
      [{ epoch: 0 }, 'epoch'],
      [{ table: -1 }, 'table'],
      [{ ttlMs: 0.5 }, 'ttlMs'],
      [{ keys: { kind: 'hash', bits: 33, index: 0 } }, 'keys.bits'],
      [{ keys: { kind: 'hash', bits: 3, index: 8 } }, 'keys.index'],
      [{ keys: { kind: 'range', start: Buffer.from('b'), end: Buffer.from('b') } }, 'keys.end'],
      [{ keys: { kind: 'range', start: new Uint8Array(0), end: new Uint8Array(0) } }, 'keys.end (its bytes)'],
      [{ keys: { kind: 'range', start: new Uint8Array(65536), end: undefined } }, 'keys.start (its bytes)'],
    ];
    for (const [change, field] of invalid)
      expect(() => checkDescriptor({ ...whole, ...change }), field).toThrow(
        expect.objectContaining({ code: 'SHARD_DESCRIPTOR', details: { field } }),
      );
    checkDescriptor(whole);
  });

  it('is newer the larger its epoch', () => {
    const older = wholeTable(7, 1);
    expect(compareEpochs(older, { ...older, epoch: 2 })).toBeLessThan(0);
    expect(compareEpochs(older, older)).toBe(0);
    expect(() => compareEpochs(older, wholeTable(8, 1))).toThrow(/one shard/);
  });
});

describe('the keys of a shard', () => {
  it('of a range are those from its start on, before its end', () => {
    const keys: ShardKeys = { kind: 'range', start: Buffer.from('b'), end: Buffer.from('d') };
    const covered = ['a', 'b', 'ba', 'c', 'czz', 'd', 'e'].filter((each) => coversKey(keys, Buffer.from(each)));
    expect(covered).toEqual(['b', 'ba', 'c', 'czz']);
    expect(coversKey({ ...keys, end: undefined }, Buffer.from([0xff, 0xff]))).toBe(true);
    expect(coversKey(ALL_KEYS, Buffer.from([0]))).toBe(true);
  });

  it('each key is of one shard of a table, however its ranges or hashes were split', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 })), { maxLength: 20 }),
        fc.array(key),
        (byHash, splits, keys) => {
          let shards: ShardKeys[] = [byHash ? { kind: 'hash', bits: 0, index: 0 } : ALL_KEYS];
          for (const [which, at] of splits) {
            const parent = shards[which % shards.length]!;
            if (parent.kind === 'hash') {
              if (parent.bits === 32) continue;
              const bits = parent.bits + 1;
              shards = [
                ...shards.filter((each) => each !== parent),
                { ...parent, bits },
                { ...parent, bits, index: parent.index + 2 ** parent.bits },
              ];
            } else if (Buffer.compare(parent.start, at) < 0 && coversKey(parent, at)) {
              shards = [...shards.filter((each) => each !== parent), { ...parent, end: at }, { ...parent, start: at }];
            }
          }
          for (const each of keys) expect(shards.filter((shard) => coversKey(shard, each))).toHaveLength(1);
        },
      ),
    );
  });

  it('are told to be all there are, or the same', () => {
    expect(coversAll(ALL_KEYS)).toBe(true);
    expect(coversAll({ kind: 'hash', bits: 0, index: 0 })).toBe(true);
    expect(coversAll({ kind: 'hash', bits: 1, index: 0 })).toBe(false);
    expect(coversAll({ ...ALL_KEYS, end: Buffer.from('a') })).toBe(false);
    expect(sameKeys(ALL_KEYS, { kind: 'range', start: Buffer.alloc(0), end: undefined })).toBe(true);
    expect(sameKeys(ALL_KEYS, { ...ALL_KEYS, end: Buffer.from('a') })).toBe(false);
    expect(sameKeys(ALL_KEYS, { kind: 'hash', bits: 0, index: 0 })).toBe(false);
    expect(sameKeys({ kind: 'hash', bits: 3, index: 5 }, { kind: 'hash', bits: 3, index: 5 })).toBe(true);
  });

  it('of all 32 bits of the hash are told apart', () => {
    const index = keyHash(Buffer.from('sparrow'));
    expect(coversKey({ kind: 'hash', bits: 32, index }, Buffer.from('sparrow'))).toBe(true);
    expect(coversKey({ kind: 'hash', bits: 32, index: (index ^ 0x80000000) >>> 0 }, Buffer.from('sparrow'))).toBe(false);
  });
});
