/** What a crash leaves of a log whose entries are replaced, or that a snapshot is to take the place of: it calls nothing committed that is not. */
import { describe, expect, it } from 'vitest';
import { LogFeed } from '../../../server/node/log-feed.ts';
import type { HardState } from '../../../server/raft/index.ts';
import { CRASH_MODES } from '../../sim/sim-file.ts';
import { PowerLoss, SimFileSystem } from '../../sim/sim-file-system.ts';
import { entry, openLog } from './log/open-log.ts';

/** What a crash leaves of a write is drawn so often. */
const SEEDS = 8;

/** Of a log of term 1 up to entry 10, of which 7 are committed. */
const BEFORE: HardState = { term: 1, vote: 1, commit: 7 };

async function begun(disk: SimFileSystem): Promise<void> {
  const log = openLog(disk, {});
  await log.group(1).append(
    BEFORE,
    Array.from({ length: 10 }, (_, i) => entry(i + 1, 1, `of term 1: ${i}`)),
    true,
  );
  await log.close();
}

/** Does it to the log, and again with a loss of power at each of its operations; `sound` looks at what is found then. */
async function crashEverywhere(
  step: (feed: LogFeed) => Promise<void>,
  sound: (found: { commit: number; lastIndex: number; term: (index: number) => number | undefined }, what: string) => void,
): Promise<number> {
  const count = async (disk: SimFileSystem): Promise<void> => {
    const log = openLog(disk, {});
    const group = log.group(1);
    await step(new LogFeed(group, group.contents().lastIndex, group.contents().hardState.commit));
    await log.close();
  };
  const whole = new SimFileSystem({ seed: 1 });
  await begun(whole);
  const before = whole.operations;
  await count(whole);
  const operations = whole.operations - before;
  for (let each = 0; each < operations * SEEDS; each++) {
    const at = 1 + (each % operations);
    for (const mode of CRASH_MODES) {
      const disk = new SimFileSystem({ seed: each });
      await begun(disk);
      disk.killAt(disk.operations + at);
      await count(disk).catch((error: unknown) => {
        if (!(error instanceof PowerLoss) && !disk.dead) throw error;
      });
      disk.crash(mode);
      const log = openLog(disk, {});
      const group = log.group(1);
      const { hardState, lastIndex } = group.contents();
      sound(
        { commit: Math.min(hardState.commit, lastIndex), lastIndex, term: (index) => group.term(index) },
        `operation ${at}, ${mode}, seed ${each}`,
      );
      await log.close();
    }
  }
  return operations;
}

describe('what the core wants durable', () => {
  it('calls nothing of the old log committed when a snapshot is not there yet', async () => {
    const operations = await crashEverywhere(
      // The commit index is the snapshot's, and the log is to begin behind it.
      async (feed) => feed.appendTerm({ term: 3, vote: 0, commit: 40 }),
      ({ commit, lastIndex }, what) => {
        expect(lastIndex, what).toBe(10);
        expect(commit, what).toBe(7);
      },
    );
    expect(operations).toBeGreaterThan(1);
  });

  it('calls no entry committed that others are to replace', async () => {
    // So large that a write of them may be torn between any two.
    const replaced = [8, 9, 10, 11].map((index) => entry(index, 3, `of term 3: ${index}`.padEnd(5000)));
    await crashEverywhere(
      async (feed) => feed.append({ hardState: { term: 3, vote: 0, commit: 11 }, entries: replaced, mustSync: true }),
      ({ commit, term }, what) => {
        for (let index = 8; index <= commit; index++) expect(term(index), `${what}: entry ${index}`).toBe(3);
      },
    );
  });
});
