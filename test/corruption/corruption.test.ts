/** A sample of damage to every kind of file; campaign.ts does all of it. What is damaged is noticed or makes no difference: never a wrong value. */
import { describe, expect, it } from 'vitest';
import { damaged, describeDamage, everyDamage, vouchedFor, type Damage } from './damage.ts';
import { examine, type Outcome, WrongStore } from './examine.ts';
import { allStores, keyspacesStore, layeredStore, loggedStore, packedStores, type StoreImage } from './stores.ts';

async function outcomeOf(image: StoreImage, damage: Damage): Promise<Outcome> {
  try {
    return await examine(image, damaged(image, damage), vouchedFor(image, damage));
  } catch (error) {
    throw new WrongStore(`${describeDamage(damage)}: ${(error as Error).message}`, { cause: error });
  }
}

/** Every `stride`-th damage. A prime, so that positions and bits mix. */
async function sample(image: StoreImage, stride: number): Promise<Map<Outcome, number>> {
  const outcomes = new Map<Outcome, number>();
  let number = 0;
  for (const damage of everyDamage(image, (position) => [1 << (position % 8)])) {
    if (number++ % stride !== 0) continue;
    const outcome = await outcomeOf(image, damage);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return outcomes;
}

/** The newest log segment: the only file whose end may go without a word. */
function newestLog(image: StoreImage): string {
  return [...image.files.keys()].findLast((name) => name.endsWith('.log'))!;
}

describe('a damaged store', () => {
  it('gives errors or what is right, wherever a byte is flipped and wherever a file ends', { timeout: 600_000 }, async () => {
    const outcomes = await sample(await layeredStore(), 97);
    for (const outcome of ['refused', 'noticed', 'harmless', 'cut'] as const) expect(outcomes.get(outcome), outcome).toBeGreaterThan(5);
  });

  it('that is only a log does so too', { timeout: 600_000 }, async () => {
    const outcomes = await sample(await loggedStore(), 401);
    expect(outcomes.get('refused')).toBeGreaterThan(3);
  });

  it('whose manifest has lost its end is refused where the log knows of a keyspace that was in it', async () => {
    const image = await loggedStore();
    const [file, manifest] = [...image.files].find(([name]) => name.startsWith('MANIFEST'))!;
    for (let length = 0; length < manifest.length; length++) expect(await outcomeOf(image, { file, length })).toBe('refused');
  });

  it.each([
    ['lz4', async () => (await packedStores())[0]!],
    ['zstd', async () => (await packedStores())[1]!],
    ['keyspaces', keyspacesStore],
  ] as const)('whose pages are packed does so too (%s)', { timeout: 600_000 }, async (name, store) => {
    const image = await store();
    expect(image.name).toBe(name);
    const outcomes = await sample(image, 211);
    for (const outcome of ['refused', 'noticed', 'harmless', 'cut'] as const) expect(outcomes.get(outcome), outcome).toBeGreaterThan(2);
  });

  it('undamaged, is whole', async () => {
    for (const image of await allStores()) expect(await examine(image, image.files, image.batches)).toBe('harmless');
  });

  it('is not fooled by sound bytes in the wrong place: pages, frames and values of other files', { timeout: 600_000 }, async () => {
    const image = await keyspacesStore();
    const kinds = [/table$/, /log$/, /block$/].map((kind) => [...image.files.keys()].filter((name) => kind.test(name)));
    let cases = 0;
    for (const names of kinds) {
      for (const file of names) {
        for (const from of names) {
          if (file === from) continue;
          // From where pages, frames and values begin: all of it, and the first of them.
          for (const [at, bytes] of [
            [0, 8192],
            [0, Infinity],
            [64, Infinity],
            [1024, Infinity],
            [1024, 400],
          ] as const) {
            cases++;
            expect(await outcomeOf(image, { file, from, at, bytes: Math.min(bytes, image.files.get(from)!.length - at) })).toBeDefined();
          }
        }
      }
    }
    expect(cases).toBeGreaterThan(30);
  });

  it('is refused when any file but the newest log segment is gone, and nothing else is removed', async () => {
    const image = await layeredStore();
    for (const file of image.files.keys()) {
      expect(await outcomeOf(image, { file, gone: true }), file).toBe(file === newestLog(image) ? 'cut' : 'refused');
    }
  });

  it('is refused when the header of its newest log segment is damaged, whose frames say that they were synced', async () => {
    const image = await layeredStore();
    for (let flip = 0; flip < 64; flip += 3) expect(await outcomeOf(image, { file: newestLog(image), flip, mask: 1 })).toBe('refused');
  });

  it('is refused when its manifest has lost the edit after which log segments were removed', async () => {
    const image = await layeredStore();
    const manifest = [...image.files.keys()].find((name) => name.startsWith('MANIFEST'))!;
    for (let length = 24; length < 300; length += 7) expect(await outcomeOf(image, { file: manifest, length })).toBe('refused');
  });
});
