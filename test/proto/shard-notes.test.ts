import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorOf, failureOf } from '../../base/rpc-status.ts';
import { SparrowError } from '../../base/errors.ts';
import { decodeShardNotes, encodeShardNotes, type ShardNote } from '../../proto/index.ts';

const u32 = fc.nat(0xffff_ffff);
const keys = fc.oneof(
  fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.option(fc.uint8Array({ minLength: 1, maxLength: 40 }))).map(([one, other]) => {
    if (other === null) return { kind: 'range' as const, start: one, end: undefined };
    const [start, end] = [one, other].sort((a, b) => Buffer.compare(a, b)) as [Uint8Array, Uint8Array];
    return { kind: 'range' as const, start, end: Buffer.compare(start, end) === 0 ? Uint8Array.of(...end, 0) : end };
  }),
  fc.nat(32).chain((bits) => fc.nat(2 ** Math.min(bits, 31) - 1).map((index) => ({ kind: 'hash' as const, bits, index }))),
);
const note: fc.Arbitrary<ShardNote> = fc.record({ shard: u32.map((id) => id || 1), table: u32, epoch: u32.map((at) => at || 1), keys });

describe('what a node knows of shards instead', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(fc.array(note, { maxLength: 10 }), (notes) => {
        expect(decodeShardNotes(encodeShardNotes(notes))).toEqual(notes);
      }),
    );
  });

  it('is cut to what the details of an error may be long', () => {
    const long = (fill: number): Uint8Array => new Uint8Array(1_000).fill(fill);
    const notes: ShardNote[] = [1, 2, 3, 4].map((i) => ({
      shard: i,
      table: 1,
      epoch: 1,
      keys: { kind: 'range', start: long(i), end: i === 4 ? undefined : Uint8Array.of(i + 1) },
    }));
    const error = new SparrowError('rerouted', 'WRONG_SHARD', 'x', { shard: 9, applied: false, shards: encodeShardNotes(notes) });
    const carried = errorOf(failureOf(error));
    expect(carried.details['shard']).toBe(9);
    expect(decodeShardNotes(carried.details['shards'])).toEqual(notes.slice(0, 2));
  });

  it('is empty when it is something else', () => {
    for (const text of [
      undefined,
      7,
      '',
      '{',
      '{}',
      'null',
      '[1]',
      '[null]',
      '[{"shard":1}]',
      '[{"shard":0,"table":1,"epoch":1,"start":""}]',
    ])
      expect(decodeShardNotes(text)).toEqual([]);
    expect(decodeShardNotes('[{"shard":1,"table":1,"epoch":1,"start":"bQ==","end":"YQ=="}]')).toEqual([]);
    expect(decodeShardNotes('[{"shard":1,"table":1,"epoch":1,"bits":2,"index":4}]')).toEqual([]);
  });
});
