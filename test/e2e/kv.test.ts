/** Kv over real gRPC, method by method, with plain @grpc/grpc-js. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeleteRangeResponse, MultiGetResponse, Range, ScanRequest, ScanResponse, StatusResponse } from '../../proto/index.ts';
import { Role } from '../../proto/index.ts';
import { call, ServerHarness, sparrowError } from './server-harness.ts';

const MIB = 1024 * 1024;
const EMPTY = Buffer.alloc(0);

let harness: ServerHarness;
beforeAll(async () => {
  harness = await ServerHarness.start();
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
});

function scanRequest(request: Partial<ScanRequest>): ScanRequest {
  return { range: undefined, reverse: false, limit: 0, keysOnly: false, cursor: EMPTY, chunkBytes: 0, anyNode: undefined, ...request };
}

function scan(request: Partial<ScanRequest>): Promise<ScanResponse[]> {
  return new Promise((resolve, reject) => {
    const chunks: ScanResponse[] = [];
    const stream = harness.kv.scan(scanRequest(request));
    stream.on('data', (chunk: ScanResponse) => chunks.push(chunk));
    stream.on('end', () => resolve(chunks));
    stream.on('error', (error) => reject(sparrowError(error as never)));
  });
}

function range(bounds: Record<string, string>): Range {
  return { gt: undefined, gte: undefined, lt: undefined, lte: undefined, prefix: undefined, ...mapValues(bounds) };
}

function mapValues(bounds: Record<string, string>): Record<string, Buffer> {
  return Object.fromEntries(Object.entries(bounds).map(([name, key]) => [name, Buffer.from(key)]));
}

function keys(chunks: ScanResponse[]): string[] {
  return chunks.flatMap(({ entries }) => entries.map(({ key }) => key.toString()));
}

describe('Get, Put, Delete', () => {
  it('tell versions, and what is missing', async () => {
    const first = await harness.put('a', '1');
    const second = await harness.put('a', '2');
    expect(second.version).toBeGreaterThan(first.version);
    expect(await harness.get('a')).toEqual({ found: true, value: Buffer.from('2'), version: second.version });
    const versionOnly = await call((done) => harness.kv.get({ key: Buffer.from('a'), versionOnly: true, anyNode: undefined }, done));
    expect(versionOnly).toEqual({ found: true, value: EMPTY, version: second.version });
    await call((done) => harness.kv.delete({ key: Buffer.from('a'), requestId: undefined }, done));
    expect(await harness.get('a')).toEqual({ found: false, value: EMPTY, version: 0 });
    await call((done) => harness.kv.delete({ key: Buffer.from('never there'), requestId: undefined }, done));
  });

  it.each([0, 1, 1023, 1024, 128 * 1024, MIB, 16 * MIB])('carry a value of %i bytes', async (size) => {
    const value = Buffer.alloc(size, `${size} bytes `);
    await harness.put(`length ${size}`, value);
    const answer = await harness.get(`length ${size}`);
    expect(answer.found).toBe(true);
    expect(answer.value.equals(value)).toBe(true);
  });

  it('take keys of any bytes, up to the limit', async () => {
    for (const key of [Buffer.of(0), Buffer.of(255, 255), Buffer.of(0, 0x72), Buffer.alloc(4000, 7)]) {
      await harness.put(key, 'v');
      expect((await harness.get(key)).value.toString()).toBe('v');
    }
  });
});

describe('refusals', () => {
  it('of keys and values name the field and the limit', async () => {
    await expect(harness.put('', 'v')).rejects.toMatchObject({ kind: 'invalid', code: 'KEY_EMPTY', details: { field: 'key' } });
    await expect(harness.get('')).rejects.toMatchObject({ code: 'KEY_EMPTY' });
    await expect(harness.put(Buffer.alloc(4001), 'v')).rejects.toMatchObject({
      kind: 'invalid',
      code: 'KEY_TOO_LARGE',
      message: 'key has 4001 bytes; at most 4000 are taken',
      details: { field: 'key', bytes: 4001, limit: 4000 },
    });
    await expect(harness.put('k', Buffer.alloc(16 * MIB + 1))).rejects.toMatchObject({
      code: 'VALUE_TOO_LARGE',
      details: { field: 'value', bytes: 16 * MIB + 1, limit: 16 * MIB },
    });
    const operation = { operation: { $case: 'put' as const, value: { key: Buffer.from('k'), value: Buffer.alloc(10.3 * MIB) } } };
    await expect(harness.write({ operations: [operation, operation] })).rejects.toMatchObject({
      code: 'WRITE_TOO_LARGE',
      details: { limit: 20 * MIB },
    });
    const many = Array.from({ length: 50_000 }, () => ({ operation: { $case: 'delete' as const, value: { key: Buffer.from('k') } } }));
    const condition = { key: Buffer.from('k'), expected: { $case: 'absent' as const, value: true } };
    await expect(harness.write({ operations: many, conditions: [condition] })).rejects.toMatchObject({
      code: 'TOO_MANY_OPERATIONS',
      message: 'a write of 50001 operations and conditions is too large; at most 50000 are taken',
      details: { field: 'operations', limit: 50_000, operations: 50_001 },
    });
    await expect(harness.put('k', Buffer.alloc(40 * MIB))).rejects.toMatchObject({ kind: 'exhausted', code: 'RPC_RESOURCE_EXHAUSTED' });
    expect((await harness.get('k')).found).toBe(false);
  });

  it('of malformed writes say what is missing', async () => {
    await expect(harness.write({ operations: [{ operation: undefined }] })).rejects.toMatchObject({ code: 'OPERATION_EMPTY' });
    await expect(harness.write({ conditions: [{ key: Buffer.from('k'), expected: undefined }] })).rejects.toMatchObject({
      code: 'CONDITION_EMPTY',
    });
    await expect(harness.put('k', 'v', { client: EMPTY, sequence: 1, seen: 0 })).rejects.toMatchObject({ code: 'REQUEST_ID' });
    await expect(harness.put('k', 'v', { client: Buffer.alloc(33), sequence: 1, seen: 0 })).rejects.toMatchObject({ code: 'REQUEST_ID' });
    await expect(harness.put('k', 'v', { client: Buffer.of(1), sequence: 0, seen: 0 })).rejects.toMatchObject({ code: 'REQUEST_ID' });
  });
});

describe('MultiGet', () => {
  it('answers in the order asked', async () => {
    await harness.put('m1', 'one');
    await harness.put('m3', 'three');
    const answer = await call<MultiGetResponse>((done) =>
      harness.kv.multiGet({ keys: ['m3', 'm2', 'm1', 'm3'].map((key) => Buffer.from(key)), anyNode: undefined }, done),
    );
    expect(answer.entries.map(({ found, value }) => (found ? value.toString() : undefined))).toEqual(['three', undefined, 'one', 'three']);
  });

  it('refuses an answer without bound', async () => {
    await harness.put('large', Buffer.alloc(15 * MIB));
    const asked = call<MultiGetResponse>((done) =>
      harness.kv.multiGet({ keys: Array.from({ length: 100 }, () => Buffer.from('large')), anyNode: undefined }, done),
    );
    await expect(asked).rejects.toMatchObject({ kind: 'invalid', code: 'ANSWER_TOO_LARGE', details: { limit: 64 * MIB } });
  });
});

describe('Write', () => {
  const put = (key: string, value: string): { operation: { $case: 'put'; value: { key: Buffer; value: Buffer } } } => ({
    operation: { $case: 'put', value: { key: Buffer.from(key), value: Buffer.from(value) } },
  });

  it('does all operations at one version; for one key the last wins', async () => {
    await harness.put('w3', 'old');
    const remove = { operation: { $case: 'delete' as const, value: { key: Buffer.from('w3') } } };
    const { applied, version } = await harness.write({ operations: [put('w1', 'a'), put('w2', 'b'), put('w1', 'c'), remove] });
    expect(applied).toBe(true);
    expect(await harness.get('w1')).toEqual({ found: true, value: Buffer.from('c'), version });
    expect(await harness.get('w2')).toMatchObject({ version });
    expect((await harness.get('w3')).found).toBe(false);
  });

  it('does nothing when a condition fails, and tells what is there', async () => {
    const { version } = await harness.put('c', 'now');
    const key = Buffer.from('c');
    const absent = await harness.write({ conditions: [{ key, expected: { $case: 'absent', value: true } }], operations: [put('c', 'x')] });
    expect(absent).toEqual({ applied: false, version: 0, failed: { index: 0, found: true, value: Buffer.from('now'), version } });
    const second = await harness.write({
      conditions: [
        { key, expected: { $case: 'version', value: version } },
        { key: Buffer.from('nothing'), expected: { $case: 'value', value: Buffer.from('v') } },
      ],
      operations: [put('c', 'x')],
    });
    expect(second.failed).toEqual({ index: 1, found: false, value: EMPTY, version: 0 });
    expect((await harness.get('c')).value.toString()).toBe('now');
    const done = await harness.write({
      conditions: [{ key, expected: { $case: 'value', value: Buffer.from('now') } }],
      operations: [put('c', 'next')],
    });
    expect(done).toMatchObject({ applied: true, failed: undefined });
  });

  it('makes counting with compare-and-set right under concurrency', async () => {
    await harness.put('counter', '0');
    let conflicts = 0;
    const add = async (): Promise<void> => {
      for (;;) {
        const { value, version } = await harness.get('counter');
        const next = put('counter', String(Number(value.toString()) + 1));
        const { applied } = await harness.write({
          conditions: [{ key: Buffer.from('counter'), expected: { $case: 'version', value: version } }],
          operations: [next],
        });
        if (applied) return;
        conflicts++;
      }
    };
    await Promise.all(Array.from({ length: 20 }, add));
    expect((await harness.get('counter')).value.toString()).toBe('20');
    expect(conflicts).toBeGreaterThan(0);
  });
});

describe('Scan', () => {
  beforeAll(async () => {
    for (let i = 0; i < 100; i++) await harness.put(`s${String(i).padStart(3, '0')}`, 'v'.repeat(i === 50 ? 100_000 : 20));
  });

  it('gives ranges in both directions, with limits and without values', async () => {
    expect(keys(await scan({ range: range({ gte: 's010', lt: 's013' }) }))).toEqual(['s010', 's011', 's012']);
    expect(keys(await scan({ range: range({ gt: 's010', lte: 's013' }), reverse: true }))).toEqual(['s013', 's012', 's011']);
    expect(keys(await scan({ range: range({ prefix: 's09' }), limit: 3 }))).toEqual(['s090', 's091', 's092']);
    expect(keys(await scan({ range: range({ prefix: 's', gte: 's098' }) }))).toEqual(['s098', 's099']);
    expect(await scan({ range: range({ gte: 'x', lt: 'a' }) })).toEqual([]);
    const [chunk] = await scan({ range: range({ prefix: 's050' }), keysOnly: true });
    expect(chunk!.entries).toEqual([{ key: Buffer.from('s050'), value: EMPTY }]);
    expect((await scan({ range: range({ prefix: 's050' }) }))[0]!.entries[0]!.value.length).toBe(100_000);
  });

  it.each([false, true])('comes in chunks, and is taken up again at any cursor (reverse: %s)', async (reverse) => {
    const prefix = range({ prefix: 's' });
    const chunks = await scan({ range: prefix, chunkBytes: 200, reverse });
    const all = keys(chunks);
    expect(all).toHaveLength(100);
    expect(chunks.length).toBeGreaterThan(10);
    expect(chunks.at(-1)!.cursor).toEqual(EMPTY);
    expect(new Set(chunks.map(({ version }) => version)).size).toBe(1);
    for (const [i, { cursor }] of chunks.slice(0, -1).entries()) {
      const sent = keys(chunks.slice(0, i + 1)).length;
      expect(keys(await scan({ range: prefix, cursor, reverse }))).toEqual(all.slice(sent));
    }
    const forward = keys(await scan({ range: prefix }));
    expect(all).toEqual(reverse ? forward.toReversed() : forward);
  });

  it('refuses a cursor of another direction', async () => {
    const [{ cursor } = { cursor: EMPTY }] = await scan({ range: range({ prefix: 's' }), chunkBytes: 200 });
    await expect(scan({ cursor, reverse: true })).rejects.toMatchObject({ kind: 'invalid', code: 'CURSOR' });
  });

  it('sees one point in time', async () => {
    await harness.put('p1', 'old');
    await harness.put('p2', Buffer.alloc(2 * MIB));
    await harness.put('p3', 'old');
    const values: string[] = [];
    const stream = harness.kv.scan(scanRequest({ range: range({ prefix: 'p' }), chunkBytes: 1 }));
    for await (const chunk of stream as AsyncIterable<ScanResponse>) {
      if (values.length === 0) await harness.put('p3', 'new');
      for (const { value } of chunk.entries) values.push(value.length > 100 ? '' : value.toString());
    }
    expect(values).toEqual(['old', '', 'old']);
  });
});

describe('DeleteRange', () => {
  it('removes runs of keys until there is no cursor', async () => {
    for (let i = 0; i < 25; i++) await harness.put(`d${String(i).padStart(2, '0')}`, 'v');
    const run = (cursor: Buffer): Promise<DeleteRangeResponse> =>
      call((done) => harness.kv.deleteRange({ range: range({ gte: 'd03', lt: 'd23' }), limit: 8, cursor, requestId: undefined }, done));
    const deleted: number[] = [];
    let cursor: Buffer = EMPTY;
    do {
      const answer = await run(cursor);
      deleted.push(answer.deleted);
      cursor = answer.cursor;
    } while (cursor.length > 0);
    expect(deleted).toEqual([8, 8, 4]);
    expect(keys(await scan({ range: range({ prefix: 'd' }) }))).toEqual(['d00', 'd01', 'd02', 'd23', 'd24']);
  });
});

describe('Admin', () => {
  it('tells what an operator asks', async () => {
    const status = await call<StatusResponse>((done) => harness.admin.status({}, done));
    expect(status).toMatchObject({
      version: '0.1.0',
      processId: process.pid,
      dataDirectory: harness.directory,
      callsInFlight: 0,
      replica: { id: 1, role: Role.LEADER, leaderId: 1, term: 1, stoppedBecause: '', writesInFlight: 0 },
    });
    expect(status.connections).toBeGreaterThan(0);
    expect(status.replica!.appliedIndex).toBe(status.replica!.lastIndex);
    expect(status.engine!.puts).toBeGreaterThan(100);
  });
});
