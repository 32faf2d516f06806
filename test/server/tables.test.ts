/** Tables of several shards on three real nodes, called by the SDK and by clients that know no shards, while shards are split, merged, led by others. */
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Client, connect, connectAdmin, connectMeta, type KeyValues, type MetaAdmin } from '../../client/index.ts';
import { type GetResponse, KvClient, type PutResponse, type ScanResponse, type SurveyResponse } from '../../proto/index.ts';
import { type RunningServer, startServer } from '../../server/index.ts';
import { call } from '../e2e/server-harness.ts';
import { TestCluster, until } from './test-cluster.ts';

let cluster: TestCluster;
let client: Client;
let meta: MetaAdmin;

const KEYS: readonly string[] = Array.from(
  { length: 120 },
  (_, i) => `${'abcdefghijklmnopqrstuvwxyz'[i % 26]}${String(i).padStart(3, '0')}`,
);
const SORTED: readonly string[] = KEYS.toSorted();

beforeAll(async () => {
  cluster = await TestCluster.start(3);
  client = cluster.client({ timeoutMs: 30_000 });
  meta = connectMeta([cluster.nodes[2]!.address], { timeoutMs: 60_000 });
  // A table gets as many replicas as there are nodes when it is made.
  await until(async () => {
    const { nodes } = await meta.survey();
    return nodes.filter(({ state }) => state === 'up').length === 3;
  });
  // Nothing ails: the first shard could be split.
  const split = { operation: { $case: 'split', value: { shard: 1, at: Buffer.from('m') } }, dryRun: true } as const;
  await until(() =>
    meta.operate(split).then(
      () => true,
      () => false,
    ),
  );
  // Only what the tests ask for.
  await meta.operate({ operation: { $case: 'pause', value: true }, dryRun: false });
});

afterAll(async () => {
  await client.close();
  meta.close();
  await cluster[Symbol.asyncDispose]();
});

async function fill(table: KeyValues): Promise<void> {
  await Promise.all(KEYS.map((key) => table.put(key, `of ${key}`)));
}

async function keysOf(table: KeyValues, options: object = {}): Promise<string[]> {
  const keys: string[] = [];
  for await (const [key] of table.scan(options)) keys.push(Buffer.from(key).toString());
  return keys;
}

async function putIfAbsent(table: KeyValues, key: string, value: string): Promise<boolean> {
  try {
    await table.write(table.batch().ifAbsent(key).put(key, value));
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'CONDITION_FAILED' });
    return false;
  }
}

async function shardsOf(name: string): Promise<SurveyResponse['shards']> {
  const { tables, shards } = await meta.survey();
  const id = tables.find((table) => table.name === name)!.table;
  return shards.filter(({ entry }) => entry!.table === id);
}

/** Is through; asked for again when the metaserver cannot do it now. */
async function operate(operation: Parameters<MetaAdmin['operate']>[0]['operation']): Promise<void> {
  let note = '';
  await until(async () => {
    try {
      const [begun] = await meta.operate({ operation, dryRun: false });
      let entry = begun!;
      await until(async () => {
        const { operators, ended } = await meta.survey();
        entry = [...operators, ...ended].find(({ id }) => id === begun!.id) ?? entry;
        return entry.state !== 'running';
      });
      note = `${entry.state} ${entry.note}`;
      return entry.state === 'done';
    } catch (error) {
      note = String(error);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return false;
    }
  }).catch((error: unknown) => {
    throw new Error(note, { cause: error });
  });
}

/** Does `work` while the table is written and read; how often it was written. */
async function underLoad(table: KeyValues, work: () => Promise<void>): Promise<number> {
  const load = new Load(table);
  try {
    await work();
  } finally {
    await load.stop();
  }
  return load.writes;
}

/** Writes each key again and again, one after another, until it is told to stop; then every key has the last value that was acknowledged. */
class Load {
  readonly #table: KeyValues;
  readonly #written: Map<string, number> = new Map();
  readonly #work: Promise<unknown>;
  #stopped = false;
  writes = 0;

  constructor(table: KeyValues, keys: readonly string[] = KEYS) {
    this.#table = table;
    this.#work = Promise.all(keys.map((key) => this.#write(key)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#work;
    for (const [key, count] of this.#written) expect(Buffer.from((await this.#table.get(key))!).toString()).toBe(`${count}`);
  }

  async #write(key: string): Promise<void> {
    for (let i = 1; !this.#stopped; i++) {
      await this.#table.put(key, `${i}`);
      this.#written.set(key, i);
      this.writes++;
      if (i % 5 === 0) expect(Buffer.from((await this.#table.get(key))!).toString()).toBe(`${i}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

describe.each([
  ['range', { range: ['g', 'n', 't'] }],
  ['hash', { hash: 4 }],
] as const)('a %s table', (kind, partitioning) => {
  const name = `all-${kind}`;

  it('has every verb over its shards', async () => {
    const info = await client.tables.create(name, { partitioning });
    expect(info).toMatchObject({ name, partitioning: kind, shards: 4, replicas: 3, state: 'normal' });
    expect((await client.tables.get(name))?.id).toBe(info.id);
    const table = client.table(name);
    await fill(table);
    expect(await keysOf(table)).toEqual(SORTED);
    expect(await keysOf(table, { reverse: true, from: 'any' })).toEqual(SORTED.toReversed());
    expect(await keysOf(table, { gte: 'f', lt: 'p', limit: 30 })).toEqual(SORTED.filter((key) => key >= 'f' && key < 'p').slice(0, 30));
    const values = await table.multiGet([...KEYS, 'none'], { from: 'any' });
    expect(values.map((value) => value && Buffer.from(value).toString())).toEqual([...KEYS.map((key) => `of ${key}`), undefined]);
    await expect(table.write(table.batch().put('a', '1').put('b', '1').put('h', '1').put('o', '1').put('z', '1'))).rejects.toMatchObject({
      code: 'BATCH_SPANS_SHARDS',
    });
    const entry = (await table.getEntry('a000'))!;
    await table.write(table.batch().put('a000', 'new').ifVersion('a000', entry.version));
    await expect(table.write(table.batch().put('a000', 'x').ifVersion('a000', entry.version))).rejects.toMatchObject({
      code: 'CONDITION_FAILED',
    });
    expect(await table.deleteRange({ gte: 'd', lt: 'w' })).toEqual({ deleted: SORTED.filter((key) => key >= 'd' && key < 'w').length });
    expect(await keysOf(table)).toEqual(SORTED.filter((key) => key < 'd' || key >= 'w'));
    // Nothing of it is in table default.
    expect(await client.get('a000')).toBe(undefined);
  });

  it('is written and read while a shard is split and its lead changes', async () => {
    const table = client.table(name);
    await fill(table);
    const before = await shardsOf(name);
    const { shard, leader } = before[0]!.entry!;
    const to = (leader % 3) + 1;
    const writes = await underLoad(table, async () => {
      await operate({ $case: 'split', value: { shard, at: kind === 'range' ? Buffer.from('c') : undefined } });
      expect((await shardsOf(name)).length).toBe(before.length + 1);
      expect(await keysOf(table)).toEqual(SORTED);
      await operate({ $case: 'transfer', value: { shard, to } });
      await until(async () => (await shardsOf(name)).some(({ entry }) => entry!.shard === shard && entry!.leader === to));
    });
    expect(writes).toBeGreaterThan(KEYS.length);
    expect(await keysOf(table, { keysOnly: true })).toEqual(SORTED);
  });
});

describe('merged shards', () => {
  it.each(['all-range', 'all-hash'])('of %s are written and read meanwhile', async (name) => {
    const table = client.table(name);
    await fill(table);
    const before = await shardsOf(name);
    const split = before.toSorted((a, b) => b.entry!.epoch - a.entry!.epoch)[0]!.entry!;
    await underLoad(table, async () => {
      await operate({ $case: 'merge', value: { shard: split.shard, with: 0 } });
      expect((await shardsOf(name)).length).toBe(before.length - 1);
      expect(await keysOf(table)).toEqual(SORTED);
    });
    expect(await keysOf(table)).toEqual(SORTED);
    expect(await table.deleteRange({ gte: 'b', lt: 'y' })).toEqual({ deleted: SORTED.filter((key) => key >= 'b' && key < 'y').length });
  });
});

describe('a table that is dropped', () => {
  it('answers nobody, whatever map they have, until it is undeleted: then it is whole', async () => {
    const name = 'dropped';
    await client.tables.create(name, { partitioning: { hash: 4 } });
    const table = client.table(name);
    await fill(table);
    const { shard } = (await shardsOf(name))[0]!.entry!;
    const raw = new KvClient(cluster.nodes[1]!.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const leader = new KvClient(cluster.nodes[(await shardsOf(name))[0]!.entry!.leader]!.address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    try {
      const named = { key: Buffer.from('a000'), versionOnly: false, anyNode: undefined };
      await client.tables.drop(name);
      // The shards are told in a moment.
      await until(async () => {
        try {
          await Promise.all(KEYS.map((key) => table.get(key)));
        } catch {
          return (
            KEYS.length ===
            (await Promise.allSettled(KEYS.map((key) => table.get(key)))).filter(({ status }) => status === 'rejected').length
          );
        }
        return false;
      });
      const unknown = { kind: 'invalid', code: 'TABLE_UNKNOWN' };
      await expect(table.get('a000')).rejects.toMatchObject(unknown);
      await expect(table.put('a000', 'late')).rejects.toMatchObject(unknown);
      await expect(table.multiGet(KEYS)).rejects.toMatchObject(unknown);
      await expect(keysOf(table)).rejects.toMatchObject(unknown);
      await expect(table.deleteRange({ gte: 'a' })).rejects.toMatchObject(unknown);
      await expect(call<GetResponse>((done) => raw.get({ ...named, table: name }, done))).rejects.toMatchObject(unknown);
      await expect(call<GetResponse>((done) => leader.get({ ...named, shard }, done))).rejects.toMatchObject({ code: 'TABLE_DROPPED' });
      // Another one of that name has nothing of it, and one that is had back under another name is the old one.
      await client.tables.create(name, { partitioning: { range: ['m'] } });
      expect(await keysOf(table)).toEqual([]);
      await table.put('b', 'new');
      await client.tables.undelete(name, { newName: 'back' });
      const back = client.table('back');
      expect(await keysOf(back)).toEqual(SORTED);
      for (const value of await back.multiGet(KEYS)) expect(Buffer.from(value!).toString()).toMatch(/^of /);
      await back.put('a000', 'again');
      expect(await keysOf(table)).toEqual(['b']);
    } finally {
      raw.close();
      leader.close();
    }
  }, 60_000);
});

describe('table default', () => {
  it('goes on for clients that know nothing of its split', async () => {
    await fill(client);
    await underLoad(client, async () => {
      await operate({ $case: 'split', value: { shard: 1, at: Buffer.from('m') } });
      const child = (await shardsOf('default')).find(({ entry }) => entry!.shard !== 1)!.entry!;
      await operate({ $case: 'transfer', value: { shard: child.shard, to: (child.leader % 3) + 1 } });
      await until(async () =>
        (await shardsOf('default')).some(({ entry }) => entry!.shard === child.shard && entry!.leader === (child.leader % 3) + 1),
      );
      expect(await keysOf(client)).toEqual(SORTED);
    });
    expect((await client.multiGet(KEYS)).every((value) => value !== undefined)).toBe(true);
    await expect(client.write(client.batch().put('a000', 'x').put('z025', 'x'))).rejects.toMatchObject({ code: 'BATCH_SPANS_SHARDS' });
    expect(await client.deleteRange({ gte: 'k', lt: 'p' })).toEqual({ deleted: SORTED.filter((key) => key >= 'k' && key < 'p').length });
  });
});

describe('a table with settings of its own', () => {
  it('has values that expire, for conditions and scans too, and says so', async () => {
    const info = await client.tables.create('brief', { partitioning: { hash: 2 }, ttlMs: 100, durability: 'os' });
    expect(info).toMatchObject({ ttlMs: 100, durability: 'os' });
    const brief = client.table('brief');
    await Promise.all(['a', 'b', 'c'].map((key) => brief.put(key, 'one')));
    await until(async () => (await keysOf(brief)).length === 0);
    expect(await brief.get('a')).toBe(undefined);
    expect(await brief.multiGet(['a', 'b'])).toEqual([undefined, undefined]);
    expect(await brief.deleteRange({ gte: '\0' })).toMatchObject({ deleted: 0 });
    for (const value of ['two', 'three']) await until(() => putIfAbsent(brief, 'a', value));
  });

  it('is altered while it is used: for what is put from then on', async () => {
    await client.tables.create('altered', { ttlMs: 3_600_000 });
    const table = client.table('altered');
    await table.put('long', 'v');
    expect(await putIfAbsent(table, 'long', 'other')).toBe(false);
    expect(await client.tables.alter('altered', { ttlMs: 1 })).toMatchObject({ ttlMs: 1 });
    await until(async () => {
      await table.put('short', 'v');
      await new Promise((resolve) => setTimeout(resolve, 5));
      return (await table.get('short')) === undefined;
    });
    expect(await keysOf(table)).toEqual(['long']);
    expect(await client.tables.alter('altered', { ttlMs: 0, durability: 'os' })).toMatchObject({ ttlMs: 0, durability: 'os' });
    await until(async () => {
      await table.put('stays', 'v');
      await new Promise((resolve) => setTimeout(resolve, 5));
      return (await table.get('stays')) !== undefined;
    });
  });
});

describe('a table with quotas', () => {
  /** What a client is told that does not try again, of so many deletes at once, if any is refused for the table's quota. */
  async function refusal(name: string, count: number): Promise<string | undefined> {
    const [{ entry }] = (await shardsOf(name)) as [SurveyResponse['shards'][number]];
    const { shard, leader } = entry!;
    const kv = new KvClient(cluster.nodes[leader]!.address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const one = (i: number): Promise<string> =>
      call<PutResponse>((done) => kv.delete({ key: Buffer.from(`k${i}`), requestId: undefined, shard }, done)).then(() => '', String);
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => one(i)));
    kv.close();
    return answers.find((answer) => answer.includes('quota'));
  }

  it('takes no more puts when it has its bytes, and is altered back', async () => {
    const info = await client.tables.create('small', { quotas: { bytes: 300_000 } });
    expect(info.quotas).toEqual({ bytes: 300_000, readsPerSecond: 0, writesPerSecond: 0 });
    const small = client.table('small');
    await small.put('kept', 'v');
    let puts = 0;
    const put = (): Promise<unknown> => small.put(`k${puts++}`, 'x'.repeat(50_000));
    let refused: unknown;
    await until(async () => {
      refused = await put().then(
        () => undefined,
        (error: unknown) => error,
      );
      return refused !== undefined;
    });
    expect(refused).toMatchObject({ kind: 'exhausted', code: 'QUOTA_BYTES', details: { table: 'small', quota: 'bytes', limit: 300_000 } });
    expect(puts).toBeGreaterThan(4);
    await small.delete('k0');
    expect(Buffer.from((await small.get('kept'))!).toString()).toBe('v');
    await client.tables.alter('small', { quotas: { bytes: 0 } });
    await until(() =>
      put().then(
        () => true,
        () => false,
      ),
    );
  });

  it('serves no more than it is to, and who asks for one at a time waits for its turn', async () => {
    await client.tables.create('slow', { quotas: { writesPerSecond: 50 } });
    let refused: string | undefined;
    await until(async () => {
      refused = await refusal('slow', 300);
      return refused !== undefined;
    });
    expect(refused).toContain('table slow is asked for more than its quota of 50 writes a second');
    const slow = client.table('slow');
    for (const key of KEYS.slice(0, 30)) await slow.put(key, 'v');
    expect(await keysOf(slow)).toEqual(KEYS.slice(0, 30).toSorted());
  });
});

describe('clients that know no shards', () => {
  let proxy: RunningServer;

  beforeAll(async () => {
    proxy = await startServer({ role: 'proxy', join: cluster.nodes[1]!.address, listen: '127.0.0.1:0', logLevel: 'silent' });
    await client.tables.create('plain', { partitioning: { range: ['m'] } });
  });

  afterAll(() => proxy.close());

  it.each(['node', 'proxy'])('are served by a %s', async (which) => {
    const address = which === 'proxy' ? proxy.address : cluster.nodes[3]!.address;
    const kv = new KvClient(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    try {
      const table = 'plain';
      const put = (key: string): Promise<PutResponse> =>
        call((done) => kv.put({ key: Buffer.from(key), value: Buffer.from(which), requestId: undefined, table }, done));
      for (const key of ['a', 'z']) expect((await put(key)).version).toBeGreaterThan(0);
      const found = await call<GetResponse>((done) =>
        kv.get({ key: Buffer.from('z'), versionOnly: false, anyNode: undefined, table }, done),
      );
      expect(found.value.toString()).toBe(which);
      const keys: string[] = [];
      const scan = {
        range: undefined,
        reverse: false,
        limit: 0,
        keysOnly: true,
        cursor: Buffer.alloc(0),
        chunkBytes: 0,
        anyNode: undefined,
        table,
      };
      for await (const chunk of kv.scan(scan)) keys.push(...(chunk as ScanResponse).entries.map(({ key }) => key.toString()));
      expect(keys).toEqual(['a', 'z']);
      await expect(
        call<GetResponse>((done) => kv.get({ key: Buffer.from('z'), versionOnly: false, anyNode: undefined, table: 'none' }, done)),
      ).rejects.toMatchObject({ kind: 'invalid', code: 'TABLE_UNKNOWN' });
    } finally {
      kv.close();
    }
  });

  it('reach the metaserver and the members through a proxy', async () => {
    using through = connectMeta([proxy.address], { timeoutMs: 60_000 });
    const spec = { partitioning: { $case: 'hash' as const, value: { shards: 2 } }, replicas: 3, pool: '', ttlMs: 0, durability: '' };
    const rest = { inlineThreshold: 0, quotas: undefined, learners: 0, witnesses: 0, dryRun: false, waitMs: 0 };
    const made = await through.createTable({ name: 'through', ...spec, ...rest });
    expect(made.shards).toHaveLength(2);
    expect((await through.tables()).map(({ name }) => name)).toContain('through');
    const { nodes, shards } = await through.survey();
    expect(nodes.map(({ state }) => state)).toEqual(['up', 'up', 'up']);
    expect(shards.filter(({ entry }) => entry!.table === made.table!.table)).toHaveLength(2);
    const unknown = through.operate({ operation: { $case: 'split', value: { shard: 4711, at: undefined } }, dryRun: true });
    await expect(unknown).rejects.toMatchObject({ kind: 'invalid', code: 'SHARD_UNKNOWN' });
    expect(await through.timestamps(10)).toMatchObject({ count: 10 });
    await expect(through.createTable({ name: 'through', ...spec, ...rest })).rejects.toMatchObject({ code: 'TABLE_EXISTS' });
    using admin = connectAdmin([proxy.address], { timeoutMs: 60_000 });
    expect((await admin.status()).status.members.map(({ id }) => id)).toEqual([1, 2, 3]);
    // The SDK learns of the nodes by it.
    await using sdk = connect(proxy.address, { timeoutMs: 60_000 });
    await sdk.table('through').put('a', 'x');
    expect(await client.table('through').get('a')).toBeDefined();
  });

  it('are not sent from proxy to proxy', async () => {
    await using second = await startServer({ role: 'proxy', join: proxy.address, listen: '127.0.0.1:0', logLevel: 'silent' });
    using through = connectMeta([second.address], { timeoutMs: 60_000 });
    await expect(through.tables()).rejects.toMatchObject({ kind: 'invalid', code: 'PROXY', details: { field: 'join' } });
    await expect(connectAdmin([second.address]).status()).rejects.toMatchObject({ code: 'PROXY' });
  });

  it('may be the SDK, which sees one server', async () => {
    await using plain = connect(proxy.address);
    await plain.put('through the proxy', 'x');
    expect(await client.get('through the proxy')).toBeDefined();
  });
});

describe('a node that dies', () => {
  it('leaves its shards to others, and calls go on', async () => {
    const table = client.table('all-range');
    await fill(table);
    await underLoad(table, async () => {
      await cluster.kill(3);
      await Promise.all(KEYS.map((key) => table.getVersion(key)));
      expect(await keysOf(table)).toEqual(SORTED);
    });
    await cluster.start(3);
    await until(async () => (await meta.survey()).nodes.every(({ state }) => state === 'up'));
    expect(await keysOf(table)).toEqual(SORTED);
  });
});
