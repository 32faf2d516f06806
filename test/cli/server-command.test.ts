/** `sparrowkv server` as an operator sees it: one line, signals, clear refusals. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { nodeVersionProblem } from '../../cli/node-version.ts';
import { connect } from '../../client/index.ts';
import { freePorts } from '../cluster/free-ports.ts';
import { MAIN, ServerProcess } from '../e2e/server-process.ts';
import { http, parse } from '../server/metrics/scrape.ts';
import { runCli } from './cli-process.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-server-'));
});

afterAll(() => rm(directory, { recursive: true }));

describe('the server command', () => {
  it('prints exactly one line and serves until SIGTERM, which it takes for an order', async () => {
    const server = await ServerProcess.start(join(directory, 'one'));
    await using client = connect(server.address);
    await client.put('a', '1');
    const before = performance.now();
    expect(await server.end('SIGTERM')).toBe(0);
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(server.stdout.join('')).toMatch(/^sparrowkv \d+\.\d+\.\d+ serves \S+\/one on 127\.0\.0\.1:\d+\n$/);
    expect(server.stderr.join('')).toBe('');
    const again = await ServerProcess.start(join(directory, 'one'));
    await using other = connect(again.address);
    expect(Buffer.from((await other.get('a'))!).toString()).toBe('1');
    expect(await again.end('SIGINT')).toBe(0);
  });

  it('stops in time with clients that go on calling and reading', async () => {
    const server = await ServerProcess.start(join(directory, 'busy'));
    await using client = connect(server.address, { timeoutMs: 2_000 });
    let over = false;
    const busy = Array.from({ length: 20 }, async (_, i) => {
      for (let n = 0; !over; n++) await client.put(`${i}/${n}`, new Uint8Array(1000)).catch(() => (over = true));
    });
    const scan = client.scan();
    await client.put('first', '1');
    await scan.next();
    const before = performance.now();
    expect(await server.end('SIGTERM')).toBe(0);
    expect(performance.now() - before).toBeLessThan(10_000);
    await Promise.all(busy);
  });

  it('stops soon while it still waits for the member that it is to join', async () => {
    const data = join(directory, 'waits');
    const [port, peerPort] = await freePorts(2);
    const free = ['--listen', `127.0.0.1:${port}`, '--peer-listen', `127.0.0.1:${peerPort}`];
    const child = spawn(process.execPath, [MAIN, 'server', '--data', data, '--node-id', '4', ...free, '--join', '127.0.0.1:1']);
    const ended = once(child, 'exit') as Promise<[number | null]>;
    await expect.poll(() => existsSync(join(data, 'LOCK'))).toBe(true);
    const before = performance.now();
    child.kill('SIGINT');
    expect((await ended)[0]).toBe(0);
    // It would wait for 10 s.
    expect(performance.now() - before).toBeLessThan(9_000);
  });

  it('ends at once at a second signal', async () => {
    const server = await ServerProcess.start(join(directory, 'twice'));
    const ended = once(server.child, 'exit') as Promise<[number | null]>;
    server.child.kill('SIGTERM');
    server.child.kill('SIGTERM');
    // Two signals of one kind may come as one; then the stop was in order.
    expect([0, 143]).toContain((await ended)[0]);
  });

  it('refuses a port that is taken and a directory that is in use, with 4', async () => {
    const server = await ServerProcess.start(join(directory, 'first'));
    const port = await runCli(['server', '--data', join(directory, 'other'), '--listen', server.address]);
    expect([port.code, port.stdout.toString(), port.stderr]).toEqual([
      4,
      '',
      `sparrowkv: ${server.address} is taken by another program [ADDRESS_IN_USE]\n`,
    ]);
    // Nothing was made for a server that never was.
    expect(existsSync(join(directory, 'other'))).toBe(false);
    const data = await runCli(['server', '--data', join(directory, 'first'), '--listen', '127.0.0.1:0']);
    expect([data.code, data.stdout.toString()]).toEqual([4, '']);
    expect(data.stderr).toMatch(/^sparrowkv: \S+\/first\S* is already open in another process \(pid \d+\).* \[LOCKED\]\n$/);
    expect(data.stderr).toContain(`pid ${server.child.pid}`);
    await server.end();
  });

  it('refuses an empty directory name, and does not serve the directory it was called in', async () => {
    const refused = await runCli(['server', '--data', '', '--listen', '127.0.0.1:0'], { cwd: directory });
    expect([refused.code, refused.stdout.toString(), refused.stderr]).toEqual([2, '', expect.stringContaining('data')]);
    expect(existsSync(join(directory, 'log'))).toBe(false);
  });

  it('refuses a directory of an older layout, and makes nothing in it', async () => {
    for (const part of ['raft', 'engine']) {
      const older = join(directory, `older-${part}`);
      await mkdir(join(older, part), { recursive: true });
      const refused = await runCli(['server', '--data', older, '--listen', '127.0.0.1:0']);
      expect([refused.code, refused.stdout.toString(), refused.stderr]).toEqual([2, '', expect.stringContaining('[FORMAT_OLDER]')]);
      expect(await readdir(older)).toEqual([part]);
    }
  });

  it('refuses a list of nodes that makes no sense, or that it is not in', async () => {
    const data = join(directory, 'wrong');
    const nodes = '1=127.0.0.1:7400/7401,2=127.0.0.1:7410/7411';
    for (const [operands, said] of [
      [['--cluster', nodes], 'sparrowkv: nodeId: which of the nodes 1, 2 of the cluster is this one? [OPTION_RANGE]'],
      [['--cluster', nodes, '--node-id', '3'], 'sparrowkv: nodeId: the cluster has the nodes 1, 2, and no node 3 [OPTION_RANGE]'],
      [['--cluster', '1=127.0.0.1:7400', '--node-id', '1'], "sparrowkv: cluster: '1=127.0.0.1:7400' is not ID=HOST:PORT/PEERPORT, such as"],
      [['--node-id', 'one'], "error: option '--node-id <id>' argument 'one' is invalid. A number from 1 to 4294967295 is asked for."],
    ] as const) {
      const refused = await runCli(['server', '--data', data, ...operands]);
      expect([refused.code, refused.stdout.toString(), refused.stderr]).toEqual([2, '', expect.stringContaining(said)]);
    }
    expect(existsSync(data)).toBe(false);
  });

  it('is looked after by its data directory when it has stopped', async () => {
    const data = join(directory, 'looked-after');
    const server = await ServerProcess.start(data);
    await using client = connect(server.address);
    await client.put('greeting', 'hello');
    const inUse = await runCli(['engine', 'verify', data]);
    expect([inUse.code, inUse.stderr]).toEqual([4, expect.stringContaining('[LOCKED]')]);
    await server.end();
    const whole = await runCli(['engine', 'verify', data]);
    expect([whole.code, whole.stdout.toString()]).toEqual([0, expect.stringContaining(' is whole (')]);
    const dumped = await runCli(['engine', 'dump', data]);
    expect([dumped.code, dumped.stdout.toString()]).toEqual([0, expect.stringContaining(`${data}/groups/000001/a/files/CURRENT`)]);
  });

  it('takes settings from a file, which options win over', async () => {
    const config = join(directory, 'settings.yaml');
    await writeFile(config, `data: ${join(directory, 'nowhere')}\nlisten: 127.0.0.1:1\nmaxValueBytes: 5\nlogLevel: silent\n`);
    const server = await ServerProcess.start(join(directory, 'configured'), 0, ['--config', config]);
    await using client = connect(server.address);
    await expect(client.put('a', '123456')).rejects.toMatchObject({ code: 'VALUE_TOO_LARGE', details: { limit: 5 } });
    await server.end();
    await writeFile(config, 'maxValuBytes: 5\n');
    const wrong = await runCli(['server', '--data', join(directory, 'x'), '--config', config]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("unknown setting 'maxValuBytes'")]);
  });

  it('answers GET /metrics where it is told to', async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const metrics = `127.0.0.1:${(probe.address() as AddressInfo).port}`;
    probe.close();
    await once(probe, 'close');
    const server = await ServerProcess.start(join(directory, 'watched'), 0, ['--metrics-address', metrics]);
    const { values } = parse((await http(metrics)).body);
    expect([values.get('sparrowkv_serving'), values.get('sparrowkv_engine_failed')]).toEqual([1, 0]);
    const taken = await runCli(['server', '--data', join(directory, 'o'), '--listen', '127.0.0.1:0', '--metrics-address', server.address]);
    expect([taken.code, taken.stderr]).toEqual([4, `sparrowkv: ${server.address} is taken by another program [ADDRESS_IN_USE]\n`]);
    expect(await server.end()).toBe(0);
  });

  it('with a parent that holds its channel: says that it is ready, and stops when the parent is gone', async () => {
    const child = spawn(process.execPath, [MAIN, 'server', '--data', join(directory, 'held'), '--listen', '127.0.0.1:0'], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const [message] = (await once(child, 'message')) as [{ type: string; address: string }];
    expect(message.type).toBe('ready');
    await using client = connect(message.address);
    await client.put('a', '1');
    const ended = once(child, 'exit');
    child.disconnect();
    expect(await ended).toEqual([0, null]);
  });
});

describe('a Node that is too old', () => {
  it('is told so in one line', () => {
    expect(nodeVersionProblem('20.20.2')).toMatch(/^sparrowkv needs Node 22\.18 or newer, this is 20\.20\.2 [^\n]*$/);
    expect(nodeVersionProblem('22.17.9')).toBeDefined();
    expect(['22.18.0', '24.0.0', '25.1.0'].map((version) => nodeVersionProblem(version))).toEqual([undefined, undefined, undefined]);
  });
});
