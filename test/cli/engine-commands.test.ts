/** `sparrowkv engine ...` as processes, on real stores. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { open, type VerifyReport } from '../../engine/index.ts';
import { type Finished, runCli } from './cli-process.ts';

let directory: string;
let store: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sparrowkv-engine-cli-'));
  store = join(directory, 'store');
  const engine = await open(store, { memtableBytes: 64 * 1024 });
  const birds = await engine.keyspace('birds');
  for (let i = 0; i < 500; i++) await engine.put(`key/${String(i).padStart(3, '0')}`, 'x'.repeat(i % 50 === 0 ? 3000 : 100));
  await birds.put('wren', 'Troglodytes troglodytes');
  await engine.flush();
  await engine.put('tail', 'in the log');
  await engine.close();
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function engine(...operands: string[]): Promise<Finished> {
  return runCli(['engine', ...operands]);
}

function tables(): string[] {
  return readdirSync(store)
    .filter((name) => name.endsWith('.table'))
    .map((name) => join(store, name));
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

describe('sparrowkv engine', () => {
  it('verify says that a store is whole, or where it is damaged', async () => {
    const whole = await engine('verify', store);
    expect({ code: whole.code, stderr: whole.stderr, text: whole.stdout.toString() }).toMatchObject({
      code: 0,
      stderr: '',
      text: expect.stringContaining(`${store} is whole (`),
    });
    flip(tables()[0]!, 300);
    const damaged = await engine('verify', store);
    expect([damaged.code, damaged.stdout.toString()]).toEqual([1, expect.stringContaining(`problem: ${tables()[0]!}: page 0`)]);
    const json = await engine('verify', store, '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout.toString()) as VerifyReport).toMatchObject({
      sound: false,
      problems: [{ file: tables()[0], offset: 0 }],
    });
  });

  it('stats and dump show what is in it', async () => {
    const shown = await engine('stats', store);
    expect([shown.code, shown.stdout.toString()]).toEqual([0, expect.stringMatching(/keyspaces\s+1 birds/)]);
    expect(JSON.parse((await engine('stats', store, '--json')).stdout.toString())).toMatchObject({ keyspaces: [{ id: 1, name: 'birds' }] });
    const dumped = await engine('dump', store, '--entries');
    const text = dumped.stdout.toString();
    expect([dumped.code, text]).toEqual([0, expect.stringContaining('key/001 @2 put = xxx')]);
    expect(text).toContain('1:wren @');
    expect(text).toContain('tail @');
    expect(text).toMatch(/key\/050 @51 put -> segment \d+ at \d+, 3000 bytes/);
    const lines = (await engine('dump', tables()[0]!, '--json', '--limit', '1')).stdout.toString().trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { item: string }).item).slice(0, 4)).toEqual(['file', 'footer', 'properties', 'page']);
  });

  it('backup, backups and restore bring a store back', async () => {
    const target = join(directory, 'backups');
    expect((await engine('backup', store, target)).stdout.toString()).toContain(`backup 1 in ${target}: `);
    const again = await engine('backup', store, target, '--json');
    expect(JSON.parse(again.stdout.toString())).toMatchObject({ backup: 2, copiedFiles: 0 });
    expect((await engine('backups', target)).stdout.toString().split('\n')).toHaveLength(3);
    expect((await engine('backups', target, '--verify')).stdout.toString()).toContain('all are whole');
    expect((await engine('backups', target, '--keep', '1')).stdout.toString()).toBe('removed 1 backup: 1\n');
    const copy = join(directory, 'restored');
    const restored = await engine('restore', target, copy);
    expect([restored.code, restored.stdout.toString()]).toEqual([0, expect.stringContaining(`${copy} is backup 2`)]);
    await using opened = await open(copy);
    expect(opened.getSync('tail')).toEqual(new Uint8Array(Buffer.from('in the log')));
    const stored = join(target, 'files', readdirSync(join(target, 'files'))[0]!);
    flip(stored, 50);
    const damaged = await engine('backups', target, '--verify');
    expect([damaged.code, damaged.stdout.toString()]).toEqual([1, expect.stringContaining('damaged: backup 2')]);
    const refused = await engine('restore', target, join(directory, 'other'));
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('[CORRUPT_BACKUP]')]);
  });

  it('checkpoint and compact leave stores with the same contents', async () => {
    const copy = join(directory, 'copy');
    expect((await engine('checkpoint', store, copy)).stdout.toString()).toContain(`${copy}: `);
    const compacted = await engine('compact', copy, '--json');
    expect(JSON.parse(compacted.stdout.toString())).toMatchObject({ directory: copy, before: expect.any(Number) as number });
    await using one = await open(store);
    await using other = await open(copy);
    expect([...other.scanSync()]).toEqual([...one.scanSync()]);
  });

  it('repair tells what it would lose, then keeps the rest', async () => {
    expect((await engine('repair', store)).stdout.toString()).toBe(`${store} is whole: there is nothing to repair\n`);
    flip(tables()[0]!, 300);
    const dry = await engine('repair', store, '--dry-run');
    expect([dry.code, dry.stdout.toString()]).toEqual([
      1,
      expect.stringMatching(/lost: pages of 8\.2 kB in .* keys .* to .*, \d+ entries/),
    ]);
    expect(dry.stdout.toString()).toContain('can be repaired');
    expect(await engine('repair', store, '--compression', 'snappy')).toMatchObject({ code: 2, stderr: expect.stringContaining('lz4') });
    const done = await engine('repair', store, '--compression', 'lz4');
    expect([done.code, done.stdout.toString()]).toEqual([1, expect.stringContaining(`the originals are in ${join(store, 'repair-001')}`)]);
    expect((await engine('verify', store)).code).toBe(0);
  });

  it('refuses a store in use, what is none, and wrong usage', async () => {
    await using _open = await open(store);
    for (const command of ['verify', 'stats', 'repair', 'compact']) {
      const refused = await engine(command, store);
      expect([command, refused.code, refused.stderr]).toEqual([
        command,
        4,
        expect.stringMatching(/is already open in another process \(pid \d+\).*\[LOCKED\]/),
      ]);
      expect(refused.stdout.toString()).toBe('');
    }
    const none = await engine('verify', directory);
    expect([none.code, none.stderr]).toEqual([2, `sparrowkv: ${directory} holds no store [NOT_A_STORE]\n`]);
    for (const wrong of [
      ['verify'],
      ['verify', store, '--deep'],
      ['dump', store, '--limit', 'x'],
      ['restore', store],
      ['backups', store, '--keep', '0'],
    ]) {
      expect((await engine(...wrong)).code, wrong.join(' ')).toBe(2);
    }
    expect((await engine('--help')).stdout.toString()).toMatch(/verify.*\n.*stats.*\n/);
  });
});
