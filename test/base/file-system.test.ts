/**
 * What every FileSystem of base/env.ts promises, whatever is behind it: run against the real one, the simulated one and the one in memory.
 * What only one of them does (crashes, faults, bounds, threads) is tested beside it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { File, FileSystem } from '../../base/env.ts';
import { MemoryFileSystem } from '../../base/memory-file-system.ts';
import { NodeFileSystem } from '../../base/node/index.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

interface Kind {
  readonly name: string;
  readonly make: () => { fs: FileSystem; root: string; remove: () => void };
}

const nothing = (): void => undefined;
const KINDS: readonly Kind[] = [
  {
    name: 'NodeFileSystem',
    make: () => {
      const root = mkdtempSync(join(tmpdir(), 'sparrowkv-fs-'));
      return { fs: new NodeFileSystem(), root, remove: () => rmSync(root, { recursive: true, force: true }) };
    },
  },
  { name: 'SimFileSystem', make: () => ({ fs: new SimFileSystem(), root: '/data', remove: nothing }) },
  { name: 'MemoryFileSystem', make: () => ({ fs: new MemoryFileSystem(), root: '/data', remove: nothing }) },
];

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const code = (value: string): unknown => expect.objectContaining({ code: value });

function contents(file: File): string {
  const target = new Uint8Array(file.sizeSync());
  expect(file.readSync(target, 0, target.length, 0)).toBe(target.length);
  return new TextDecoder('latin1').decode(target);
}

describe.each(KINDS)('$name, as any file system', ({ make }) => {
  let fs: FileSystem;
  let root: string;
  let remove: () => void;
  const at = (name: string): string => `${root}/${name}`;
  const file = (name: string, text: string): void => {
    const made = fs.openSync(at(name), 'create');
    made.writeSync(bytes(text), 0, text.length, 0);
    made.closeSync();
  };
  const textOf = (name: string): string => {
    const opened = fs.openSync(at(name), 'read');
    const text = contents(opened);
    opened.closeSync();
    return text;
  };

  beforeEach(() => {
    ({ fs, root, remove } = make());
    fs.makeDirectorySync(root);
  });
  afterEach(() => remove());

  it('writes at positions and reads what is there, both ways', async () => {
    const a = fs.openSync(at('a'), 'create');
    a.writeSync(bytes('..hello..'), 2, 5, 3);
    a.writevSync([bytes('AB'), bytes(''), bytes('C')], 0);
    a.datasyncSync();
    await a.datasync();
    expect([a.sizeSync(), contents(a)]).toEqual([8, 'ABChello']);
    const target = new Uint8Array(16).fill(46);
    expect(a.readSync(target, 1, 15, 2)).toBe(6);
    expect(new TextDecoder().decode(target)).toBe('.Chello.........');
    expect(await a.read(target, 0, 4, 6)).toBe(2);
    expect(await a.read(target, 0, 4, 100)).toBe(0);
    expect(a.readSync(target, 0, 0, 0)).toBe(0);
    a.closeSync();
  });

  it('reads zeros where nothing was written, also where something was cut off', () => {
    const a = fs.openSync(at('a'), 'create');
    a.writeSync(bytes('x'), 0, 1, 3);
    expect(contents(a)).toBe('\0\0\0x');
    a.writeSync(bytes('yyyy'), 0, 4, 200_000);
    a.truncateSync(200_002);
    a.truncateSync(400_000);
    expect(a.sizeSync()).toBe(400_000);
    const whole = contents(a);
    expect([whole.indexOf('y'), whole.lastIndexOf('y'), whole.replaceAll('\0', '')]).toEqual([200_000, 200_001, 'xyy']);
    a.truncateSync(0);
    a.writeSync(bytes('z'), 0, 1, 1);
    expect(contents(a)).toBe('\0z');
    a.closeSync();
  });

  it('reads into and writes from shared memory', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(64));
    shared.set(bytes('shared'));
    const a = fs.openSync(at('a'), 'create');
    a.writevSync([shared.subarray(0, 3), shared.subarray(3, 6)], 0);
    expect(a.readSync(shared, 32, 6, 0)).toBe(6);
    expect([...shared.subarray(32, 38)]).toEqual([...bytes('shared')]);
    a.closeSync();
  });

  it('keeps the modes apart, with the codes of the operating system', () => {
    expect(() => fs.openSync(at('a'), 'read')).toThrow(code('ENOENT'));
    expect(() => fs.openSync(at('a'), 'write')).toThrow(code('ENOENT'));
    expect(() => fs.openSync(at('none/a'), 'create')).toThrow(code('ENOENT'));
    file('a', 'one');
    expect(() => fs.openSync(at('a'), 'create')).toThrow(code('EEXIST'));
    const reading = fs.openSync(at('a'), 'read');
    expect(() => reading.writeSync(bytes('x'), 0, 1, 0)).toThrow(code('EBADF'));
    reading.closeSync();
    const writing = fs.openSync(at('a'), 'write');
    writing.writeSync(bytes('ON'), 0, 2, 0);
    expect(contents(writing)).toBe('ONe');
    writing.closeSync();
    expect(() => writing.sizeSync()).toThrow('closed');
    expect(() => fs.unlinkSync(at('b'))).toThrow(code('ENOENT'));
    expect(() => fs.renameSync(at('b'), at('c'))).toThrow(code('ENOENT'));
    expect(() => fs.linkSync(at('b'), at('c'))).toThrow(code('ENOENT'));
    expect(() => fs.linkSync(at('a'), at('a'))).toThrow(code('EEXIST'));
    expect(() => fs.listSync(at('none'))).toThrow(code('ENOENT'));
    expect(() => fs.syncDirectorySync(at('none'))).toThrow(code('ENOENT'));
  });

  it('renames over what is there, also over a file that somebody has open', () => {
    file('old', 'old');
    file('new', 'newer');
    const held = fs.openSync(at('old'), 'read');
    fs.renameSync(at('new'), at('old'));
    fs.syncDirectorySync(root);
    expect([fs.listSync(root), textOf('old'), contents(held)]).toEqual([['old'], 'newer', 'old']);
    held.closeSync();
  });

  it('leaves two names of one file as they are when one is renamed to the other', () => {
    file('a', 'text');
    fs.linkSync(at('a'), at('b'));
    fs.renameSync(at('a'), at('b'));
    expect(fs.listSync(root)).toEqual(['a', 'b']);
  });

  it('links: one file, whichever name it is written by, until its last name is gone', () => {
    file('a', 'text');
    fs.makeDirectorySync(at('copy'));
    fs.linkSync(at('a'), at('copy/b'));
    const b = fs.openSync(at('copy/b'), 'write');
    b.writeSync(bytes('T'), 0, 1, 0);
    b.closeSync();
    expect(textOf('a')).toBe('Text');
    fs.unlinkSync(at('a'));
    expect([fs.existsSync(at('a')), textOf('copy/b')]).toEqual([false, 'Text']);
  });

  it('keeps a removed file for those who have it open, and its name for another', () => {
    const a = fs.openSync(at('a'), 'create');
    a.writeSync(bytes('first'), 0, 5, 0);
    fs.unlinkSync(at('a'));
    file('a', 'second');
    a.writeSync(bytes('!'), 0, 1, 5);
    expect([contents(a), textOf('a')]).toEqual(['first!', 'second']);
    a.closeSync();
  });

  it('makes a directory with its parents, and once more; lists names in order', () => {
    fs.makeDirectorySync(at('x/y/z'));
    fs.makeDirectorySync(at('x/y/z'));
    for (const name of ['x/c', 'x/a', 'x/b']) file(name, '');
    expect(fs.listSync(at('x'))).toEqual(['a', 'b', 'c', 'y']);
    expect([fs.existsSync(at('x/y')), fs.existsSync(at('x/q')), fs.existsSync(at('q/y'))]).toEqual([true, false, false]);
  });

  it('gives a directory to one holder at a time', () => {
    const lock = fs.lockDirectory(root);
    expect(() => fs.lockDirectory(`${root}/.`)).toThrow(code('LOCKED'));
    lock.release();
    const again = fs.lockDirectory(root);
    // Letting go twice takes it from nobody else.
    lock.release();
    expect(() => fs.lockDirectory(root)).toThrow(code('LOCKED'));
    again.release();
  });

  it('holds any sequence of writes and cuts as an array would', () => {
    const step = fc.oneof(
      fc.record({ write: fc.array(fc.nat(150_000), { minLength: 1, maxLength: 3 }), at: fc.nat(200_000) }),
      fc.record({ cut: fc.nat(300_000) }),
    );
    let number = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const name = at(`file${number++}`);
        const opened = fs.openSync(name, 'create');
        let model = Buffer.alloc(0);
        for (const [i, each] of steps.entries()) {
          if ('cut' in each) {
            opened.truncateSync(each.cut);
            model = Buffer.concat([model.subarray(0, each.cut), Buffer.alloc(Math.max(0, each.cut - model.length))]);
          } else {
            const spans = each.write.map((length, j) => new Uint8Array(length).fill(1 + i * 3 + j));
            const total = each.write.reduce((sum, length) => sum + length, 0);
            opened.writevSync(spans, each.at);
            // Writing nothing extends nothing.
            if (total > 0) {
              if (model.length < each.at + total) model = Buffer.concat([model, Buffer.alloc(each.at + total - model.length)]);
              Buffer.concat(spans).copy(model, each.at);
            }
          }
        }
        const found = Buffer.alloc(opened.sizeSync());
        opened.readSync(found, 0, found.length, 0);
        expect(found.equals(model)).toBe(true);
        opened.closeSync();
        fs.unlinkSync(name);
      }),
      { numRuns: 60, seed: 7 },
    );
  });
});
