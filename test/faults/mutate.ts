/** Ways to spoil bytes that meet decoders where they are weak: lengths, counts, ends, and numbers at the edges of their types. */
import type { SimRandom } from '../sim/sim-random.ts';

const BYTES = [0, 1, 0x7f, 0x80, 0xff];
const WORDS = [0, 1, 7, 0x7f, 0x80, 0xffff, 0x10000, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff];

/** A copy with one to four changes that keep its length. */
export function spoil(bytes: Uint8Array, random: SimRandom): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (copy.length === 0) return copy;
  const view = new DataView(copy.buffer);
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(copy.length);
    switch (random.below(5)) {
      case 0:
        copy[at]! ^= 1 << random.below(8);
        break;
      case 1:
        copy[at] = random.pick(BYTES);
        break;
      case 2:
        copy[at] = random.below(256);
        break;
      case 3:
        if (at + 4 <= copy.length) view.setUint32(at, random.pick(WORDS), true);
        break;
      default:
        copy.copyWithin(at, random.below(copy.length), random.below(copy.length));
    }
  }
  return copy;
}

/** As `spoil`, and it may become longer or shorter. */
export function mutate(bytes: Uint8Array, random: SimRandom): Uint8Array {
  const at = random.below(bytes.length + 1);
  switch (random.below(6)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random.below(8)))]);
    case 2: {
      const inserted = new Uint8Array(1 + random.below(8));
      random.fill(inserted);
      return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
    }
    default:
      return spoil(bytes, random);
  }
}
