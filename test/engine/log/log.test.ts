/** The log: what was written is replayed, a torn end is cut, and what was once on disk is either found or reported. */
import { describe, expect, test } from 'vitest';
import { KIND_DELETE, KIND_POINTER, KIND_PUT } from '../../../assembly/memory-map.ts';
import type { File, OpenMode } from '../../../base/env.ts';
import { FRAMES_OFFSET } from '../../../engine/log/index.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { LogHarness, replayed } from './log-harness.ts';

/** Counts syncs by where they are made; one on the caller's thread takes `syncMs` on its clock. */
class CountingDisk extends SimFileSystem {
  onCaller = 0;
  beside = 0;
  syncMs = 0.1;
  #now = 0;

  override openSync(path: string, mode: OpenMode): File {
    const file = super.openSync(path, mode);
    const { datasync, datasyncSync } = file;
    return Object.assign(file, {
      datasync: () => {
        this.beside++;
        return datasync.call(file);
      },
      datasyncSync: () => {
        this.onCaller++;
        this.#now += this.syncMs;
        datasyncSync.call(file);
      },
    });
  }

  monotonicMs(): number {
    return this.#now;
  }

  wallMs(): number {
    return this.#now;
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('log', () => {
  test('replays puts, deletes, batches and pointers in order', async () => {
    const { writer, log, disk } = new LogHarness();
    await writer.one(bytes('a'), bytes('1'), 'os', undefined);
    await writer.one(bytes('a'), undefined, 'os', undefined);
    await writer.batch(
      [
        { type: 'put', key: 'b', value: 'x'.repeat(5000) },
        { type: 'put', key: 'c', value: '' },
        { type: 'delete', key: 'b' },
      ],
      'synced',
      undefined,
    );
    await writer.one(bytes('d'), Buffer.alloc(3_000_000, 7), 'os', 90);
    await log.close();
    const found = replayed(disk);
    expect(found).toMatchObject({
      segments: [1],
      dropped: [],
      records: [
        { sequence: 1, key: 'a', kind: KIND_PUT, value: '31' },
        { sequence: 2, key: 'a', kind: KIND_DELETE, value: '' },
        { sequence: 3, key: 'b', kind: KIND_POINTER },
        { sequence: 3, key: 'c', kind: KIND_PUT, value: '' },
        { sequence: 3, key: 'b', kind: KIND_DELETE },
        { sequence: 90, key: 'd', kind: KIND_POINTER },
      ],
    });
  });

  test('a sequence that does not grow is refused', () => {
    const { writer } = new LogHarness();
    void writer.one(bytes('a'), bytes('1'), 'buffered', 5);
    expect(() => writer.one(bytes('a'), bytes('1'), 'buffered', 5)).toThrow(expect.objectContaining({ code: 'SEQUENCE' }));
  });

  test('ends at any truncation with a whole number of frames', async () => {
    const { writer, disk, path } = await twoSyncsAndATail();
    const whole = disk.contents(path);
    const found = replayed(disk);
    const total = typeof found === 'string' ? 0 : found.records.length;
    expect(total).toBe(7);
    void writer;
    let last = 0;
    for (let length = FRAMES_OFFSET; length <= whole.length; length++) {
      disk.replace(path, whole.slice(0, length));
      const cut = replayed(disk);
      // A cut inside what was synced shows itself only when later frames are there to say so: with the end gone, nobody does.
      expect(typeof cut).toBe('object');
      const records = typeof cut === 'string' ? [] : cut.records;
      expect(records.length).toBeGreaterThanOrEqual(last);
      expect([0, 1, 2, 4, 5, 6, 7]).toContain(records.length);
      last = records.length;
    }
    expect(last).toBe(7);
  });

  test('every flipped byte is either cut off as a torn end, reported, or outside of every frame', async () => {
    const { disk, path } = await twoSyncsAndATail();
    const whole = disk.contents(path);
    const seen = { cut: 0, corrupt: 0, harmless: 0 };
    for (let at = 0; at < whole.length; at++) {
      const copy = whole.slice();
      copy[at]! ^= 0x40;
      disk.replace(path, copy);
      const found = replayed(disk);
      if (found === 'CORRUPT_LOG') seen.corrupt++;
      else if (typeof found === 'object' && found.records.length === 7) {
        seen.harmless++;
        expect(at).toBeGreaterThanOrEqual(64);
      } else {
        expect(typeof found).toBe('object');
        seen.cut++;
      }
    }
    // Frames that a later one knows to be synced are reported; the ones after the last such are indistinguishable from a torn end.
    expect(seen.corrupt).toBeGreaterThan(200);
    expect(seen.cut).toBeGreaterThan(50);
    // Unused space before the frames, and nothing else.
    expect(seen.harmless).toBe(FRAMES_OFFSET - 64);
  });

  test('segments follow one another, and a sealed one that is short is corrupt', async () => {
    const { writer, log, disk } = new LogHarness({ settings: { segmentBytes: 65536 } });
    for (let i = 0; i < 100; i++) await writer.one(bytes(`k${i}`), Buffer.alloc(3000, i), 'synced', undefined);
    await log.close();
    const found = replayed(disk);
    expect(found).toMatchObject({ dropped: [] });
    if (typeof found === 'string') return;
    expect(found.records.map(({ key }) => key)).toEqual(Array.from({ length: 100 }, (_, i) => `k${i}`));
    expect(found.segments.length).toBeGreaterThan(3);
    const second = `/log/${String(found.segments[1]).padStart(6, '0')}.log`;
    disk.replace(second, disk.contents(second).slice(0, 30_000));
    expect(replayed(disk)).toBe('CORRUPT_LOG');
  });

  test('without a seal a torn segment takes its successors along', async () => {
    const disk = new SimFileSystem();
    const { writer, log } = new LogHarness({ disk, settings: { segmentBytes: 65536 } });
    await writer.one(bytes('first'), bytes('1'), 'synced', undefined);
    disk.failAt({ at: 10_000_000, error: 'EIO' });
    for (let i = 0; i < 30; i++) void writer.one(bytes(`k${i}`), Buffer.alloc(3000, i), 'buffered', undefined);
    log.write();
    // What the process wrote is in two segments now; the disk has the first sync only.
    disk.crash('none');
    const found = replayed(disk);
    expect(typeof found).toBe('object');
    if (typeof found === 'string') return;
    expect(found.records.map(({ key }) => key)).toEqual(['first']);
  });

  test('segments behind a gap that no seal vouches for are dropped, and do not shorten the one before it', async () => {
    const { writer, log, disk } = new LogHarness({ settings: { segmentBytes: 65536 } });
    for (let i = 0; i < 15; i++) await writer.one(bytes(`k${i}`), Buffer.alloc(3000, i), 'synced', undefined);
    for (let i = 15; i < 30; i++) void writer.one(bytes(`k${i}`), Buffer.alloc(3000, i), 'buffered', undefined);
    // The second segment is shorter than the first: what the third says of its length must not be taken for the first's.
    void writer.one(bytes('long'), Buffer.alloc(60_000), 'buffered', undefined);
    log.write();
    const names = disk.listSync('/log');
    expect(names.length).toBe(3);
    // As a removal that stopped half-way leaves it.
    disk.unlinkSync(`/log/${names[1]}`);
    const found = replayed(disk);
    if (typeof found === 'string') throw new Error(found);
    expect(found.dropped).toEqual([3]);
    expect(found.records.map(({ key }) => key)).toEqual(Array.from({ length: 21 }, (_, i) => `k${i}`));
  });

  test('a segment that is missing in front of a sealed one is corrupt', async () => {
    const { writer, log, disk } = new LogHarness({ settings: { segmentBytes: 65536 } });
    for (let i = 0; i < 100; i++) await writer.one(bytes(`k${i}`), Buffer.alloc(3000, i), 'synced', undefined);
    await log.close();
    const names = disk.listSync('/log');
    disk.unlinkSync(`/log/${names[2]}`);
    expect(replayed(disk)).toBe('CORRUPT_LOG');
  });

  test('a segment that follows a retired one vouches for it', async () => {
    const harness = new LogHarness();
    const { writer, log, disk } = harness;
    for (let i = 0; i < 5; i++) await writer.one(bytes(`k${i}`), bytes('1'), 'synced', undefined);
    expect(log.retire()).toBeDefined();
    await log.sync();
    await writer.one(bytes('next'), bytes('2'), 'synced', undefined);
    disk.flip(harness.path(1), 1030);
    // Without a seal the damage would be taken for a torn end, and what was synced after it dropped.
    expect(replayed(disk)).toBe('CORRUPT_LOG');
  });

  test('callers of one tick share a write and a sync', async () => {
    const { writer, disk } = new LogHarness();
    await writer.one(bytes('warm'), bytes('up'), 'synced', undefined);
    const before = disk.syncs;
    await Promise.all(Array.from({ length: 100 }, (_, i) => writer.one(bytes(`k${i}`), bytes('v'), 'synced', undefined)));
    expect(disk.syncs - before).toBe(1);
  });

  test('background work gives way to syncs that callers wait for, not to its own', async () => {
    const harness = new LogHarness({ settings: { callerSyncMs: 0 } });
    await harness.writer.one(bytes('key'), bytes('value'), 'buffered', undefined);
    await harness.log.sync();
    expect([harness.disk.syncs > 0, harness.awaitedSyncs]).toEqual([true, 0]);
    await harness.writer.one(bytes('key'), bytes('value'), 'synced', undefined);
    expect(harness.awaitedSyncs).toBe(1);
  });

  test('a sync for one caller is made on its thread, until one takes too long; a sync for several never is', async () => {
    const disk = new CountingDisk();
    const { writer } = new LogHarness({ disk, clock: disk });
    const put = (key: number): Promise<void> => writer.one(bytes(`k${key}`), bytes('v'), 'synced', undefined);
    // The first brings the segment's name to the disk as well.
    for (let i = 0; i < 5; i++) await put(i);
    expect([disk.onCaller, disk.beside]).toEqual([4, 1]);
    await Promise.all([put(5), put(6)]);
    expect([disk.onCaller, disk.beside]).toEqual([4, 2]);
    disk.syncMs = 20;
    await put(7);
    await put(8);
    expect([disk.onCaller, disk.beside]).toEqual([5, 3]);
    disk.syncMs = 0.1;
    for (let i = 0; i < 1000; i++) await put(10 + i);
    expect([disk.onCaller, disk.beside]).toEqual([6, 1002]);
    expect((replayed(disk) as { records: unknown[] }).records.length).toBe(1009);
  });

  test('a frame that is written while a sync is under way does not count as synced by it', async () => {
    const completions: (() => void)[] = [];
    const disk = new SimFileSystem({ settle: (complete) => completions.push(complete) });
    const { writer, log } = new LogHarness({ disk, settings: { callerSyncMs: 0 } });
    const complete = async (): Promise<void> => {
      for (let turns = 0; turns < 5; turns++) {
        for (const each of completions.splice(0)) each();
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const first = writer.one(bytes('a'), bytes('1'), 'synced', undefined);
    while (completions.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const end = log.nextOffset;
    await writer.one(bytes('b'), bytes('2'), 'os', undefined);
    await complete();
    await first;
    expect([log.syncedTo, log.nextOffset > end]).toEqual([end, true]);
    const second = writer.sync();
    await complete();
    await second;
    expect(log.syncedTo).toBe(log.nextOffset);
  });

  test('a frame that stood in another segment is none of this one', async () => {
    const other = new LogHarness({ first: 1 });
    await other.writer.one(bytes('stale'), bytes('1'), 'os', 90);
    const stale = other.disk.contents(other.path(1)).slice(FRAMES_OFFSET, other.log.nextOffset);
    for (const segment of [1, 2]) {
      const { writer, log, disk, path } = new LogHarness({ first: segment });
      await writer.one(bytes('a'), bytes('1'), 'os', undefined);
      const sound = disk.contents(path(segment)).slice(0, log.nextOffset);
      disk.replace(path(segment), Buffer.concat([sound, stale]));
      const { records } = replayed(disk) as { records: { key: string }[] };
      expect(records.map(({ key }) => key)).toEqual(segment === 1 ? ['a', 'stale'] : ['a']);
    }
  });

  test('a failed fsync is final', async () => {
    const { writer, disk } = new LogHarness();
    await writer.one(bytes('a'), bytes('1'), 'synced', undefined);
    const put = writer.one(bytes('b'), bytes('2'), 'synced', undefined);
    // The write comes first, then the sync.
    disk.failAt({ at: disk.operations + 2, error: 'EIO' });
    await expect(put).rejects.toMatchObject({ code: 'WRITER_FAILED', kind: 'closed' });
    expect(() => writer.one(bytes('c'), bytes('3'), 'synced', undefined)).toThrow(expect.objectContaining({ code: 'WRITER_FAILED' }));
    await expect(writer.sync()).rejects.toMatchObject({ code: 'WRITER_FAILED' });
  });

  test('closing tells that buffered writes are lost', async () => {
    const { writer, log, disk } = new LogHarness();
    await writer.one(bytes('a'), bytes('1'), 'synced', undefined);
    await writer.one(bytes('b'), bytes('2'), 'buffered', undefined);
    disk.failAt({ at: disk.operations + 1, error: 'EIO' });
    await expect(log.close()).rejects.toMatchObject({ code: 'WRITER_FAILED' });
  });

  test('a full disk refuses writes and goes on once there is room', async () => {
    const { writer, log, disk } = new LogHarness();
    await writer.one(bytes('a'), bytes('1'), 'os', undefined);
    disk.capacityBytes = 4096;
    await expect(writer.one(bytes('b'), Buffer.alloc(100_000, 1), 'os', undefined)).rejects.toMatchObject({
      code: 'DISK_FULL',
      kind: 'exhausted',
    });
    expect(() => writer.one(bytes('c'), bytes('3'), 'os', undefined)).toThrow(expect.objectContaining({ code: 'DISK_FULL' }));
    disk.capacityBytes = 10_000_000;
    await writer.one(bytes('d'), bytes('4'), 'synced', undefined);
    await log.close();
    const found = replayed(disk);
    // The refused `b` was undecided, and has been written with the next; `c` never began.
    expect(typeof found === 'string' ? found : found.records.map(({ key }) => key)).toEqual(['a', 'b', 'd']);
  });

  test('a disk that is full when a segment is begun leaves the one before as it was, and nothing of the new one', async () => {
    for (const fails of [1, 2]) {
      const { writer, log, disk } = new LogHarness({ settings: { segmentBytes: 65536 } });
      await writer.one(bytes('a'), Buffer.alloc(60_000, 1), 'synced', undefined);
      const open = disk.openFiles.length;
      // To begin one takes two operations: making it, its header.
      disk.failAt({ at: disk.operations + fails, error: 'short' });
      expect(() => writer.one(bytes('b'), Buffer.alloc(60_000, 2), 'os', undefined)).toThrow(
        expect.objectContaining({ code: 'DISK_FULL' }),
      );
      expect(disk.openFiles.length).toBe(open);
      await writer.one(bytes('c'), Buffer.alloc(60_000, 3), 'synced', undefined);
      await log.close();
      disk.crash('none');
      const found = replayed(disk);
      expect(typeof found === 'string' ? found : found.records.map(({ key }) => key)).toEqual(['a', 'c']);
    }
  });

  test('the name of a segment gets to the disk with the first sync, which a full disk puts off', async () => {
    const { writer, disk } = new LogHarness();
    await writer.one(bytes('a'), bytes('1'), 'os', undefined);
    // Written already: what is left is the directory and the file.
    disk.failAt({ at: disk.operations + 1, error: 'short' });
    await expect(writer.sync()).rejects.toMatchObject({ code: 'DISK_FULL' });
    await writer.sync();
    disk.crash('none');
    expect((replayed(disk) as { records: unknown[] }).records).toHaveLength(1);
  });

  test('without a seal, what stands behind a segment whose name was lost is not in the log', async () => {
    const { writer, disk, path } = new LogHarness({ settings: { segmentBytes: 65536 } });
    await writer.one(bytes('a'), Buffer.alloc(60_000, 1), 'os', undefined);
    await writer.one(bytes('b'), Buffer.alloc(60_000, 2), 'os', undefined);
    disk.unlinkSync(path(1));
    expect(replayed(disk, 1)).toMatchObject({ records: [], dropped: [2] });
  });
});

/** Four frames (one of them a batch of two, one with a payload) in two syncs, then two more and the mark of a third sync in the last. */
async function twoSyncsAndATail(): Promise<{ writer: LogHarness['writer']; disk: SimFileSystem; path: string }> {
  const harness = new LogHarness();
  const { writer, disk } = harness;
  await writer.one(bytes('a'), bytes('one'), 'os', undefined);
  await writer.one(bytes('b'), bytes('two'), 'synced', undefined);
  await writer.batch(
    [
      { type: 'put', key: 'c', value: 'three' },
      { type: 'put', key: 'd', value: 'y'.repeat(1200) },
    ],
    'os',
    undefined,
  );
  await writer.one(bytes('e'), bytes('four'), 'os', undefined);
  await writer.sync();
  await writer.one(bytes('f'), bytes('five'), 'os', undefined);
  await writer.one(bytes('g'), bytes('six'), 'os', undefined);
  return { writer, disk, path: harness.path(1) };
}
