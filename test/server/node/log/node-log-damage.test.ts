import { describe, expect, it } from 'vitest';
import type { NodeLog } from '../../../../server/node/log/index.ts';
import type { HardState } from '../../../../server/raft/index.ts';
import { SimFileSystem } from '../../../sim/sim-file-system.ts';
import { contentsOf, DIRECTORY, entry, openLog, segments, textOf } from './open-log.ts';

const GROUPS = [1, 2, 3, 4];
const STATE: HardState = { term: 1, vote: 1, commit: 0 };

/** Three groups that write in turn, and one that is idle, over several segments; closed. */
interface Truth {
  texts: string[];
  hardState: HardState;
}

async function written(segmentBytes = 1500): Promise<{ fileSystem: SimFileSystem; truth: Map<number, Truth> }> {
  const fileSystem = new SimFileSystem();
  const log = openLog(fileSystem, { segmentBytes });
  await log.group(4).append({ term: 3, vote: 3, commit: 1 }, [entry(1, 3, 'idle')], true);
  for (let i = 1; i <= 24; i++) {
    const id = 1 + (i % 3);
    const index = Math.ceil(i / 3);
    const term = 1 + Math.floor(index / 4);
    await log
      .group(id)
      .append({ term, vote: 1, commit: Math.max(0, index - 2) }, [entry(index, term, `of ${id}: ${'x'.repeat(i * 2)}`)], true);
  }
  const truth = new Map<number, Truth>();
  for (const id of GROUPS) truth.set(id, { texts: await contentsOf(log.group(id)), hardState: log.group(id).contents().hardState });
  await log.close();
  return { fileSystem, truth };
}

/** What a damaged log says of a group is true, and what it does not say is told as missing. Returns whether the group says that it is damaged. */
async function judge(log: NodeLog, id: number, { texts, hardState }: Truth, what: string): Promise<boolean> {
  const group = log.group(id);
  const { damage, lastIndex, compactedIndex, hardState: state } = group.contents();
  if (compactedIndex !== 0) expect(damage?.endLost, what).toBe(true);
  if (damage?.endLost !== true) {
    expect(state, what).toEqual(hardState);
    expect(lastIndex, what).toBe(texts.length);
  }
  for (let index = compactedIndex + 1; index <= lastIndex;) {
    const found = await group.read(index, lastIndex, 1e6);
    for (const each of found) if (textOf(each) !== texts[each.index - 1]) expect(textOf(each), what).toBe(texts[each.index - 1]);
    index += found.length;
    if (index > lastIndex || found.length > 0) continue;
    const range = damage?.missing.find(({ from, to }) => index >= from && index <= to);
    if (range === undefined) expect.fail(`${what}: group ${id} has no entry ${index}`);
    index = range.to + 1;
  }
  return damage !== undefined;
}

describe('damage to the log of a node', () => {
  it('of a single byte is detected or harmless, and costs one group', { timeout: 60_000 }, async () => {
    const { fileSystem, truth } = await written();
    const names = segments(fileSystem);
    expect(names.length).toBeGreaterThan(2);
    let detected = 0;
    for (const name of names) {
      const path = `${DIRECTORY}/${name}`;
      const good = fileSystem.contents(path);
      // Behind the frames lies nothing.
      const used = good.findLastIndex((byte) => byte !== 0) + 1;
      for (let at = 0; at < used; at++) {
        const bad = Uint8Array.from(good);
        bad[at]! ^= 0x10;
        fileSystem.replace(path, bad);
        const log = openLog(fileSystem);
        const hurt: number[] = [];
        for (const id of GROUPS) if (await judge(log, id, truth.get(id)!, `${name} byte ${at}`)) hurt.push(id);
        expect(hurt.length, `${name} byte ${at}: ${hurt.join(', ')}`).toBeLessThanOrEqual(1);
        if (hurt.length > 0) {
          detected++;
          expect(log.damage.some(({ file }) => file.startsWith(DIRECTORY))).toBe(true);
        }
        log.abort();
      }
      fileSystem.replace(path, good);
    }
    expect(detected).toBeGreaterThan(1000);
  });

  it('that cuts a file at any length is detected or harmless', { timeout: 60_000 }, async () => {
    const { fileSystem, truth } = await written();
    const names = segments(fileSystem);
    for (const [i, name] of names.entries()) {
      const path = `${DIRECTORY}/${name}`;
      const good = fileSystem.contents(path);
      const used = good.findLastIndex((byte) => byte !== 0) + 1;
      for (let length = 64; length < used; length += 3) {
        fileSystem.replace(path, good.subarray(0, length));
        const log = openLog(fileSystem);
        if (i < names.length - 1) for (const id of GROUPS) await judge(log, id, truth.get(id)!, `${name} cut at ${length}`);
        // The end of the newest segment can go without anything left to tell: what is there is true all the same.
        else
          for (const id of GROUPS)
            expect(truth.get(id)!.texts.slice(0, log.group(id).contents().lastIndex)).toEqual(await contentsOf(log.group(id)));
        log.abort();
      }
      fileSystem.replace(path, good);
    }
  });

  it('that takes a whole segment away is told to the groups that had frames in it', async () => {
    const { fileSystem, truth } = await written();
    const names = segments(fileSystem);
    for (const name of names.slice(0, -1)) {
      const good = fileSystem.contents(`${DIRECTORY}/${name}`);
      fileSystem.unlinkSync(`${DIRECTORY}/${name}`);
      const log = openLog(fileSystem);
      let hurt = 0;
      for (const id of GROUPS) if (await judge(log, id, truth.get(id)!, `without ${name}`)) hurt++;
      expect(hurt, `without ${name}`).toBeGreaterThan(0);
      if (name !== names[0]) expect(log.group(4).contents().damage).toBeUndefined();
      log.abort();
      fileSystem.replace(`${DIRECTORY}/${name}`, good);
    }
  });

  it('is remembered when the log goes on, until it is mended', async () => {
    const { fileSystem, truth } = await written(1 << 20);
    const path = `${DIRECTORY}/000001.raft`;
    const bytes = Uint8Array.from(fileSystem.contents(path));
    const at = Buffer.from(bytes).indexOf(`of 2: ${'x'.repeat(20)}`);
    bytes[at]! ^= 1;
    fileSystem.replace(path, bytes);
    for (let life = 0; life < 3; life++) {
      const log = openLog(fileSystem);
      expect(log.damage.length).toBeGreaterThan(0);
      expect(log.group(2).contents().damage).toEqual({ missing: [{ from: expect.any(Number), to: expect.any(Number) }], endLost: false });
      expect([1, 3, 4].map((id) => log.group(id).contents().damage)).toEqual([undefined, undefined, undefined]);
      await log.group(1).append(undefined, [entry(log.group(1).contents().lastIndex + 1, 3)], true);
      if (life === 1) fileSystem.endProcess();
      else await log.close();
    }
    const log = openLog(fileSystem);
    const group = log.group(2);
    const { missing } = group.contents().damage!;
    const from = missing[0]!.from;
    const lost = truth.get(2)!.texts;
    const term = (index: number): number => Number(/\/(\d+) /.exec(lost[index - 1]!)![1]);
    const texts = lost.slice(from - 1, missing[0]!.to).map((text) => text.replace(/^\S+ /, ''));
    await group.fill(texts.map((text, i) => entry(from + i, term(from + i), text)));
    for (const opened of [log, undefined]) {
      const now = opened ?? openLog(fileSystem);
      expect(now.group(2).contents().damage).toBeUndefined();
      expect(await contentsOf(now.group(2))).toEqual(lost);
      expect(
        now
          .group(2)
          .contents()
          .terms.map((run) => run.term),
      ).toEqual([...new Set(lost.map((_, i) => term(i + 1)))]);
      await now.close();
    }
  });

  it('of what a group wrote last is told, also to groups that may have written there, and is over when they say so', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    for (const id of [1, 2]) await log.group(id).append(STATE, [entry(1)], true);
    await log.group(1).append({ term: 2, vote: 2, commit: 1 }, [entry(2, 2, 'the last of group 1')], true);
    await log.group(3).append(STATE, [entry(1)], true);
    await log.close();
    const path = `${DIRECTORY}/000001.raft`;
    const bytes = Uint8Array.from(fileSystem.contents(path));
    bytes[Buffer.from(bytes).indexOf('the last of group 1')]! ^= 1;
    fileSystem.replace(path, bytes);
    const damaged = openLog(fileSystem);
    expect([1, 2, 3].map((id) => damaged.group(id).contents().damage?.endLost)).toEqual([true, true, undefined]);
    await damaged.group(3).append(undefined, [entry(2)], true);
    await damaged.close();
    const again = openLog(fileSystem);
    expect([1, 2, 3].map((id) => again.group(id).contents().damage?.endLost)).toEqual([true, true, undefined]);
    await again.group(1).append({ term: 2, vote: 2, commit: 1 }, [entry(2, 2)], true);
    await Promise.all([again.group(1).endKnown(), again.group(2).endKnown()]);
    await again.close();
    const mended = openLog(fileSystem);
    expect([1, 2, 3].map((id) => mended.group(id).contents().damage)).toEqual([undefined, undefined, undefined]);
    expect(await contentsOf(mended.group(1))).toEqual(['1/1 entry 1', '2/2 entry 2']);
    await mended.close();
  });

  it('of a line of the summary is told to a group of which nothing else is left', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem, { segmentBytes: 600 });
    await log.group(9).append({ term: 5, vote: 5, commit: 1 }, [entry(1, 5)], true);
    log.group(9).compact(1);
    for (let i = 1; i <= 12; i++) {
      await log.group(1).append(STATE, [entry(i, 1, 'x'.repeat(100))], true);
      log.group(1).compact(i);
    }
    await log.close();
    const names = segments(fileSystem);
    for (const name of names) {
      const path = `${DIRECTORY}/${name}`;
      const bytes = Uint8Array.from(fileSystem.contents(path));
      // Header, BATCH, GROUP of 9: the first that was made.
      bytes[64 + 40 + 50]! ^= 1;
      fileSystem.replace(path, bytes);
    }
    const damaged = openLog(fileSystem);
    expect(damaged.group(9).contents()).toMatchObject({ hardState: { term: 0 }, damage: { endLost: true } });
    damaged.abort();
  });

  it('of all headers is refused', async () => {
    const { fileSystem } = await written(1 << 20);
    const path = `${DIRECTORY}/000001.raft`;
    const bytes = Uint8Array.from(fileSystem.contents(path));
    bytes[20]! ^= 1;
    fileSystem.replace(path, bytes);
    expect(() => openLog(fileSystem)).toThrow(
      expect.objectContaining({ kind: 'corrupt', code: 'CORRUPT_RAFT_LOG', details: { file: path, offset: 0 } }) as Error,
    );
  });

  it('that a read meets is named, with the entry', async () => {
    const fileSystem = new SimFileSystem();
    const log = openLog(fileSystem);
    await log.group(1).append(STATE, [entry(1), entry(2)], true);
    const { offset } = log.group(1).place(2)!;
    fileSystem.failAt({ at: fileSystem.reads + 1, error: 'rot', on: 'read' });
    await expect(log.group(1).read(2, 2, 100)).rejects.toMatchObject({ code: 'CORRUPT_RAFT_LOG', details: { offset: offset - 40 } });
    expect((await log.group(1).read(2, 2, 100)).length).toBe(1);
    await log.close();
  });
});
