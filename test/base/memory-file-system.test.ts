import { describe, expect, it } from 'vitest';
import { MemoryFileSystem } from '../../base/memory-file-system.ts';

const code = (value: string): unknown => expect.objectContaining({ code: value });
const KIB = 1024;

function fill(fs: MemoryFileSystem, path: string, bytes: number): void {
  const file = fs.openSync(path, 'create');
  file.writeSync(new Uint8Array(bytes).fill(1), 0, bytes, 0);
  file.closeSync();
}

describe('MemoryFileSystem: the memory that it takes', () => {
  it('is given back with the last name and the last handle of a file, whichever goes last', () => {
    const fs = new MemoryFileSystem();
    fill(fs, '/a', 300 * KIB);
    expect(fs.heldBytes).toBe(320 * KIB);
    fs.linkSync('/a', '/b');
    fs.unlinkSync('/a');
    const reading = fs.openSync('/b', 'read');
    fs.unlinkSync('/b');
    expect([fs.heldBytes, fs.listSync('/')]).toEqual([320 * KIB, []]);
    reading.closeSync();
    expect(fs.heldBytes).toBe(0);
    fill(fs, '/c', 100);
    fill(fs, '/d', 100);
    fs.renameSync('/c', '/d');
    fs.unlinkSync('/d');
    expect(fs.heldBytes).toBe(0);
  });

  it('is little for small files, and follows a file that is cut', () => {
    const fs = new MemoryFileSystem();
    fill(fs, '/small', 20);
    expect(fs.heldBytes).toBe(512);
    fill(fs, '/large', 1024 * KIB);
    const large = fs.openSync('/large', 'write');
    large.truncateSync(65 * KIB);
    expect(fs.heldBytes).toBe(512 + 128 * KIB);
    // A hole takes none.
    large.truncateSync(1024 * 1024 * KIB);
    large.writeSync(Uint8Array.of(1), 0, 1, 512 * 1024 * KIB);
    expect(fs.heldBytes).toBe(512 + 192 * KIB);
    large.closeSync();
  });

  it('ends at the bound: a write that does not fit is refused whole, until there is room again', () => {
    const fs = new MemoryFileSystem({ bytesMax: 256 * KIB });
    fill(fs, '/a', 128 * KIB);
    const b = fs.openSync('/b', 'create');
    b.writeSync(new Uint8Array(64 * KIB), 0, 64 * KIB, 0);
    expect(() => b.writevSync([new Uint8Array(64 * KIB), new Uint8Array(1)], 64 * KIB)).toThrow(code('ENOSPC'));
    expect([b.sizeSync(), fs.heldBytes]).toEqual([64 * KIB, 192 * KIB]);
    // What has its memory already is written.
    b.writeSync(new Uint8Array(64 * KIB), 0, 64 * KIB, 0);
    fs.unlinkSync('/a');
    b.writevSync([new Uint8Array(64 * KIB), new Uint8Array(1)], 64 * KIB);
    expect(fs.heldBytes).toBe(192 * KIB);
    fs.bytesMax = 128 * KIB;
    expect(() => fill(fs, '/c', 1)).toThrow(code('ENOSPC'));
    b.truncateSync(0);
    b.closeSync();
    fs.unlinkSync('/c');
    fill(fs, '/c', 1);
    expect(() => new MemoryFileSystem({ bytesMax: 0 })).toThrow('bytesMax');
  });

  it('has one directory tree, whatever way a path is written; files and directories keep apart', () => {
    const fs = new MemoryFileSystem();
    fs.makeDirectorySync('x/y');
    fill(fs, '/x//y/../y/a', 1);
    expect([fs.listSync('/x/y/'), fs.existsSync('x/./y/a'), fs.existsSync('/')]).toEqual([['a'], true, true]);
    expect(() => fs.makeDirectorySync('/x/y/a')).toThrow(code('EEXIST'));
    expect(() => fs.makeDirectorySync('/x/y/a/b')).toThrow(code('ENOTDIR'));
    expect(() => fs.openSync('/x/y', 'read')).toThrow(code('EISDIR'));
    expect(() => fs.openSync('/x/y/a/b', 'read')).toThrow(code('ENOTDIR'));
    expect(() => fs.unlinkSync('/x')).toThrow(code('EISDIR'));
    expect(() => fs.renameSync('/x', '/z')).toThrow(code('EISDIR'));
    expect(() => fs.listSync('/x/y/a')).toThrow(code('ENOTDIR'));
  });
});
