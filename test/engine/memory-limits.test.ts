/** Settings near the limits of the memory: refused at the door, or good for a whole life. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EngineSettingsInput, open } from '../../engine/index.ts';
import { LinearMemory, unitBytes } from '../../engine/memory/linear-memory.ts';
import { pageCacheMemory } from '../../engine/table/index.ts';
import { valueCacheMemory } from '../../engine/value-cache.ts';
import { resolveSettings } from '../../engine/settings.ts';
import { SharedResources } from '../../engine/resources.ts';
import { planMemory, plannedBytes } from '../../engine/memory-plan.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const MIB = 2 ** 20;
const KIB = 2 ** 10;

/** About as much as there is, give or take a few MiB, shared out at random. */
const tightSettings: fc.Arbitrary<EngineSettingsInput> = fc
  .record({
    pageCacheBytes: fc.integer({ min: MIB, max: 24 * MIB }),
    valueCacheBytes: fc.constantFrom(0, MIB, 4 * MIB),
    memtableBytes: fc.constantFrom(64 * KIB, MIB, 4 * MIB),
    indexBytes: fc.constantFrom(0, MIB, 8 * MIB),
    maxValueBytes: fc.constantFrom(64 * KIB, MIB, 4 * MIB, 16 * MIB),
    segmentBytes: fc.constantFrom(MIB, 16 * MIB),
    level0Compact: fc.constantFrom(1, 4),
    spareBytes: fc.integer({ min: 0, max: 4 * MIB }),
  })
  .map(({ spareBytes, ...settings }) => {
    const memoryBytes = 64 * MIB;
    const others = plannedBytes(planMemory({ ...settings, maxBatchBytes: 0 }));
    return { ...settings, memoryBytes, tableBytes: MIB, maxBatchBytes: Math.max(64 * KIB, memoryBytes - others - spareBytes - 64 * KIB) };
  });

describe('settings that are accepted', () => {
  test('are good for large batches, flushes, compactions, reads and another opening', async () => {
    let lives = 0;
    await fc.assert(
      fc.asyncProperty(tightSettings, fc.integer({ min: 1, max: 3 }), async (settings, rounds) => {
        const fileSystem = new SimFileSystem();
        const resolved = resolveOrNothing(settings);
        fc.pre(resolved !== undefined);
        lives++;
        const { maxValueBytes, maxBatchBytes } = resolved!;
        const largest = Math.min(maxValueBytes, maxBatchBytes - 16);
        const engine = await open('/store', settings, { fileSystem });
        for (let round = 0; round < rounds; round++) {
          const value = new Uint8Array(largest).fill(round + 1);
          await engine.put(`large${round}`, value);
          const many = Math.max(1, Math.floor(maxBatchBytes / (largest + 16)));
          await engine.write(Array.from({ length: many }, (_, i) => ({ type: 'put', key: `many${round}-${i}`, value })));
          // Nobody awaits these: the memory fills as fast as it can.
          const unawaited = Array.from({ length: 3000 }, (_, i) => engine.put(`small${round}-${i}`, `${i}`.padEnd(200, 'v'), BUFFERED));
          await Promise.all(unawaited);
          expect(engine.getSync(`large${round}`)).toHaveLength(largest);
          expect(engine.getSync(`many${round}-${many - 1}`)?.[0]).toBe(round + 1);
        }
        await engine.flush();
        await engine.compact();
        expect([...engine.scanSync({ keysOnly: true, prefix: 'small' })]).toHaveLength(rounds * 3000);
        await engine.put('last', new Uint8Array(largest));
        await engine.close();
        const again = await open('/store', settings, { fileSystem });
        for (let round = 0; round < rounds; round++) {
          expect(again.getSync(`large${round}`)?.[largest - 1]).toBe(round + 1);
          expect(again.getSync(`small${round}-2999`)).toHaveLength(200);
        }
        await again.flush();
        await again.close();
      }),
      { numRuns: 5 },
    );
    expect(lives).toBeGreaterThan(0);
  }, 120_000);

  test('are good for a caller that awaits nothing but the end', async () => {
    const settings = { memoryBytes: 64 * MIB, pageCacheBytes: MIB, memtableBytes: MIB, maxBatchBytes: 17 * MIB };
    const engine = await open('/store', settings, { fileSystem: new SimFileSystem() });
    const written = Array.from({ length: 6 }, (_, i) => engine.put(`k${i}`, new Uint8Array(16 * MIB).fill(i), BUFFERED));
    await engine.flush();
    await Promise.all(written);
    for (let i = 0; i < 6; i++) expect(engine.getSync(`k${i}`)?.[0]).toBe(i);
    expect(engine.metrics().flushes.count).toBeGreaterThan(0);
    await engine.close();
  });
});

const BUFFERED = { durability: 'buffered' } as const;

describe('settings that cannot work', () => {
  test('are refused with what they take, and what to change', async () => {
    const settings = { memoryBytes: 64 * MIB, pageCacheBytes: 32 * MIB, memtableBytes: MIB, maxBatchBytes: 17 * MIB };
    await expect(open('/store', settings, { fileSystem: new SimFileSystem() })).rejects.toMatchObject({
      kind: 'invalid',
      code: 'OPTION_RANGE',
      message: expect.stringMatching(
        /^memoryBytes \(67108864\) is less than the other settings take: \d+ \(\d+ for pageCacheBytes, .*\); set memoryBytes to \d+ or more, or lower pageCacheBytes or maxBatchBytes$/,
      ) as string,
      details: { field: 'memoryBytes', limit: 64 * MIB },
    });
  });

  test('work with the memory that the refusal names', async () => {
    const settings = {
      memoryBytes: 64 * MIB,
      pageCacheBytes: 32 * MIB,
      valueCacheBytes: 4 * MIB,
      memtableBytes: MIB,
      maxBatchBytes: 17 * MIB,
    };
    let memoryBytes = 0;
    try {
      resolveSettings(settings);
    } catch (error) {
      memoryBytes = (error as { details: { wanted: number } }).details.wanted;
    }
    expect(() => resolveSettings({ ...settings, memoryBytes: memoryBytes - 1 })).toThrow();
    const engine = await open('/store', { ...settings, memoryBytes }, { fileSystem: new SimFileSystem() });
    for (let i = 0; i < 6; i++) await engine.put(`k${i}`, new Uint8Array(16 * MIB));
    await engine.flush();
    expect(engine.getSync('k5')).toHaveLength(16 * MIB);
    await engine.close();
  });
});

test('the plan is what caches and reserves take', () => {
  const given = {
    pageCacheBytes: 5 * MIB + 8192 * 3,
    valueCacheBytes: 3 * MIB,
    memtableBytes: MIB,
    memoryBytes: 128 * MIB,
    maxBatchBytes: MIB,
  };
  const resources = new SharedResources(resolveSettings(given), () => 0);
  const before = resources.memory.usedBytes;
  resources.reserve(resolveSettings(given));
  const plan = planMemory(resolveSettings(given));
  const { memtableBytes, maxValueBytes } = plan;
  expect(resources.memory.usedBytes - before).toBe(memtableBytes - unitBytes(MIB) + maxValueBytes);
  const memory = new LinearMemory(128 * MIB);
  for (const frames of [80, 127, 128, 129, 4096, 5000]) {
    const arrays = unitBytes(memory.kernel['cacheArrayBytes']!(frames));
    expect(pageCacheMemory(frames * 8192)).toBe(unitBytes(frames * 8192) + arrays);
  }
  expect(valueCacheMemory(3 * MIB)).toBe(unitBytes(3 * MIB) + unitBytes(4096 * 8));
});

function resolveOrNothing(settings: EngineSettingsInput): ReturnType<typeof resolveSettings> | undefined {
  try {
    return resolveSettings(settings);
  } catch {
    return undefined;
  }
}
