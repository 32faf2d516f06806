/** A store whose directory somebody has copied: it has the id of the original, but the two go on apart. On a real disk, where copies can be told. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backup, open, restore } from '../../../engine/index.ts';

const SETTINGS = { memtableBytes: 64 * 1024, pageCacheBytes: 2 ** 20 };
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-copied-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Files of the same names, ids and sizes, whatever is in them. */
async function live(path: string, content: string): Promise<void> {
  await using engine = await open(path, SETTINGS);
  for (let i = 0; i < 100; i++) await engine.put(`k${i}`, content.repeat(20));
  await engine.put('large', content.repeat(3000));
  await engine.flush();
}

test('backups of both into one directory hold what each has', async () => {
  const [one, other, target] = ['one', 'other', 'backups'].map((name) => join(directory, name)) as [string, string, string];
  await live(one, 'both');
  cpSync(one, other, { recursive: true });
  await live(one, 'ours');
  await live(other, 'else');
  await backup(one, target);
  await backup(other, target);
  for (const [number, content] of ['ours', 'else'].entries()) {
    const path = join(directory, `restored-${number}`);
    await restore(target, path, { backup: number + 1 });
    await using engine = await open(path, SETTINGS);
    expect(Buffer.from(engine.getSync('k7')!).toString()).toBe(content.repeat(20));
    expect(Buffer.from(engine.getSync('large')!).toString()).toBe(content.repeat(3000));
  }
});

test('what is unchanged is not copied again, and not read again in its own place', async () => {
  const [one, other, target] = ['one', 'other', 'backups'].map((name) => join(directory, name)) as [string, string, string];
  await live(one, 'both');
  await backup(one, target);
  cpSync(one, other, { recursive: true });
  for (const path of [one, other, one]) expect(await backup(path, target)).toMatchObject({ copiedFiles: 0, copiedBytes: 0 });
});
