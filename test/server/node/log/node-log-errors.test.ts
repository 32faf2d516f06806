import { describe, expect, it } from 'vitest';
import type { HardState } from '../../../../server/raft/index.ts';
import { SimFileSystem } from '../../../sim/sim-file-system.ts';
import { SimScheduler } from '../../../sim/sim-scheduler.ts';
import { contentsOf, entry, openLog } from './open-log.ts';

const STATE: HardState = { term: 1, vote: 1, commit: 0 };

describe('the log of a node on a failing disk', () => {
  it('is over after a failed sync or write: nothing is retried, nothing is acknowledged', async () => {
    for (const later of [1, 2]) {
      const fileSystem = new SimFileSystem();
      const log = openLog(fileSystem);
      for (let i = 1; i <= 2; i++) await log.group(1).append(STATE, [entry(i)], true);
      fileSystem.failAt({ at: fileSystem.operations + later, error: 'EIO' });
      const failing = [log.group(1).append(STATE, [entry(3)], true), log.group(2).append(STATE, [entry(1)], true)];
      for (const result of await Promise.allSettled(failing)) {
        expect(result).toMatchObject({ status: 'rejected', reason: { kind: 'closed', code: 'LOG_FAILED' } });
      }
      expect(log.failure).toMatchObject({ code: 'LOG_FAILED' });
      await expect(log.group(2).append(STATE, [entry(1)], true)).rejects.toMatchObject({ code: 'LOG_FAILED' });
      await log.close();
      const again = openLog(fileSystem);
      expect((await contentsOf(again.group(1))).slice(0, 2)).toEqual(['1/1 entry 1', '2/1 entry 2']);
      await again.close();
      expect(fileSystem.openFiles).toEqual([]);
    }
  });

  it('is over after a sync that says that there is no room', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    for (let i = 1; i <= 2; i++) await log.group(1).append(STATE, [entry(i)], true);
    fileSystem.failAt({ at: fileSystem.operations + 2, error: 'ENOSPC' });
    await expect(log.group(1).append(STATE, [entry(3)], true)).rejects.toMatchObject({ code: 'LOG_FAILED' });
    await log.close();
  });
});

describe('the log of a node with an error at each operation', () => {
  it('keeps what it acknowledged, and what is found next is whole', { timeout: 60_000 }, async () => {
    const trial = new SimFileSystem();
    await workload(trial, new Map());
    expect(trial.operations).toBeGreaterThan(60);
    let failed = 0;
    for (let at = 1; at <= trial.operations; at++) {
      for (const error of ['EIO', 'short'] as const) {
        for (const forGood of [false, true]) {
          const fileSystem = new SimFileSystem();
          fileSystem.failAt({ at, error, forGood });
          const acknowledged = new Map<number, number>();
          if (!(await workload(fileSystem, acknowledged))) failed++;
          fileSystem.failAt();
          fileSystem.crash(at % 2 === 0 ? 'none' : 'random');
          const again = openLog(fileSystem);
          expect(again.damage, `${error} at ${at}`).toEqual([]);
          for (const [id, last] of acknowledged) {
            const { lastIndex, damage } = again.group(id).contents();
            expect(lastIndex, `${error} at ${at}: group ${id}`).toBeGreaterThanOrEqual(last);
            expect(damage).toBeUndefined();
            expect((await contentsOf(again.group(id))).at(-1)).toMatch(new RegExp(`^${lastIndex}/1 `));
          }
          again.abort();
        }
      }
    }
    expect(failed).toBeGreaterThan(100);
  });

  it('is not taken for damage when a read fails while it is opened', async () => {
    const fileSystem = new SimFileSystem();
    await workload(fileSystem, new Map());
    const before = fileSystem.reads;
    openLog(fileSystem).abort();
    const reads = fileSystem.reads - before;
    expect(reads).toBeGreaterThan(3);
    for (let read = 1; read <= reads; read++) {
      fileSystem.failAt({ at: fileSystem.reads + read, error: 'EIO', on: 'read' });
      expect(() => openLog(fileSystem)).toThrow(expect.objectContaining({ code: 'EIO' }) as Error);
      fileSystem.failAt();
    }
    const log = openLog(fileSystem);
    expect(log.damage).toEqual([]);
    await log.close();
    await quiet();
    expect(fileSystem.openFiles).toEqual([]);
  });
});

/** Two groups, segments that fill and go. True when nothing failed. */
async function workload(fileSystem: SimFileSystem, acknowledged: Map<number, number>): Promise<boolean> {
  const scheduler = new SimScheduler();
  const log = openLog(fileSystem, { segmentBytes: 700, scheduler });
  try {
    for (let index = 1; index <= 15; index++) {
      const appended = [1, 2].map((id) =>
        log
          .group(id)
          .append({ ...STATE, commit: index - 1 }, [entry(index, 1, 'x'.repeat(index * 4))], true)
          .then(() => acknowledged.set(id, index)),
      );
      await scheduler.until(Promise.all(appended));
      if (index % 4 === 0) for (const id of [1, 2]) log.group(id).compact(index - 2);
    }
    await log.close();
    return log.failure === undefined;
  } catch {
    log.abort();
    return false;
  }
}

describe('the log of a node on a full disk', () => {
  it('waits in order, and goes on when there is room, whatever the write that met it', async () => {
    for (const error of ['ENOSPC', 'short'] as const) {
      for (let skip = 1; skip <= 40; skip++) {
        const fileSystem = new SimFileSystem();
        const scheduler = new SimScheduler();
        const log = openLog(fileSystem, { segmentBytes: 700, scheduler });
        const told: boolean[] = [];
        log.onFull((full) => told.push(full));
        fileSystem.failAt({ at: skip, error, on: 'space', forGood: true });
        const settled: string[] = [];
        const issued: string[] = [];
        const append = (id: number, index: number): void => {
          const name = `${id}: ${index}`;
          issued.push(name);
          void log
            .group(id)
            .append(STATE, [entry(index, 1, `${name} ${'x'.repeat(index * 5)}`)], true)
            .then(() => settled.push(name));
        };
        for (let index = 1; index <= 10; index++) {
          for (const id of [1, 2]) append(id, index);
          await quiet();
        }
        expect(log.full, `${error} ${skip}`).toBe(told.length > 0);
        expect(settled).toEqual(issued.slice(0, settled.length));
        // Attempts in vain are not told.
        await scheduler.advance(1000);
        await quiet();
        fileSystem.failAt();
        await scheduler.advance(1000);
        await quiet();
        expect(settled, `${error} ${skip}`).toEqual(issued);
        expect(log.full).toBe(false);
        expect(told).toEqual(told.length > 0 ? [true, false] : []);
        expect(log.failure).toBeUndefined();
        fileSystem.crash('none');
        const again = openLog(fileSystem);
        expect(again.damage).toEqual([]);
        for (const id of [1, 2]) expect((await contentsOf(again.group(id))).map((text) => text.split(' ').length)).toHaveLength(10);
        again.abort();
      }
    }
  });

  it('rejects what waits when it is closed, with an outcome that is open', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    await log.group(1).append(STATE, [entry(1)], true);
    fileSystem.failAt({ at: fileSystem.operations, error: 'ENOSPC', on: 'space', forGood: true });
    const waiting = Promise.allSettled([log.group(1).append(STATE, [entry(2)], true)]);
    await quiet();
    expect(log.full).toBe(true);
    await log.close();
    expect(await waiting).toMatchObject([{ status: 'rejected', reason: { kind: 'exhausted', code: 'DISK_FULL' } }]);
    fileSystem.failAt();
    const again = openLog(fileSystem);
    expect(await contentsOf(again.group(1))).toEqual(['1/1 entry 1']);
    await again.close();
  });
});

/** Until nothing happens by itself any more. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
