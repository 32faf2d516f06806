/** What the SDK refuses before it sends anything. */
import { describe, expect, it } from 'vitest';

import { connect } from '../../client/index.ts';

const nowhere = (): ReturnType<typeof connect> => connect('127.0.0.1:1');

describe('arguments', () => {
  it.each([
    ['an empty key', (c) => c.get(''), 'KEY_EMPTY'],
    ['an empty key in a batch', async (c) => c.batch().put('', 'x'), 'KEY_EMPTY'],
    ['a key that is no bytes', (c) => c.get(7 as never), 'BYTES_TYPE'],
    ['a value that is no bytes', (c) => c.put('a', undefined as never), 'BYTES_TYPE'],
    ['an unknown option', (c) => c.get('a', { timeout: 3 } as never), 'OPTION_UNKNOWN'],
    ['a time limit of 0', (c) => c.get('a', { timeoutMs: 0 }), 'OPTION_RANGE'],
    ['a signal that is none', (c) => c.get('a', { signal: {} as never }), 'OPTION_TYPE'],
    ['a place to read from that is none', (c) => c.get('a', { from: 'follower' as never }), 'OPTION_RANGE'],
    ['an age for a read of the leader', (c) => c.get('a', { staleMs: 10 }), 'OPTION_CONFLICT'],
    ['an age of 0', (c) => c.multiGet(['a'], { from: 'any', staleMs: 0 }), 'OPTION_RANGE'],
    ['an age for a scan of the leader', async (c) => c.scan({ from: 'leader', staleMs: 10 }), 'OPTION_CONFLICT'],
    ['an unknown option of a scan', async (c) => c.scan({ revers: true } as never), 'OPTION_UNKNOWN'],
    ['two lower bounds', async (c) => c.scan({ gt: 'a', gte: 'b' }), 'OPTION_CONFLICT'],
    ['a negative limit', async (c) => c.scan({ limit: -1 }), 'OPTION_RANGE'],
    ['a range without bounds', (c) => c.deleteRange({}), 'RANGE_OPEN'],
    ['a version of 0', async (c) => c.batch().ifVersion('a', 0), 'OPTION_RANGE'],
    ['a batch of someone else', (c) => c.write({} as never), 'BATCH_TYPE'],
    ['too many keys', (c) => c.multiGet(Array.from({ length: 10_001 }, () => 'k')), 'TOO_MANY_KEYS'],
  ] as [string, (client: ReturnType<typeof connect>) => Promise<unknown>, string][])('refuses %s', async (_, call, code) => {
    await using client = nowhere();
    await expect((async () => call(client))()).rejects.toMatchObject({ kind: 'invalid', code });
  });

  it.each(['', 'localhost', 'host:0', 'host:65536', 'http://host:1', 'a b:1', '::1:7400'])('refuses the address %j', (address) => {
    expect(() => connect(address)).toThrow(expect.objectContaining({ kind: 'invalid', code: 'ADDRESS' }));
  });

  it('refuses no addresses and unknown settings', () => {
    expect(() => connect([])).toThrow(expect.objectContaining({ code: 'ADDRESS' }));
    expect(() => connect('h:1', { retries: 3 } as never)).toThrow(expect.objectContaining({ code: 'OPTION_UNKNOWN' }));
    expect(() => connect('h:1', { timeoutMs: 1.5 })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }));
    expect(() => connect('h:1', { transport: 'http' as never })).toThrow(expect.objectContaining({ code: 'OPTION_RANGE' }));
  });

  it('takes addresses of IPv6', () => {
    expect(() => connect('[::1]:7400')).not.toThrow();
  });
});
