/** The hand-written codecs give and take the same bytes as the generated ones. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as proto from '../../proto/index.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const requestId = fc.option(fc.record({ client: bytes, sequence: number, seen: number }), { nil: undefined });
const u32 = fc.nat(0xffff_ffff);
/** Fields 13 to 15 of a request. */
const destination = {
  table: fc.option(fc.string({ unit: 'grapheme', maxLength: 70 }), { nil: undefined }),
  shard: fc.option(u32, { nil: undefined }),
  epoch: fc.option(u32, { nil: undefined }),
};

interface Generated<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

const CASES: [name: string, codec: proto.HotCodec<never>, generated: Generated<never>, message: fc.Arbitrary<unknown>][] = [
  [
    'GetRequest',
    proto.getRequestCodec as never,
    proto.GetRequest as never,
    fc.record({
      key: bytes,
      versionOnly: fc.boolean(),
      anyNode: fc.option(fc.record({ staleMs: fc.nat(2 ** 31) }), { nil: undefined }),
      ...destination,
    }),
  ],
  [
    'GetResponse',
    proto.getResponseCodec as never,
    proto.GetResponse as never,
    fc.record({ found: fc.boolean(), value: bytes, version: number }),
  ],
  [
    'PutRequest',
    proto.putRequestCodec as never,
    proto.PutRequest as never,
    fc.record({ key: bytes, value: bytes, requestId, ...destination }),
  ],
  ['PutResponse', proto.putResponseCodec as never, proto.PutResponse as never, fc.record({ version: number })],
  ['DeleteRequest', proto.deleteRequestCodec as never, proto.DeleteRequest as never, fc.record({ key: bytes, requestId, ...destination })],
  ['DeleteResponse', proto.deleteResponseCodec as never, proto.DeleteResponse as never, fc.record({ version: number })],
  [
    'ScanResponse',
    proto.scanResponseCodec as never,
    proto.ScanResponse as never,
    fc.record({ entries: fc.array(fc.record({ key: bytes, value: bytes })), cursor: bytes, version: number }),
  ],
];

describe.each(CASES)('%s', (_, codec, generated, arbitrary) => {
  it('is written as the generated code writes it, and read by either', () => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        const expected = Buffer.from(generated.encode(message as never).finish());
        const written = proto.encodeHot(codec, message as never);
        expect(written.equals(expected)).toBe(true);
        expect(codec.read(expected)).toEqual(message);
        expect(generated.decode(written)).toEqual(message);
      }),
    );
  });

  it('skips fields that it does not know', () => {
    fc.assert(
      fc.property(arbitrary, bytes, number, (message, text, value) => {
        const written = proto.encodeHot(codec, message as never);
        // Fields 11 (varint), 12 (bytes), 10 (64 bits), 9 (32 bits), as a later release may send them.
        const later = proto.encodeHot(proto.putResponseCodec, { version: value || 1 });
        later[0] = 11 << 3;
        const more = Buffer.concat([
          later,
          Buffer.of((12 << 3) | 2, text.length & 0x7f),
          Buffer.alloc(text.length & 0x7f),
          Buffer.of((10 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8),
          Buffer.of((9 << 3) | 5, 1, 2, 3, 4),
        ]);
        expect(codec.read(Buffer.concat([more, written]))).toEqual(message);
        expect(codec.read(Buffer.concat([written, more]))).toEqual(message);
      }),
    );
  });

  it('costs no byte for what is absent', () => {
    fc.assert(
      fc.property(arbitrary, (message) => {
        const plain = { ...(message as object), table: undefined, shard: undefined, epoch: undefined };
        const { table: _, shard: __, epoch: ___, ...less } = plain;
        expect(proto.encodeHot(codec, plain as never)).toEqual(proto.encodeHot(codec, less as never));
      }),
    );
  });

  it('ends in an error of its own for bytes that are none', () => {
    fc.assert(
      fc.property(arbitrary, bytes, fc.nat(), fc.nat(255), (message, noise, at, byte) => {
        const written = proto.encodeHot(codec, message as never);
        const cut = written.subarray(0, at % (written.length + 1));
        const changed = Buffer.from(written);
        if (changed.length > 0) changed[at % changed.length] = byte;
        for (const source of [noise, cut, changed]) {
          try {
            codec.read(source);
          } catch (error) {
            expect(error).toMatchObject({ kind: 'invalid', code: 'WIRE_FORMAT' });
          }
        }
      }),
    );
  });
});
