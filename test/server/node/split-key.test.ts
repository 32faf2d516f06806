import { describe, expect, it } from 'vitest';
import { middleKey, tableAcross } from '../../../server/node/split-key.ts';
import { wholeTable } from '../../../server/shard/descriptor.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { NodeHarness } from './node-harness.ts';

const key = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const span = (from: string, to: string, bytes: number): Parameters<typeof tableAcross>[0][number] => ({
  smallest: key(from),
  largest: key(to),
  bytes,
  entries: bytes,
});

describe('the table across the middle of a shard', () => {
  const all = [key(''), key('zz')] as const;

  it('has the byte in the middle, and tells how much lies before', () => {
    const spans = [span('m', 'p', 60), span('a', 'c', 30), span('d', 'f', 20), span('x', 'y', 10)];
    expect(tableAcross(spans, ...all)).toEqual({ from: key('m'), to: key('p'), part: 10 / 60 });
    expect(tableAcross([span('a', 'c', 30)], ...all)).toEqual({ from: key('a'), to: key('c'), part: 0.5 });
    expect(tableAcross([], ...all)).toBeUndefined();
  });

  it('is one that has keys of the shard', () => {
    const spans = [span('a', 'c', 1000), span('m', 'p', 60), span('q', 's', 60), span('v', 'z', 1000)];
    expect(tableAcross(spans, key('m'), key('t'))).toEqual({ from: key('m'), to: key('p'), part: 1 });
    expect(tableAcross([span('a', 'p', 10)], key('m'), key('t'))).toEqual({ from: key('m'), to: key('p'), part: 0.5 });
  });
});

describe('the key in the middle of a shard', () => {
  it('has about half of the bytes before it', async () => {
    const node = await NodeHarness.open(new SimFileSystem());
    try {
      await node.replicas.create(wholeTable(16, 5), [1]);
      for (let i = 0; i < 200; i++) await node.put(16, `key ${String(i).padStart(3, '0')}`, 'v'.repeat(300));
      const middle = await middleKey(node.replicas.get(16)!);
      const at = Number(Buffer.from(middle!).toString().slice(4));
      expect(at).toBeGreaterThan(60);
      expect(at).toBeLessThan(140);
      await node.replicas.create(wholeTable(17, 5), [1]);
      expect(await middleKey(node.replicas.get(17)!)).toBeUndefined();
      await node.put(17, 'one', 'v');
      // With one key there is nothing to be divided.
      expect(await middleKey(node.replicas.get(17)!)).toBeUndefined();
      await node.put(17, 'two', 'v');
      expect(Buffer.from((await middleKey(node.replicas.get(17)!))!).toString()).toBe('two');
    } finally {
      await node.close();
    }
  });
});
