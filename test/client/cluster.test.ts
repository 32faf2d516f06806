/** The SDK over several nodes, by gRPC: fake servers that have one store together and are told who leads. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { connect, type Client } from '../../client/index.ts';
import { FakeServer, FakeStore } from './fake-server.ts';

let store: FakeStore;
let nodes: FakeServer[];
let term = 0;

beforeEach(async () => {
  store = new FakeStore();
  nodes = await Promise.all([1, 2, 3].map(() => new FakeServer(store).start()));
  for (const [i, node] of nodes.entries()) introduce(node, i + 1);
  lead(1);
});

afterEach(() => {
  for (const node of nodes) node.stop();
});

function introduce(node: FakeServer, id: number): void {
  node.nodeId = id;
  node.clusterId = 'c0ffee0000000001';
  node.members = nodes.map(({ address }, i) => ({ id: i + 1, address }));
}

/** 0: nobody. */
function lead(leaderId: number): void {
  term++;
  for (const node of nodes) node.leadership = { leaderId, term };
}

async function restart(id: number): Promise<void> {
  const { port, leadership } = nodes[id - 1];
  nodes[id - 1].stop();
  nodes[id - 1] = await new FakeServer(store).start(port);
  introduce(nodes[id - 1], id);
  nodes[id - 1].leadership = leadership;
}

const addressOf = (id: number): string => nodes[id - 1].address;
const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

describe.each(['session', 'unary'] as const)('over %s calls', (transport) => {
  it('one address of a node that does not lead is enough', async () => {
    await using client = connect(addressOf(3), { transport });
    await client.put('a', '1');
    expect(store.version).toBe(1);
    expect(nodes[0].received.length).toBe(1);
  });

  it('calls of all kinds follow the lead', async () => {
    await using client = connect(addressOf(1), { transport });
    await client.put('a', '1');
    for (const leader of [2, 3, 1]) {
      lead(leader);
      await client.write(client.batch().put('b', String(leader)).put('c', '1'));
      lead((leader % 3) + 1);
      expect((await client.multiGet(['b', 'c'])).map((value) => value?.length)).toEqual([1, 1]);
      lead(leader);
      expect((await Array.fromAsync(client.scan())).length).toBe(3);
      lead((leader % 3) + 1);
      expect(await client.deleteRange({ prefix: 'b' })).toEqual({ deleted: 1 });
    }
  });

  it('writes under way when the lead changes are applied once each', async () => {
    await using client = connect([3, 2, 1].map(addressOf), { transport, timeoutMs: 60_000 });
    const writes = Array.from({ length: 100 }, async (_, i) => {
      for (let round = 0; round < 10; round++) await client.put(`k${i}`, String(round));
    });
    for (const leader of [2, 3, 0, 1]) {
      await pause(20);
      lead(leader);
    }
    await Promise.all(writes);
    expect(store.version).toBe(1_000);
    expect([...store.data.values()].every(({ value }) => value.toString() === '9')).toBe(true);
  });

  it('a leader that is stopped is left when another one leads, and its writes are applied once', async () => {
    await using client = connect(addressOf(1), { transport });
    await client.put('warm', '');
    nodes[0].freeze();
    const writes = Promise.all(Array.from({ length: 50 }, (_, i) => client.put(`k${i}`, '')));
    await pause(300);
    lead(2);
    const before = performance.now();
    await writes;
    expect(performance.now() - before).toBeLessThan(8_000);
    nodes[0].thaw();
    await client.put('after', '');
    expect(store.version).toBe(52);
  });

  it('a restart of one node after another, under load, fails no call', async () => {
    await using client = connect(addressOf(2), { transport, timeoutMs: 60_000 });
    let done = false;
    let writes = 0;
    const load = Array.from({ length: 30 }, async (_, i) => {
      for (; !done; writes++) {
        await client.put(`k${i}`, String(writes));
        await client.get(`k${i}`);
        await pause(1);
      }
    });
    for (const id of [1, 2, 3]) {
      lead((id % 3) + 1);
      await pause(50);
      await restart(id);
      await pause(50);
    }
    // And without handing over first.
    lead(1);
    await pause(50);
    await restart(1);
    lead(0);
    await pause(200);
    lead(2);
    await pause(50);
    done = true;
    await Promise.all(load);
    expect(store.version).toBe(writes);
  });

  it('limits and status come from a node that does not lead when none does', async () => {
    lead(0);
    await using client = connect(addressOf(2), { transport });
    expect((await client.status()).version).toBe('fake');
    expect((await client.limits()).keyBytesMax).toBe(4_000);
  });
});

describe('a scan', () => {
  beforeEach(() => {
    for (let i = 0; i < 100; i++) store.data.set(`k${String(i).padStart(3, '0')}`, { value: Buffer.from(String(i)), version: 1 });
  });

  async function scanned(client: Client, atFirst: () => void): Promise<number[]> {
    const found: number[] = [];
    for await (const [, value] of client.scan()) {
      found.push(Number(Buffer.from(value).toString()));
      if (found.length === 1) atFirst();
    }
    return found;
  }

  it('goes on at the next leader when its node dies', async () => {
    for (const node of nodes) node.chunkEntries = 1;
    await using client = connect(addressOf(1));
    const found = await scanned(client, () => {
      nodes[0].stop();
      lead(2);
    });
    expect(found).toEqual([...Array(100).keys()]);
    expect(nodes[1].scans).toBeGreaterThan(0);
  });

  it('goes on at the next leader when its node is stopped', async () => {
    // Chunks so large that few of them are under way.
    for (let i = 0; i < 40; i++) store.data.set(`z${String(i).padStart(3, '0')}`, { value: Buffer.alloc(1024 * 1024, '7'), version: 1 });
    for (const node of nodes) node.chunkEntries = 1;
    await using client = connect(addressOf(1));
    let entries = 0;
    for await (const _ of client.scan({ prefix: 'z' })) {
      if (++entries !== 1) continue;
      nodes[0].freeze();
      lead(3);
    }
    expect(entries).toBe(40);
    expect(nodes[2].scans).toBe(1);
    nodes[0].thaw();
  });
});

it('a node of another cluster is not written to', async () => {
  nodes[1].clusterId = 'dead000000000002';
  await using client = connect([addressOf(3), addressOf(2)], { timeoutMs: 5_000 });
  await client.put('a', '1');
  lead(2);
  await expect(client.put('b', '2', { timeoutMs: 500 })).rejects.toMatchObject({ code: 'TIMEOUT', details: { applied: false } });
  expect([...store.data.keys()]).toEqual(['a']);
  await using stranger = connect(addressOf(2), { waitForServerMs: 0 });
  await stranger.put('c', '3');
});
