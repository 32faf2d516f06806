import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeScheduler } from '../../../base/node/index.ts';
import { type HostedEngine, open } from '../../../engine/index.ts';
import { encodeDeleteRange, encodeWrite, engineKey } from '../../../server/node/index.ts';
import { StateMachine } from '../../../server/node/state-machine.ts';
import { encodeRemoved } from '../../../server/node/command-codec.ts';
import { type ConfigurationChange, votersOnly } from '../../../server/raft/index.ts';
import { DEFAULT_TABLE, encodeDescriptor, type ShardDescriptor, wholeTable } from '../../../server/shard/descriptor.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';

const SHARD_KEY = Uint8Array.of(0, 0x73);
const bytes = (text: string): Buffer => Buffer.from(text);
const put = (key: string, epoch?: number): Buffer =>
  encodeWrite(undefined, [], [{ type: 'put', key: bytes(key), value: bytes(key) }], epoch);

describe('the shard of a state machine', () => {
  let engine: HostedEngine;
  let index: number;

  async function machineOf(descriptor?: ShardDescriptor): Promise<StateMachine> {
    const machine = new StateMachine({ engine, log: { place: () => undefined }, beginning: votersOnly([1]), descriptor });
    if (machine.applied === 0) {
      index = 1;
      await machine.apply({ index, term: 1, data: new Uint8Array(0) });
    }
    return machine;
  }

  const apply = (machine: StateMachine, data: Uint8Array): ReturnType<StateMachine['apply']> =>
    machine.apply({ index: ++index, term: 1, data });

  beforeEach(async () => {
    const hosted = { segmentPath: (segment: number) => `/log/${segment}` };
    engine = await open(
      '/engine',
      { memoryBytes: 128 << 20, memtableBytes: 256 * 1024, pageCacheBytes: 1 << 20 },
      { fileSystem: new SimFileSystem(), scheduler: new NodeScheduler(), hosted },
    );
  });

  afterEach(() => engine.close());

  it('is written with the first entry, and found again', async () => {
    const descriptor: ShardDescriptor = { ...wholeTable(20, 7), epoch: 4, keys: { kind: 'hash', bits: 2, index: 3 } };
    const machine = await machineOf(descriptor);
    expect(machine.shard.descriptor).toEqual(descriptor);
    expect(engine.getSync(SHARD_KEY)).toEqual(Uint8Array.from(encodeDescriptor(descriptor)));
    // Whatever it is told to begin with from now on.
    expect((await machineOf(wholeTable(20, 8))).shard.descriptor).toEqual(descriptor);
  });

  it('is that of the first one of table default where nobody says otherwise', async () => {
    expect((await machineOf()).shard.descriptor).toEqual(wholeTable(1, DEFAULT_TABLE));
  });

  it('takes writes of its epoch, and of none, and does nothing with others', async () => {
    const machine = await machineOf({ ...wholeTable(20, 7), epoch: 4 });
    expect(await apply(machine, put('a', 4))).toMatchObject({ outcome: 'applied' });
    expect(await apply(machine, put('b'))).toMatchObject({ outcome: 'applied' });
    for (const epoch of [3, 5]) {
      expect(await apply(machine, put('c', epoch))).toEqual({ outcome: 'other-epoch', epoch: 4 });
      const range = encodeDeleteRange(undefined, engineKey(bytes('a')), engineKey(bytes('z')), 10, epoch);
      expect(await apply(machine, range)).toEqual({ outcome: 'other-epoch', epoch: 4 });
    }
    expect([...engine.scanSync({ gte: Uint8Array.of(1) })].map(([key]) => Buffer.from(key.subarray(1)).toString())).toEqual(['a', 'b']);
    expect(machine.applied).toBe(index);
  });

  it('that is sealed, or has gone to another one, takes no writes', async () => {
    for (const state of ['sealed', 'retired'] as const) {
      const descriptor: ShardDescriptor = { ...wholeTable(20, 7), state };
      const machine = await machineOf(descriptor);
      await engine.write([{ type: 'put', key: SHARD_KEY, value: encodeDescriptor(descriptor) }], { sequence: ++index });
      const again = new StateMachine({ engine, log: { place: () => undefined }, beginning: votersOnly([1]) });
      expect(again.shard.descriptor.state).toBe(state);
      expect(await apply(again, put('a', 1))).toEqual({ outcome: 'sealed' });
      expect(machine.shard.descriptor.shard).toBe(20);
    }
  });

  it('moves between nodes: only who is removed from the cluster, or left out by force, has its id used up', async () => {
    const nodes = new Map([1, 2, 3].map((id) => [id, { address: `n${id}:1`, peerAddress: `n${id}:2` }]));
    const machine = new StateMachine({ engine, log: { place: () => undefined }, beginning: votersOnly([1, 2, 3]), nodes });
    index = 1;
    await machine.apply({ index, term: 1, data: new Uint8Array(0) });
    const change = (given: ConfigurationChange): ReturnType<StateMachine['apply']> =>
      machine.apply({ index: ++index, term: 1, data: new Uint8Array(0), change: given });
    await change({ type: 'simple', members: [{ type: 'make-learner', id: 3 }] });
    await change({ type: 'simple', members: [{ type: 'remove', id: 3 }] });
    expect([[...machine.book.removed], machine.book.nodes.has(3)]).toEqual([[], true]);
    await apply(machine, encodeRemoved(3));
    expect([[...machine.book.removed], machine.book.nodes.has(3)]).toEqual([[3], false]);
    await change({ type: 'force', voters: [1] });
    expect([...machine.book.removed].toSorted((a, b) => a - b)).toEqual([2, 3]);
    const again = new StateMachine({ engine, log: { place: () => undefined }, beginning: votersOnly([]) });
    expect([...again.book.removed].toSorted((a, b) => a - b)).toEqual([2, 3]);
  });

  it('deletes no keys of ranges that are no longer its own', async () => {
    const machine = await machineOf({ ...wholeTable(20, 7), keys: { kind: 'hash', bits: 1, index: 0 }, state: 'splitting' });
    const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
    for (const key of keys) await apply(machine, put(key));
    const all = encodeDeleteRange(undefined, engineKey(bytes('a')), engineKey(bytes('z')), 4);
    const first = await apply(machine, all);
    expect(first).toMatchObject({ outcome: 'range-deleted', deleted: 4 });
    let deleted = 4;
    for (let result = first; result.outcome === 'range-deleted' && result.cursor !== undefined;) {
      result = await apply(machine, all);
      if (result.outcome === 'range-deleted') deleted += result.deleted;
    }
    const left = [...engine.scanSync({ gte: Uint8Array.of(1) })].length;
    expect(deleted + left).toBe(20);
    expect(left).toBeGreaterThan(2);
    expect(deleted).toBeGreaterThan(4);
  });
});
