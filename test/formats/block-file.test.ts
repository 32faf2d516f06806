/** The bytes of a block file that compaction makes, version 1. The file is the example of docs/formats/block-file.md. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BlockFileWriter, openValueFile } from '../../engine/compaction/block-file.ts';
import { LinearMemory } from '../../engine/memory/linear-memory.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

const DIRECTORY = '/store';
const PATH = `${DIRECTORY}/000009.block`;
const DOCUMENT = new URL('../../docs/formats/block-file.md', import.meta.url);

/** Moves "sparrow" and "wren" out of segment 3. */
function write(disk: SimFileSystem): { pointers: Uint8Array[] } {
  disk.makeDirectorySync(DIRECTORY);
  const segment = disk.openSync(`${DIRECTORY}/000003.log`, 'create');
  segment.writeSync(Buffer.from('sparrow..wren'), 0, 13, 1024);
  segment.closeSync();
  const memory = new LinearMemory(16 * 2 ** 20);
  const at = memory.allocate(1024);
  const writer = new BlockFileWriter(memory, disk, DIRECTORY, 9);
  const pointers = [
    ['sparrow', 1024],
    ['wren', 1033],
  ].map(([text, offset]) => {
    const value = Buffer.from(text as string);
    memory.u8.set(value, at + 64);
    memory.kernel['sealPointer']!(at, 3, at + 64, value.length, offset as number);
    const moved = writer.move(at);
    return memory.u8.slice(moved, moved + 24);
  });
  expect(writer.finish()).toBe(64 + 11);
  return { pointers };
}

/** The bytes of the lines "offset  hex ...    what it is" of the document's example. */
function example(): { file: Uint8Array; pointers: Uint8Array[] } {
  const rows = [...readFileSync(DOCUMENT, 'utf8').matchAll(/^([0-9a-f]{3}|pointer) {2}((?:[0-9a-f]{2} )+) /gm)];
  const bytes = (kind: (label: string) => boolean): Uint8Array[] =>
    rows.filter(([, label]) => kind(label!)).map(([, , hex]) => Buffer.from(hex!.replaceAll(' ', ''), 'hex'));
  return { file: Buffer.concat(bytes((label) => label !== 'pointer')), pointers: bytes((label) => label === 'pointer') };
}

test('a block file is written as version 1 has it, and as its document shows', () => {
  const disk = new SimFileSystem();
  const { pointers } = write(disk);
  const shown = example();
  expect(Buffer.from(disk.contents(PATH)).toString('hex')).toBe(Buffer.from(shown.file).toString('hex'));
  expect(pointers.map((pointer) => Buffer.from(pointer).toString('hex'))).toEqual(
    shown.pointers.map((pointer) => Buffer.from(pointer).toString('hex')),
  );
});

test('any changed byte of the header, another segment and a short file are refused', () => {
  const disk = new SimFileSystem();
  write(disk);
  openValueFile(disk, DIRECTORY, 9).file.closeSync();
  const refused = expect.objectContaining({ kind: 'corrupt', code: 'CORRUPT_BLOCK_FILE' });
  for (let at = 0; at < 64; at++) {
    disk.flip(PATH, at);
    expect(() => openValueFile(disk, DIRECTORY, 9)).toThrow(refused);
    disk.flip(PATH, at);
  }
  disk.renameSync(PATH, `${DIRECTORY}/000010.block`);
  expect(() => openValueFile(disk, DIRECTORY, 10)).toThrow(refused);
  disk.replace(`${DIRECTORY}/000010.block`, new Uint8Array(20));
  expect(() => openValueFile(disk, DIRECTORY, 10)).toThrow(refused);
  expect(disk.openFiles).toEqual([]);
});
