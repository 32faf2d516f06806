/** Splits and merges of shards on one node, on a simulated disk. What crashes do to them: test/crash/shards.test.ts. */
import { describe, expect, it } from 'vitest';
import { keyHash } from '../../../base/key-hash.ts';
import { encodeDeleteRange, encodeWrite, engineKey, engineRange, NO_LIMIT, type Replica } from '../../../server/node/index.ts';
import {
  cancelImport,
  commitMerge,
  importShard,
  resumeShard,
  retireShard,
  sealShard,
  splitShard,
  userKey,
} from '../../../server/node/index.ts';
import { wholeTable } from '../../../server/shard/descriptor.ts';
import { encodeShardCommand } from '../../../server/node/shard-commands.ts';
import { SimFileSystem } from '../../sim/sim-file-system.ts';
import { NodeHarness } from './node-harness.ts';

const key = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

async function put(replica: Replica, name: string, value: string, sequence?: number): Promise<number | string> {
  const id = sequence === undefined ? undefined : { client: key('client'), sequence, seen: 0 };
  const result = await replica.propose(encodeWrite(id, [], [{ type: 'put', key: key(name), value: key(value) }]), NO_LIMIT);
  return result.outcome === 'applied' ? result.version : result.outcome;
}

function entries({ engine }: Replica): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of engine.scanSync({ gte: Uint8Array.of(1) }))
    found[Buffer.from(userKey(name)).toString()] = Buffer.from(value).toString();
  return found;
}

async function filled(): Promise<NodeHarness> {
  const node = await NodeHarness.open(new SimFileSystem());
  for (const [i, name] of ['a', 'b', 'c', 'd', 'e', 'f'].entries()) await put(node.replicas.get(1)!, name, `${name} value`, i + 1);
  return node;
}

async function split(node: NodeHarness, parent: number, child: number, at: string): Promise<void> {
  const replica = node.replicas.get(parent)!;
  await splitShard(replica, { epoch: replica.shard.descriptor.epoch, child, at: { how: 'key', key: key(at) } }, NO_LIMIT);
  await node.replicas.adopt(child);
}

describe('a split', () => {
  it('gives the child the keys from the split key on, with their versions, and the parent keeps the others', async () => {
    const node = await filled();
    const version = node.replicas.get(1)!.engine.getEntrySync(engineKey(key('e')))!.version;
    await split(node, 1, 16, 'd');
    const [parent, child] = [node.replicas.get(1)!, node.replicas.get(16)!];
    expect(entries(parent)).toEqual({ a: 'a value', b: 'b value', c: 'c value' });
    expect(entries(child)).toEqual({ d: 'd value', e: 'e value', f: 'f value' });
    expect(child.engine.getEntrySync(engineKey(key('e')))!.version).toBe(version);
    expect(parent.shard.descriptor).toMatchObject({
      shard: 1,
      epoch: 2,
      state: 'normal',
      keys: { kind: 'range', start: key(''), end: key('d') },
    });
    expect(child.shard.descriptor).toMatchObject({
      shard: 16,
      epoch: 2,
      state: 'normal',
      keys: { kind: 'range', start: key('d'), end: undefined },
    });
    expect(child.stats()).toMatchObject({ role: 'leader', configuration: { voters: [1] } });
    await node.close();
  });

  it('goes on in both from the entry of the split, so that versions of a key only grow', async () => {
    const node = await filled();
    const before = node.replicas.get(1)!.applied;
    await split(node, 1, 16, 'd');
    expect(await put(node.replicas.get(16)!, 'e', 'new')).toBeGreaterThan(before);
    expect(await put(node.replicas.get(1)!, 'a', 'new')).toBeGreaterThan(before);
    await node.close();
  });

  it('leaves the memory of writes to both: what is sent again is not done again', async () => {
    const node = await filled();
    await split(node, 1, 16, 'd');
    const child = node.replicas.get(16)!;
    await put(child, 'e', 'newer', 7);
    // Number 5 was e, written before the split.
    const version = child.engine.getEntrySync(engineKey(key('e')))!.version;
    expect(await put(child, 'e', 'e value', 5)).toBeLessThan(version);
    expect(entries(child)['e']).toBe('newer');
    await node.close();
  });

  it('is told what it cannot be, and changes nothing then', async () => {
    const node = await filled();
    const replica = node.replicas.get(1)!;
    const at = (how: string) => ({ how: 'key' as const, key: key(how) });
    await expect(splitShard(replica, { epoch: 9, child: 16, at: at('d') }, NO_LIMIT)).rejects.toMatchObject({
      kind: 'conflict',
      code: 'OTHER_EPOCH',
    });
    await expect(splitShard(replica, { epoch: 1, child: 16, at: at('') }, NO_LIMIT)).rejects.toMatchObject({
      kind: 'invalid',
      code: 'SPLIT_KEY',
    });
    await expect(splitShard(replica, { epoch: 1, child: 16, at: { how: 'hash' } }, NO_LIMIT)).rejects.toMatchObject({ code: 'SPLIT_KEY' });
    await expect(splitShard(replica, { epoch: 1, child: 1, at: at('d') }, NO_LIMIT)).rejects.toMatchObject({ code: 'SPLIT_KEY' });
    expect(replica.shard.descriptor).toMatchObject({ epoch: 1, state: 'normal' });
    const prepare = encodeShardCommand({ kind: 'prepare-split', epoch: 1, child: 16, at: at('d') });
    expect(await replica.propose(prepare, NO_LIMIT)).toMatchObject({ outcome: 'shard' });
    expect(replica.shard.descriptor).toMatchObject({ epoch: 1, state: 'splitting' });
    await resumeShard(replica, 1, NO_LIMIT);
    expect(replica.shard.descriptor).toMatchObject({ epoch: 1, state: 'normal' });
    await node.close();
  });

  it('does nothing with a write that was for the shard as it was before', async () => {
    const node = await filled();
    await split(node, 1, 16, 'd');
    for (const shard of [1, 16]) {
      const operation = { type: 'put' as const, key: key(shard === 1 ? 'e' : 'a'), value: key('stray') };
      const result = await node.replicas.get(shard)!.propose(encodeWrite(undefined, [], [operation], 1), NO_LIMIT);
      expect(result).toEqual({ outcome: 'other-epoch', epoch: 2 });
    }
    expect(Object.keys({ ...entries(node.replicas.get(1)!), ...entries(node.replicas.get(16)!) })).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(entries(node.replicas.get(1)!)).not.toHaveProperty('e');
    await node.close();
  });

  it('that is ordered again is done once', async () => {
    const node = await filled();
    await split(node, 1, 16, 'd');
    const again = await splitShard(node.replicas.get(1)!, { epoch: 1, child: 16, at: { how: 'key', key: key('d') } }, NO_LIMIT);
    expect(again).toMatchObject({ parent: { epoch: 2 }, child: undefined });
    await node.close();
  });

  it('of a child that is found again, and of one that was destroyed: neither is made anew when the log is read again', async () => {
    const disk = new SimFileSystem();
    let node = await NodeHarness.open(disk);
    for (const name of ['a', 'b', 'c', 'd']) await put(node.replicas.get(1)!, name, name);
    await split(node, 1, 16, 'b');
    await split(node, 16, 17, 'c');
    await put(node.replicas.get(16)!, 'b', 'newer');
    await node.replicas.destroy(17);
    // Nothing of shard 1 is durable beyond the split: it is applied again.
    node.abandon();
    disk.crash('all');
    node = await NodeHarness.open(disk);
    expect(node.groups).toEqual([1, 2, 16]);
    expect(entries(node.replicas.get(1)!)).toEqual({ a: 'a' });
    expect(entries(node.replicas.get(16)!)).toEqual({ b: 'newer' });
    await node.close();
  });
});

describe('a split by hash', () => {
  const byHash = { ...wholeTable(16, 5), keys: { kind: 'hash' as const, bits: 0, index: 0 } };

  it('takes one more bit, and what is foreign is swept from both, entry by entry', async () => {
    const node = await NodeHarness.open(new SimFileSystem());
    await node.replicas.create(byHash, [1]);
    const names = Array.from({ length: 2500 }, (_, i) => `key ${i}`);
    await Promise.all(names.map((name) => put(node.replicas.get(16)!, name, name)));
    const { child } = await splitShard(node.replicas.get(16)!, { epoch: 1, child: 17, at: { how: 'hash' } }, NO_LIMIT);
    expect(child).toMatchObject({ keys: { kind: 'hash', bits: 1, index: 1 }, epoch: 2, state: 'splitting' });
    await node.replicas.adopt(17);
    const shards = [node.replicas.get(16)!, node.replicas.get(17)!];
    const of = (shard: number): string[] => names.filter((name) => (keyHash(key(name)) & 1) === shard).sort();
    // What is asked of one of them meanwhile is answered; what is foreign is not its own to delete.
    const range = engineRange({});
    const result = await shards[1]!.propose(encodeDeleteRange(undefined, range.start, range.end, 10_000), NO_LIMIT);
    expect(result).toMatchObject({ outcome: 'range-deleted', deleted: of(1).length });
    await expect.poll(() => shards.map(({ shard }) => shard.descriptor.state)).toEqual(['normal', 'normal']);
    expect(Object.keys(entries(shards[0]!)).sort()).toEqual(of(0));
    expect(entries(shards[1]!)).toEqual({});
    await node.close();
  });
});

describe('a merge', () => {
  async function halves(): Promise<{ node: NodeHarness; source: Replica; target: Replica }> {
    const node = await filled();
    await split(node, 1, 16, 'd');
    const [target, source] = [node.replicas.get(1)!, node.replicas.get(16)!];
    await put(source, 'f', 'newer', 8);
    for (let i = 0; i < 10; i++) await put(target, 'a', `a ${i}`);
    return { node, source, target };
  }

  it('copies what the source has behind the target’s keys, and gives them to it at once', async () => {
    const { node, source, target } = await halves();
    const sealed = await sealShard(source, 2, NO_LIMIT);
    const imported = await importShard(target, 2, source, sealed, NO_LIMIT);
    expect(imported.entries).toBe(3);
    expect(target.shard.descriptor).toMatchObject({ epoch: 2, keys: { end: key('d') } });
    await retireShard(source, 2, sealed, NO_LIMIT);
    const merged = await commitMerge(target, 2, imported.session, source.shard.descriptor, NO_LIMIT);
    expect(merged).toMatchObject({ shard: 1, epoch: 3, state: 'normal', keys: { kind: 'range', start: key(''), end: undefined } });
    expect(entries(target)).toMatchObject({ a: 'a 9', d: 'd value', e: 'e value', f: 'newer' });
    expect(await commitMerge(target, 2, imported.session, source.shard.descriptor, NO_LIMIT)).toEqual(merged);
    expect(target.shard.importing).toBeUndefined();
    await node.close();
  });

  it('brings the memory of writes along', async () => {
    const { node, source, target } = await halves();
    const version = source.engine.getEntrySync(engineKey(key('f')))!.version;
    const sealed = await sealShard(source, 2, NO_LIMIT);
    const { session } = await importShard(target, 2, source, sealed, NO_LIMIT);
    await retireShard(source, 2, sealed, NO_LIMIT);
    await commitMerge(target, 2, session, source.shard.descriptor, NO_LIMIT);
    expect(await put(target, 'f', 'twice', 8)).toBe(version);
    expect(entries(target)['f']).toBe('newer');
    await node.close();
  });

  it('takes no writes of a source that is sealed, and goes on with it when it is given up', async () => {
    const { node, source, target } = await halves();
    const sealed = await sealShard(source, 2, NO_LIMIT);
    expect(await sealShard(source, 2, NO_LIMIT)).toBe(sealed);
    expect(await put(source, 'e', 'no')).toBe('sealed');
    const { session } = await importShard(target, 2, source, sealed, NO_LIMIT);
    await resumeShard(source, 2, NO_LIMIT);
    await cancelImport(target, 2, NO_LIMIT);
    expect(entries(target)).toMatchObject({ a: 'a 9', c: 'c value' });
    expect(entries(target)).not.toHaveProperty('d');
    await put(source, 'e', 'yes');
    // What was imported is of before that: it is never taken for what the source has.
    await expect(retireShard(source, 2, sealed, NO_LIMIT)).rejects.toMatchObject({ code: 'SHARD_STATE' });
    const again = await sealShard(source, 2, NO_LIMIT);
    await expect(retireShard(source, 2, sealed, NO_LIMIT)).rejects.toMatchObject({ code: 'OTHER_SESSION' });
    await expect(commitMerge(target, 2, session, source.shard.descriptor, NO_LIMIT)).rejects.toMatchObject({ code: 'OTHER_SESSION' });
    expect(again).toBeGreaterThan(sealed);
    await node.close();
  });

  it('begins anew where an attempt before was given up half way', async () => {
    const { node, source, target } = await halves();
    const sealed = await sealShard(source, 2, NO_LIMIT);
    const first = await importShard(target, 2, source, sealed, NO_LIMIT);
    const second = await importShard(target, 2, source, sealed, NO_LIMIT);
    expect(second.session).toBeGreaterThan(first.session);
    await expect(commitMerge(target, 2, first.session, source.shard.descriptor, NO_LIMIT)).rejects.toMatchObject({ code: 'OTHER_SESSION' });
    await expect(splitShard(target, { epoch: 2, child: 20, at: { how: 'key', key: key('b') } }, NO_LIMIT)).rejects.toMatchObject({
      code: 'SHARD_STATE',
    });
    await node.close();
  });

  it('takes nothing of an attempt before: neither what it left, nor what comes late of it', async () => {
    const { node, source, target } = await halves();
    const first = await importShard(target, 2, source, await sealShard(source, 2, NO_LIMIT), NO_LIMIT);
    await resumeShard(source, 2, NO_LIMIT);
    await source.propose(encodeWrite(undefined, [], [{ type: 'delete', key: key('e') }], 2), NO_LIMIT);
    const sealed = await sealShard(source, 2, NO_LIMIT);
    const { session } = await importShard(target, 2, source, sealed, NO_LIMIT);
    const late = { key: engineKey(key('e')), value: key('late'), expiresAtMs: undefined };
    const stray = encodeShardCommand({ kind: 'import', session: first.session, requests: [], entries: [late] });
    expect(await target.propose(stray, NO_LIMIT)).toMatchObject({ outcome: 'shard-refused', code: 'OTHER_SESSION' });
    await retireShard(source, 2, sealed, NO_LIMIT);
    await commitMerge(target, 2, session, source.shard.descriptor, NO_LIMIT);
    expect(Object.keys(entries(target))).toEqual(['a', 'b', 'c', 'd', 'f']);
    await node.close();
  });

  it('is not of strangers, nor of a shard whose log is the longer one: the target’s is made longer first', async () => {
    const { node, source, target } = await halves();
    await split(node, 16, 17, 'e');
    const far = node.replicas.get(17)!;
    const sealed = await sealShard(far, 3, NO_LIMIT);
    await expect(importShard(target, 2, far, sealed, NO_LIMIT)).rejects.toMatchObject({ kind: 'invalid', code: 'NOT_NEIGHBOURS' });
    for (let i = 0; i < 40; i++) await put(source, 'd', `d ${i}`);
    const late = await sealShard(source, 3, NO_LIMIT);
    const version = source.engine.getEntrySync(engineKey(key('d')))!.version;
    expect(target.applied).toBeLessThan(version);
    const begin = encodeShardCommand({ kind: 'begin-import', epoch: 2, sealed: late, source: source.shard.descriptor });
    expect(await target.propose(begin, NO_LIMIT)).toMatchObject({ outcome: 'shard-refused', code: 'MERGE_ORDER' });
    const { session } = await importShard(target, 2, source, late, NO_LIMIT);
    expect(session).toBeGreaterThan(late);
    await retireShard(source, 3, late, NO_LIMIT);
    await commitMerge(target, 2, session, source.shard.descriptor, NO_LIMIT);
    expect(target.engine.getEntrySync(engineKey(key('d')))!.version).toBeGreaterThan(version);
    await node.close();
  });
});

describe('a merge by hash', () => {
  const NAMES: readonly string[] = Array.from({ length: 1500 }, (_, i) => `key ${i}`).sort();
  const half = (index: number): string[] => NAMES.filter((name) => (keyHash(key(name)) & 1) === index);

  /** The halves of a shard. */
  async function halves(): Promise<{ node: NodeHarness; source: Replica; target: Replica }> {
    const node = await NodeHarness.open(new SimFileSystem());
    await node.replicas.create({ ...wholeTable(16, 5), keys: { kind: 'hash', bits: 0, index: 0 } }, [1]);
    await splitShard(node.replicas.get(16)!, { epoch: 1, child: 17, at: { how: 'hash' } }, NO_LIMIT);
    await node.replicas.adopt(17);
    const [target, source] = [node.replicas.get(16)!, node.replicas.get(17)!];
    for (const [i, replica] of [target, source].entries())
      await Promise.all(half(i).map((name) => put(replica, name, `${name} of ${replica.group}`)));
    await swept(target);
    await swept(source);
    return { node, source, target };
  }

  const swept = async (replica: Replica): Promise<void> => {
    await expect.poll(() => replica.shard.descriptor.state).toBe('normal');
  };

  it('is of the two halves of a shard, and no others', async () => {
    const { node, source, target } = await halves();
    await splitShard(source, { epoch: 2, child: 18, at: { how: 'hash' } }, NO_LIMIT);
    await node.replicas.adopt(18);
    await swept(source);
    const sealed = await sealShard(source, 3, NO_LIMIT);
    await expect(importShard(target, 2, source, sealed, NO_LIMIT)).rejects.toMatchObject({ kind: 'invalid', code: 'NOT_NEIGHBOURS' });
    await node.close();
  });

  it('brings keys between the target’s own, which nobody comes upon before they are', async () => {
    const { node, source, target } = await halves();
    const sealed = await sealShard(source, 2, NO_LIMIT);
    expect(target.shard.mixed).toBe(false);
    const { session, entries: copied } = await importShard(target, 2, source, sealed, NO_LIMIT);
    expect(copied).toBe(half(1).length);
    expect(target.shard.descriptor).toMatchObject({ epoch: 2, keys: { bits: 1, index: 0 }, state: 'normal' });
    // They are there, and passed over.
    expect(Object.keys(entries(target)).sort()).toEqual(NAMES);
    expect(target.shard.mixed).toBe(true);
    const range = engineRange({ lt: key('key 5') });
    const deleted = await target.propose(encodeDeleteRange(undefined, range.start, range.end, 10_000), NO_LIMIT);
    expect(deleted).toMatchObject({ outcome: 'range-deleted', deleted: half(0).filter((name) => name < 'key 5').length });
    await retireShard(source, 2, sealed, NO_LIMIT);
    const merged = await commitMerge(target, 2, session, source.shard.descriptor, NO_LIMIT);
    expect(merged).toMatchObject({ shard: 16, epoch: 3, state: 'normal', keys: { kind: 'hash', bits: 0, index: 0 } });
    expect(target.shard.mixed).toBe(false);
    expect(Object.keys(entries(target)).sort()).toEqual(NAMES.filter((name) => name >= 'key 5' || half(1).includes(name)));
    await node.close();
  });

  it('that is given up leaves nothing: what was brought is swept', async () => {
    const { node, source, target } = await halves();
    const sealed = await sealShard(source, 2, NO_LIMIT);
    await importShard(target, 2, source, sealed, NO_LIMIT);
    await cancelImport(target, 2, NO_LIMIT);
    expect(target.shard.mixed).toBe(true);
    await expect(importShard(target, 2, source, sealed, NO_LIMIT)).rejects.toMatchObject({ kind: 'unavailable', code: 'SHARD_UNSWEPT' });
    await swept(target);
    expect(target.shard.mixed).toBe(false);
    expect(Object.keys(entries(target)).sort()).toEqual(half(0));
    await node.close();
  });

  it('takes nothing of an attempt before', async () => {
    const { node, source, target } = await halves();
    await importShard(target, 2, source, await sealShard(source, 2, NO_LIMIT), NO_LIMIT);
    await resumeShard(source, 2, NO_LIMIT);
    const [gone] = half(1);
    await source.propose(encodeWrite(undefined, [], [{ type: 'delete', key: key(gone!) }], 2), NO_LIMIT);
    const sealed = await sealShard(source, 2, NO_LIMIT);
    await expect(importShard(target, 2, source, sealed, NO_LIMIT)).rejects.toMatchObject({ kind: 'unavailable', code: 'SHARD_UNSWEPT' });
    await swept(target);
    const { session } = await importShard(target, 2, source, sealed, NO_LIMIT);
    await retireShard(source, 2, sealed, NO_LIMIT);
    await commitMerge(target, 2, session, source.shard.descriptor, NO_LIMIT);
    expect(Object.keys(entries(target)).sort()).toEqual(NAMES.filter((name) => name !== gone));
    await node.close();
  });
});
