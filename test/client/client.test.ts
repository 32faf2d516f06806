/** The SDK's verbs, over sessions and over plain calls, against a server that behaves. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { connect, ConditionFailedError, type Client, type ScanOptions } from '../../client/index.ts';
import { FakeServer } from './fake-server.ts';

const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString());

describe.each(['session', 'unary'] as const)('over %s calls', (transport) => {
  let server: FakeServer;
  let client: Client;

  beforeEach(async () => {
    server = await new FakeServer().start();
    client = connect(server.address, { transport });
  });

  afterEach(async () => {
    await client.close();
    server.stop();
  });

  it('puts, gets and deletes', async () => {
    const { version } = await client.put('key', 'value');
    expect(text(await client.get('key'))).toBe('value');
    expect(await client.getEntry('key')).toEqual({ value: new Uint8Array(Buffer.from('value')), version });
    expect(await client.getVersion('key')).toBe(version);
    await client.delete('key');
    expect(await client.get('key')).toBeUndefined();
    expect(await client.getEntry('key')).toBeUndefined();
    expect(await client.getVersion('key')).toBeUndefined();
    expect(server.received.every((name) => name.startsWith(transport === 'session' ? 'frame' : 'unary'))).toBe(true);
  });

  it.each([0, 1, 1024, 128 * 1024, 16 * 1024 * 1024])('carries a value of %i bytes', async (bytes) => {
    const value = new Uint8Array(bytes).map((_, i) => (i * 31) & 0xff);
    await client.put('key', value);
    const back = await client.get('key');
    expect(back).toBeInstanceOf(Uint8Array);
    expect(Buffer.compare(back!, value)).toBe(0);
  });

  it('gives values that are plain Uint8Arrays of the caller alone', async () => {
    await client.put('a', 'aaaa');
    const one = (await client.get('a'))!;
    const other = (await client.get('a'))!;
    expect(one.constructor).toBe(Uint8Array);
    one.fill(0);
    expect(text(other)).toBe('aaaa');
  });

  it('gets many in the order asked', async () => {
    await client.put('a', '1');
    await client.put('c', '');
    expect((await client.multiGet(['c', 'b', 'a'])).map(text)).toEqual(['', undefined, '1']);
    expect(await client.multiGet([])).toEqual([]);
  });

  it('writes batches, and refuses them with what the key holds', async () => {
    await client.put('a', '1');
    await client.write(client.batch().put('b', '2').delete('a').ifValue('a', '1').ifAbsent('b'));
    expect((await client.multiGet(['a', 'b'])).map(text)).toEqual([undefined, '2']);
    const entry = (await client.getEntry('b'))!;
    const failure = await client
      .write(client.batch().put('b', '3').ifVersion('b', entry.version).ifAbsent('b'))
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConditionFailedError);
    const failed = failure as ConditionFailedError;
    expect([failed.kind, failed.code, failed.index, text(failed.key), text(failed.current?.value), failed.current?.version]).toEqual([
      'conflict',
      'CONDITION_FAILED',
      1,
      'b',
      '2',
      entry.version,
    ]);
    expect(text(await client.get('b'))).toBe('2');
    await expect(client.write(client.batch().put('x', '').ifVersion('absent', 3))).rejects.toMatchObject({ current: undefined });
  });

  it('scans forward, backward, bounded, limited and without values', async () => {
    for (let i = 0; i < 35; i++) await client.put(`k${String(i).padStart(2, '0')}`, String(i));
    expect(await keys(client, {})).toBe('00..34 (35)');
    expect(await keys(client, { reverse: true })).toBe('34..00 (35)');
    expect(await keys(client, { gte: 'k03', lt: 'k06' })).toBe('03 04 05');
    expect(await keys(client, { gt: 'k03', lte: 'k06' })).toBe('04 05 06');
    expect(await keys(client, { prefix: 'k3' })).toBe('30 31 32 33 34');
    expect(await keys(client, { limit: 12 })).toBe('00..11 (12)');
    expect(await keys(client, { limit: 0 })).toBe('');
    expect(await keys(client, { prefix: 'none' })).toBe('');
    for await (const [, value] of client.scan({ keysOnly: true })) expect(value.length).toBe(0);
    for await (const [key] of client.scan({ gte: 'k05' })) {
      expect(text(key)).toBe('k05');
      break;
    }
  });

  it('deletes ranges in runs', async () => {
    for (let i = 0; i < 8; i++) await client.put(`k${i}`, '');
    expect(await client.deleteRange({ gte: 'k1', lt: 'k7' })).toEqual({ deleted: 6 });
    expect(server.data.size).toBe(2);
  });

  it('tells the status and the limits', async () => {
    expect((await client.status()).version).toBe('fake');
    expect((await client.limits()).valueBytesMax).toBe(16 * 1024 * 1024);
  });

  it('fails calls after close, and closes twice', async () => {
    await client.put('a', '1');
    await client.close();
    await client.close();
    await expect(client.get('a')).rejects.toMatchObject({ kind: 'closed', code: 'CLIENT_CLOSED' });
    await expect(client.scan().next()).rejects.toMatchObject({ code: 'CLIENT_CLOSED' });
  });
});

describe('coalescing', () => {
  it('sends all calls of a turn in one message, and splits what would be too large', async () => {
    const server = await new FakeServer().start();
    await using client = connect(server.address);
    await client.get('warm');
    server.messages.length = 0;
    await Promise.all(Array.from({ length: 100 }, (_, i) => client.put(`k${i}`, 'v')));
    expect(server.messages).toEqual([100]);
    server.messages.length = 0;
    await Promise.all(Array.from({ length: 8 }, (_, i) => client.put(`k${i}`, new Uint8Array(100_000))));
    expect(server.messages).toEqual([2, 2, 2, 2]);
    server.stop();
  });
});

async function keys(client: Client, options: ScanOptions): Promise<string> {
  const found: string[] = [];
  for await (const [key] of client.scan(options)) found.push(text(key)!.slice(1));
  return found.length > 6 ? `${found[0]}..${found.at(-1)} (${found.length})` : found.join(' ');
}
