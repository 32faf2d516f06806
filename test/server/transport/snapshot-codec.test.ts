/** The messages of a snapshot's stream: the same after the way, and nothing else is taken. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import { decodeSnapshotMessage, encodeSnapshotMessage, type SnapshotMessage } from '../../../server/transport/index.ts';
import { beginChunk, CHUNK_HEADER_BYTES } from '../../../server/transport/snapshot-codec.ts';
import { mutate } from '../../faults/mutate.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { hash } from './hash.ts';
import { configuration, group } from './messages.ts';

type Sealed = Exclude<SnapshotMessage, { kind: 'chunk' }>;

const name = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}$/);
const number = fc.maxSafeNat();

const message: fc.Arbitrary<Sealed> = fc.oneof(
  fc.record({ kind: fc.constant('fetch' as const), group, id: name }),
  fc.record({
    kind: fc.constant('head' as const),
    head: fc.record({
      group,
      term: number,
      snapshot: fc.record({ index: number, term: number, configuration }),
      id: name,
      files: fc.uniqueArray(fc.record({ name, bytes: number }), { selector: (file) => file.name, maxLength: 6 }),
    }),
  }),
  fc.record({ kind: fc.constant('from' as const), position: fc.record({ file: number, offset: number }) }),
  fc.record({ kind: fc.constant('file-end' as const), file: number, check: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.constant({ kind: 'taken' as const }),
  fc.record({
    kind: fc.constant('refused' as const),
    failure: fc.record({
      status: fc.nat(16),
      kind: fc.string(),
      code: fc.string(),
      message: fc.string({ unit: 'grapheme' }),
      details: fc.string(),
    }),
  }),
);

describe('a message of a snapshot', () => {
  it('is the same after the way', () => {
    fc.assert(
      fc.property(message, (each) => {
        expect(decodeSnapshotMessage(encodeSnapshotMessage(each, hash), hash)).toEqual(each);
      }),
    );
  });

  it('may be a chunk, whose data is not copied', () => {
    const chunk = beginChunk({ file: 3, offset: 2 ** 40 + 1 }, 5);
    chunk.write('hello', CHUNK_HEADER_BYTES);
    const read = decodeSnapshotMessage(chunk, hash);
    expect(read).toEqual({ kind: 'chunk', position: { file: 3, offset: 2 ** 40 + 1 }, data: Buffer.from('hello') });
    expect(read.kind === 'chunk' && read.data.buffer).toBe(chunk.buffer);
    expect(() => decodeSnapshotMessage(chunk.subarray(0, CHUNK_HEADER_BYTES), hash)).toThrow('without data');
    for (const at of [0, 9, 23]) {
      const spoilt = Buffer.from(chunk);
      spoilt[at]! ^= 0x80;
      expect(() => decodeSnapshotMessage(spoilt, hash)).toThrow(expect.objectContaining({ code: 'PEER_FORMAT' }));
    }
  });

  it.each(['', '.', '..', '.hidden', 'a/b', '../CURRENT', 'a\0b', 'a\\b', 'ä', 'x'.repeat(256)])('names no file %j', (bad) => {
    const head = {
      group: 1,
      term: 1,
      snapshot: {
        index: 1,
        term: 1,
        configuration: { voters: [1], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false },
      },
      id: 'x',
      files: [{ name: 'good-name', bytes: 1 }],
    };
    const refused = expect.objectContaining({ kind: 'invalid', code: 'SNAPSHOT_NAME' });
    expect(() => encodeSnapshotMessage({ kind: 'head', head: { ...head, files: [{ name: bad, bytes: 1 }] } }, hash)).toThrow(refused);
    // As somebody else may send it: as long, and with a check that holds.
    const bytes = Buffer.byteLength(bad);
    if (bytes === 0 || bytes > 255) return;
    const sent = encodeSnapshotMessage({ kind: 'head', head: { ...head, files: [{ name: 'n'.repeat(bytes), bytes: 1 }] } }, hash);
    sent.write(bad, sent.length - 1 - bytes);
    sent.writeBigUInt64LE(hash(sent.subarray(8), 0n), 0);
    expect(() => decodeSnapshotMessage(sent, hash)).toThrow(refused);
  });

  it('of bytes that nobody wrote is refused or means something', () => {
    const samples = fc.sample(message, { numRuns: 200, seed: 7 });
    let sound = 0;
    const cases = 4000;
    for (let seed = 1; seed <= cases; seed++) {
      const random = SimRandom.mixed(seed);
      const bytes = Buffer.from(mutate(encodeSnapshotMessage(samples[seed % samples.length]!, hash), random));
      if (bytes.length >= 8 && random.chance(0.9)) bytes.writeBigUInt64LE(hash(bytes.subarray(8), 0n), 0);
      try {
        const read = decodeSnapshotMessage(bytes, hash);
        sound++;
        if (read.kind !== 'chunk') decodeSnapshotMessage(encodeSnapshotMessage(read, hash), hash);
      } catch (error) {
        if (!(error instanceof SparrowError) || !['invalid', 'corrupt'].includes(error.kind))
          throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    expect(sound).toBeGreaterThan(cases / 100);
    expect(sound).toBeLessThan(cases);
  });
});
