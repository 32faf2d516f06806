import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
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

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const code = (value: string): unknown => expect.objectContaining({ code: value });

describe('NodeFileSystem', () => {
  it('writes at positions, reads what is there and says how much that was', async () => {
    const file = fs.openSync(join(directory, 'a'), 'create');
    file.writeSync(bytes('..hello..'), 2, 5, 3);
    file.writevSync([bytes('AB'), bytes(''), bytes('C')], 0);
    file.datasyncSync();
    await file.datasync();
    expect(file.sizeSync()).toBe(8);
    const target = new Uint8Array(16);
    expect(file.readSync(target, 1, 15, 2)).toBe(6);
    expect(new TextDecoder().decode(target.subarray(1, 7))).toBe('Chello');
    expect(await file.read(target, 0, 4, 6)).toBe(2);
    expect(await file.read(target, 0, 4, 100)).toBe(0);
    file.truncateSync(4);
    expect(file.sizeSync()).toBe(4);
    file.closeSync();
    expect(() => file.sizeSync()).toThrow('a closed file is not used');
  });

  it('reads into and writes from shared memory', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(64));
    shared.set(bytes('shared'));
    const file = fs.openSync(join(directory, 'a'), 'create');
    file.writeSync(shared, 0, 6, 0);
    expect(file.readSync(shared, 32, 6, 0)).toBe(6);
    expect([...shared.subarray(32, 38)]).toEqual([...bytes('shared')]);
    file.closeSync();
  });

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

  it('keeps the modes apart, with the codes of the operating system', () => {
    const path = join(directory, 'a');
    expect(() => fs.openSync(path, 'read')).toThrow(code('ENOENT'));
    expect(() => fs.openSync(path, 'write')).toThrow(code('ENOENT'));
    fs.openSync(path, 'create').closeSync();
    expect(() => fs.openSync(path, 'create')).toThrow(code('EEXIST'));
    const file = fs.openSync(path, 'read');
    expect(() => file.writeSync(bytes('x'), 0, 1, 0)).toThrow(code('EBADF'));
    file.closeSync();
    expect(() => fs.unlinkSync(join(directory, 'b'))).toThrow(code('ENOENT'));
  });

  it('renames over, links, lists in order and removes', () => {
    for (const name of ['b', 'a', 'c']) fs.openSync(join(directory, name), 'create').closeSync();
    fs.renameSync(join(directory, 'c'), join(directory, 'a'));
    fs.linkSync(join(directory, 'b'), join(directory, 'd'));
    fs.syncDirectorySync(directory);
    expect(fs.listSync(directory)).toEqual(['a', 'b', 'd']);
    expect(statSync(join(directory, 'b')).ino).toBe(statSync(join(directory, 'd')).ino);
    fs.unlinkSync(join(directory, 'a'));
    expect(fs.existsSync(join(directory, 'a'))).toBe(false);
  });

  it('makes a directory with its parents, and once more', () => {
    const deep = join(directory, 'x/y/z');
    fs.makeDirectorySync(deep);
    fs.makeDirectorySync(deep);
    expect(statSync(deep).isDirectory()).toBe(true);
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
