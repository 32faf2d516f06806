/** The guided start: first and second run, an interrupted one, what stands in its way, and what is left when it is killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { connect } from '../../client/index.ts';
import { ROOT } from '../project-files.ts';
import { runCli } from './cli-process.ts';
import { makeOddTree } from './odd-tree.ts';

let directory: string;
const started: ChildProcess[] = [];

class Start {
  readonly child: ChildProcess;
  output = '';

  constructor(data: string, port: number, tree: string = 'tree') {
    const operands = ['--data', data, '--listen', `127.0.0.1:${port}`, '--tree', tree];
    this.child = spawn(process.execPath, [join(ROOT, 'cli/start.ts'), ...operands], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    started.push(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', (text: Buffer) => (this.output += text.toString()));
  }

  async says(text: string): Promise<void> {
    await expect.poll(() => this.output, { timeout: 80_000, interval: 10 }).toContain(text);
  }

  async end(signal?: NodeJS.Signals): Promise<number | null> {
    // All its output is there at 'close'.
    const ended = once(this.child, 'close') as Promise<[number | null]>;
    if (signal !== undefined) this.child.kill(signal);
    return (await ended)[0];
  }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-start-'));
  await makeOddTree(join(directory, 'tree'));
});

afterAll(async () => {
  // Those that a failed test left; each takes its server with it.
  for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
});

describe('npm start', () => {
  it('interrupted while it imports, stops, completes the import the next time, and finds it the time after', async () => {
    const port = await unusedPort();
    const cut = new Start('data', port);
    await cut.says('Importing ./tree: ');
    expect(await cut.end('SIGINT')).toBe(0);
    expect(cut.output).toContain('Interrupted; the next start completes the import.');

    const first = new Start('data', port);
    await first.says('The server runs until Ctrl-C.');
    expect(first.output).toMatch(
      /^SparrowKV serves \.\/data on 127\.0\.0\.1:\d+\.\n(?:Found \d+ keys?, but no completed import\. Importing\.\n)?Importing/,
    );
    expect(first.output).toMatch(/\nImporting \.\/tree: 63\d files, \d+ MB; .*\nImported 62\d files, .* files\/s, .* MB\/s.*\n/);
    expect(first.output).toMatch(/\nRead 50\d files \(\d+ MB\) back and compared: all the same, byte for byte\.\n/);
    const example = new RegExp(`npx sparrowkv get --server 127\\.0\\.0\\.1:${port} (\\S+)\n`).exec(first.output)?.[1] ?? '';
    expect((await runCli(['get', '--server', `127.0.0.1:${port}`, example])).code).toBe(0);
    expect(await first.end('SIGINT')).toBe(0);
    expect(first.output).toMatch(/Stopped\. [^\n]*\n$/);

    const second = new Start('data', port);
    await second.says('The server runs until Ctrl-C.');
    expect(second.output).toMatch(
      /Found the data of an earlier start: [\d,]+ keys, among them 62\d files \(\d+ MB\) imported on \d{4}-\d\d-\d\d\. Nothing/,
    );
    expect(second.output).not.toContain('Importing');

    const rival = new Start('data', await unusedPort());
    expect(await rival.end()).toBe(4);
    expect(rival.output).toMatch(/already open in another process .*\[LOCKED\]\nStop the other server/);
    expect(await second.end('SIGTERM')).toBe(0);
  }, 200_000);

  it('leaves no server behind when it is killed', async () => {
    const port = await unusedPort();
    const start = new Start('killed', port);
    await start.says('The server runs until Ctrl-C.');
    await using client = connect(`127.0.0.1:${port}`, { waitForServerMs: 0, timeoutMs: 1_000 });
    await client.status();
    start.child.kill('SIGKILL');
    const code = (): Promise<string> =>
      client.status().then(
        () => 'there',
        (error: { code: string }) => error.code,
      );
    await expect.poll(code, { timeout: 8_000 }).toBe('UNREACHABLE');
  }, 120_000);

  it('says what stands in its way', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const blocked = new Start('blocked', port);
    expect(await blocked.end()).toBe(4);
    expect(blocked.output).toBe(
      `sparrowkv: 127.0.0.1:${port} is taken by another program [ADDRESS_IN_USE]\n` +
        'Stop what runs there (another start?), or choose another: npm start -- --listen 127.0.0.1:7401\n',
    );
    taken.close();
    const missing = new Start('blocked', await unusedPort(), 'no tree');
    expect(await missing.end()).toBe(2);
    expect(missing.output).toContain('"npm ci" installs it');
  });
});

async function unusedPort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
