import { describe, expect, it } from 'vitest';
import { SimFileSystem } from '../../../sim/sim-file-system.ts';
import { entry, openLog } from './open-log.ts';

const STATE = { term: 1, vote: 1, commit: 0 };
const GROUPS = 1000;

describe('a thousand groups in one log', () => {
  it('cost a few kilobytes each, share their syncs, and keep no segment when they are idle and flushed', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem, { segmentBytes: 256 * 1024 });
    const ids = Array.from({ length: GROUPS }, (_, i) => i + 1);
    for (let index = 1; index <= 3; index++) {
      await Promise.all(ids.map((id) => log.group(id).append({ ...STATE, commit: index - 1 }, [entry(index, 1, 'x'.repeat(100))], true)));
    }
    expect(log.stats()).toMatchObject({ groups: GROUPS });
    expect(log.stats().syncs).toBeLessThan(10);
    expect(log.stats().indexBytes).toBeLessThanOrEqual(GROUPS * 1536);
    await log.close();
    const again = openLog(fileSystem, { segmentBytes: 256 * 1024 });
    expect(again.groups).toEqual(ids);
    for (const id of ids) again.group(id).compact(3);
    expect(again.stats().indexBytes).toBe(0);
    for (let i = 4; i < 40; i++) await again.group(7).append(undefined, [entry(i, 1, 'y'.repeat(40_000))], true);
    // Everything else is in each segment's summary.
    again.group(7).compact(38);
    await again.close();
    const last = openLog(fileSystem, { segmentBytes: 256 * 1024 });
    expect(last.stats().segments).toBeLessThanOrEqual(3);
    expect(last.damage).toEqual([]);
    for (const id of ids)
      expect(last.group(id).contents()).toMatchObject({ compactedIndex: id === 7 ? 38 : 3, hardState: { term: 1, commit: 2 } });
    await last.close();
  });

  it('one that is retired keeps its term and vote and what was the last entry, and nothing of the log, through segments that come and go', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem, { segmentBytes: 4000 });
    await log.group(7).append({ term: 5, vote: 3, commit: 0 }, [entry(1, 5), entry(2, 5)], true);
    await log.group(7).append({ term: 5, vote: 3, commit: 2 }, [], false);
    expect(log.isRetired(7)).toBe(false);
    await log.group(7).retire();
    const retired = {
      retired: true,
      retiredIndex: 2,
      retiredTerm: 5,
      lastIndex: 0,
      compactedIndex: 0,
      hardState: { term: 5, vote: 3, commit: 0 },
    };
    expect(log.group(7).contents()).toMatchObject(retired);
    for (let i = 1; i < 20; i++) {
      await log.group(1).append(STATE, [entry(i, 1, 'x'.repeat(1000))], true);
      log.group(1).compact(i);
    }
    expect(log.oldestSegment).toBeGreaterThan(3);
    await log.close();
    const again = openLog(fileSystem, { segmentBytes: 4000 });
    expect(again.damage).toEqual([]);
    expect(again.isRetired(7)).toBe(true);
    expect(again.isRetired(8)).toBe(false);
    expect(again.group(7).contents()).toMatchObject(retired);
    // It comes back by a snapshot, and has been here before all the same.
    await again.group(7).append({ term: 6, vote: 0, commit: 0 }, [], true);
    await again.group(7).restore(300, 6);
    await again.close();
    const last = openLog(fileSystem, { segmentBytes: 4000 });
    expect(last.group(7).contents()).toMatchObject({ retired: true, compactedIndex: 300, hardState: { term: 6, vote: 0 } });
    // The later of two counts: the second one may have got less than the first one had, in a newer term or the same.
    await last.group(7).append(undefined, [entry(301, 6)], true);
    await last.group(7).retire();
    expect(last.group(7).contents()).toMatchObject({ retiredIndex: 301, retiredTerm: 6 });
    await last.group(7).append(undefined, [entry(1, 6), entry(2, 6)], true);
    await last.group(7).retire();
    expect(last.group(7).contents()).toMatchObject({ retiredIndex: 301, retiredTerm: 6 });
    await last.close();
  });

  it('an entry costs twelve bytes of memory', async () => {
    const log = openLog(new SimFileSystem());
    const entries = Array.from({ length: 12_800 }, (_, i) => entry(i + 1, 1, ''));
    await log.group(1).append(STATE, entries, true);
    expect(log.stats().indexBytes / entries.length).toBeLessThan(12.2);
    await log.close();
  });
});
