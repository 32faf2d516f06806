/** The SDK against the real server, in one process. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { connect } from '../../client/index.ts';
import { type RunningServer, startServer } from '../../server/index.ts';

let directory: string;
let server: RunningServer;
const open = (data: string, listen: string = '127.0.0.1:0'): Promise<RunningServer> =>
  startServer({ data: join(directory, data), listen, logLevel: 'silent' });
const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString());

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sparrowkv-sdk-'));
  server = await open('data');
});

afterAll(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

describe.each(['session', 'unary'] as const)('over %s calls', (transport) => {
  it.each([0, 1, 1024, 128 * 1024, 16 * 1024 * 1024])('a value of %i bytes comes back by get, multiGet and scan', async (bytes) => {
    await using client = connect(server.address, { transport });
    const value = new Uint8Array(bytes).map((_, i) => (i * 131) & 0xff);
    const key = `${transport}/${bytes}`;
    await client.put(key, value);
    const [entry] = await Array.fromAsync(client.scan({ gte: key, limit: 1 }));
    for (const back of [await client.get(key), (await client.multiGet([key]))[0], entry[1]]) {
      expect(back).toBeInstanceOf(Uint8Array);
      expect(Buffer.compare(back!, value)).toBe(0);
    }
  });

  it('many concurrent calls of all kinds come out right', async () => {
    await using client = connect(server.address, { transport });
    await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        const key = `many/${transport}/${String(i).padStart(3, '0')}`;
        const { version } = await client.put(key, `first ${i}`);
        expect(await client.getEntry(key)).toMatchObject({ version });
        await client.write(client.batch().put(key, `second ${i}`).put(`${key}/twin`, `second ${i}`).ifVersion(key, version));
        expect((await client.multiGet([key, `${key}/twin`, `${key}/none`])).map(text)).toEqual([`second ${i}`, `second ${i}`, undefined]);
        if (i % 3 === 0) await client.delete(key);
      }),
    );
    const keys = await Array.fromAsync(client.scan({ prefix: `many/${transport}/`, keysOnly: true }));
    expect(keys.length).toBe(500);
    expect(await client.deleteRange({ prefix: `many/${transport}/` })).toEqual({ deleted: 500 });
  });

  it('values of many sizes, many of them under way at a time, arrive as they were given', async () => {
    await using client = connect(server.address, { transport });
    const valueOf = (i: number, round: number): Uint8Array => new Uint8Array(1 + ((i * 7919) % 200_000)).fill(i * 3 + round);
    const callers = Array.from({ length: 48 }, async (_, i) => {
      const key = `sizes/${transport}/${i}`;
      for (let round = 0; round < 8; round++) {
        const value = valueOf(i, round);
        await client.put(key, value);
        expect(Buffer.compare((await client.get(key))!, value)).toBe(0);
      }
    });
    await Promise.all(callers);
  });

  it('errors of the server are the same class, kind, code and details', async () => {
    await using client = connect(server.address, { transport });
    const large = client.put('k', new Uint8Array(16 * 1024 * 1024 + 1));
    await expect(large).rejects.toMatchObject({
      name: 'SparrowError',
      kind: 'invalid',
      code: 'VALUE_TOO_LARGE',
      details: { limit: 16 * 1024 * 1024 },
    });
    await expect(client.get('x'.repeat(4_001))).rejects.toMatchObject({
      kind: 'invalid',
      code: 'KEY_TOO_LARGE',
      details: { limit: 4_000 },
    });
    await expect(client.put('k', new Uint8Array(30 * 1024 * 1024))).rejects.toMatchObject({
      kind: expect.stringMatching(/invalid|exhausted/),
    });
    await client.put('k', 'still works');
  });

  it('a deadline that is over before the write is applied leaves nothing behind', async () => {
    await using client = connect(server.address, { transport });
    await client.get('warm');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) => client.put(`deadline/${transport}/${i}`, new Uint8Array(100_000), { timeoutMs: 1 + (i % 40) })),
    );
    for (const [i, outcome] of outcomes.entries()) {
      const value = await client.get(`deadline/${transport}/${i}`);
      if (outcome.status === 'fulfilled') expect(value?.length).toBe(100_000);
      else if ((outcome.reason as { details: { applied: unknown } }).details.applied === false) expect(value).toBeUndefined();
      else expect(outcome.reason).toMatchObject({ kind: 'unavailable', details: { applied: 'unknown' } });
    }
  });
});

describe('a restart of the server', () => {
  it('is outlasted by writes and by a scan that is under way', async () => {
    let restarted = await open('restarted');
    await using client = connect(restarted.address, { timeoutMs: 30_000 });
    const { address } = restarted;
    for (let i = 0; i < 100; i++) await client.put(`k${String(i).padStart(3, '0')}`, new Uint8Array(100_000).fill(i));
    const seen: number[] = [];
    for await (const [, value] of client.scan()) {
      seen.push(value[0]);
      if (seen.length !== 30) continue;
      await restarted.close();
      const write = client.put('k999', new Uint8Array(1).fill(200));
      restarted = await open('restarted', address);
      await write;
    }
    expect(seen).toEqual([...Array(100).keys(), 200]);
    await restarted.close();
  });
});

describe('memory', () => {
  it('stays within bounds when a thousand large puts are made at once', async () => {
    await using client = connect(server.address, { timeoutMs: 60_000, bytesInFlightMax: 8 * 1024 * 1024 });
    const value = new Uint8Array(1024 * 1024).fill(7);
    await client.put('large/warm', value);
    const before = process.memoryUsage().rss;
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
    // The values are one and the same: what grows is what the client and the server hold for them.
    await Promise.all(Array.from({ length: 300 }, (_, i) => client.put(`large/${i % 20}`, value)));
    clearInterval(timer);
    expect(most - before).toBeLessThan(250 * 1024 * 1024);
  });
});
