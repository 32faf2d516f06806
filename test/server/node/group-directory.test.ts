/** A snapshot takes the place of an engine, on a disk that dies at every operation: there is always one engine, the old or the new, and all of it. */
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import { GroupDirectory, NewGroup } from '../../../server/node/group-directory.ts';
import { IncomingSnapshot, type SnapshotHead } from '../../../server/transport/index.ts';
import { CRASH_MODES } from '../../sim/sim-file.ts';
import { PowerLoss, SimFileSystem } from '../../sim/sim-file-system.ts';
import { createHash, hash } from '../transport/hash.ts';

const configuration = { voters: [1], outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false };
const NAMES = ['000001.table', 'CURRENT'];
const NOTE = { what: 'a bit is another', members: [1, 2], nodes: { 2: '10.0.0.2:7401' } };

function bytesOf(name: string, version: number): Buffer {
  return Buffer.from(`${name} of ${version}`.repeat(100));
}

function write(disk: SimFileSystem, path: string, bytes: Uint8Array): void {
  const file = disk.openSync(path, 'create');
  file.writeSync(bytes, 0, bytes.length, 0);
  file.datasyncSync();
  file.closeSync();
}

function read(disk: SimFileSystem, path: string): Buffer {
  const file = disk.openSync(path, 'read');
  const bytes = Buffer.alloc(file.sizeSync());
  file.readSync(bytes, 0, bytes.length, 0);
  file.closeSync();
  return bytes;
}

/** Which engine is there; checks that it is whole and nothing else is in its place. */
function versionOf(disk: SimFileSystem, directory: GroupDirectory): number {
  const version = directory.begin.index;
  expect(disk.listSync(directory.engine)).toEqual(NAMES);
  for (const name of NAMES) expect(read(disk, `${directory.engine}/${name}`)).toEqual(bytesOf(name, version));
  expect(directory.begin.term).toBe(version === 0 ? 0 : 7);
  return version;
}

const open = (disk: SimFileSystem): GroupDirectory => new GroupDirectory(disk, '/data/group', hash);

/** An engine of version 0. */
function begun(seed: number): SimFileSystem {
  const disk = new SimFileSystem({ seed });
  const directory = open(disk);
  for (const name of NAMES) write(disk, `${directory.engine}/${name}`, bytesOf(name, 0));
  disk.syncDirectorySync(directory.engine);
  return disk;
}

async function receive(disk: SimFileSystem, directory: GroupDirectory, version: number): Promise<void> {
  const files = NAMES.map((name) => ({ name, bytes: bytesOf(name, version).length }));
  const head: SnapshotHead = { group: 1, term: 7, snapshot: { index: version, term: 7, configuration }, id: `of-${version}`, files };
  const incoming = await IncomingSnapshot.open({ fileSystem: disk, directory: directory.incoming, hash, createHash }, head);
  while (!incoming.complete) {
    const bytes = bytesOf(NAMES[incoming.position.file]!, version);
    if (incoming.position.offset < bytes.length) incoming.write(bytes.subarray(incoming.position.offset));
    // What a crash has left of a file may be anything: it is emptied then, and comes again.
    await incoming.endFile(hash(bytes, 0n)).catch((error: unknown) => {
      if (!(error instanceof SparrowError) || error.code !== 'SNAPSHOT_CHECK') throw error;
    });
  }
  await incoming.finish();
}

/** Two snapshots, one after the other: the slots are used again. */
async function installTwo(disk: SimFileSystem, reached: (version: number) => void): Promise<void> {
  const directory = open(disk);
  for (const version of [10, 20]) {
    if (directory.begin.index >= version) continue;
    directory.noteDamage(NOTE);
    await receive(disk, directory, version);
    directory.switchTo({ index: version, term: 7 });
    expect(directory.damage).toBe(undefined);
    reached(version);
  }
}

describe('the directory of a group', () => {
  it('gives a snapshot the place of the engine, and clears away what was there', async () => {
    const disk = begun(1);
    await installTwo(disk, () => undefined);
    const directory = open(disk);
    expect(versionOf(disk, directory)).toBe(20);
    expect(directory.engine).toBe('/data/group/a/files');
    expect(disk.listSync('/data/group/b/files')).toEqual([]);
    expect(disk.existsSync('/data/group/b/head')).toBe(false);
  });

  it('has one whole engine after a crash at any operation, and goes on', { timeout: 60_000 }, async () => {
    const whole = begun(1);
    const before = whole.operations;
    await installTwo(whole, () => undefined);
    const operations = whole.operations - before;
    expect(operations).toBeGreaterThan(40);
    const seen = new Set<number>();
    for (let at = 1; at <= operations; at++) {
      for (const mode of CRASH_MODES) {
        const disk = begun(at);
        disk.killAt(disk.operations + at);
        let installed = 0;
        await expect(installTwo(disk, (version) => (installed = version))).rejects.toThrow(PowerLoss);
        disk.crash(mode);
        const version = versionOf(disk, open(disk));
        seen.add(version);
        expect(version, `operation ${at}, ${mode}`).toBeGreaterThanOrEqual(installed);
        await installTwo(disk, () => undefined);
        expect(versionOf(disk, open(disk)), `operation ${at}, ${mode}`).toBe(20);
      }
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 10, 20]);
  });

  it('knows that an engine is damaged after a crash at any operation, once that was noted, until another one takes its place', async () => {
    const whole = begun(1);
    const before = whole.operations;
    open(whole).noteDamage(NOTE);
    for (let at = 1; at <= whole.operations - before; at++) {
      for (const mode of CRASH_MODES) {
        const disk = begun(at);
        disk.killAt(disk.operations + at);
        expect(() => open(disk).noteDamage(NOTE)).toThrow(PowerLoss);
        disk.crash(mode);
        open(disk).noteDamage(NOTE);
        disk.crash(mode);
        expect(open(disk).damage, `operation ${at}, ${mode}`).toEqual(NOTE);
        await installTwo(disk, () => undefined);
        expect(open(disk).damage, `operation ${at}, ${mode}`).toBe(undefined);
      }
    }
  });

  it('takes a note of damage that is damaged itself as one', () => {
    const disk = begun(1);
    open(disk).noteDamage(NOTE);
    disk.flip('/data/group/a/damaged', 0);
    expect(open(disk).damage).toMatchObject({ members: [], nodes: {} });
  });

  it('begins empty where a child was being made when a crash came', () => {
    const disk = new SimFileSystem({ seed: 1 });
    write(disk, `${new NewGroup(disk, '/data/group', hash).files}/INCOMPLETE`, Buffer.alloc(0));
    const directory = open(disk);
    expect(directory.begin).toEqual({ index: 0, term: 0 });
    expect(disk.listSync(directory.engine)).toEqual([]);
    disk.crash('none');
    expect(disk.listSync(open(disk).engine)).toEqual([]);
  });

  it('takes the engine for damaged, and keeps it, when `current` does not say how it began, also after a crash', () => {
    const damaged = (seed: number): SimFileSystem => {
      const disk = begun(seed);
      disk.flip('/data/group/current', 20);
      return disk;
    };
    const whole = damaged(1);
    const before = whole.operations;
    expect(open(whole).damage?.what).toContain("group's engine");
    for (let at = 1; at <= whole.operations - before; at++) {
      for (const mode of CRASH_MODES) {
        const disk = damaged(at);
        disk.killAt(disk.operations + at);
        expect(() => open(disk)).toThrow(PowerLoss);
        disk.crash(mode);
        const directory = open(disk);
        expect(directory.damage, `operation ${at}, ${mode}`).toMatchObject({ members: [] });
        expect([directory.engine, directory.begin]).toEqual(['/data/group/a/files', { index: 0, term: 0 }]);
        expect(versionOf(disk, directory)).toBe(0);
      }
    }
  });

  it('keeps an engine whose `current` has gone, where there was a group', () => {
    const disk = begun(1);
    disk.unlinkSync('/data/group/current');
    const directory = new GroupDirectory(disk, '/data/group', hash, true);
    expect(directory.damage?.what).toContain('it is missing');
    expect(versionOf(disk, directory)).toBe(0);
    const empty = new SimFileSystem({ seed: 1 });
    expect(new GroupDirectory(empty, '/data/group', hash, true).damage).toBeUndefined();
  });

  it('finds the slot of the engine when `current` does not say it', async () => {
    const disk = begun(1);
    const directory = open(disk);
    await receive(disk, directory, 10);
    directory.switchTo({ index: 10, term: 7 });
    const at = directory.engine;
    disk.flip('/data/group/current', 20);
    expect(open(disk).engine).toBe(at);
    for (const name of NAMES) expect(read(disk, `${at}/${name}`)).toEqual(bytesOf(name, 10));
  });

  it('refuses what is newer, and takes everything else for damage', () => {
    for (let at = 0; at < 40; at++) {
      const disk = begun(1);
      disk.flip('/data/group/current', at);
      if (at > 8 && at < 12) expect(() => open(disk), `byte ${at}`).toThrow(/format version/);
      else expect(open(disk).damage, `byte ${at}`).toBeDefined();
    }
    const disk = begun(1);
    disk.replace('/data/group/current', read(disk, '/data/group/current').subarray(0, 39));
    expect(open(disk).damage).toBeDefined();
  });
});
