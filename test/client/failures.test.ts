/** What the SDK does when servers, connections and callers fail. */
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { SparrowError } from '../../base/errors.ts';
import { connect } from '../../client/index.ts';
import { FakeServer } from './fake-server.ts';

const busy = (): SparrowError => new SparrowError('exhausted', 'OVERLOADED', 'too much');
const away = (): SparrowError => new SparrowError('unavailable', 'NO_LEADER', 'no leader');
const unusedPort = async (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });

let server: FakeServer;

beforeEach(async () => {
  server = await new FakeServer().start();
});

afterEach(() => {
  server.stop();
});

describe.each(['session', 'unary'] as const)('over %s calls', (transport) => {
  it('repeats a write whose answer was lost under one id, and it is applied once', async () => {
    await using client = connect(server.address, { transport });
    await client.put('a', '0');
    server.behaviours = transport === 'session' ? ['drop after'] : ['drop'];
    const { version } = await client.put('a', '1');
    expect(server.data.get('a')).toEqual({ value: Buffer.from('1'), version });
    expect(server.version).toBe(2);
    expect(new Set(server.requestIds.map((id) => id.sequence)).size).toBe(2);
    expect(server.requestIds.every((id) => id.client.equals(server.requestIds[0].client))).toBe(true);
  });

  it('tells the largest version seen with each write', async () => {
    await using client = connect(server.address, { transport });
    await client.put('a', '0');
    await client.put('a', '1');
    expect(server.requestIds.map((id) => [id.sequence, id.seen])).toEqual([
      [1, 0],
      [2, 1],
    ]);
  });

  it('tries again what the server refuses for now', async () => {
    await using client = connect(server.address, { transport, retryPauseMs: 1 });
    server.behaviours = [busy(), away(), busy()];
    await client.put('a', '1');
    expect(server.received.length).toBe(4);
  });

  it('does not try again what will not change', async () => {
    await using client = connect(server.address, { transport });
    server.behaviours = [new SparrowError('invalid', 'KEY_TOO_LARGE', 'key has 5000 bytes', { limit: 4000 })];
    await expect(client.put('a', '1')).rejects.toMatchObject({
      kind: 'invalid',
      code: 'KEY_TOO_LARGE',
      message: 'key has 5000 bytes',
      details: { limit: 4000 },
    });
    server.behaviours = [new SparrowError('exhausted', 'DISK_FULL', 'full')];
    await expect(client.put('a', '1')).rejects.toMatchObject({ kind: 'exhausted', code: 'DISK_FULL' });
    expect(server.received.length).toBe(2);
  });

  it('stops repeating when the budget for it is used up', async () => {
    await using client = connect(server.address, { transport, retryPauseMs: 1, retryPauseMsMax: 1, timeoutMs: 60_000 });
    server.behaviours = Array.from({ length: 100_000 }, busy);
    const before = performance.now();
    await Promise.all(Array.from({ length: 50 }, (_, i) => expect(client.get(`k${i}`)).rejects.toMatchObject({ code: 'OVERLOADED' })));
    const seconds = (performance.now() - before) / 1000;
    expect(server.received.length).toBeLessThan(50 + 100 + 10 * (seconds + 1));
  });

  it('renews the id of a write that the server cannot place, unless it was sent before', async () => {
    await using client = connect(server.address, { transport, retryPauseMs: 1 });
    const expired = new SparrowError('invalid', 'REQUEST_EXPIRED', 'forgotten', { applied: false, seen: 70 });
    server.behaviours = [expired];
    await client.put('a', '1');
    expect(server.requestIds.map(({ sequence, seen }) => [sequence, seen])).toEqual([[2, 70]]);
    server.behaviours = ['drop', expired];
    await expect(client.put('a', '2')).rejects.toMatchObject({ code: 'REQUEST_EXPIRED', details: { applied: 'unknown', seen: 70 } });
    const lost = new SparrowError('unavailable', 'LEADERSHIP_LOST', 'nobody knows what becomes of it');
    server.behaviours = [lost, expired];
    await expect(client.put('a', '2')).rejects.toMatchObject({ code: 'REQUEST_EXPIRED', details: { applied: 'unknown', seen: 70 } });
    server.behaviours = [expired, expired];
    await expect(client.put('a', '3')).rejects.toMatchObject({ code: 'REQUEST_EXPIRED', details: { applied: false } });
  });

  it('ends a call that hangs at its time limit, and says whether a write may have been applied', async () => {
    await using client = connect(server.address, { transport });
    await client.get('warm');
    server.behaviours = ['hang', 'hang'];
    await expect(client.put('a', '1', { timeoutMs: 400 })).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'TIMEOUT',
      details: { timeoutMs: 400, applied: 'unknown' },
    });
    await expect(client.get('a', { timeoutMs: 400 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await client.get('a')).toBeUndefined();
  });

  it('ends calls that are aborted: before, during, and while they wait for a server', async () => {
    await using client = connect(server.address, { transport });
    const reason = new Error('enough');
    await expect(client.get('a', { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      kind: 'cancelled',
      code: 'ABORTED',
      cause: reason,
    });
    server.behaviours = ['hang'];
    const controller = new AbortController();
    const call = client.put('a', '1', { signal: controller.signal });
    await expect.poll(() => server.received.length).toBe(1);
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'ABORTED', details: { applied: 'unknown' } });
    await using lonely = connect(`127.0.0.1:${await unusedPort()}`, { transport });
    await expect(lonely.put('a', '1', { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      code: 'ABORTED',
      details: { applied: false },
    });
  });

  it('says that no server is there: at once when told not to wait, else at the time limit', async () => {
    const port = await unusedPort();
    await using hasty = connect(`127.0.0.1:${port}`, { transport, waitForServerMs: 0 });
    const before = performance.now();
    await expect(hasty.get('a')).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'UNREACHABLE',
      message: `cannot reach 127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}`,
    });
    expect(performance.now() - before).toBeLessThan(9_000);
    await using patient = connect(`127.0.0.1:${port}`, { transport, timeoutMs: 1_000 });
    await expect(patient.put('a', '1')).rejects.toMatchObject({ code: 'UNREACHABLE', details: { applied: false } });
    await expect(hasty.scan().next()).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  it('waits for a server that starts later', async () => {
    const port = await unusedPort();
    await using client = connect(`127.0.0.1:${port}`, { transport });
    const call = client.put('a', '1');
    const late = await new FakeServer().start(port);
    await call;
    expect(late.data.size).toBe(1);
    late.stop();
  });

  it('outlasts a restart of the server', async () => {
    await using client = connect(server.address, { transport });
    await client.put('a', '1');
    server.stop();
    const call = client.put('b', '2');
    server = await new FakeServer().start(server.port);
    await call;
    expect([...server.data.keys()]).toEqual(['b']);
  });

  it('takes the next address when one fails, or refuses for now', async () => {
    const other = await new FakeServer().start();
    await using client = connect([`127.0.0.1:${await unusedPort()}`, server.address, other.address], { transport, retryPauseMs: 1 });
    await client.put('a', '1');
    expect([server.data.size, other.data.size]).toEqual([1, 0]);
    server.behaviours = [away()];
    await client.put('b', '2');
    expect([server.data.size, other.data.size]).toEqual([1, 1]);
    other.stop();
    await client.put('c', '3');
    expect(server.data.size).toBe(2);
  });
});

describe('sessions', () => {
  it('carry on after they were dropped in the middle of many calls', async () => {
    await using client = connect(server.address);
    let done = 0;
    const writes = Array.from({ length: 500 }, async (_, i) => {
      for (let round = 0; round < 4; round++) {
        await client.put(`k${i}`, String(round));
        if (++done % 400 === 0) server.dropSessions();
      }
    });
    await Promise.all(writes);
    expect(server.sessions).toBeGreaterThan(3);
    expect(server.version).toBe(2_000);
    expect([...server.data.values()].every(({ value }) => value.toString() === '3')).toBe(true);
  });

  it('tell the server of calls that are given up', async () => {
    await using client = connect(server.address);
    await client.get('warm');
    server.behaviours = ['hang'];
    await expect(client.get('a', { timeoutMs: 400 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect.poll(() => server.cancels).toBe(1);
  });

  it('give way to plain calls when the server speaks another revision', async () => {
    server.revision = 99;
    await using client = connect(server.address);
    await client.put('a', '1');
    expect(server.received).toEqual(['unary 2']);
  });

  it('keep to the number of calls that the server takes', async () => {
    server.callsInFlightMax = 10;
    await using client = connect(server.address);
    await client.get('warm');
    server.messages.length = 0;
    await Promise.all(Array.from({ length: 95 }, (_, i) => client.put(`k${i}`, '')));
    expect(Math.max(...server.messages)).toBe(10);
  });

  it('refuse what is larger than the server takes, without breaking', async () => {
    server.messageBytesMax = 1024;
    await using client = connect(server.address);
    await Promise.all(
      Array.from({ length: 2_000 }, (_, i) =>
        expect(client.put(`k${i}`, new Uint8Array(2_000))).rejects.toMatchObject({ kind: 'invalid', code: 'WRITE_TOO_LARGE' }),
      ),
    );
    await client.put('small', 'fits');
    expect(server.sessions).toBe(1);
  });

  it('do not wait forever for a greeting', async () => {
    server.greet = false;
    await using client = connect(server.address, { timeoutMs: 300 });
    await expect(client.get('a')).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('end calls in time when the server takes connections and is silent', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await expect.poll(() => silent.listening).toBe(true);
    await using client = connect(`127.0.0.1:${(silent.address() as { port: number }).port}`, { timeoutMs: 200 });
    const before = performance.now();
    await expect(client.put('a', '1')).rejects.toMatchObject({ kind: 'unavailable', details: { applied: false } });
    expect(performance.now() - before).toBeLessThan(5_000);
    await client.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
});

describe('bounds', () => {
  it('holds back calls and bytes, and lets all through in the end', async () => {
    await using client = connect(server.address, { callsInFlightMax: 5, bytesInFlightMax: 1024 * 1024 });
    await client.get('warm');
    server.messages.length = 0;
    await Promise.all(Array.from({ length: 40 }, (_, i) => client.put(`k${i}`, new Uint8Array(300_000))));
    expect(Math.max(...server.messages)).toBeLessThanOrEqual(3);
    expect(server.data.size).toBe(40);
  });

  it('keeps writes within the number that a server remembers', async () => {
    await using client = connect(server.address, { callsInFlightMax: 5_000 });
    await client.get('warm');
    server.behaviours = ['hang'];
    const stuck = Promise.allSettled([client.put('stuck', '', { timeoutMs: 1_500 })]);
    const rest = Promise.all(Array.from({ length: 3_000 }, (_, i) => client.put(`k${i}`, '')));
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    expect(server.requestIds.at(-1)?.sequence).toBeLessThan(1_024);
    expect((await stuck)[0]).toMatchObject({ reason: { code: 'TIMEOUT' } });
    await rest;
    expect(server.data.size).toBe(3_000);
  });

  it('refuses more waiting calls than it is told to keep; those that gave up do not count', async () => {
    await using client = connect(server.address, { callsInFlightMax: 1, callsWaitingMax: 3 });
    // All that reach the server hang: timers of one moment may fire one after another, and let the next call through between them.
    server.behaviours = ['hang', 'hang', 'hang', 'hang'];
    const failures = (count: number, timeoutMs: number): Promise<string[]> =>
      Promise.all(
        Array.from({ length: count }, () =>
          client.get('a', { timeoutMs }).then(
            () => 'ok',
            (error: SparrowError) => error.code,
          ),
        ),
      );
    expect(await failures(6, 500)).toEqual(['TIMEOUT', 'TIMEOUT', 'TIMEOUT', 'TIMEOUT', 'TOO_MANY_WAITING', 'TOO_MANY_WAITING']);
    server.behaviours = [];
    expect(await failures(4, 10_000)).toEqual(['ok', 'ok', 'ok', 'ok']);
  });
});

describe('scans', () => {
  beforeEach(() => {
    for (let i = 0; i < 100; i++) server.data.set(`k${String(i).padStart(3, '0')}`, { value: Buffer.from(String(i)), version: 1 });
  });

  it.each([false, true])('go on where a stream broke (reverse: %s)', async (reverse) => {
    await using client = connect(server.address, { retryPauseMs: 1 });
    server.chunksBeforeBreak = 3;
    const found: string[] = [];
    for await (const [, value] of client.scan({ reverse, limit: 95 })) found.push(Buffer.from(value).toString());
    const all = Array.from({ length: 100 }, (_, i) => String(reverse ? 99 - i : i));
    expect(found).toEqual(all.slice(0, 95));
    expect(server.scans).toBe(4);
  });

  it('give up when streams break without an entry', async () => {
    await using client = connect(server.address, { retryPauseMs: 1, retryPauseMsMax: 2 });
    server.chunksBeforeBreak = 0;
    await expect(client.scan().next()).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('hold the server back while the consumer takes its time', async () => {
    for (let i = 0; i < 200; i++) server.data.set(`k${String(i).padStart(3, '0')}`, { value: Buffer.alloc(1024 * 1024), version: 1 });
    server.chunkEntries = 1;
    await using client = connect(server.address);
    const scan = client.scan();
    await scan.next();
    let before = -1;
    await expect.poll(() => before === (before = server.chunksSent), { interval: 100 }).toBe(true);
    expect(server.chunksSent).toBeLessThan(60);
    let rest = 0;
    for await (const _ of scan) rest++;
    expect(rest).toBe(199);
  });

  it('end when aborted, also while the consumer waits', async () => {
    await using client = connect(server.address);
    const controller = new AbortController();
    const scan = client.scan({ signal: controller.signal });
    await scan.next();
    controller.abort();
    await expect(
      (async () => {
        for await (const _ of scan);
      })(),
    ).rejects.toMatchObject({ kind: 'cancelled', code: 'ABORTED' });
  });
});
