import { describe, expect, it } from 'vitest';
import { LogStore } from '../../../server/node/index.ts';
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, STATE_FRAME_BYTES } from '../../../server/node/log-format.ts';
import type { HardState, LogEntry } from '../../../server/raft/index.ts';
import { PowerLoss, SimFileSystem } from '../../sim/sim-file-system.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { hash } from './hash.ts';

const DIRECTORY = '/raft';
const STATE: HardState = { term: 1, vote: 1, commit: 0 };

function open(fileSystem: SimFileSystem, segmentBytes = 1 << 20): LogStore {
  return LogStore.open({ fileSystem, directory: DIRECTORY, hash, segmentBytes });
}

function entry(index: number, term = 1, data = `entry ${index}`): LogEntry {
  return { index, term, data: Buffer.from(data) };
}

function contents(store: LogStore): string[] {
  const { compactedIndex } = store.recovered;
  return [...store.read(compactedIndex + 1)].map(({ index, term, data }) => `${index}/${term} ${Buffer.from(data).toString()}`);
}

function segments(fileSystem: SimFileSystem): string[] {
  return fileSystem.listSync(DIRECTORY).filter((name) => /^\d+\.raft$/.test(name));
}

describe('the Raft log on disk', () => {
  it('is found again as it was appended', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    expect(store.recovered).toMatchObject({ lastIndex: 0, compactedIndex: 0, hardState: { term: 0, vote: 0, commit: 0 } });
    await store.append(STATE, [entry(1), entry(2, 1, '')], true);
    await store.append({ term: 2, vote: 3, commit: 2 }, [entry(3, 2)], true);
    await store.close();
    const again = open(fileSystem);
    expect(contents(again)).toEqual(['1/1 entry 1', '2/1 ', '3/2 entry 3']);
    expect(again.recovered).toMatchObject({
      lastIndex: 3,
      hardState: { term: 2, vote: 3, commit: 2 },
      terms: [
        { index: 1, term: 1 },
        { index: 3, term: 2 },
      ],
    });
    expect([...again.read(3)].map(({ index }) => index)).toEqual([3]);
    await again.close();
    expect(fileSystem.openFiles).toEqual([]);
  });

  it('keeps what was acknowledged when the machine stops', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    await store.append(STATE, [entry(1)], true);
    fileSystem.crash('none');
    expect(contents(open(fileSystem))).toEqual(['1/1 entry 1']);
  });

  it('does not bring back what followed a torn frame', async () => {
    const fileSystem = new SimFileSystem();
    // Too small for the file to grow ahead: that would write zeros over what follows.
    const segmentBytes = 300;
    const store = open(fileSystem, segmentBytes);
    await store.append(STATE, [entry(1)], true);
    const before = store.stats().bytes;
    await store.append(STATE, [entry(2, 1, 'x'.repeat(STATE_FRAME_BYTES + 8)), entry(3)], true);
    fileSystem.endProcess();
    // Entry 2 is torn, entry 3 is not. The batch that replaces it ends where entry 3 begins.
    fileSystem.flip(`${DIRECTORY}/000001.raft`, before + 2 * STATE_FRAME_BYTES);
    const again = open(fileSystem, segmentBytes);
    expect(again.recovered.lastIndex).toBe(1);
    await again.append(STATE, [entry(2, 1, 'y'.repeat(8))], true);
    fileSystem.endProcess();
    expect(contents(open(fileSystem))).toEqual(['1/1 entry 1', '2/1 yyyyyyyy']);
  });

  it('builds on nothing that only the cache of the system holds', async () => {
    for (const before of [0, 1]) {
      const fileSystem = new SimFileSystem();
      const store = open(fileSystem);
      if (before > 0) await store.append(STATE, [entry(1)], true);
      // The next append writes, and syncs at the operation after that (the file grows first, when nothing was written yet).
      fileSystem.failAt({ at: fileSystem.operations + (before > 0 ? 2 : 3), error: 'EIO' });
      // Over several sectors: cutting the unused end off must not be what brings it to the disk.
      await expect(store.append(STATE, [entry(before + 1, 1, 'x'.repeat(5000))], true)).rejects.toMatchObject({ code: 'LOG_FAILED' });
      expect(fileSystem.faultsHit).toBe(1);
      fileSystem.endProcess();
      const again = open(fileSystem);
      expect(again.recovered.lastIndex).toBe(before + 1);
      await again.append(STATE, [entry(before + 2)], true);
      fileSystem.crash('none');
      expect(open(fileSystem).recovered.lastIndex).toBe(before + 2);
    }
  });

  it('is found under its name though the process died before that was synced', async () => {
    const fileSystem = new SimFileSystem();
    fileSystem.makeDirectorySync(DIRECTORY);
    // Made, written, synced; dead before the directory is.
    fileSystem.killAt(4);
    expect(() => open(fileSystem)).toThrow(PowerLoss);
    fileSystem.endProcess();
    await open(fileSystem).append(STATE, [entry(1)], true);
    fileSystem.crash('none');
    expect(contents(open(fileSystem))).toEqual(['1/1 entry 1']);
  });

  it('replaces entries from an index on', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    await store.append(STATE, [entry(1), entry(2), entry(3), entry(4)], true);
    await store.append({ ...STATE, term: 2 }, [entry(2, 2), entry(3, 2)], true);
    await store.append({ ...STATE, term: 3 }, [entry(3, 3)], true);
    await store.close();
    const again = open(fileSystem);
    expect(contents(again)).toEqual(['1/1 entry 1', '2/2 entry 2', '3/3 entry 3']);
    await again.close();
  });

  it('syncs once for everything that waits', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    const before = store.stats().syncs;
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.append(undefined, [entry(i + 1)], true)));
    expect(store.stats().syncs - before).toBe(2);
    await store.close();
  });

  it('settles in order, and a hard state that need not be synced goes with the next batch', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    const order: number[] = [];
    await Promise.all([
      store.append(STATE, [entry(1)], true).then(() => order.push(1)),
      store.append({ ...STATE, commit: 1 }, [], false).then(() => order.push(2)),
      store.append(undefined, [entry(2)], true).then(() => order.push(3)),
    ]);
    expect(order).toEqual([1, 2, 3]);
    await store.append({ ...STATE, commit: 2 }, [], false);
    fileSystem.crash('none');
    expect(open(fileSystem).recovered.hardState).toEqual({ term: 1, vote: 1, commit: 1 });
  });

  it('rolls to new segments, removes old ones from the front, and uses their files again', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem, 1000);
    for (let i = 1; i <= 100; i++) await store.append({ ...STATE, commit: i - 1 }, [entry(i, 1, 'x'.repeat(100))], true);
    const count = segments(fileSystem).length;
    expect(count).toBeGreaterThan(10);
    const { index, term } = store.truncate(50);
    expect(index).toBeGreaterThan(30);
    expect(index).toBeLessThanOrEqual(50);
    expect(term).toBe(1);
    expect(segments(fileSystem).length).toBeLessThan(count);
    expect(store.stats().segments).toBe(segments(fileSystem).length);
    for (let i = 101; i <= 200; i++) await store.append({ ...STATE, commit: i - 1 }, [entry(i, 1, 'y'.repeat(100))], true);
    expect(fileSystem.listSync(DIRECTORY).filter((name) => name.startsWith('spare-'))).toEqual([]);
    await store.close();
    const again = open(fileSystem, 1000);
    expect(again.recovered).toMatchObject({ compactedIndex: index, compactedTerm: 1, lastIndex: 200 });
    expect(contents(again)).toHaveLength(200 - index);
    await again.close();
  });

  it('never removes the segment that is written to', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    await store.append(STATE, [entry(1), entry(2)], true);
    expect(store.truncate(2)).toEqual({ index: 0, term: 0 });
    await store.close();
  });

  it('cuts off a torn end, and goes on after it', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    await store.append(STATE, [entry(1)], true);
    const path = `${DIRECTORY}/000001.raft`;
    const durable = fileSystem.contents(path);
    await store.append(STATE, [entry(2, 1, 'lost')], true);
    const whole = fileSystem.contents(path);
    const end = SEGMENT_HEADER_BYTES + 2 * STATE_FRAME_BYTES + 40 + 40;
    fileSystem.crash('all');
    for (let cut = SEGMENT_HEADER_BYTES + STATE_FRAME_BYTES + 40; cut < end - 8; cut += 3) {
      // What was there up to `cut`, then what a disk may hold: nothing.
      const torn = Uint8Array.from(whole);
      torn.fill(0, cut);
      fileSystem.replace(path, torn);
      const again = open(fileSystem);
      expect(contents(again)).toEqual(['1/1 entry 1']);
      await again.append(STATE, [entry(2, 1, 'new')], true);
      await again.close();
      const last = open(fileSystem);
      expect(contents(last)).toEqual(['1/1 entry 1', '2/1 new']);
      await last.close();
    }
    expect(durable.length).toBeGreaterThan(0);
  });

  it('reports every flipped byte of what a later batch found durable', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem);
    await store.append(STATE, [entry(1), entry(2)], true);
    await store.append(STATE, [entry(3)], true);
    const path = `${DIRECTORY}/000001.raft`;
    await store.close();
    const good = fileSystem.contents(path);
    const durable = SEGMENT_HEADER_BYTES + STATE_FRAME_BYTES + 40 + 40;
    for (let at = 0; at < durable; at++) {
      const bad = Uint8Array.from(good);
      bad[at]! ^= 0x10;
      fileSystem.replace(path, bad);
      let found: string[] | undefined;
      try {
        const again = open(fileSystem);
        found = contents(again);
        again.abort();
      } catch (error) {
        expect(error).toMatchObject({ kind: 'corrupt', code: 'CORRUPT_RAFT_LOG', details: { file: path } });
        continue;
      }
      // Padding after a frame's data is in no checksum, and nobody reads it.
      expect(found, `byte ${at}`).toEqual(['1/1 entry 1', '2/1 entry 2', '3/1 entry 3']);
    }
  });

  it('reports a segment that is missing or was cut in the middle of the log', async () => {
    const fileSystem = new SimFileSystem();
    const store = open(fileSystem, 500);
    for (let i = 1; i <= 30; i++) await store.append(STATE, [entry(i, 1, 'x'.repeat(100))], true);
    await store.close();
    const [, second = '', third = ''] = segments(fileSystem).map((name) => `${DIRECTORY}/${name}`);
    const bytes = fileSystem.contents(second);
    fileSystem.replace(second, bytes.subarray(0, 300));
    expect(() => open(fileSystem, 500)).toThrow(expect.objectContaining({ code: 'CORRUPT_RAFT_LOG' }) as Error);
    fileSystem.replace(second, bytes);
    fileSystem.unlinkSync(third);
    expect(() => open(fileSystem, 500)).toThrow(/segment 3 is missing/);
  });

  it('refuses a newer format by name', () => {
    const fileSystem = new SimFileSystem();
    open(fileSystem).abort();
    const header = encodeSegmentHeader({ segment: 1, previousIndex: 0, previousTerm: 0, hardState: STATE }, hash);
    header.writeUInt32LE(2, 8);
    header.writeBigUInt64LE(hash(header.subarray(0, 56), 0n), 56);
    fileSystem.replace(`${DIRECTORY}/000001.raft`, header);
    expect(() => open(fileSystem)).toThrow(expect.objectContaining({ code: 'FORMAT_NEWER' }) as Error);
  });

  it('is over after a failed sync or write: nothing is retried, nothing is acknowledged', async () => {
    for (const error of ['EIO', 'ENOSPC', 'short'] as const) {
      for (const later of [1, 2]) {
        const fileSystem = new SimFileSystem();
        const store = open(fileSystem);
        await store.append(STATE, [entry(1)], true);
        fileSystem.failAt({ at: fileSystem.operations + later, error });
        const failing = [store.append(STATE, [entry(2)], true), store.append(STATE, [entry(3)], true)];
        for (const result of await Promise.allSettled(failing)) {
          expect(result).toMatchObject({ status: 'rejected', reason: { kind: 'closed', code: 'LOG_FAILED' } });
        }
        await expect(store.append(STATE, [entry(4)], true)).rejects.toMatchObject({ code: 'LOG_FAILED' });
        await store.close();
        const again = open(fileSystem);
        expect(contents(again)[0]).toBe('1/1 entry 1');
        await again.close();
      }
    }
  });
});

describe('the Raft log under crashes', () => {
  it('keeps every acknowledged entry and vote at each operation, whatever unsynced sectors survive', async () => {
    let states = 0;
    for (let seed = 1; seed <= 12; seed++) {
      for (let kill = 1; kill < 400; kill += 4 + (seed % 5)) {
        if (!(await crashOnce(seed, kill))) break;
        states++;
      }
    }
    expect(states).toBeGreaterThan(150);
  });
});

/** Runs a workload that dies at operation `kill`, and opens what is left. False when the workload ended before. */
async function crashOnce(seed: number, kill: number): Promise<boolean> {
  const random = new SimRandom(seed);
  const fileSystem = new SimFileSystem({ seed: seed * 1000 + kill });
  fileSystem.killAt(kill);
  const acknowledged = new Map<number, LogEntry>();
  let state: HardState = { term: 0, vote: 0, commit: 0 };
  let truncated = 0;
  let died = false;
  try {
    const store = open(fileSystem, 600);
    let last = 0;
    let term = 1;
    for (let step = 0; step < 40; step++) {
      if (random.chance(0.15)) {
        // A new leader replaces the last entries that are not committed.
        term++;
        last = Math.max(state.commit, last - random.below(3));
      }
      const entries = Array.from({ length: 1 + random.below(4) }, () => entry(++last, term, 'd'.repeat(random.below(120))));
      const next = { term, vote: term % 4, commit: Math.max(state.commit, entries[0]!.index - 3) };
      // Until it is acknowledged, the old end may be there or the new one.
      for (const index of [...acknowledged.keys()]) if (index >= entries[0]!.index) acknowledged.delete(index);
      await store.append(next, entries, true);
      state = next;
      for (const each of entries) acknowledged.set(each.index, each);
      if (random.chance(0.2)) truncated = store.truncate(state.commit).index;
    }
    await store.close();
  } catch (error) {
    if (!(error instanceof PowerLoss) && !(error as Error).message.includes('the machine has lost power')) throw error;
    died = true;
  }
  fileSystem.crash((['none', 'all', 'random', 'torn'] as const)[kill % 4]!);
  const again = open(fileSystem, 600);
  const { recovered } = again;
  expect(recovered.hardState.term).toBeGreaterThanOrEqual(state.term);
  expect(recovered.hardState.vote).toBe(recovered.hardState.term % 4);
  expect(recovered.compactedIndex).toBeLessThanOrEqual(Math.max(truncated, state.commit));
  const found = new Map(
    [...again.read(recovered.compactedIndex + 1)].map((each) => [each.index, { ...each, data: Buffer.from(each.data).toString() }]),
  );
  for (const [index, { term, data }] of acknowledged) {
    if (index <= recovered.compactedIndex) continue;
    expect(found.get(index), `seed ${seed} kill ${kill} entry ${index}`).toEqual({ index, term, data: Buffer.from(data).toString() });
  }
  await again.append(
    { ...recovered.hardState, term: recovered.hardState.term + 1 },
    [entry(recovered.lastIndex + 1, recovered.hardState.term + 1)],
    true,
  );
  await again.close();
  return died;
}
