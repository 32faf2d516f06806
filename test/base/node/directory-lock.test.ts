import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SparrowError } from '../../../base/errors.ts';
import { NodeFileSystem } from '../../../base/node/index.ts';

const fs = new NodeFileSystem();
const MODULE = new URL('../../../base/node/index.ts', import.meta.url).href;
const HOLD = `
  import { NodeFileSystem } from '${MODULE}';
  new NodeFileSystem().lockDirectory(process.argv[1]);
  gc();
  console.log('held');
  setInterval(() => {}, 1000);
`;
let parent: string;
let directory: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'sparrowkv-lock-'));
  directory = join(parent, 'data');
  fs.makeDirectorySync(directory);
});

afterEach(() => {
  rmSync(parent, { recursive: true, force: true });
});

it.each([
  ['has no node:sqlite', () => undefined],
  ['cannot be asked for it', undefined],
])('names the Node that is needed where this one %s', (_, getBuiltinModule) => {
  const original = process.getBuiltinModule;
  try {
    process.getBuiltinModule = getBuiltinModule as never;
    expect(refusal(directory)).toMatchObject({
      code: 'NODE_TOO_OLD',
      message: `sparrowkv needs Node 22.18 or newer, this is ${process.version} (${process.execPath})`,
    });
  } finally {
    process.getBuiltinModule = original;
  }
  fs.lockDirectory(directory).release();
});

function refusal(path: string): SparrowError {
  try {
    fs.lockDirectory(path).release();
  } catch (error) {
    return error as SparrowError;
  }
  throw new Error('the lock was given');
}

async function hold(path: string): Promise<ChildProcessWithoutNullStreams> {
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', HOLD, path]);
  await once(child.stdout, 'data');
  return child;
}

/** What another process is answered for each directory. */
async function attempt(paths: readonly string[]): Promise<string> {
  const script = `
    import { NodeFileSystem } from '${MODULE}';
    const answer = (path) => { try { new NodeFileSystem().lockDirectory(path).release(); return 'free'; } catch (error) { return error.code; } };
    process.stdout.write(process.argv.slice(1).map(answer).join(' '));
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, ...paths]);
  const [answer] = (await once(child.stdout, 'data')) as [Buffer];
  return answer.toString();
}

describe('lockDirectory', () => {
  it('excludes a second holder in the same process, through another name of the directory too', () => {
    const lock = fs.lockDirectory(directory);
    symlinkSync(directory, join(parent, 'alias'));
    for (const path of [directory, join(parent, 'alias')]) {
      expect(refusal(path)).toMatchObject({ kind: 'unavailable', code: 'LOCKED', details: { path, pid: process.pid } });
      expect(refusal(path).message).toBe(`${path} is already open in this process; one directory serves one engine at a time`);
    }
    lock.release();
    lock.release();
    fs.lockDirectory(directory).release();
  });

  it('excludes another process though nothing there refers to the lock, names its pid, and ends with it when it is killed', async () => {
    const child = await hold(directory);
    expect(refusal(directory)).toMatchObject({ code: 'LOCKED', details: { pid: child.pid! } });
    expect(refusal(directory).message).toContain(`in another process (pid ${child.pid})`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    fs.lockDirectory(directory).release();
  });

  it('keeps other directories free and leaves only LOCK behind', () => {
    const other = join(parent, 'other');
    fs.makeDirectorySync(other);
    const lock = fs.lockDirectory(directory);
    fs.lockDirectory(other).release();
    expect(readdirSync(directory)).toEqual(['LOCK', 'LOCK.pid']);
    lock.release();
    expect(readdirSync(directory)).toEqual(['LOCK']);
  });

  it('has one holder at a time, however many processes want it', async () => {
    // Who holds it makes a file that nobody else may have made meanwhile.
    const script = `
      import { closeSync, openSync, unlinkSync } from 'node:fs';
      import { NodeFileSystem } from '${MODULE}';
      const [directory, mark] = process.argv.slice(1);
      const fs = new NodeFileSystem();
      let taken = 0;
      for (const until = Date.now() + 700; Date.now() < until || taken < 5;) {
        let lock;
        try { lock = fs.lockDirectory(directory); } catch (error) { if (error.code === 'LOCKED') continue; throw error; }
        closeSync(openSync(mark, 'wx'));
        taken++;
        unlinkSync(mark);
        lock.release();
      }
      process.stdout.write(String(taken));
    `;
    const parts = [directory, join(parent, 'mark')];
    const children = [1, 2, 3].map(() => spawn(process.execPath, ['--input-type=module', '-e', script, ...parts]));
    const answers = await Promise.all(
      children.map(async (child) => {
        let said = '';
        child.stdout.on('data', (data: Buffer) => (said += data.toString()));
        child.stderr.on('data', (data: Buffer) => (said += data.toString()));
        const [code] = (await once(child, 'exit')) as [number | null];
        return { code, said };
      }),
    );
    expect(answers.map(({ code, said }) => (code === 0 ? 'ended' : said))).toEqual(['ended', 'ended', 'ended']);
    expect(answers.reduce((sum, { said }) => sum + Number(said), 0)).toBeGreaterThan(10);
  });

  it('holds many directories, each by itself', async () => {
    const paths = Array.from({ length: 25 }, (_, i) => join(parent, `it's ${i}`));
    for (const path of paths) fs.makeDirectorySync(path);
    const locks = paths.map((path) => fs.lockDirectory(path));
    for (const path of paths) expect(refusal(path)).toMatchObject({ code: 'LOCKED', details: { pid: process.pid } });
    for (let i = 0; i < 25; i += 2) locks[i]!.release();
    for (const [i, path] of paths.entries()) {
      if (i % 2 === 0) locks[i] = fs.lockDirectory(path);
      else expect(refusal(path)).toMatchObject({ code: 'LOCKED' });
    }
    const child = await attempt(paths);
    expect(child).toBe('LOCKED '.repeat(25).trim());
    for (const lock of locks) lock.release();
    expect(await attempt(paths)).toBe('free '.repeat(25).trim());
    for (const path of paths) expect(statSync(join(path, 'LOCK')).size).toBe(0);
  });

  it('says what is wrong with a directory that cannot be locked', () => {
    expect(refusal(join(parent, 'missing'))).toMatchObject({ kind: 'unavailable', code: 'LOCK_FAILED' });
  });

  it('writes no warning to stderr', () => {
    const script = `import { NodeFileSystem } from '${MODULE}'; new NodeFileSystem().lockDirectory(process.argv[1]).release();`;
    const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script, directory], { encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  });
});
