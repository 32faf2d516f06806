/** How large shards are told to be: engines of a node on a simulated disk, with values that lie in its log. */
import { afterEach, describe, expect, it } from 'vitest';
import { encodeWrite, NO_LIMIT, type Replica, splitShard } from '../../server/node/index.ts';
import { wholeTable } from '../../server/shard/descriptor.ts';
import { type ShardSize, sizeOf } from '../../server/shard-size.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';
import { NodeHarness } from './node/node-harness.ts';

const VALUE_BYTES = 20_000;
const ENTRIES = 200;
const ALL = ENTRIES * VALUE_BYTES;
const NAMES: readonly string[] = Array.from({ length: ENTRIES }, (_, i) => `key ${String(i).padStart(4, '0')}`);

let node: NodeHarness;

afterEach(() => node.close());

async function write(replica: Replica, operations: Parameters<typeof encodeWrite>[2]): Promise<void> {
  expect(await replica.propose(encodeWrite(undefined, [], operations), NO_LIMIT)).toMatchObject({ outcome: 'applied' });
}

async function fill(replica: Replica): Promise<void> {
  const value = Buffer.alloc(VALUE_BYTES, 'v');
  for (const name of NAMES) await write(replica, [{ type: 'put', key: Buffer.from(name), value }]);
}

function size({ engine, shard: { descriptor } }: Replica): ShardSize {
  return sizeOf(engine, engine.metrics(), descriptor.keys);
}

/** Of all that was written, to a fifth. */
function share(...replicas: Replica[]): number {
  const bytes = replicas.reduce((sum, replica) => sum + size(replica).bytes, 0);
  return Math.round((5 * bytes) / ALL) / 5;
}

describe('the size of a shard', () => {
  it('has large values in it that are in the node’s log, before and after a flush', async () => {
    node = await NodeHarness.open(new SimFileSystem(), {
      engine: { memtableBytes: 4 << 20 },
      segmentBytes: 8 << 20,
      checkpointBytes: 64 << 20,
    });
    const replica = node.replicas.first;
    await fill(replica);
    expect(replica.engine.metrics()).toMatchObject({ tables: { count: 0 }, memtables: { valueBytes: ALL } });
    expect(share(replica)).toBe(1);
    await replica.flush();
    expect(replica.engine.metrics().memtables.valueBytes).toBe(0);
    expect(share(replica)).toBe(1);
    expect(size(replica).keys).toBeGreaterThanOrEqual(ENTRIES);
    expect(size(replica).keys).toBeLessThan(ENTRIES + 50);
  });

  it('has the entries in it that no table has yet, and none for a key that was deleted', async () => {
    node = await NodeHarness.open(new SimFileSystem());
    const replica = node.replicas.first;
    const own = size(replica).keys;
    for (const name of NAMES) await write(replica, [{ type: 'put', key: Buffer.from(name), value: Buffer.alloc(8) }]);
    expect(replica.engine.metrics().tables.count).toBe(0);
    expect(size(replica).keys - own).toBeGreaterThanOrEqual(ENTRIES);
    expect(size(replica).keys - own).toBeLessThan(ENTRIES + 50);
    await replica.flush();
    for (const name of NAMES) await write(replica, [{ type: 'delete', key: Buffer.from(name) }]);
    expect(size(replica).keys).toBeLessThan(own + 50);
  });

  it('is not more for what is written over, once compaction has met it', async () => {
    node = await NodeHarness.open(new SimFileSystem());
    const replica = node.replicas.first;
    for (let round = 0; round < 3; round++) {
      await fill(replica);
      await replica.flush();
    }
    await replica.engine.compact();
    expect(share(replica)).toBe(1);
  });

  it('is that of its half after a split, before anything is compacted', async () => {
    node = await NodeHarness.open(new SimFileSystem());
    const replica = node.replicas.first;
    await fill(replica);
    await replica.flush();
    const key = Uint8Array.from(Buffer.from(NAMES[ENTRIES / 2]!));
    await splitShard(replica, { epoch: 1, child: 16, at: { how: 'key', key } }, NO_LIMIT);
    await node.replicas.adopt(16);
    const halves = [replica, node.replicas.get(16)!];
    expect(share(...halves)).toBe(1);
    for (const half of halves) expect(share(half)).toBeLessThan(0.8);
    for (const each of halves) {
      await each.engine.compact();
      expect([0.4, 0.6]).toContain(share(each));
    }
  });

  it('is that of its half when a hash shard is swept', async () => {
    node = await NodeHarness.open(new SimFileSystem());
    await node.replicas.create({ ...wholeTable(16, 5), keys: { kind: 'hash', bits: 0, index: 0 } }, [1]);
    const replica = node.replicas.get(16)!;
    await expect.poll(() => replica.stats().role).toBe('leader');
    await fill(replica);
    await replica.flush();
    await splitShard(replica, { epoch: 1, child: 17, at: { how: 'hash' } }, NO_LIMIT);
    await node.replicas.adopt(17);
    for (const shard of [16, 17]) {
      const half = node.replicas.get(shard)!;
      await expect.poll(() => half.shard.mixed).toBe(false);
      await half.flush();
      expect([0.4, 0.6]).toContain(share(half));
    }
  });
});
