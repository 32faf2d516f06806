/** Large values in a replica: on the disk once, in the node's log, under names of the engine's; and the space of what is overwritten comes back. */
import { describe, expect, it } from 'vitest';
import { engineKey } from '../../../server/node/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimClock } from '../../sim/sim-clock.ts';
import { SimScheduler } from '../../sim/sim-scheduler.ts';
import { type HarnessOptions, ReplicaHarness } from './replica-harness.ts';

const KIB = 1024;
const ENGINE = { memtableBytes: 64 * KIB, tableBytes: 64 * KIB, level0Compact: 2, level1Bytes: 256 * KIB, inlineThreshold: 1024 };

interface World {
  fs: SimFileSystem;
  scheduler: SimScheduler;
  options: HarnessOptions;
}

function world(options: HarnessOptions = {}): World {
  const scheduler = new SimScheduler();
  const fs = new SimFileSystem({ settle: (complete) => void scheduler.after(1, complete) });
  return { fs, scheduler, options: { scheduler, clock: new SimClock(scheduler), engine: ENGINE, ...options } };
}

function valueOf(key: string, round: number, bytes: number): string {
  return `<${key} ${round}>`.repeat(Math.ceil(bytes / (key.length + 4))).slice(0, bytes);
}

/** Bytes of all files below the directories, each once, by the suffix of its first name. */
function spaceOf(fs: SimFileSystem, ...directories: string[]): number {
  const seen = new Set<string>();
  let bytes = 0;
  for (const directory of directories) {
    for (const name of fs.listSync(directory)) {
      const path = `${directory}/${name}`;
      const contents = fs.contents(path);
      // A link is the log's segment: its first bytes tell which.
      const same = Buffer.from(contents.subarray(0, 64)).toString('latin1');
      if (/\.(raft|link)$/.test(name) && seen.has(same)) continue;
      seen.add(same);
      bytes += contents.length;
    }
  }
  return bytes;
}

describe('large values in a replica', () => {
  it('are written once, by the log', { timeout: 120_000 }, async () => {
    const { fs, scheduler, options } = world({ segmentBytes: 256 * KIB, checkpointBytes: 512 * KIB });
    const harness = await scheduler.until(ReplicaHarness.open(fs, options));
    const before = fs.bytesWritten;
    const bytes = 16 * KIB;
    for (let i = 0; i < 200; i += 10)
      await scheduler.until(
        Promise.all(Array.from({ length: 10 }, (_, j) => harness.put(`k${i + j}`, valueOf(`k${i + j}`, 0, bytes), i + j + 1))),
      );
    await scheduler.until(harness.engine.flush());
    await scheduler.until(harness.engine.settled());
    expect((fs.bytesWritten - before) / (200 * bytes)).toBeLessThan(1.1);
    expect(harness.engine.hostSegments().length).toBeGreaterThan(5);
    // The log has dropped most of them.
    expect(harness.log.stats().segments).toBeLessThan(8);
    await scheduler.until(harness.close());
    const again = await scheduler.until(ReplicaHarness.open(fs, options));
    for (let i = 0; i < 200; i++) expect(again.get(`k${i}`)).toEqual({ value: valueOf(`k${i}`, 0, bytes), version: i + 2 });
    await scheduler.until(again.close());
  });

  it('are pointed to again, where the log has them, after a crash', { timeout: 120_000 }, async () => {
    const { fs, scheduler, options } = world();
    const harness = await scheduler.until(ReplicaHarness.open(fs, options));
    for (let i = 0; i < 20; i++) await scheduler.until(harness.put(`k${i}`, valueOf(`k${i}`, 0, 5000), i + 1));
    harness.replica.abort();
    harness.log.abort();
    fs.crash('none');
    const again = await scheduler.until(ReplicaHarness.open(fs, options));
    expect(again.replica.stats().replayedEntries).toBe(21);
    for (let i = 0; i < 20; i++) expect(again.get(`k${i}`)).toEqual({ value: valueOf(`k${i}`, 0, 5000), version: i + 2 });
    // Applied once: the same write sent again has the version that it had.
    expect(await scheduler.until(again.put('k3', valueOf('k3', 0, 5000), 4))).toEqual({ outcome: 'applied', version: 5 });
    await scheduler.until(again.close());
  });

  it('of which a few are left in a segment move out of it: its space comes back', { timeout: 120_000 }, async () => {
    const { fs, scheduler, options } = world({ segmentBytes: 128 * KIB, checkpointBytes: 128 * KIB });
    const harness = await scheduler.until(ReplicaHarness.open(fs, options));
    let sequence = 0;
    // One large value among many small ones in each segment: its link keeps all of that.
    for (let i = 0; i < 1500; i += 10) {
      const puts = Array.from({ length: 10 }, (_, j) => {
        const bytes = (i + j) % 40 === 0 ? 8 * KIB : 800;
        return harness.put(`k${(i + j) % 1000}`, valueOf(`k${(i + j) % 1000}`, i + j, bytes), ++sequence);
      });
      await scheduler.until(Promise.all(puts));
    }
    await scheduler.until(harness.engine.flush());
    const held = (): number => harness.engine.hostSegments().filter(({ segment }) => segment < harness.log.oldestSegment).length;
    expect(held()).toBeGreaterThan(3);
    for (let rounds = 0; held() > 0 && rounds < 40; rounds++) await scheduler.advance(2000);
    expect(held()).toBe(0);
    expect(harness.host.segmentsEmptied).toBeGreaterThan(3);
    for (let i = 500; i < 1500; i++) {
      const bytes = i % 40 === 0 ? 8 * KIB : 800;
      expect(harness.get(`k${i % 1000}`)?.value).toBe(valueOf(`k${i % 1000}`, i, bytes));
    }
    expect((await scheduler.until(harness.engine.verify())).problems).toEqual([]);
    await scheduler.until(harness.close());
  });

  it('that are overwritten take no more than three tenths beside those that are not, at rest', { timeout: 120_000 }, async () => {
    const { fs, scheduler, options } = world({ segmentBytes: 64 * KIB, checkpointBytes: 64 * KIB });
    const harness = await scheduler.until(ReplicaHarness.open(fs, options));
    const [keys, bytes] = [400, 4 * KIB];
    let state = 7;
    let puts: Promise<unknown>[] = [];
    for (let i = 0; i < 4 * keys; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      const key = i < keys ? i : (state >>> 8) % keys;
      puts.push(harness.put(`k${key}`, valueOf(`k${key}`, i, bytes), i + 1));
      if (puts.length < 8) continue;
      await scheduler.until(Promise.all(puts));
      puts = [];
    }
    await scheduler.until(harness.engine.flush());
    for (let rounds = 0; rounds < 20; rounds++) {
      await scheduler.advance(3000);
      await scheduler.until(harness.engine.settled());
    }
    // Beside it: what the log keeps, of two segments at most, and its two spare files.
    const log = harness.log.bytes + 2 * 64 * KIB;
    expect((spaceOf(fs, '/log', '/engine') - log) / (keys * bytes)).toBeLessThan(1.3);
    expect((await scheduler.until(harness.engine.verify())).problems).toEqual([]);
    await scheduler.until(harness.close());
  });

  it('of a group that does little do not keep the log of the others', { timeout: 120_000 }, async () => {
    const { fs, scheduler, options } = world({ segmentBytes: 16 * KIB, checkpointBytes: 1 << 30, logBytesMax: 64 * KIB });
    const harness = await scheduler.until(ReplicaHarness.open(fs, options));
    for (let i = 0; i < 40; i++) await scheduler.until(harness.put(`k${i}`, valueOf(`k${i}`, 0, 4000)));
    expect(harness.log.bytes).toBeGreaterThan(150 * KIB);
    await scheduler.advance(2000);
    expect(harness.log.bytes).toBeLessThan(64 * KIB);
    for (let i = 0; i < 40; i++) expect(harness.get(`k${i}`)?.value).toBe(valueOf(`k${i}`, 0, 4000));
    await scheduler.until(harness.close());
  });

  it('for whose names there is no room wait, refused meanwhile, and go on', { timeout: 120_000 }, async () => {
    const { fs, scheduler, options } = world({ segmentBytes: 16 * KIB });
    const harness = await scheduler.until(ReplicaHarness.open(fs, options));
    // The first segment is full of these.
    for (let i = 0; i < 4; i++) await scheduler.until(harness.put('before', valueOf('before', i, 4000)));
    let links = 0;
    const { linkSync } = fs;
    let isFull = true;
    fs.linkSync = (existing, path) => {
      links++;
      if (isFull) throw Object.assign(new Error(`ENOSPC: no space left on device, link '${path}'`), { code: 'ENOSPC' });
      linkSync.call(fs, existing, path);
    };
    const waiting: Promise<unknown>[] = [];
    let settled = 0;
    for (let i = 0; i < 8; i++) waiting.push(harness.put(`k${i}`, valueOf(`k${i}`, 0, 4000)));
    for (const each of waiting) void each.then(() => settled++);
    await scheduler.advance(1000);
    expect(settled).toBe(0);
    expect(links).toBeGreaterThan(2);
    await expect(harness.put('refused', 'v')).rejects.toMatchObject({ kind: 'exhausted', code: 'DISK_FULL', details: { applied: false } });
    expect(harness.get('before')?.value).toBe(valueOf('before', 3, 4000));
    isFull = false;
    await scheduler.until(Promise.all(waiting));
    for (let i = 0; i < 8; i++) expect(harness.get(`k${i}`)?.value).toBe(valueOf(`k${i}`, 0, 4000));
    expect(harness.get('refused')).toBeUndefined();
    expect(harness.stopped).toEqual([]);
    await scheduler.until(harness.close());
  });

  it('for whose names there is no room do not keep a replica from closing', { timeout: 120_000 }, async () => {
    const { fs, scheduler, options } = world();
    const harness = await scheduler.until(ReplicaHarness.open(fs, options));
    fs.linkSync = (_, path) => {
      throw Object.assign(new Error(`ENOSPC: no space left on device, link '${path}'`), { code: 'ENOSPC' });
    };
    const write = harness.put('k', valueOf('k', 0, 4000), 1);
    const refused = write.catch((error: unknown) => error);
    await scheduler.advance(500);
    await scheduler.until(harness.close());
    expect(await refused).toMatchObject({ kind: 'unavailable', code: 'SHUTTING_DOWN' });
    expect(harness.stopped).toEqual([]);
    delete (fs as Partial<SimFileSystem>).linkSync;
    const again = await scheduler.until(ReplicaHarness.open(fs, options));
    expect(again.engine.getEntrySync(engineKey(Buffer.from('k')))?.version).toBe(2);
    await scheduler.until(again.close());
  });
});
