/** Entries for tests of the table side: keys that share prefixes, contain one another and hold extreme bytes; versions that straddle pages. */
import * as fc from 'fast-check';
import { BUILDER_BYTES, BUILDER_HASHES_AT, BUILDER_INDEX_AT, BUILDER_OUT, PAGE_BYTES } from '../../assembly/memory-map.ts';
import type { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { withExpiry } from './twins/expiry.ts';
import { compareEntries, type PageEntry } from './twins/page.ts';

const EXTREMES = [0x00, 0x01, 0x61, 0x7f, 0x80, 0xff];
const encoder = new TextEncoder();

export const keyArbitrary: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 3, arbitrary: fc.array(fc.constantFrom(...EXTREMES), { minLength: 1, maxLength: 5 }).map((bytes) => Uint8Array.from(bytes)) },
  { weight: 3, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 40 }) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom('user:', 'a/rather/long/common/prefix/of/many/keys/'), fc.nat(5000))
      .map(([head, number]) => encoder.encode(`${head}${String(number).padStart(6, '0')}`)),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 4000, max: 4096 }), fc.constantFrom(...EXTREMES), fc.nat(255)).map(([bytes, fill, last]) => {
      const key = new Uint8Array(bytes).fill(fill);
      key[bytes - 1] = last;
      return key;
    }),
  },
);

const valueBytesArbitrary = fc.oneof({ weight: 6, arbitrary: fc.nat(120) }, { weight: 1, arbitrary: fc.integer({ min: 1000, max: 3900 }) });

/** Entries in order, each with a sequence of its own. At most about `keys` keys with up to 12, rarely 300, versions. */
export function entriesArbitrary(keys = 60): fc.Arbitrary<PageEntry[]> {
  const draft = fc.record({
    key: keyArbitrary,
    versions: fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 1, max: 12 }) }, { weight: 1, arbitrary: fc.constant(300) }),
    kind: fc.constantFrom(1, 1, 1, 2, 3),
    /** All but the one that has a meaning. */
    flags: fc.nat(7).map((bits) => bits * 2),
    expiry: fc.option(fc.nat(5000), { nil: undefined }),
    valueBytes: valueBytesArbitrary,
  });
  return fc
    .uniqueArray(draft, { minLength: 1, maxLength: keys, size: 'max', selector: ({ key }) => Buffer.from(key).toString('hex') })
    .map((drafts) => {
      let sequence = 0;
      const entries = drafts.flatMap(({ key, versions, kind, flags, valueBytes, expiry }) =>
        Array.from({ length: versions }, (_, i): PageEntry => {
          sequence += 1 + ((i * 7) % 3);
          const bytes = kind === 3 ? 0 : kind === 2 ? 24 : Math.floor(valueBytes / (versions > 12 ? 20 : 1));
          const entry = { key, sequence, kind, flags, value: new Uint8Array(bytes).fill(sequence) };
          return expiry === undefined || kind === 3 ? entry : withExpiry(entry, expiry + i);
        }),
      );
      return entries.sort(compareEntries);
    });
}

export interface KernelBuild {
  readonly pages: Uint8Array;
  readonly pageCount: number;
  readonly index: Uint8Array;
  readonly hashes: BigUint64Array;
  /** A copy of the builder's struct. */
  readonly builder: DataView;
}

/** Runs the kernel over the entries with areas as small as they may be, which grow when it asks. */
export function buildWithKernel(memory: LinearMemory, entries: readonly PageEntry[], fileId: number, windowPages = 1): KernelBuild {
  const { kernel, u8, u32 } = memory;
  const builder = memory.allocateSmall(BUILDER_BYTES);
  const windowBytes = (windowPages + 2) * PAGE_BYTES;
  const window = memory.allocate(windowBytes);
  const source = memory.allocate(16384);
  const field = (offset: number): number => u32[(builder + offset) >>> 2]!;
  let [indexBytes, hashesBytes] = [8400, 64];
  let [index, hashes] = [memory.allocate(indexBytes), memory.allocate(hashesBytes)];
  const chunks: Uint8Array[] = [];
  const take = (): void => {
    chunks.push(u8.slice(window, field(BUILDER_OUT)));
    kernel['builderRewind']!(builder);
  };
  const left: [number, number][] = [];
  const grown = (address: number, bytes: number, end: number): [number, number] => {
    if (end - address < bytes / 2) return [address, bytes];
    left.push([address, bytes]);
    return [memory.allocate(bytes * 2), bytes * 2];
  };
  kernel['builderBegin']!(builder, fileId, window, windowBytes, index, indexBytes, hashes, hashesBytes);
  for (const { key, sequence, kind, flags, value } of entries) {
    u8.set(key, source);
    u8.set(value, source + 8192);
    const answer = kernel['builderPut']!(builder, source, key.length, sequence, kind, flags, source + 8192, value.length);
    // What was added is the builder's: the caller's bytes may change.
    u8.fill(0xee, source, source + 16384);
    if (answer === 0) continue;
    if (answer !== 4) throw new Error(`the builder answered ${answer}`);
    take();
    [index, indexBytes] = grown(index, indexBytes, field(BUILDER_INDEX_AT));
    [hashes, hashesBytes] = grown(hashes, hashesBytes, field(BUILDER_HASHES_AT));
    kernel['builderMove']!(builder, index, indexBytes, hashes, hashesBytes);
    for (const [address, bytes] of left.splice(0)) memory.free(address, bytes);
  }
  const pageCount = kernel['builderFinish']!(builder);
  take();
  const built = {
    pages: Uint8Array.from(Buffer.concat(chunks)),
    pageCount,
    index: u8.slice(index, field(BUILDER_INDEX_AT)),
    hashes: new BigUint64Array(u8.slice(hashes, field(BUILDER_HASHES_AT)).buffer),
    builder: new DataView(u8.slice(builder, builder + BUILDER_BYTES).buffer),
  };
  memory.free(index, indexBytes);
  memory.free(hashes, hashesBytes);
  memory.free(source, 16384);
  memory.free(window, windowBytes);
  memory.freeSmall(builder, BUILDER_BYTES);
  return built;
}
