import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeFileSystem } from '../../../base/node/index.ts';

const fs = new NodeFileSystem();
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-fs-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const code = (value: string): unknown => expect.objectContaining({ code: value });

/** What it shares with the other file systems: test/base/file-system.test.ts. */
describe('NodeFileSystem', () => {
  it('writes more spans in one call than the system takes at once', () => {
    const spans = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i, i >> 8));
    const file = fs.openSync(join(directory, 'a'), 'create');
    file.writevSync(spans, 0);
    expect(file.sizeSync()).toBe(6000);
    const target = new Uint8Array(6000);
    file.readSync(target, 0, 6000, 0);
    expect([...target.subarray(5998)]).toEqual([2999 & 255, 2999 >> 8]);
    file.closeSync();
  });

  it.runIf(existsSync('/proc/self'))('says so where a directory cannot be made, instead of trying for ever', () => {
    expect(() => fs.makeDirectorySync('/proc/none/inside')).toThrow(code('ENOENT'));
  });

  it('refuses to close under an unfinished call', async () => {
    const file = fs.openSync(join(directory, 'a'), 'create');
    const syncing = file.datasync();
    expect(() => file.closeSync()).toThrow('asynchronous calls have settled');
    await syncing;
    file.closeSync();
  });
});
