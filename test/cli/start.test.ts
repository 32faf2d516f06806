/** The guided start: first and second run, with a node killed on the way, an interrupted one, what stands in its way, and what is left when it is killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { connect } from '../../client/index.ts';
import { ROOT } from '../project-files.ts';
import { unusedPorts } from '../unused-ports.ts';
import { runCli } from './cli-process.ts';
import { makeOddTree } from './odd-tree.ts';

let directory: string;
const started: ChildProcess[] = [];

class Start {
  readonly child: ChildProcess;
  output = '';

  constructor(
    data: string,
    port: number | string,
    { tree = 'tree', single = true, more = [] }: { tree?: string; single?: boolean; more?: string[] } = {},
  ) {
    const operands = ['--data', data, '--listen', `127.0.0.1:${port}`, '--tree', tree, ...(single ? ['--single'] : []), ...more];
    this.child = spawn(process.execPath, [join(ROOT, 'cli/start.ts'), ...operands], { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    started.push(this.child);
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on('data', (text: Buffer) => (this.output += text.toString()));
  }

  async says(text: string): Promise<void> {
    await expect.poll(() => this.output, { timeout: 120_000, interval: 10 }).toContain(text);
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

describe('npm start -- --single', () => {
  it('interrupted while it imports, stops, completes the import the next time, and finds it the time after', async () => {
    const port = await unusedPort();
    const cut = new Start('data', port);
    await cut.says('Importing ./tree: ');
    expect(await cut.end('SIGINT')).toBe(0);
    expect(cut.output).toContain('Interrupted; the next start goes on from here.');

    const first = new Start('data', port);
    await first.says('The server runs until Ctrl-C.');
    expect(first.output).toMatch(
      /^SparrowKV serves \.\/data on 127\.0\.0\.1:\d+\. Watch it: http:\/\/127\.0\.0\.1:\d+\/dashboard\n(?:Counting what is there \.\.\.\n)?(?:Found \d+ keys?, but no completed import\. Importing\.\n)?Importing/,
    );
    expect(first.output).toMatch(
      /\nImporting \.\/tree: 63\d files, \d+ MB; .*\n(?:importing: .*\n)*Imported 62\d files, .* files\/s, .* MB\/s.*\n/,
    );
    expect(first.output).toMatch(/\nRead 50\d files \(\d+ MB\) back and compared: all the same, byte for byte\.\n/);
    const example = new RegExp(`npx sparrowkv get --server 127\\.0\\.0\\.1:${port} --table files (\\S+)\n`).exec(first.output)?.[1] ?? '';
    expect((await runCli(['get', '--server', `127.0.0.1:${port}`, '--table', 'files', example])).code).toBe(0);
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
  }, 400_000);

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
    await expect.poll(code).toBe('UNREACHABLE');
  });

  it('says what stands in its way', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const blocked = new Start('blocked', port);
    expect(await blocked.end()).toBe(4);
    expect(blocked.output).toBe(
      `sparrowkv: 127.0.0.1:${port} is taken by another program [ADDRESS_IN_USE]\n` +
        `Stop what runs there (another start?), or choose another: npm start -- --single --listen 127.0.0.1:${elsewhere(port)}\n`,
    );
    taken.close();
    const missing = new Start('blocked', await unusedPort(), { tree: 'no tree' });
    expect(await missing.end()).toBe(2);
    expect(missing.output).toContain('"npm ci" installs it');
  });
});

describe('npm start', () => {
  it('kills the leader while files are imported, loses nothing, and starts again what ends', async () => {
    const port = await portsForThree();
    const first = new Start('three', port, { single: false });
    await first.says('The nodes run until Ctrl-C.');
    const { output } = first;
    for (const [i, node] of [1, 2, 3].entries())
      expect(output).toMatch(new RegExp(`node ${node} +127\\.0\\.0\\.1:${port + 10 * i} +process \\d+ +\\./three/node${node}\n`));
    expect(output).toContain(`Watch them: http://127.0.0.1:${port + 2}/dashboard\n`);
    expect((await fetch(`http://127.0.0.1:${port + 12}/dashboard`)).status).toBe(200);
    expect(output).toMatch(/\nMade table files: a range of \d shards of 3 replicas each/);
    const killed = /\nNode (\d), which leads, is killed now: kill -9 \d+\n/.exec(output)?.[1];
    expect(killed).toBeDefined();
    const next = /\nNode (\d) leads, \d+\.\d s later\./.exec(output)?.[1];
    expect(next).not.toBe(killed);
    expect(output).toMatch(
      new RegExp(`\nNode ${killed} is started again, and has caught up with about [\\d,]+\u00a0?\\s?writes? that it missed, `),
    );
    expect(output).toMatch(/\nImported 62\d files, .*\n/);
    expect(output).toMatch(/\nRead 50\d files \(\d+ MB\) back and compared: all the same, byte for byte\.\n/);

    const servers = `127.0.0.1:${port},127.0.0.1:${port + 10},127.0.0.1:${port + 20}`;
    const example = new RegExp(`npx sparrowkv get --server ${servers} --table files (\\S+)\n`).exec(output)?.[1] ?? '';
    expect((await runCli(['get', '--server', `127.0.0.1:${port + 20}`, '--table', 'files', example])).code).toBe(0);
    const leader = /kill -9 (\d+) +# the node that leads/.exec(output)?.[1];
    process.kill(Number(leader), 'SIGKILL');
    await first.says('ended (SIGKILL). It is started again in 0.5 s');
    expect((await runCli(['put', '--server', servers, 'greeting', 'hello'])).code).toBe(0);
    await first.says(' is there again.');
    expect(await first.end('SIGINT')).toBe(0);
    expect(first.output).toMatch(/Stopped\. [^\n]*\n$/);

    const second = new Start('three', port, { single: false });
    await second.says('The nodes run until Ctrl-C.');
    expect(second.output).toMatch(
      /^Starting three nodes on \.\/three \.\.\.\n[^]*\nCounting what is there \.\.\.\nFound the data of an earlier start: /,
    );
    expect(second.output).not.toContain('killed');
    expect((await runCli(['get', '--server', servers, 'greeting'])).stdout.toString()).toBe('hello');
    expect(await second.end('SIGTERM')).toBe(0);

    const single = new Start('three', await unusedPort());
    expect(await single.end()).toBe(2);
    expect(single.output).toMatch(/^sparrowkv: \.\/three is that of three nodes; start them without --single, .*\[OTHER_START\]\n$/);
    const elsewhere = new Start('three', await portsForThree(), { single: false });
    expect(await elsewhere.end()).toBe(2);
    expect(elsewhere.output).toContain('[OTHER_CLUSTER]\nA cluster keeps the addresses that it began with');
  }, 400_000);

  it('stops all nodes when it is interrupted, and leaves none behind when it is killed', async () => {
    const port = await portsForThree();
    const cut = new Start('cut', port, { single: false });
    await cut.says('Importing ./tree: ');
    expect(await cut.end('SIGINT')).toBe(0);
    expect(cut.output).toContain('Interrupted; the next start goes on from here.');
    const killed = new Start('cut', port, { single: false });
    await killed.says('Importing ./tree: ');
    killed.child.kill('SIGKILL');
    // The ports are free again when the last node has gone.
    await expect.poll(() => Promise.all(portsFrom(port).map((each) => isFree(each)))).not.toContain(false);
  });

  it('refuses a wrong command line, and tells how it is used', async () => {
    const unknown = new Start('wrong', 7400, { more: ['--dta', 'x'] });
    expect(await unknown.end()).toBe(2);
    expect(unknown.output).toContain("error: unknown option '--dta'");
    expect(unknown.output).toContain('(npm start -- --help explains usage)');
    const ports = new Start('wrong', 'PORT', { single: false });
    expect(await ports.end()).toBe(2);
    expect(ports.output).toContain(
      "three nodes take ports from PORT to PORT + 22 of HOST:PORT, such as 127.0.0.1:7400, not '127.0.0.1:PORT'",
    );
    const help = new Start('wrong', 7400, { more: ['--help'] });
    expect(await help.end()).toBe(0);
    expect(help.output).toContain('Usage: npm start -- [options]');
    expect(existsSync(join(directory, 'wrong'))).toBe(false);
  });

  it('says what stands in its way, before it makes anything', async () => {
    const port = await portsForThree();
    const taken = createServer().listen(port + 11, '127.0.0.1');
    await once(taken, 'listening');
    const blocked = new Start('blocked3', port, { single: false });
    expect(await blocked.end()).toBe(4);
    expect(blocked.output).toBe(
      `sparrowkv: 127.0.0.1:${port + 11} is taken by another program [ADDRESS_IN_USE]\n` +
        `Stop what runs there (another start?), or choose another: npm start -- --listen 127.0.0.1:${elsewhere(port)}\n`,
    );
    taken.close();
    expect(existsSync(join(directory, 'blocked3'))).toBe(false);
    await mkdir(join(directory, 'of-one'));
    await writeFile(join(directory, 'of-one', 'node.json'), '{}');
    const single = new Start('of-one', port, { single: false });
    expect(await single.end()).toBe(2);
    expect(single.output).toMatch(/is that of one server; start it with "npm start -- --single", .*--data data2 \[OTHER_START\]\n$/);
  });
});

function elsewhere(port: number): number {
  return port < 65_000 ? port + 100 : 7500;
}

function portsFrom(first: number): number[] {
  return [0, 1, 2, 10, 11, 12, 20, 21, 22].map((more) => first + more);
}

/** A port from which three nodes find all theirs free, below those that the system gives away. */
async function portsForThree(): Promise<number> {
  for (;;) {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    if (!(await Promise.all(portsFrom(first).map((port) => isFree(port)))).includes(false)) return first;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer().listen(port, '127.0.0.1');
  const free = await once(probe, 'listening').then(
    () => true,
    () => false,
  );
  if (free) await once(probe.close(), 'close');
  return free;
}

/** The dashboard takes the second port on. */
async function unusedPort(): Promise<number> {
  for (;;) {
    const [port] = await unusedPorts(1);
    if (await isFree(port! + 2)) return port!;
  }
}
