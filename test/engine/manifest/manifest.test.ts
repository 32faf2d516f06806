import { describe, expect, it } from 'vitest';
import { decodeManifest, Manifest, type ManifestOptions, type Version, type VersionEdit } from '../../../engine/manifest/index.ts';
import { SimFileSystem, type SimFileSystemOptions } from '../../sim/sim-file-system.ts';
import type { CrashMode } from '../../sim/sim-file.ts';
import { describeVersion, fileIds, table } from './tables.ts';

const code = (value: string): unknown => expect.objectContaining({ code: value });
const DIRECTORY = '/data';

function disk(options: SimFileSystemOptions = {}): SimFileSystem {
  const fs = new SimFileSystem(options);
  fs.makeDirectorySync(DIRECTORY);
  return fs;
}

function open(fs: SimFileSystem, options: ManifestOptions = {}): Manifest {
  return Manifest.open(fs, DIRECTORY, options).manifest;
}

/** Adds table `fileId` to level 0; every third one moves what is there to level 1. */
function edits(count: number): VersionEdit[] {
  const list: VersionEdit[] = [];
  for (let id = 1; list.length < count; id++) {
    list.push({ nextFileId: id + 1, lastSequence: id * 10, tablesAdded: [{ level: 0, table: table(id, `k${id}`, `k${id}`) }] });
    if (id % 3 === 0 && list.length < count) {
      list.push({
        tablesRemoved: [{ level: 0, fileId: id }],
        tablesAdded: [{ level: 1, table: table(id, `k${id}`, `k${id}`) }],
      });
    }
  }
  return list;
}

describe('Manifest', () => {
  it('makes a store in an empty directory, and finds it again with its settings', async () => {
    const fs = disk();
    const first = Manifest.open(fs, DIRECTORY, { settings: () => ({ pageBytes: 8192 }) });
    expect(first.created).toBe(true);
    expect(fs.listSync(DIRECTORY)).toEqual(['CURRENT', 'MANIFEST-000001']);
    for (const edit of edits(5)) await first.manifest.append(edit);
    expect(fileIds(first.manifest.version)).toEqual([[4, 2, 1], [3]]);
    await first.manifest.close();
    await first.manifest.close();
    const second = Manifest.open(fs, DIRECTORY, { settings: () => ({ pageBytes: 4096 }) });
    expect(second.created).toBe(false);
    expect(second.version.settings).toEqual(new Map([['pageBytes', 8192]]));
    expect(describeVersion(second.version)).toBe(describeVersion(first.manifest.version));
    await second.manifest.close();
    expect(fs.openFiles).toEqual([]);
  });

  it('has golden bytes', async () => {
    const fs = disk();
    const manifest = open(fs);
    await manifest.append({ nextFileId: 3, lastSequence: 9, tablesAdded: [{ level: 0, table: table(2, 'a', 'b') }] });
    const hex = (name: string): string => Buffer.from(fs.contents(`${DIRECTORY}/${name}`)).toString('hex');
    expect(hex('MANIFEST-000001')).toMatchInlineSnapshot(
      `"53504b564d414e310200000001000000ea15ac4d24d55b81a722b2dae84e001c10000000454449540f0201020401010601000801001a01011de2e88784c1b82e1700000045444954160401030601090a0e00028240010a0114090161016200"`,
    );
    expect(new TextDecoder().decode(fs.contents(`${DIRECTORY}/CURRENT`))).toMatchInlineSnapshot(`
      "MANIFEST-000001 21c0c0680854e198
      "
    `);
  });

  it('writes edits that come together as one frame with one sync', async () => {
    const fs = disk();
    const manifest = open(fs);
    const before = fs.syncs;
    const versions: Version[] = [];
    await Promise.all(edits(20).map(async (edit) => versions.push(await manifest.append(edit))));
    // The first goes alone, the rest wait for it together.
    expect(fs.syncs - before).toBe(2);
    expect(versions.length).toBe(20);
    expect(manifest.version).toBe(versions.at(-1));
    expect(decodeManifest(fs.contents(`${DIRECTORY}/MANIFEST-000001`), 1, '').edits.length).toBe(21);
  });

  it('goes on when an edit comes just as the one before settles', async () => {
    const manifest = open(disk());
    const list = edits(30);
    await new Promise<void>((resolve, reject) => {
      const next = (i: number): void => {
        if (i === list.length) resolve();
        else manifest.append(list[i]!).then(() => next(i + 1), reject);
      };
      next(0);
    });
    expect(manifest.version.lastSequence).toBeGreaterThan(0);
  });

  it('moves on only when the edit is on disk', async () => {
    const completions: (() => void)[] = [];
    const fs = disk({ settle: (complete) => completions.push(complete) });
    const manifest = open(fs);
    const appended = manifest.append({ lastSequence: 5 });
    expect([manifest.version.lastSequence, manifest.latest.lastSequence]).toEqual([0, 5]);
    completions.shift()!();
    expect((await appended).lastSequence).toBe(5);
    expect(manifest.version.lastSequence).toBe(5);
  });

  it('refuses an edit that does not fit, and nothing has changed', async () => {
    const manifest = open(disk());
    await expect(manifest.append({ tablesRemoved: [{ level: 0, fileId: 1 }] })).rejects.toThrow(code('ASSERTION'));
    expect((await manifest.append({ lastSequence: 5 })).lastSequence).toBe(5);
  });

  it('replaces itself when it has grown, and removes the old one', async () => {
    const fs = disk();
    const manifest = open(fs, { rollBytes: 400 });
    for (const edit of edits(60)) await manifest.append(edit);
    await manifest.idle();
    expect(manifest.id).toBeGreaterThan(3);
    expect(fs.listSync(DIRECTORY)).toEqual(['CURRENT', `MANIFEST-${String(manifest.id).padStart(6, '0')}`]);
    const reopened = open(fs);
    expect(describeVersion(reopened.version)).toBe(describeVersion(manifest.version));
    expect(reopened.obsoleteFiles(fs.listSync(DIRECTORY))).toEqual([]);
  });

  it('waits for the disk beside its caller when it is replaced, and edits that come meanwhile follow in the new one', async () => {
    const completions: (() => void)[] = [];
    const fs = disk({ settle: (complete) => completions.push(complete) });
    const manifest = open(fs, { rollBytes: 60 });
    const appended = [manifest.append({ lastSequence: 5 })];
    const seen: [id: number, lastSequence: number][] = [];
    let rounds = 0;
    // Nothing goes on but by a completion: whatever is waited for is waited for so.
    for (; completions.length > 0; rounds++) {
      completions.shift()!();
      for (let i = 0; i < 20; i++) await Promise.resolve();
      if (rounds === 1) appended.push(manifest.append({ lastSequence: 6 }));
      seen.push([manifest.id, manifest.version.lastSequence]);
    }
    // Each time the disk is done: with the edit; with the content of the new file; with that of CURRENT; with the edit that came meanwhile.
    expect(seen.slice(0, 4)).toEqual([
      [1, 5],
      [1, 5],
      [2, 5],
      [2, 6],
    ]);
    expect((await Promise.all(appended)).map(({ lastSequence }) => lastSequence)).toEqual([5, 6]);
    expect(open(fs).version.lastSequence).toBe(6);
  });

  it('never gives an id again that a file in the directory has', async () => {
    const fs = disk();
    await open(fs).close();
    fs.replace(`${DIRECTORY}/000041.log`, new Uint8Array(10));
    expect(open(fs).version.nextFileId).toBe(42);
  });
});

describe('Manifest: damage', () => {
  async function written(): Promise<{ fs: SimFileSystem; path: string; ends: number[]; versions: string[] }> {
    const fs = disk();
    const manifest = open(fs);
    const ends = [manifest.bytes];
    const versions = [describeVersion(manifest.version)];
    for (const edit of edits(6)) {
      versions.push(describeVersion(await manifest.append(edit)));
      ends.push(manifest.bytes);
    }
    await manifest.close();
    return { fs, path: `${DIRECTORY}/MANIFEST-000001`, ends, versions };
  }

  it('drops a last frame that is cut at any length, and goes on in a new manifest', async () => {
    const { fs, path, ends, versions } = await written();
    const whole = fs.contents(path);
    for (let length = ends[4]!; length < ends[6]!; length++) {
      const copy = disk();
      copy.replace(path, whole.slice(0, length));
      copy.replace(`${DIRECTORY}/CURRENT`, fs.contents(`${DIRECTORY}/CURRENT`));
      const manifest = open(copy);
      expect(describeVersion(manifest.version)).toBe(versions[length < ends[5]! ? 4 : 5]);
      const torn = length !== ends[4] && length !== ends[5];
      expect(manifest.id).toBe(torn ? 2 : 1);
      await manifest.append({ nextFileId: 50 });
      expect(open(copy).version.nextFileId).toBe(50);
    }
  });

  it('finds every flipped bit, and tells a torn end from damage', async () => {
    const { fs, path, ends, versions } = await written();
    const whole = fs.contents(path);
    for (let at = 0; at < whole.length; at++) {
      const copy = disk();
      const damaged = whole.slice();
      damaged[at]! ^= 1 << (at % 8);
      copy.replace(path, damaged);
      copy.replace(`${DIRECTORY}/CURRENT`, fs.contents(`${DIRECTORY}/CURRENT`));
      if (at >= ends[5]!) expect(describeVersion(open(copy).version)).toBe(versions[5]);
      else {
        const offset = at < 24 ? 0 : ([24, ...ends] as number[]).findLast((end) => end <= at);
        expect(() => open(copy), `byte ${at}`).toThrow(
          expect.objectContaining({ code: 'CORRUPT_MANIFEST', details: { file: path, offset } }),
        );
      }
    }
  });

  it('refuses a CURRENT that is damaged, cut, missing, or names what is not there', async () => {
    const { fs } = await written();
    const current = `${DIRECTORY}/CURRENT`;
    const whole = fs.contents(current);
    for (let at = 0; at < whole.length; at++) {
      const damaged = whole.slice();
      damaged[at]! ^= 1;
      fs.replace(current, damaged);
      expect(() => open(fs)).toThrow(code('CORRUPT_MANIFEST'));
      fs.replace(current, whole.slice(0, at));
      expect(() => open(fs)).toThrow(code('CORRUPT_MANIFEST'));
    }
    fs.replace(current, whole);
    fs.unlinkSync(`${DIRECTORY}/MANIFEST-000001`);
    expect(() => open(fs)).toThrow('CURRENT names it, but it is missing');
    fs.unlinkSync(current);
    fs.replace(`${DIRECTORY}/000003.table`, new Uint8Array(1));
    expect(() => open(fs)).toThrow('the directory holds logs or tables');
    expect(fs.openFiles).toEqual([]);
  });

  it('refuses a manifest of another id under its name', async () => {
    const { fs, path } = await written();
    const other = disk();
    other.replace(`${DIRECTORY}/MANIFEST-000002`, fs.contents(path));
    await open(other).close();
    other.replace(`${DIRECTORY}/MANIFEST-000003`, fs.contents(path));
    expect(() => open(other)).toThrow(code('CORRUPT_MANIFEST'));
  });
});

describe('Manifest: failing disk', () => {
  it('answers a full disk with an error, takes the part back, and goes on when there is room', async () => {
    const fs = disk();
    const manifest = open(fs);
    const list = edits(3);
    await manifest.append(list[0]!);
    fs.failAt({ at: fs.operations + 1, error: 'short' });
    await expect(manifest.append(list[1]!)).rejects.toThrow(code('DISK_FULL'));
    expect(manifest.latest).toBe(manifest.version);
    await manifest.append(list[1]!);
    await manifest.append(list[2]!);
    expect(describeVersion(open(fs).version)).toBe(describeVersion(manifest.version));
  });

  it('is final after a failed sync, a failed write, a part that cannot be taken back', async () => {
    for (const faults of [[{ at: 2, error: 'EIO' }], [{ at: 1, error: 'EIO' }], [{ at: 1, error: 'short', forGood: true }]] as const) {
      const fs = disk();
      const manifest = open(fs);
      fs.failAt(...faults.map((fault) => ({ ...fault, at: fs.operations + fault.at })));
      const refused = [manifest.append({ lastSequence: 1 }), manifest.append({ lastSequence: 2 })];
      for (const result of await Promise.allSettled(refused))
        expect(result).toMatchObject({ reason: { kind: 'closed', code: 'WRITER_FAILED' } });
      fs.failAt();
      await expect(manifest.append({ lastSequence: 3 })).rejects.toThrow(code('WRITER_FAILED'));
      expect(manifest.version.lastSequence).toBe(0);
      await manifest.close();
      fs.crash('all');
      expect(open(fs).version.lastSequence).toBeLessThanOrEqual(2);
    }
  });

  it('keeps the old manifest when a new one cannot be made, and tries again later', async () => {
    const fs = disk();
    const manifest = open(fs, { rollBytes: 300 });
    const list = edits(40);
    let next = 0;
    const rollsAfter = async (failing: boolean): Promise<void> => {
      const { id } = manifest;
      for (let i = 0; i < 12; i++) {
        // Write, sync, and what comes third belongs to the new manifest.
        if (failing) fs.failAt({ at: fs.operations + 3, error: 'ENOSPC', forGood: true });
        await manifest.append(list[next++]!);
        await manifest.idle();
        fs.failAt();
      }
      expect(manifest.id === id).toBe(failing);
      expect(manifest.rollFailure === undefined).toBe(!failing);
    };
    await rollsAfter(true);
    await rollsAfter(false);
    expect(describeVersion(open(fs).version)).toBe(describeVersion(manifest.version));
  });
});

describe('Manifest: power loss', () => {
  const COUNT = 24;

  /** Runs until the power goes; returns how many edits were acknowledged. */
  async function run(fs: SimFileSystem): Promise<number> {
    let acknowledged = 0;
    try {
      const manifest = open(fs, { rollBytes: 300 });
      const list = edits(COUNT);
      for (let i = 0; i < COUNT; i += 3) {
        await Promise.all(list.slice(i, i + 3).map((edit) => manifest.append(edit)));
        acknowledged = i + 3;
      }
      await manifest.close();
    } catch {
      expect(fs.dead).toBe(true);
    }
    return acknowledged;
  }

  async function expectedVersions(): Promise<string[]> {
    const manifest = open(disk());
    const versions = [describeVersion(manifest.version)];
    for (const edit of edits(COUNT)) versions.push(describeVersion(await manifest.append(edit)));
    return versions;
  }

  it('at any operation leaves what was acknowledged, in whole edits, and a manifest that can be written to', async () => {
    const expected = await expectedVersions();
    const dry = disk();
    await run(dry);
    const reached = { torn: 0, rolled: 0, empty: 0 };
    for (let operation = 1; operation <= dry.operations; operation++) {
      for (const [seed, mode] of (['none', 'all', 'random', 'random', 'torn', 'torn'] satisfies CrashMode[]).entries()) {
        const fs = disk({ seed: operation * 10 + seed });
        fs.killAt(operation);
        const acknowledged = await run(fs);
        fs.crash(mode);
        const before = fs.listSync(DIRECTORY);
        // A crash while it opens again must not matter either.
        fs.killAt(fs.operations + 1 + (operation % 8));
        try {
          await open(fs).close();
        } catch {
          expect(fs.dead).toBe(true);
        }
        fs.crash(mode);
        const { manifest, created, version } = Manifest.open(fs, DIRECTORY);
        const found = expected.indexOf(describeVersion(version));
        expect(found, `operation ${operation}, ${mode}: acknowledged ${acknowledged}`).toBeGreaterThanOrEqual(acknowledged);
        if (created) reached.empty++;
        if (manifest.id > 2) reached.rolled++;
        if (before.length > 2) reached.torn++;
        await manifest.append({ lastSequence: 1_000_000 });
        fs.crash('none');
        const again = open(fs);
        expect(again.version.lastSequence).toBe(1_000_000);
        for (const name of again.obsoleteFiles(fs.listSync(DIRECTORY))) fs.unlinkSync(`${DIRECTORY}/${name}`);
        expect(fs.listSync(DIRECTORY).length).toBe(2);
      }
    }
    for (const [what, times] of Object.entries(reached)) expect(times, what).toBeGreaterThan(0);
  });

  it('after the process died: a version made durable is on disk, so that files it does not name may be removed', async () => {
    const dry = disk();
    await run(dry);
    for (let operation = 1; operation <= dry.operations; operation++) {
      for (const mode of ['none', 'random', 'torn'] as const) {
        const fs = disk({ seed: operation });
        fs.killAt(operation);
        await run(fs);
        fs.endProcess();
        const opened = open(fs);
        const seen = describeVersion(opened.version);
        opened.makeDurable();
        for (const name of opened.obsoleteFiles(fs.listSync(DIRECTORY))) fs.unlinkSync(`${DIRECTORY}/${name}`);
        fs.crash(mode);
        expect(describeVersion(open(fs).version), `operation ${operation}, ${mode}`).toBe(seen);
      }
    }
  });

  it('after the process died: opening alone waits for no disk; the next edit brings what was read there too', async () => {
    const fs = disk();
    const manifest = open(fs);
    await manifest.append({ lastSequence: 1 });
    fs.killAt(fs.operations + 2);
    await manifest.append({ lastSequence: 2 }).catch(() => undefined);
    fs.endProcess();
    const synced = fs.syncs;
    const opened = open(fs);
    expect(opened.version.lastSequence).toBe(2);
    expect(fs.syncs).toBe(synced);
    await opened.append({ lastSequence: 3 });
    fs.crash('none');
    expect(open(fs).version.lastSequence).toBe(3);
  });

  it('after a failed sync: what the system still shows is written again before it counts', async () => {
    const fs = disk();
    const manifest = open(fs);
    await manifest.append({ lastSequence: 1 });
    fs.failAt({ at: fs.operations + 2, error: 'EIO' });
    // More than a sector, so that the next frame does not carry it along.
    const long = table(5, 'a', 'z'.repeat(3000));
    const edit = { nextFileId: 6, lastSequence: 2, tablesAdded: [{ level: 0, table: long }] };
    await expect(manifest.append(edit)).rejects.toThrow(code('WRITER_FAILED'));
    fs.endProcess();
    const opened = open(fs);
    expect(opened.version.lastSequence).toBe(2);
    await opened.append({ lastSequence: 3 });
    fs.crash('none');
    expect(open(fs).version.lastSequence).toBe(3);
  });
});
