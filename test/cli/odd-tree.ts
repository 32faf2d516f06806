/** A directory tree with everything odd that a file system allows, and a picture of a tree to compare by. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';

const LARGE_BYTES = 40_000_000;

const NAMES: readonly (string | Buffer)[] = [
  'plain.txt',
  'with space',
  ' leading and trailing ',
  'new\nline',
  'tab\there',
  'back\\slash',
  'quote"\'`$(x)',
  '-dash',
  '...',
  '%00',
  '\\0\\x01',
  'chunk\x01\x03',
  'grüße 日本 🐦',
  'e\u0301 against \u00e9',
  '\u202ereversed',
  Buffer.from([0x69, 0xff, 0xfe, 0x80]),
  'x'.repeat(255),
];

export async function makeOddTree(root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const [i, name] of NAMES.entries()) await writeFile(path(root, name), content(i * 37, i));
  await writeFile(path(root, 'empty'), '');
  await mkdir(`${root}/empty directory`);
  await mkdir(`${root}/a`);
  await writeFile(`${root}/a.b`, 'sorts between a and a/');
  for (const bytes of [1, 1024, 128 * 1024, 1024 * 1024, 16 * 1024 * 1024, 16 * 1024 * 1024 + 1]) {
    await writeFile(`${root}/a/${bytes}`, content(bytes, bytes));
  }
  await writeFile(`${root}/a/large`, content(LARGE_BYTES, 4));
  await writeFile(`${root}/a/like a manifest`, Buffer.concat([Buffer.from('SKTM'), Buffer.alloc(60, 1)]));
  const deep = Array.from({ length: 40 }, (_, i) => `level ${i}`).join('/');
  await mkdir(`${root}/${deep}`, { recursive: true });
  await writeFile(`${root}/${deep}/bottom`, 'deep');
  await mkdir(`${root}/many`);
  for (let i = 0; i < 600; i++) await writeFile(`${root}/many/${i}`, content(i * 11, i));
  await symlink('plain.txt', `${root}/link`);
  await symlink('/does/not/exist', `${root}/dangling`);
  await symlink('a', `${root}/link to directory`);
}

/** Each entry below `root` as a line: its path in hex, and what it is. Two trees are the same if their pictures are. */
export async function picture(root: string): Promise<string[]> {
  const lines: string[] = [];
  const visit = async (directory: Buffer, below: string): Promise<void> => {
    const entries = await readdir(directory, { encoding: 'buffer', withFileTypes: true });
    for (const entry of entries.sort((a, b) => Buffer.compare(a.name, b.name))) {
      const full = Buffer.concat([directory, Buffer.from('/'), entry.name]);
      const name = `${below}/${Buffer.from(entry.name).toString('hex')}`;
      if (entry.isDirectory()) {
        lines.push(`${name} directory`);
        await visit(full, name);
      } else if (entry.isSymbolicLink()) {
        lines.push(`${name} -> ${(await readlink(full, { encoding: 'buffer' })).toString('hex')}`);
      } else {
        const bytes = await readFile(full);
        lines.push(`${name} ${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`);
      }
    }
  };
  await visit(Buffer.from(root), '');
  return lines;
}

/** Bytes that look random and are the same each time. */
export function content(bytes: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, bytes);
}

function path(root: string, name: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name)]);
}
