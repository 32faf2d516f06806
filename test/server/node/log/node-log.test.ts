import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NodeClock, NodeFileSystem, NodeScheduler } from '../../../../base/node/index.ts';
import { NodeLog } from '../../../../server/node/log/index.ts';
import type { ConfigurationChange, HardState } from '../../../../server/raft/index.ts';
import { encodeSegmentHeader } from '../../../../server/node/log/log-format.ts';
import { PowerLoss, SimFileSystem } from '../../../sim/sim-file-system.ts';
import { SimRandom } from '../../../sim/sim-random.ts';
import { hash } from '../hash.ts';
import { contentsOf, DIRECTORY, entry, openLog, segments } from './open-log.ts';

const STATE: HardState = { term: 1, vote: 1, commit: 0 };

describe('the log of a node', () => {
  it('is found again as it was appended, each group by itself', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    expect(log.groups).toEqual([]);
    const [one, two] = [log.group(1), log.group(70_000)];
    expect(one.contents()).toMatchObject({
      lastIndex: 0,
      compactedIndex: 0,
      hardState: { term: 0, vote: 0, commit: 0 },
      damage: undefined,
    });
    await Promise.all([
      one.append(STATE, [entry(1), entry(2, 1, '')], true),
      two.append({ term: 9, vote: 2, commit: 0 }, [entry(1, 9, 'other')], true),
      one.append({ term: 2, vote: 3, commit: 2 }, [entry(3, 2)], true),
    ]);
    await log.close();
    const again = openLog(fileSystem);
    expect(again.groups).toEqual([1, 70_000]);
    expect(await contentsOf(again.group(1))).toEqual(['1/1 entry 1', '2/1 ', '3/2 entry 3']);
    expect(await contentsOf(again.group(70_000))).toEqual(['1/9 other']);
    expect(again.group(1).contents()).toMatchObject({
      lastIndex: 3,
      hardState: { term: 2, vote: 3, commit: 2 },
      terms: [
        { index: 1, term: 1 },
        { index: 3, term: 2 },
      ],
      damage: undefined,
    });
    expect(again.damage).toEqual([]);
    await again.close();
    expect(fileSystem.openFiles).toEqual([]);
  });

  it('that is being closed can be stopped at once', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sparrowkv-log-'));
    try {
      const parts = {
        fileSystem: new NodeFileSystem(),
        directory,
        hash,
        clock: new NodeClock(),
        scheduler: new NodeScheduler(),
        random: new SimRandom(7),
      };
      const open = (): NodeLog => NodeLog.open({ ...parts, segmentBytes: 1 << 20, cacheBytes: 0 });
      const log = open();
      await log.group(1).append(STATE, [entry(1)], true);
      const appended = log.group(1).append(STATE, [entry(2)], true);
      const closed = log.close();
      log.abort();
      await expect(appended).rejects.toMatchObject({ code: 'LOG_CLOSED' });
      await closed;
      const again = open();
      expect((await contentsOf(again.group(1)))[0]).toBe('1/1 entry 1');
      await again.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('keeps changes of the configuration, and what a witness has of entries', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    const changes: ConfigurationChange[] = [
      { type: 'simple', members: [{ type: 'make-learner', id: 4_000_000_000, witness: true }] },
      {
        type: 'enter-joint',
        autoLeave: true,
        members: [
          { type: 'make-voter', id: 4 },
          { type: 'make-learner', id: 1 },
          { type: 'remove', id: 3 },
        ],
      },
      { type: 'leave-joint' },
      { type: 'force', voters: [2, 5] },
    ];
    const entries = changes.map((change, i) => ({ index: i + 1, term: 1, data: new Uint8Array(0), change }));
    const withheld = { index: 5, term: 1, data: new Uint8Array(0), withheldBytes: 70_000 };
    await log.group(1).append(STATE, [...entries, withheld, entry(6)], true);
    for (const opened of [log, openLog(fileSystem)]) {
      expect(await opened.group(1).read(1, 6, 1e6)).toEqual([...entries, withheld, { ...entry(6), data: expect.anything() }]);
      expect(opened.group(1).place(3)).toBeUndefined();
      expect(opened.group(1).place(5)).toBeUndefined();
      await opened.close();
    }
  });

  it('keeps what was acknowledged when the machine stops', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    await log.group(1).append(STATE, [entry(1)], true);
    fileSystem.crash('none');
    expect(await contentsOf(openLog(fileSystem).group(1))).toEqual(['1/1 entry 1']);
  });

  it('builds on nothing that only the cache of the system holds', async () => {
    for (const before of [0, 1]) {
      const fileSystem = new SimFileSystem({ traced: true });
      const log = openLog(fileSystem);
      for (let i = 1; i <= before + 1; i++) await log.group(1).append(STATE, [entry(i)], true);
      // The next append writes, and syncs at the operation after that.
      fileSystem.failAt({ at: fileSystem.operations + 2, error: 'EIO' });
      // Over several sectors: cutting the unused end off must not be what brings it to the disk.
      await expect(log.group(1).append(STATE, [entry(before + 2, 1, 'x'.repeat(5000))], true)).rejects.toMatchObject({
        code: 'LOG_FAILED',
      });
      expect(fileSystem.faultsHit).toBe(1);
      fileSystem.endProcess();
      const again = openLog(fileSystem);
      expect(again.group(1).contents().lastIndex).toBe(before + 2);
      await again.group(1).append(STATE, [entry(before + 3)], true);
      fileSystem.crash('none');
      expect(openLog(fileSystem).group(1).contents()).toMatchObject({ lastIndex: before + 3, damage: undefined });
    }
  });

  it('replaces entries from an index on', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    const group = log.group(1);
    await group.append(STATE, [entry(1), entry(2), entry(3), entry(4)], true);
    await group.append({ ...STATE, term: 2 }, [entry(2, 2), entry(3, 2)], true);
    await group.append({ ...STATE, term: 3 }, [entry(3, 3)], true);
    expect([1, 2, 3, 4].map((index) => group.term(index))).toEqual([1, 2, 3, undefined]);
    await log.close();
    const again = openLog(fileSystem);
    expect(await contentsOf(again.group(1))).toEqual(['1/1 entry 1', '2/2 entry 2', '3/3 entry 3']);
    await again.close();
  });

  it('syncs once for everything that waits, of all groups', async () => {
    const log = openLog(new SimFileSystem());
    await log.group(1).append(STATE, [entry(1)], true);
    const before = log.stats().syncs;
    await Promise.all(Array.from({ length: 100 }, (_, i) => log.group(i + 2).append(STATE, [entry(1)], true)));
    expect(log.stats().syncs - before).toBeLessThanOrEqual(2);
    await log.close();
  });

  it('settles in order, and a hard state that need not be synced goes with the next batch', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    const group = log.group(1);
    const order: number[] = [];
    await Promise.all([
      group.append(STATE, [entry(1)], true).then(() => order.push(1)),
      group.append({ ...STATE, commit: 1 }, [], false).then(() => order.push(2)),
      group.append(undefined, [entry(2)], true).then(() => order.push(3)),
    ]);
    expect(order).toEqual([1, 2, 3]);
    await group.append({ ...STATE, commit: 2 }, [], false);
    fileSystem.crash('none');
    const again = openLog(fileSystem);
    expect(again.group(1).contents().hardState).toEqual({ term: 1, vote: 1, commit: 1 });
    await again.group(1).append({ ...STATE, commit: 2 }, [], false);
    await again.close();
    expect(openLog(fileSystem).group(1).contents().hardState.commit, 'closing writes it').toBe(2);
  });

  it('removes segments from the front when no group needs them, names who does, and uses their files again', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem, { segmentBytes: 2000 });
    const [busy, idle] = [log.group(1), log.group(2)];
    await idle.append(STATE, [entry(1)], true);
    for (let i = 1; i <= 100; i++) await busy.append({ ...STATE, commit: i - 1 }, [entry(i, 1, 'x'.repeat(100))], true);
    const count = segments(fileSystem).length;
    expect(count).toBeGreaterThan(5);
    expect(log.oldest()).toEqual({ segment: 1, groups: [1, 2] });
    busy.compact(80);
    await busy.append(undefined, [entry(101)], true);
    expect(log.oldest()).toEqual({ segment: 1, groups: [2] });
    expect(segments(fileSystem).length).toBeGreaterThanOrEqual(count);
    idle.compact(1, Buffer.from('a note'));
    await busy.append(undefined, [entry(102)], true);
    await busy.append(undefined, [entry(103)], true);
    expect(log.oldest()?.groups).toEqual([1]);
    expect(segments(fileSystem).length).toBeLessThan(count / 2);
    expect(log.stats().segments).toBe(segments(fileSystem).length);
    expect(fileSystem.listSync(DIRECTORY).filter((name) => name.startsWith('spare-'))).toHaveLength(2);
    for (let i = 104; i <= 200; i++) await busy.append({ ...STATE, commit: i - 1 }, [entry(i, 1, 'y'.repeat(100))], true);
    expect(fileSystem.listSync(DIRECTORY).filter((name) => name.startsWith('spare-'))).toEqual([]);
    await log.close();
    const again = openLog(fileSystem, { segmentBytes: 2000 });
    expect(again.group(1).contents()).toMatchObject({ compactedIndex: 80, compactedTerm: 1, lastIndex: 200, damage: undefined });
    expect(await contentsOf(again.group(1))).toHaveLength(120);
    expect(again.group(2).contents()).toMatchObject({
      compactedIndex: 1,
      lastIndex: 1,
      hardState: STATE,
      note: Uint8Array.from(Buffer.from('a note')),
    });
    await again.group(2).append(undefined, [entry(2)], true);
    await again.close();
  });

  it(
    'removes a segment only when it is durable that nobody needs it, though that comes about while a batch before is synced',
    { timeout: 120_000 },
    async () => {
      let crashes = 0;
      for (let after = 1; after <= 14; after++) {
        for (const mode of ['none', 'random', 'contents-lost'] as const) {
          let held: (() => void)[] | undefined;
          const settle = (complete: () => void): void => (held ? void held.push(complete) : queueMicrotask(complete));
          const fileSystem = new SimFileSystem({ seed: after, settle });
          const log = openLog(fileSystem, { segmentBytes: 1000 });
          const group = log.group(1);
          for (let i = 1; i <= 20; i++) await group.append({ ...STATE, commit: i - 1 }, [entry(i, 1, 'x'.repeat(100))], true);
          expect(log.oldestSegment).toBe(1);
          held = [];
          const appended = group.append({ ...STATE, commit: 20 }, [entry(21)], true);
          await new Promise((turn) => setImmediate(turn));
          expect(held).toHaveLength(1);
          // Written, and its sync is under way: what is compacted now goes with the next batch.
          group.compact(15);
          fileSystem.killAt(fileSystem.operations + after);
          const [complete] = held;
          held = undefined;
          complete!();
          await appended.catch(() => undefined);
          for (let turns = 0; turns < 5; turns++) await new Promise((turn) => setImmediate(turn));
          if (fileSystem.dead) crashes++;
          log.abort();
          fileSystem.crash(mode);
          const again = openLog(fileSystem, { segmentBytes: 1000 });
          expect(again.damage, `${mode} after ${after}`).toEqual([]);
          const { compactedIndex, lastIndex, damage } = again.group(1).contents();
          expect(damage, `${mode} after ${after}`).toBeUndefined();
          expect([0, 15]).toContain(compactedIndex);
          expect(await contentsOf(again.group(1))).toHaveLength(lastIndex - compactedIndex);
          await again.close();
        }
      }
      expect(crashes).toBeGreaterThan(10);
    },
  );

  it('frees the space of idle groups without waiting for a write', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem, { segmentBytes: 1000 });
    for (let i = 1; i <= 30; i++) await log.group(1).append(STATE, [entry(i, 1, 'x'.repeat(100))], true);
    expect(segments(fileSystem).length).toBeGreaterThan(4);
    log.group(1).compact(30);
    await log.close();
    expect(segments(fileSystem)).toHaveLength(1);
  });

  it('does not write over the file of a segment that somebody has linked', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem, { segmentBytes: 1000 });
    const group = log.group(1);
    await group.append(STATE, [entry(1, 1, 'a large value'.repeat(50))], true);
    const place = group.place(1)!;
    fileSystem.makeDirectorySync('/engine');
    fileSystem.linkSync(log.segmentPath(place.segment), '/engine/linked');
    const value = (): string =>
      Buffer.from(fileSystem.contents('/engine/linked').subarray(place.offset, place.offset + place.bytes)).toString();
    expect(value()).toBe('a large value'.repeat(50));
    for (let i = 2; i <= 60; i++) {
      await group.append(STATE, [entry(i, 1, 'x'.repeat(100))], true);
      group.compact(i - 1);
    }
    await log.close();
    expect(segments(fileSystem).length).toBeLessThan(3);
    expect(fileSystem.existsSync(log.segmentPath(place.segment))).toBe(false);
    expect(value()).toBe('a large value'.repeat(50));
  });

  it('installs a snapshot in the place of everything', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    const group = log.group(1);
    await group.append(STATE, [entry(1), entry(2), entry(3)], true);
    await Promise.all([group.restore(50, 4, Buffer.from('note')), group.append({ term: 5, vote: 0, commit: 50 }, [entry(51, 5)], true)]);
    expect(await group.read(1, 3, 100)).toEqual([]);
    fileSystem.crash('none');
    const again = openLog(fileSystem);
    expect(again.group(1).contents()).toEqual({
      compactedIndex: 50,
      compactedTerm: 4,
      lastIndex: 51,
      lastTerm: 5,
      terms: [{ index: 51, term: 5 }],
      hardState: { term: 5, vote: 0, commit: 50 },
      note: Uint8Array.from(Buffer.from('note')),
      damage: undefined,
      retired: false,
      retiredIndex: 0,
      retiredTerm: 0,
    });
    await again.close();
  });

  it('forgets a group that is removed, and begins it anew', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    await log.group(1).append({ term: 7, vote: 2, commit: 1 }, [entry(1, 7)], true);
    await log.group(2).append(STATE, [entry(1)], true);
    await log.group(1).remove();
    expect(log.groups).toEqual([2]);
    await log.group(1).append(STATE, [entry(1, 1, 'new')], true);
    fileSystem.crash('none');
    const again = openLog(fileSystem);
    expect(await contentsOf(again.group(1))).toEqual(['1/1 new']);
    expect(again.damage).toEqual([]);
    await again.group(1).remove();
    await again.close();
    expect(openLog(fileSystem).groups).toEqual([2]);
  });

  it('reads again what is on the disk, as much as is asked for, and keeps what came last in memory', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem, { segmentBytes: 3000, cacheBytes: 1000 });
    const [one, two] = [log.group(1), log.group(2)];
    for (let i = 1; i <= 60; i++) {
      await Promise.all([one.append(STATE, [entry(i)], true), two.append(STATE, [entry(i, 1, `of two ${i}`)], true)]);
    }
    expect((await one.read(10, 20, 30)).map(({ index }) => index)).toEqual([10, 11, 12]);
    expect((await one.read(10, 20, 1)).map(({ index }) => index)).toEqual([10]);
    expect((await two.read(1, 60, 1e6)).map(({ data }) => Buffer.from(data).toString())).toEqual(
      Array.from({ length: 60 }, (_, i) => `of two ${i + 1}`),
    );
    const reads = fileSystem.reads;
    await one.read(60, 60, 100);
    expect(fileSystem.reads, 'out of the cache').toBe(reads);
    expect(log.stats().cacheBytes).toBeLessThanOrEqual(1000);
    await one.append({ ...STATE, term: 2 }, [entry(60, 2, 'replaced')], true);
    expect((await one.read(60, 60, 100)).map(({ term }) => term)).toEqual([2]);
    await log.close();
  });

  it('refuses a newer format by name', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    await log.group(1).append(STATE, [entry(1)], true);
    await log.close();
    const header = encodeSegmentHeader(1, 5n, hash);
    header.writeUInt32LE(2, 8);
    header.writeBigUInt64LE(hash(header.subarray(0, 56), 0n), 56);
    fileSystem.replace(`${DIRECTORY}/000001.raft`, header);
    expect(() => openLog(fileSystem)).toThrow(expect.objectContaining({ code: 'FORMAT_NEWER' }) as Error);
  });

  it('is found under its name though the process died while the file was made', async () => {
    const trial = new SimFileSystem();
    await openLog(trial)
      .group(1)
      .append(STATE, [entry(1)], true);
    for (let kill = 1; kill <= trial.operations; kill++) {
      const fileSystem = new SimFileSystem();
      fileSystem.makeDirectorySync(DIRECTORY);
      fileSystem.killAt(kill);
      const log = openLog(fileSystem);
      await expect(log.group(1).append(STATE, [entry(1)], true)).rejects.toMatchObject({ cause: expect.any(PowerLoss) });
      fileSystem.endProcess();
      const again = openLog(fileSystem);
      await again.group(1).append({ ...STATE, term: 2 }, [entry(1, 2, 'again')], true);
      fileSystem.crash('none');
      expect(await contentsOf(openLog(fileSystem).group(1))).toEqual(['1/2 again']);
    }
  });
});
