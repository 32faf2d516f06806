import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeRecord } from '../../../server/meta/records.ts';
import type { ShardRecord } from '../../../server/meta/shard.ts';
import type { MetaWrite } from '../../../server/meta/state.ts';

const SHARD: ShardRecord = {
  id: 16,
  table: 16,
  descriptor: { shard: 16, table: 16, epoch: 1, keys: { kind: 'hash', bits: 1, index: 0 }, state: 'normal', ttlMs: 0, inlineThreshold: 0 },
  replicas: [{ node: 1, votes: true, data: true }],
  joint: false,
  asOfIndex: 0,
  asOfTerm: 0,
  createdAtMs: 1_800_000_000_000,
  splitAtMs: 0,
  byHand: false,
};

describe('records of the topology', () => {
  it('are what docs/formats/meta.md shows', () => {
    const { key, value } = encodeRecord({ kind: 'shard', id: 16, record: SHARD });
    expect(text(key)).toBe('shard/0000000016');
    expect(text(value!)).toBe(
      '{"id":16,"table":16,"descriptor":{"shard":16,"table":16,"epoch":1,"keys":{"kind":"hash","bits":1,"index":0},"state":"normal","ttlMs":0,"inlineThreshold":0},' +
        '"replicas":[{"node":1,"votes":true,"data":true}],"joint":false,"asOfIndex":0,"asOfTerm":0,"createdAtMs":1800000000000,"splitAtMs":0,"byHand":false}',
    );
    const keys = { kind: 'range', start: new Uint8Array(0), end: Buffer.from('m') } as const;
    const range = encodeRecord({ kind: 'shard', id: 16, record: { ...SHARD, descriptor: { ...SHARD.descriptor, keys } } });
    expect(text(range.value!)).toContain('"keys":{"kind":"range","start":{"bytes":""},"end":{"bytes":"bQ=="}}');
  });

  it('are the bytes that docs/formats/meta.md shows', () => {
    const { key, value } = encodeRecord({ kind: 'counters', id: 0, record: { version: 1, nextTable: 16, nextShard: 16, nextOperator: 1 } });
    const document = readFileSync('docs/formats/meta.md', 'utf8').replaceAll(/\s/g, '');
    expect(document).toContain(Buffer.from(key).toString('hex') + Buffer.from(value!).toString('hex'));
  });

  it('come back as they were, bytes and what is undefined too', () => {
    const keys = { kind: 'range', start: Uint8Array.of(0, 255), end: undefined } as const;
    const writes: MetaWrite[] = [
      { kind: 'shard', id: 16, record: { ...SHARD, descriptor: { ...SHARD.descriptor, keys } } },
      { kind: 'counters', id: 0, record: { version: 7, nextTable: 17, nextShard: 18, nextOperator: 2 ** 40 } },
      { kind: 'policy', id: 0, record: { paused: true, tolerance: 0.25 } },
    ];
    for (const write of writes) {
      const { key, value } = encodeRecord(write);
      expect(decodeRecord(key, value!)).toEqual(write);
    }
    expect(encodeRecord({ kind: 'table', id: 9, record: undefined }).value).toBeUndefined();
  });

  it('that are damaged are refused, and other keys passed over', () => {
    const { key, value } = encodeRecord({ kind: 'shard', id: 16, record: SHARD });
    expect(decodeRecord(Buffer.from('lead'), Buffer.from('{}'))).toBeUndefined();
    expect(() => decodeRecord(key, value!.subarray(1))).toThrow(expect.objectContaining({ code: 'CORRUPT_TOPOLOGY' }) as Error);
    expect(() => decodeRecord(Buffer.from('shard/0000000017'), value!)).toThrow('it holds the record of 16');
    expect(() => decodeRecord(Buffer.from('shards/1'), value!)).toThrow('no such key is known');
    expect(() => decodeRecord(key, Buffer.from('[]'))).toThrow('it is no record');
  });
});

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
