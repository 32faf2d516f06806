import { describe, expect, it } from 'vitest';
import type { File } from '../../base/env.ts';
import { PowerLoss, SimFileSystem } from './sim-file-system.ts';
import type { CrashMode } from './sim-file.ts';

const code = (value: string): unknown => expect.objectContaining({ code: value });

function fill(file: File, byte: number, bytes: number, position: number): void {
  file.writeSync(new Uint8Array(bytes).fill(byte), 0, bytes, position);
}

function disk(seed = 1): SimFileSystem {
  const fs = new SimFileSystem({ seed });
  fs.makeDirectorySync('/data');
  return fs;
}

/** A file of three synced sectors of ones. */
function synced(fs: SimFileSystem): File {
  const file = fs.openSync('/data/a', 'create');
  fill(file, 1, 1536, 0);
  file.datasyncSync();
  fs.syncDirectorySync('/data');
  return file;
}

/** The states that a thousand seeds reach, as text. */
function states(mode: CrashMode, run: (fs: SimFileSystem) => void, describeState: (fs: SimFileSystem) => string): Set<string> {
  const seen = new Set<string>();
  for (let seed = 0; seed < 1000; seed++) {
    const fs = disk(seed);
    run(fs);
    fs.crash(mode);
    seen.add(describeState(fs));
  }
  return seen;
}

describe('SimFileSystem: what a crash leaves', () => {
  it('keeps what was synced in every mode', () => {
    for (const mode of ['none', 'all', 'random', 'torn'] as const) {
      const fs = disk();
      synced(fs);
      fs.crash(mode);
      expect(fs.contents('/data/a')).toEqual(new Uint8Array(1536).fill(1));
    }
  });

  it('loses and keeps each unsynced sector by itself, and sizes as they were', () => {
    const run = (fs: SimFileSystem): void => {
      const file = synced(fs);
      fill(file, 2, 512, 512);
      fill(file, 3, 512, 1536);
    };
    const look = (fs: SimFileSystem): string => {
      const content = fs.contents('/data/a');
      return `${content.length}: ${[0, 512, 1024, 1536].map((at) => content[at] ?? '-').join('')}`;
    };
    expect(states('none', run, look)).toEqual(new Set(['1536: 111-']));
    expect(states('all', run, look)).toEqual(new Set(['2048: 1213']));
    expect(states('random', run, look)).toEqual(
      new Set(['1536: 111-', '1536: 121-', '2048: 1113', '2048: 1213', '2048: 1110', '2048: 1210']),
    );
  });

  it('may go back to an earlier state of a sector, and tears only in mode torn', () => {
    const run = (fs: SimFileSystem): void => {
      const file = synced(fs);
      fill(file, 2, 512, 0);
      fill(file, 3, 512, 0);
    };
    const look = (fs: SimFileSystem): string => [...new Set(fs.contents('/data/a').subarray(0, 512))].join('');
    expect(states('random', run, look)).toEqual(new Set(['1', '2', '3']));
    expect([...states('torn', run, look)]).toEqual(expect.arrayContaining(['1', '2', '3', '12', '31']));
  });

  it('forgets entries of a directory that was not synced, each by itself', () => {
    const run = (fs: SimFileSystem): void => {
      const file = fs.openSync('/data/a', 'create');
      fill(file, 1, 10, 0);
      file.datasyncSync();
      fs.syncDirectorySync('/data');
      fs.renameSync('/data/a', '/data/b');
      fs.openSync('/data/c', 'create');
    };
    const look = (fs: SimFileSystem): string => fs.listSync('/data').join(' ');
    expect(states('none', run, look)).toEqual(new Set(['a']));
    expect(states('all', run, look)).toEqual(new Set(['b c']));
    expect(states('random', run, look)).toEqual(new Set(['a', 'b', 'a c', 'b c']));
  });

  it('brings a removed file back when the directory was not synced, with its contents', () => {
    const fs = disk();
    synced(fs);
    fs.unlinkSync('/data/a');
    fs.crash('none');
    expect(fs.contents('/data/a')[0]).toBe(1);
    fs.unlinkSync('/data/a');
    fs.syncDirectorySync('/data');
    fs.crash('none');
    expect(fs.existsSync('/data/a')).toBe(false);
  });

  it('reads zeros where a file was extended and not written, and where it was cut and extended again', () => {
    const fs = disk();
    const file = synced(fs);
    file.truncateSync(100);
    file.truncateSync(2000);
    file.datasyncSync();
    fs.crash('none');
    const content = fs.contents('/data/a');
    expect([content.length, content[99], content[100], content[1999]]).toEqual([2000, 1, 0, 0]);
  });

  it('ends files and locks of the life before', () => {
    const fs = disk();
    const file = synced(fs);
    const lock = fs.lockDirectory('/data');
    expect(() => fs.lockDirectory('/data/')).toThrow(code('LOCKED'));
    fs.crash('all');
    expect(() => file.sizeSync()).toThrow(PowerLoss);
    fs.lockDirectory('/data');
    lock.release();
    expect(() => fs.lockDirectory('/data')).toThrow(code('LOCKED'));
  });

  it('shows the next process what the last one wrote, and still loses it with the power', () => {
    const fs = disk();
    const file = synced(fs);
    fill(file, 2, 512, 0);
    fs.openSync('/data/b', 'create');
    fs.endProcess();
    expect(() => file.sizeSync()).toThrow(PowerLoss);
    expect([fs.contents('/data/a')[0], fs.listSync('/data')]).toEqual([2, ['a', 'b']]);
    fs.crash('none');
    expect([fs.contents('/data/a')[0], fs.listSync('/data')]).toEqual([1, ['a']]);
  });

  it('gives the same state for the same seed', () => {
    const once = (): Uint8Array => {
      const fs = disk(42);
      const file = synced(fs);
      for (let i = 0; i < 20; i++) fill(file, i, 700, i * 300);
      fs.crash('torn');
      return fs.contents('/data/a');
    };
    expect(once()).toEqual(once());
  });
});

describe('SimFileSystem: asynchronous sync', () => {
  it('covers what was written before the call, not after it', async () => {
    const completions: (() => void)[] = [];
    const fs = new SimFileSystem({ settle: (complete) => completions.push(complete) });
    const file = fs.openSync('/a', 'create');
    fs.syncDirectorySync('/');
    fill(file, 1, 512, 0);
    const syncing = file.datasync();
    fill(file, 2, 512, 0);
    fill(file, 2, 512, 512);
    completions.shift()!();
    await syncing;
    fs.crash('none');
    expect(fs.contents('/a')).toEqual(new Uint8Array(512).fill(1));
  });

  it('has no effect when power is lost before it settles', async () => {
    const completions: (() => void)[] = [];
    const fs = new SimFileSystem({ settle: (complete) => completions.push(complete) });
    const file = fs.openSync('/a', 'create');
    fs.syncDirectorySync('/');
    fill(file, 1, 512, 0);
    const syncing = file.datasync();
    fs.crash('none');
    completions.shift()!();
    await expect(syncing).rejects.toThrow(PowerLoss);
    expect(fs.contents('/a').length).toBe(0);
  });
});

describe('SimFileSystem: faults', () => {
  it('fails the operation asked for, once or for good', () => {
    const fs = disk();
    const file = synced(fs);
    fs.failAt({ at: fs.operations + 2, error: 'EIO' });
    fill(file, 2, 10, 0);
    expect(() => fill(file, 2, 10, 0)).toThrow(code('EIO'));
    fill(file, 2, 10, 0);
    fs.failAt({ at: fs.operations + 1, error: 'ENOSPC', forGood: true });
    expect(() => fill(file, 2, 10, 0)).toThrow(code('ENOSPC'));
    expect(() => fs.unlinkSync('/data/a')).toThrow(code('ENOSPC'));
    fs.failAt({ at: fs.reads + 1, error: 'EIO', on: 'read' });
    expect(() => file.readSync(new Uint8Array(1), 0, 1, 0)).toThrow(code('EIO'));
    expect(fs.faultsHit).toBe(4);
  });

  it('lets half of a short write arrive', () => {
    const fs = disk();
    const file = synced(fs);
    fs.failAt({ at: fs.operations + 1, error: 'short' });
    expect(() => fill(file, 2, 100, 0)).toThrow(code('ENOSPC'));
    expect([...fs.contents('/data/a').subarray(48, 52)]).toEqual([2, 2, 1, 1]);
  });

  it('lies after a failed sync: programs see the bytes, the next sync says OK, the disk never has them', async () => {
    const fs = disk();
    const file = synced(fs);
    fill(file, 2, 512, 0);
    fs.failAt({ at: fs.operations + 1, error: 'EIO' });
    await expect(file.datasync()).rejects.toThrow(code('EIO'));
    expect(fs.contents('/data/a')[0]).toBe(2);
    await file.datasync();
    fs.crash('all');
    expect(fs.contents('/data/a')[0]).toBe(1);
  });

  it('is dead from the operation where power is lost until the crash', () => {
    const fs = disk();
    const file = synced(fs);
    fs.killAt(fs.operations + 1);
    expect(() => fill(file, 2, 512, 0)).toThrow(PowerLoss);
    expect(() => fs.listSync('/data')).toThrow(PowerLoss);
    expect(() => file.readSync(new Uint8Array(1), 0, 1, 0)).toThrow(PowerLoss);
    fs.crash('all');
    expect(fs.contents('/data/a')[0]).toBe(2);
  });

  it('is full at its capacity and writable again when space is freed', () => {
    const fs = disk();
    const file = synced(fs);
    fs.capacityBytes = 2000;
    fill(file, 2, 464, 1536);
    expect(() => fill(file, 2, 1, 2000)).toThrow(code('ENOSPC'));
    fs.capacityBytes = 2001;
    fill(file, 2, 1, 2000);
  });
});

describe('faults that nobody is told of', () => {
  function file(contents: readonly number[]): { fs: SimFileSystem; open: ReturnType<SimFileSystem['openSync']> } {
    const fs = new SimFileSystem({ seed: 5 });
    fs.makeDirectorySync('/data');
    const open = fs.openSync('/data/a', 'create');
    for (const [i, value] of contents.entries()) open.writeSync(new Uint8Array(512).fill(value), 0, 512, i * 512);
    open.datasyncSync();
    fs.syncDirectorySync('/data');
    return { fs, open };
  }

  it('a write goes elsewhere, once', () => {
    const { fs, open } = file([1, 2, 3, 4]);
    fs.failAt({ at: 0, error: 'misdirected' });
    open.writeSync(new Uint8Array(512).fill(9), 0, 512, 512);
    const found = [0, 1, 2, 3, 4].filter((sector) => fs.contents('/data/a')[sector * 512] === 9);
    expect(found).toHaveLength(1);
    expect(found[0]).not.toBe(1);
    expect(fs.contents('/data/a')[512]).toBe(2);
    open.writeSync(new Uint8Array(512).fill(9), 0, 512, 512);
    expect(fs.contents('/data/a')[512]).toBe(9);
    expect(fs.faultsHit).toBe(1);
  });

  it('a sync does nothing, and a later one does', async () => {
    for (const [syncs, left] of [
      [1, 1],
      [2, 9],
    ] as const) {
      const { fs, open } = file([1]);
      open.writeSync(Uint8Array.of(9), 0, 1, 0);
      fs.failAt({ at: fs.operations, error: 'lie' });
      for (let i = 0; i < syncs; i++) await open.datasync();
      expect(fs.contents('/data/a')[0]).toBe(9);
      fs.crash('none');
      expect(fs.contents('/data/a')[0]).toBe(left);
    }
  });

  it('a read gives one bit wrongly, once', () => {
    const { fs, open } = file([0]);
    const wrongBits = (): number => {
      const bytes = new Uint8Array(512);
      open.readSync(bytes, 0, 512, 0);
      return bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
    };
    fs.failAt({ at: 0, error: 'rot' });
    expect([wrongBits(), wrongBits()]).toEqual([1, 0]);
  });
});
