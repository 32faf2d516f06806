/** The commands, driven as a user drives them, against a real server. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { MAIN, ServerProcess } from '../e2e/server-process.ts';
import { type Finished, runCli, type RunOptions, startCli } from './cli-process.ts';
import { content } from './odd-tree.ts';

let directory: string;
let server: ServerProcess;
const cli = (operands: string[], options: RunOptions = {}): Promise<Finished> =>
  runCli(operands, { ...options, env: { SPARROWKV_SERVER: server.address, ...options.env } });
const ok = async (operands: string[], options?: RunOptions): Promise<string> => {
  const { code, stdout, stderr } = await cli(operands, options);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.toString();
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-cli-'));
  server = await ServerProcess.start(join(directory, 'data'));
});

afterAll(async () => {
  await server.end();
  await rm(directory, { recursive: true });
});

describe('put, get, del', () => {
  it('store, print and remove a value', async () => {
    await ok(['put', 'greeting', 'hello']);
    expect(await ok(['get', 'greeting'])).toBe('hello');
    await ok(['del', 'greeting']);
    await ok(['del', 'greeting']);
    expect(await cli(['get', 'greeting'])).toMatchObject({ code: 1, stdout: Buffer.alloc(0), stderr: 'sparrowkv: greeting: not found\n' });
  });

  it.each([0, 1, 1024, 128 * 1024, 16 * 1024 * 1024])('carry %i bytes through stdin and stdout', async (bytes) => {
    const value = content(bytes, bytes);
    await ok(['put', `size/${bytes}`, '-'], { stdin: value });
    const { code, stdout } = await cli(['get', `size/${bytes}`]);
    expect([code, stdout.equals(value)]).toEqual([0, true]);
  });

  it('refuse a value that is too large before reading all of it', async () => {
    const { code, stderr } = await cli(['put', 'large', '-'], { stdin: Buffer.alloc(17 * 1024 * 1024) });
    expect([code, stderr]).toEqual([2, expect.stringContaining('[VALUE_TOO_LARGE]')]);
  });

  it('take keys with escapes', async () => {
    await ok(['put', '-e', 'odd\\x00\\xff\\\\', 'x']);
    expect(await ok(['get', '--escapes', 'odd\\x00\\xff\\\\'])).toBe('x');
    expect(await ok(['scan', '-e', '--prefix', 'odd\\x00', '--keys-only'])).toBe('odd\\x00\\xff\\\\\n');
    expect((await cli(['get', '-e', 'odd\\q'])).code).toBe(2);
  });

  it('keep conditions', async () => {
    await ok(['put', '--if-absent', 'once', '1']);
    const refused = await cli(['put', '--if-absent', 'once', '2']);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/not written: .*version \d+/)]);
    expect((await cli(['put', '--if-version', '999999999', 'once', '2'])).code).toBe(1);
    expect(await ok(['get', 'once'])).toBe('1');
  });
});

describe('scan', () => {
  beforeAll(async () => {
    for (const [key, value] of [
      ['s/a', '1'],
      ['s/b', 'two\nlines\tand \\'],
      ['s/c', ''],
      ['s/d', 'ä'],
    ]) {
      await ok(['put', key, value]);
    }
    await ok(['put', 's/e', '-'], { stdin: Buffer.from([0, 255]) });
  });

  it('prints an entry a line, odd bytes escaped', async () => {
    expect(await ok(['scan', '--prefix', 's/'])).toBe('s/a\t1\ns/b\ttwo\\nlines\\tand \\\\\ns/c\t\ns/d\tä\ns/e\t\\x00\\xff\n');
  });

  it('keeps to bounds, direction and limit', async () => {
    expect(await ok(['scan', '--gte', 's/b', '--lt', 's/d', '--keys-only'])).toBe('s/b\ns/c\n');
    expect(await ok(['scan', '--prefix', 's/', '--reverse', '--limit', '2', '--keys-only'])).toBe('s/e\ns/d\n');
    expect(await ok(['scan', '--prefix', 'nothing/'])).toBe('');
  });

  it('prints JSON that import reads back', async () => {
    const json = await ok(['scan', '--prefix', 's/', '--json']);
    expect(json.split('\n').slice(0, 2)).toEqual(['{"key":"s/a","value":"1"}', '{"key":"s/b","value":"two\\nlines\\tand \\\\"}']);
    const file = join(directory, 'entries.jsonl');
    await writeFile(file, json);
    const { code, stderr } = await cli(['import', '--jsonl', file, '--prefix', 'copy/']);
    expect([code, stderr]).toEqual([0, 'imported 5 entries, 20 B\n']);
    expect((await ok(['scan', '--prefix', 'copy/s/', '--json'])).replaceAll('copy/', '')).toBe(json);
    expect((await cli(['import', '--jsonl', '-'], { stdin: '{"key":"s/z","value":"z"}' })).code).toBe(0);
    expect(await ok(['get', 's/z'])).toBe('z');
  });

  it('names the line of a file that is wrong', async () => {
    const { code, stderr } = await cli(['import', '--jsonl', '-'], { stdin: '{"key":"s/y","value":"y"}\n\n{"key":1}\n' });
    expect([code, stderr]).toEqual([2, expect.stringContaining('line 3: "key" is not a string')]);
  });

  it('ends quietly when its reader leaves', async () => {
    for (let i = 0; i < 5; i++) await ok(['put', `wide/${i}`, '-'], { stdin: Buffer.alloc(1024 * 1024, 0x61) });
    const shell = spawnSync('sh', ['-c', `"${process.execPath}" "${MAIN}" scan --prefix wide/ | head -c 10; echo`], {
      env: { ...process.env, SPARROWKV_SERVER: server.address },
      encoding: 'utf8',
    });
    expect([shell.stdout, shell.stderr]).toEqual(['wide/0\taaa\n', '']);
  });
});

describe('status', () => {
  it('tells about the server, as text and as JSON', async () => {
    expect(await ok(['status'])).toMatch(/server +\S+, version \d+\.\d+\.\d+, process \d+/);
    expect(JSON.parse(await ok(['status', '--json']))).toMatchObject({ processId: server.child.pid });
  });
});

describe('usage', () => {
  it.each([
    [['frob'], /unknown command/],
    [['get'], /missing required argument/],
    [['get', 'a', 'b'], /too many arguments/],
    [['get', ''], /KEY_EMPTY/],
    [['scan', '--limit', '-1'], /whole number/],
    [['scan', '--limit', 'many'], /whole number/],
    [['scan', '--frob'], /unknown option/],
    [['get', 'a', '--server', 'nowhere'], /ADDRESS/],
    [['get', 'a', '--timeout', '0'], /seconds/],
    [['import'], /--dir <dir>' and '--jsonl <file>/],
    [['import', '--dir', 'a', '--jsonl', 'b'], /cannot be used with/],
    [['import', '--dir', '/does/not/exist'], /^sparrowkv: there is no directory \/does\/not\/exist \[DIRECTORY_UNREADABLE\]\n$/],
    [['import', '--dir', import.meta.filename], /is not a directory/],
    [['import', '--jsonl', '/does/not/exist'], /there is no file \/does\/not\/exist \[FILE_UNREADABLE\]/],
    [['import', '--jsonl', '/'], /\/ is a directory/],
    [['import', '--dir', '.', '--table', 'none'], /^sparrowkv: there is no table none \[TABLE_UNKNOWN\]\n$/],
    [['export'], /--dir/],
    [['server'], /--data/],
    [['server', '--data', 'x', '--listen', 'here'], /listen/],
    [['server', '--data', 'x', '--config', '/does/not/exist'], /CONFIG/],
    [['server', '--data', 'x', '--log-level', 'loud'], /trace, debug/],
    [['server', '--data', import.meta.filename], /data cannot be kept in \S+: that is no directory \[DIRECTORY_UNUSABLE\]/],
  ] as [string[], RegExp][])('%j exits with 2 and says why', async (operands, reason) => {
    const { code, stdout, stderr } = await cli(operands);
    expect([code, stdout.toString(), stderr]).toEqual([2, '', expect.stringMatching(reason)]);
  });

  it('alters a table by any one of its settings, and not by none', async () => {
    await ok(['table', 'create', 'settings']);
    const none = await cli(['table', 'alter', 'settings']);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('nothing is to change')]);
    expect(await ok(['table', 'alter', 'settings', '--ttl', '7d', '--dry-run'])).toContain('ttl           7d');
    expect(await ok(['table', 'alter', 'settings', '--max-bytes', '1G', '--dry-run'])).toMatch(/quotas +1G\n/);
  });

  it('leaves no directory behind for a table that is not there', async () => {
    const out = join(directory, 'not made');
    const { code, stderr } = await cli(['export', '--dir', out, '--table', 'none']);
    expect([code, stderr]).toEqual([2, 'sparrowkv: there is no table none [TABLE_UNKNOWN]\n']);
    expect(existsSync(out)).toBe(false);
  });

  it('refuses a key that is too long', async () => {
    const { code, stderr } = await cli(['get', 'x'.repeat(5000)]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/KEY_TOO_LARGE/)]);
  });

  it('is explained, with examples, and the version told', async () => {
    const commands = ['', 'get', 'put', 'del', 'scan', 'import', 'export', 'status', 'server'];
    const helps = await Promise.all(commands.map((command) => ok([...(command === '' ? [] : [command]), '--help'])));
    for (const help of helps) expect(help).toMatch(/Usage: sparrowkv[\s\S]*Examples?:\n {2}sparrowkv /);
    const { version } = JSON.parse(await readFile(join(MAIN, '../../package.json'), 'utf8')) as { version: string };
    expect(await ok(['--version'])).toBe(`${version}\n`);
  });

  it('exits with 3 when no server is there, at once and with advice', async () => {
    const before = performance.now();
    const { code, stderr } = await cli(['get', 'a', '--server', '127.0.0.1:1']);
    expect([code, stderr]).toEqual([
      3,
      'sparrowkv: cannot reach 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1 [UNREACHABLE]\n' +
        'Is a server running there? "sparrowkv server --data ./data" starts one.\n',
    ]);
    expect(performance.now() - before).toBeLessThan(9_000);
  });

  it('tries several servers in turn', async () => {
    await ok(['put', 'turn', '1']);
    expect(await ok(['get', 'turn', '--server', `127.0.0.1:1, ${server.address}`])).toBe('1');
  });

  it('ends with 130 at Ctrl-C', async () => {
    // Takes connections and says nothing.
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const get = startCli(['get', 'a', '--server', `127.0.0.1:${port}`, '--timeout', '60']);
    const [socket] = (await once(silent, 'connection')) as [Socket];
    get.kill('SIGINT');
    expect(await get.finished).toMatchObject({ code: 130 });
    socket.destroy();
    silent.close();
  });
});
