/** Upkeep beside an engine keeps to the budget of background I/O: virtual time tells, because nothing else takes any. */
import { beforeEach, describe, expect, it } from 'vitest';
import { createTableWriter, type Engine, type EngineSettingsInput, open, restore, type Resources } from '../../../engine/index.ts';
import { SharedResources } from '../../../engine/resources.ts';
import { resolveResourceSettings } from '../../../engine/settings.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';

const MIB = 2 ** 20;
const RATE = 2 * MIB;
const SETTINGS: EngineSettingsInput = { memtableBytes: MIB, segmentBytes: MIB, tableBytes: MIB, level1Bytes: 64 * MIB, level0Compact: 16 };
const SHARED = { memoryBytes: 256 * MIB, pageCacheBytes: 4 * MIB, memtableBytesTotal: 32 * MIB };

let fileSystem: SimFileSystem;
let scheduler: SimScheduler;
let resources: Resources;

beforeEach(() => {
  fileSystem = new SimFileSystem();
  scheduler = new SimScheduler();
  resources = new SharedResources(resolveResourceSettings({ ...SHARED, backgroundBytesPerSecMax: RATE }), () => scheduler.nowMs);
});

async function openFilled(restMs = 60_000): Promise<Engine> {
  const clock = new SimClock(scheduler);
  const engine = await open('/data', SETTINGS, { fileSystem, scheduler, clock, random: new SimRandom(3), resources });
  for (let i = 0; i < 4000; i++) await scheduler.until(engine.put(`key ${i}`, Buffer.alloc(1000, `${i}`), { durability: 'os' }), 1e6);
  await scheduler.until(engine.flush(), 1e6);
  await scheduler.advance(restMs);
  return engine;
}

/** Until nothing is owed. */
function idle(): Promise<void> {
  return scheduler.advance(60_000);
}

async function msOf(work: Promise<unknown>): Promise<number> {
  const from = scheduler.nowMs;
  await scheduler.until(work, 1e6);
  return scheduler.nowMs - from;
}

/** What it takes at the rate, but for a last step on credit. */
function expectPaid(ms: number, bytes: number): void {
  expect(bytes).toBeGreaterThan(3.5 * MIB);
  expect(ms).toBeGreaterThan(((bytes - 2.5 * MIB) / RATE) * 1000);
  expect(ms).toBeLessThan(((bytes + MIB) / RATE) * 1000);
}

describe('upkeep beside an engine', () => {
  it('backs up and verifies within the budget, and a flush does not wait for it', async () => {
    const engine = await openFilled();
    const spent = (): Readonly<Record<string, number>> => engine.metrics().backgroundIo.bytesByKind;
    const making = engine.backup('/backups');
    const made = msOf(making);
    await scheduler.until(engine.put('meanwhile', 'value'), 1e6);
    // Its own bytes are little; the budget is in arrears for what the backup has done so far.
    const from = scheduler.nowMs;
    const flushed = engine.flush().then(() => scheduler.nowMs - from);
    expectPaid(await made, spent()['backup']!);
    expect(await flushed).toBeLessThan(100);
    const { copiedBytes } = await making;
    // Read, written, and what was copied verified.
    expect(spent()['backup']).toBeGreaterThan(2.5 * copiedBytes);
    await idle();
    expectPaid(await msOf(engine.verify()), spent()['verify']!);
    expect(resources.stats().backgroundBytesByKind).toEqual(spent());
    await scheduler.until(engine.close(), 1e6);
  });

  it('copies and ingests within the budget', async () => {
    const engine = await openFilled();
    const spent = (): Readonly<Record<string, number>> => engine.metrics().backgroundIo.bytesByKind;
    const writer = createTableWriter('/made', { tableBytes: MIB }, { fileSystem, random: new SimRandom(5) });
    for (let i = 0; i < 3000; i++) writer.put(`bulk ${String(i).padStart(5, '0')}`, Buffer.alloc(900, `${i}`));
    writer.finish();
    expectPaid(await msOf(engine.ingest('/made')), spent()['ingest']!);
    await idle();
    // The log's tail is all that a checkpoint copies.
    for (let i = 0; i < 900; i++) await scheduler.until(engine.put('again', Buffer.alloc(1000, `${i}`)), 1e6);
    await msOf(engine.checkpoint('/checkpoint'));
    expect(spent()['checkpoint']).toBeGreaterThan(2 * 900 * 1000);
    await scheduler.until(engine.close(), 1e6);
  });

  it('is over at once when the engine is closed', async () => {
    const engine = await openFilled();
    const making = engine.backup('/backups').catch((error: { code: string }) => error.code);
    await scheduler.advance(500);
    expect(await msOf(engine.close())).toBeLessThan(200);
    expect(await making).toBe('ENGINE_CLOSED');
    expect(fileSystem.openFiles).toEqual([]);
  });

  it('restores within the budget of engines that it is told of', async () => {
    const engine = await openFilled();
    await scheduler.until(engine.backup('/backups'), 1e6);
    await idle();
    expectPaid(
      await msOf(restore('/backups', '/restored', {}, { fileSystem, scheduler, resources })),
      resources.stats().backgroundBytesByKind.restore,
    );
    const before = resources.stats().backgroundBytes;
    expect(await msOf(restore('/backups', '/restored-alone', {}, { fileSystem, scheduler }))).toBe(0);
    expect(resources.stats().backgroundBytes).toBe(before);
    await scheduler.until(engine.close(), 1e6);
  });
});

it('compactions on the caller’s thread keep to the budget too', async () => {
  // Until nothing is owed, and before the store is taken for idle and compacted for that.
  const engine = await openFilled(10_000);
  const spent = (): number => engine.metrics().backgroundIo.bytesByKind.compaction;
  const before = spent();
  const ms = await msOf(engine.compact());
  expectPaid(ms, spent() - before);
  await scheduler.until(engine.close(), 1e6);
});
