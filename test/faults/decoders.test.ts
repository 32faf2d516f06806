/** A sample of spoilt bytes for each decoder; fuzz.ts has as many as are wanted. */
import { beforeAll, describe, expect, it } from 'vitest';
import { keyspacesStore, layeredStore, type StoreImage } from '../corruption/stores.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { DECODERS } from './decoders.ts';

const CASES = 250;
let images: StoreImage[];

beforeAll(async () => {
  images = [await layeredStore(), await keyspacesStore()];
});

describe('bytes that nobody wrote, behind checksums that hold', () => {
  it.each(Object.keys(DECODERS))('%s: gives a value or says what is wrong', { timeout: 600_000 }, async (name) => {
    const before = process.memoryUsage().arrayBuffers;
    let sound = 0;
    for (let seed = 1; seed <= CASES; seed++) {
      try {
        if (await DECODERS[name]!(new SimRandom(seed), images[seed % images.length]!)) sound++;
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
      }
    }
    // Both happen: the bytes are neither all refused at the door nor hardly spoilt.
    expect(sound).toBeGreaterThan(0);
    expect(sound).toBeLessThan(CASES);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(512 * 1024 * 1024);
  });
});
