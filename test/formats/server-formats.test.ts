/**
 * The bytes that a server writes, version 1 of each: segments of a node's log, commands, session messages, messages between nodes. The files under golden/ are the worked
 * examples of docs/formats; a later release must read them. UPDATE_GOLDEN=1 writes them anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  encodeHot,
  FRAME_ANSWER,
  FRAME_CANCEL,
  FRAME_GET,
  FRAME_PUT,
  getRequestCodec,
  putRequestCodec,
  putResponseCodec,
  readFrames,
  SessionWriter,
  unwrapMessage,
} from '../../proto/index.ts';
import { decodeCommand, encodeRemoved } from '../../server/node/command-codec.ts';
import { GroupDirectory } from '../../server/node/group-directory.ts';
import { decodeBeginning, encodeBeginning } from '../../server/node/replica-beginning.ts';
import { sameKeys, wholeTable } from '../../server/shard/descriptor.ts';
import { decodeIdentity, encodeIdentity } from '../../server/node/node-identity.ts';
import { encodeBegun, encodeDeleteRange, encodeNode, encodeWrite, engineKey, NodeLog } from '../../server/node/index.ts';
import { encodeShardCommand, type ShardCommand } from '../../server/node/shard-commands.ts';
import { hash } from '../server/node/hash.ts';
import {
  decodeGreeting,
  decodeSnapshotMessage,
  encodeGreeting,
  encodeSnapshotMessage,
  PacketWriter,
  readPacket,
} from '../../server/transport/index.ts';
import { oneOfEach } from '../server/transport/messages.ts';
import { NodeClock, NodeScheduler } from '../../base/node/index.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { SimFileSystem } from '../sim/sim-file-system.ts';

/** 16 bytes a line. */
function dump(bytes: Uint8Array): string {
  return `${(
    Buffer.from(bytes)
      .toString('hex')
      .match(/.{1,32}/g) ?? []
  )
    .map((row) => row.replaceAll(/(..)(?=.)/g, '$1 '))
    .join('\n')}\n`;
}

function undump(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

/** Compares with the golden file; returns what that holds. */
function golden(name: string, bytes: Uint8Array): Buffer {
  const path = new URL(`./golden/${name}.hex`, import.meta.url);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, dump(bytes));
  const text = readFileSync(path, 'utf8');
  expect(dump(bytes)).toBe(text);
  return undump(text);
}

/** The example stands in the document as it stands in the golden file. */
function documented(document: string, name: string): void {
  const text = readFileSync(new URL(`../../docs/formats/${document}`, import.meta.url), 'utf8').replaceAll(/ {3,}.*$/gm, '');
  const hex = readFileSync(new URL(`./golden/${name}.hex`, import.meta.url), 'utf8').replaceAll(/\s/g, '');
  const blocks = [...text.matchAll(/```\n([\s\S]*?)```/g)].map((match) => match[1]!.replaceAll(/\s/g, ''));
  expect(blocks).toContain(hex);
}

describe('the identity of a node, version 1', () => {
  it('says which node of which cluster a directory is, as documented', () => {
    const identity = { nodeId: 2, clusterId: 0x6f1d2c3b4a596877n, voters: [1, 2, 3], directoryId: '93c1a85be07d2f64' };
    const bytes = golden('node-identity-v1', encodeIdentity(identity));
    expect(decodeIdentity(bytes, 'node.json')).toEqual(identity);
    documented('node.md', 'node-identity-v1');
  });

  it('of a directory without an id of its own is as it was before there were any', () => {
    const bytes = Buffer.from('{"format":1,"nodeId":2,"clusterId":"6f1d2c3b4a596877","voters":[1,2,3],"check":"e7c8bd4a561c42e4"}\n');
    const identity = { nodeId: 2, clusterId: 0x6f1d2c3b4a596877n, voters: [1, 2, 3], directoryId: undefined };
    expect(decodeIdentity(bytes, 'node.json')).toEqual(identity);
    expect(encodeIdentity(identity)).toEqual(bytes);
  });
});

describe('the directory of a group, version 1', () => {
  it('says where the engine is, as documented', () => {
    const disk = new SimFileSystem();
    const directory = new GroupDirectory(disk, '/group', hash);
    directory.switchTo({ index: 300, term: 4 });
    const file = disk.openSync('/group/current', 'read');
    const bytes = Buffer.alloc(file.sizeSync());
    file.readSync(bytes, 0, bytes.length, 0);
    file.closeSync();
    disk.replace('/group/current', golden('group-directory-v1', bytes));
    documented('group-directory.md', 'group-directory-v1');
    const again = new GroupDirectory(disk, '/group', hash);
    expect(again).toMatchObject({ engine: '/group/b/files', begin: { index: 300, term: 4 } });
  });
});

describe('the beginning of a replica, version 1', () => {
  it('says what its shard is and who votes, as documented', () => {
    const keys = { kind: 'range', start: Buffer.from('m'), end: Buffer.from('t') } as const;
    const beginning = { descriptor: { ...wholeTable(20, 5), epoch: 3, keys }, voters: [1, 2, 4] };
    const bytes = golden('replica-beginning-v1', encodeBeginning(beginning, hash));
    documented('group-directory.md', 'replica-beginning-v1');
    const found = decodeBeginning(bytes, 'beginning', hash);
    expect(found).toMatchObject({ voters: [1, 2, 4], descriptor: { shard: 20, table: 5, epoch: 3, state: 'normal' } });
    expect(sameKeys(found.descriptor.keys, keys)).toBe(true);
    bytes[40]! ^= 1;
    expect(() => decodeBeginning(bytes, 'beginning', hash)).toThrow(expect.objectContaining({ code: 'CORRUPT_GROUP' }));
  });
});

describe("a segment of a node's log, version 1", () => {
  const NOTHING = new Uint8Array(0);
  const options = { directory: '/log', hash, clock: new NodeClock(), scheduler: new NodeScheduler(), segmentBytes: 1 << 20, cacheBytes: 0 };
  const open = (fileSystem: SimFileSystem): NodeLog => NodeLog.open({ ...options, fileSystem, random: new SimRandom(1) });

  /** A log of which nothing but these segments is there. */
  function reopened(...segments: Uint8Array[]): NodeLog {
    const disk = new SimFileSystem();
    disk.makeDirectorySync('/log');
    for (const [i, bytes] of segments.entries()) disk.replace(`/log/00000${i + 1}.raft`, bytes);
    return open(disk);
  }

  it('is written and read', async () => {
    const disk = new SimFileSystem();
    const log = open(disk);
    const group = log.group(1);
    await group.append({ term: 1, vote: 1, commit: 0 }, [{ index: 1, term: 1, data: NOTHING }], true);
    await group.append({ term: 1, vote: 1, commit: 1 }, [{ index: 2, term: 1, data: Buffer.from('sparrow') }], true);
    const bytes = golden('raft-log-v1', disk.contents('/log/000001.raft').subarray(0, 64 + 3 * 40 + 2 * 48 + 40 + 48));
    log.abort();
    documented('raft-log.md', 'raft-log-v1');
    const found = reopened(bytes);
    expect(found.group(1).contents()).toMatchObject({ lastIndex: 2, hardState: { term: 1, vote: 1, commit: 1 }, damage: undefined });
    expect((await found.group(1).read(1, 2, 100)).map(({ data }) => Buffer.from(data).toString())).toEqual(['', 'sparrow']);
    await found.close();
  });

  it('has frames of every kind', async () => {
    const disk = new SimFileSystem();
    const log = NodeLog.open({ ...options, fileSystem: disk, random: new SimRandom(1), segmentBytes: 1460 });
    const [one, two, three, four] = [log.group(1), log.group(2), log.group(3), log.group(4)];
    const change = { type: 'simple', members: [{ type: 'make-learner', id: 7, witness: true }] } as const;
    await one.append({ term: 2, vote: 1, commit: 0 }, [{ index: 1, term: 2, data: NOTHING, change }], true);
    await one.append(undefined, [{ index: 2, term: 2, data: NOTHING, withheldBytes: 70 }], true);
    await two.append({ term: 1, vote: 0, commit: 0 }, [{ index: 1, term: 1, data: Buffer.from('x') }], true);
    await three.append({ term: 1, vote: 0, commit: 0 }, [{ index: 1, term: 1, data: Buffer.from('y') }], true);
    one.compact(1, Buffer.from('as of 1'));
    await two.restore(9, 3, Buffer.from('as of 9'));
    await three.remove();
    await four.append({ term: 8, vote: 2, commit: 0 }, [], true);
    await four.retire();
    await one.endKnown();
    await two.append({ term: 3, vote: 0, commit: 9 }, [{ index: 10, term: 3, data: Buffer.alloc(400, 'z') }], true);
    await one.append({ term: 2, vote: 1, commit: 2 }, [], true);
    const last = 64 + 40 + 2 * 88 + 80 + 40 + 48;
    const names = ['raft-log-kinds-1-v1', 'raft-log-kinds-2-v1'];
    const written = ['/log/000001.raft', '/log/000002.raft'].map((path, i) => disk.contents(path).subarray(0, i === 0 ? undefined : last));
    log.abort();
    const found = reopened(...written.map((bytes, i) => golden(names[i]!, bytes)));
    expect(found.damage).toEqual([]);
    expect(found.groups).toEqual([1, 2, 4]);
    expect(found.group(1).contents()).toMatchObject({
      compactedIndex: 1,
      lastIndex: 2,
      note: Uint8Array.from(Buffer.from('as of 1')),
      hardState: { term: 2, vote: 1, commit: 2 },
    });
    expect(await found.group(1).read(2, 2, 100)).toEqual([{ index: 2, term: 2, data: NOTHING, withheldBytes: 70 }]);
    expect(found.group(4).contents()).toMatchObject({ retired: true, lastIndex: 0, hardState: { term: 8, vote: 2, commit: 0 } });
    expect(found.group(2).contents()).toMatchObject({ compactedIndex: 9, compactedTerm: 3, lastIndex: 10 });
    await found.close();
  });
});

describe("a segment of a node's log that tells of a retired group", () => {
  it('has the last entry of the log that was there', async () => {
    const options = { directory: '/log', hash, clock: new NodeClock(), scheduler: new NodeScheduler(), segmentBytes: 1024, cacheBytes: 0 };
    const disk = new SimFileSystem();
    const log = NodeLog.open({ ...options, fileSystem: disk, random: new SimRandom(1) });
    const entry = (index: number, bytes: number) => ({ index, term: 3, data: Buffer.alloc(bytes, 'x') });
    await log.group(4).append({ term: 3, vote: 2, commit: 1 }, [entry(1, 1), entry(2, 1)], true);
    await log.group(4).retire();
    for (let i = 1; i <= 4; i++) await log.group(5).append({ term: 3, vote: 0, commit: 0 }, [entry(i, 500)], true);
    const written = disk.contents('/log/000002.raft').subarray(0, 64 + 40 + 96 + 80);
    log.abort();
    const found = new SimFileSystem();
    found.makeDirectorySync('/log');
    found.replace('/log/000002.raft', golden('raft-log-retired-v1', written));
    const again = NodeLog.open({ ...options, fileSystem: found, random: new SimRandom(1) });
    expect(again.group(4).contents()).toMatchObject({
      retired: true,
      retiredIndex: 2,
      retiredTerm: 3,
      lastIndex: 0,
      hardState: { term: 3, vote: 2 },
    });
    await again.close();
  });
});

describe('a command, version 1', () => {
  const key = (text: string): Buffer => Buffer.from(text);

  it('of a write is written and read', () => {
    const id = { client: key('client 1'), sequence: 7, seen: 300 };
    const conditions = [{ kind: 'version' as const, key: key('bird'), version: 300 }];
    const operations = [
      { type: 'put' as const, key: key('bird'), value: key('sparrow') },
      { type: 'delete' as const, key: key('cat') },
    ];
    const bytes = golden('command-write-v1', encodeWrite(id, conditions, operations));
    documented('command.md', 'command-write-v1');
    expect(decodeCommand(bytes)).toMatchObject({
      kind: 'write',
      id: { sequence: 7, seen: 300 },
      conditions: [{ version: 300 }],
      operations: [{ type: 'put' }, { type: 'delete' }],
    });
  });

  it('for an epoch of its shard is written and read', () => {
    const bytes = golden('command-epoch-v1', encodeWrite(undefined, [], [{ type: 'delete', key: key('cat') }], 3));
    documented('command.md', 'command-epoch-v1');
    expect(decodeCommand(bytes)).toMatchObject({ kind: 'write', epoch: 3, id: undefined, operations: [{ type: 'delete' }] });
  });

  it('at a time, with a put that expires', () => {
    const operations = [{ type: 'put' as const, key: key('cat'), value: key('purr'), expiresAtMs: 1_800_000_060_000 }];
    const bytes = golden(
      'command-expiry-v1',
      encodeWrite(undefined, [{ kind: 'absent', key: key('cat') }], operations, 0, 1_800_000_000_000),
    );
    documented('command.md', 'command-expiry-v1');
    expect(decodeCommand(bytes)).toMatchObject({ nowMs: 1_800_000_000_000, operations: [{ type: 'put', expiresAtMs: 1_800_000_060_000 }] });
  });

  it('of a range delete is written and read', () => {
    const bytes = golden('command-delete-range-v1', encodeDeleteRange(undefined, engineKey(key('a')), engineKey(key('c')), 4096));
    documented('command.md', 'command-delete-range-v1');
    expect(decodeCommand(bytes)).toMatchObject({ kind: 'delete-range', id: undefined, limit: 4096 });
  });

  it('of where a node is, is written and read', () => {
    const known = { address: '10.0.0.4:7400', peerAddress: '10.1.0.4:7401' };
    const bytes = golden('command-node-v1', encodeNode(4, known));
    documented('command.md', 'command-node-v1');
    expect(decodeCommand(bytes)).toEqual({ kind: 'node', epoch: 0, id: undefined, node: 4, known });
  });

  it('of who has data, is written and read', () => {
    const bytes = golden('command-begun-v1', encodeBegun(4));
    documented('command.md', 'command-begun-v1');
    expect(decodeCommand(bytes)).toEqual({ kind: 'begun', epoch: 0, id: undefined, node: 4 });
  });

  it('of who has left the cluster, is written and read', () => {
    const bytes = golden('command-removed-v1', encodeRemoved(4));
    documented('command.md', 'command-removed-v1');
    expect(decodeCommand(bytes)).toEqual({ kind: 'removed', epoch: 0, id: undefined, node: 4 });
  });

  it('of a split is written and read', () => {
    const change: ShardCommand = { kind: 'split', epoch: 3, child: 16, at: { how: 'key', key: Uint8Array.from(key('m')) } };
    const bytes = golden('command-split-v1', encodeShardCommand(change));
    documented('command.md', 'command-split-v1');
    expect(decodeCommand(bytes)).toEqual({ kind: 'shard', change });
  });

  it('of an import is written and read', () => {
    const requests = [{ client: key('c1'), sequence: 7, index: 300, result: new Uint8Array(0) }];
    const entries = [{ key: engineKey(key('owl')), value: key('hoot'), expiresAtMs: 2000 }];
    const bytes = golden('command-import-v1', encodeShardCommand({ kind: 'import', session: 400, requests, entries }));
    documented('command.md', 'command-import-v1');
    expect(decodeCommand(bytes)).toMatchObject({
      kind: 'shard',
      change: { kind: 'import', session: 400, requests: [{ sequence: 7, index: 300 }], entries: [{ expiresAtMs: 2000 }] },
    });
  });
});

describe('a session message, revision 1', () => {
  it('from a client is written and read', () => {
    const writer = new SessionWriter();
    const requestId = { client: Buffer.from('client 1'), sequence: 7, seen: 300 };
    writer.append(FRAME_PUT, 1, 5000, encodeHot(putRequestCodec, { key: Buffer.from('bird'), value: Buffer.from('sparrow'), requestId }));
    writer.append(FRAME_GET, 2, 0, encodeHot(getRequestCodec, { key: Buffer.from('bird'), versionOnly: false, anyNode: undefined }));
    writer.append(FRAME_CANCEL, 2, 0, new Uint8Array(0));
    const bytes = golden('session-request-v1', writer.take());
    documented('session.md', 'session-request-v1');
    expect([...readFrames(unwrapMessage(bytes))]).toMatchObject([
      { kind: FRAME_PUT, call: 1, argument: 5000 },
      { kind: FRAME_GET, call: 2 },
      { kind: FRAME_CANCEL, call: 2 },
    ]);
  });

  it('from a server is written and read', () => {
    const writer = new SessionWriter();
    writer.append(FRAME_ANSWER, 1, 0, encodeHot(putResponseCodec, { version: 301 }));
    const bytes = golden('session-response-v1', writer.take());
    documented('session.md', 'session-response-v1');
    expect([...readFrames(unwrapMessage(bytes))]).toMatchObject([{ kind: FRAME_ANSWER, call: 1, payload: Buffer.of(8, 0xad, 2) }]);
  });
});

describe('messages between nodes, format 1', () => {
  it('begin with a greeting', () => {
    const greeting = { oldest: 1, newest: 1, cluster: 0x0123456789abcdefn, from: 1, to: 2, incarnation: 0xfedcba9876543210n };
    const bytes = golden('peer-greeting-v1', encodeGreeting(greeting, hash));
    documented('raft-wire.md', 'peer-greeting-v1');
    expect(decodeGreeting(bytes, hash)).toEqual(greeting);
  });

  it('of every type are written and read', () => {
    const writer = new PacketWriter(1, 2, hash);
    for (const { group, message } of oneOfEach()) writer.add(group, message);
    writer.offer(1, '1-00c0ffee');
    const bytes = golden('peer-packet-v1', writer.take());
    documented('raft-wire.md', 'peer-packet-v1');
    const { messages, offers } = readPacket(bytes, 1, 2, hash);
    expect(messages.map(({ group, message: { type } }) => [group, type])).toEqual(
      oneOfEach().map(({ group, message }) => [group, message.type]),
    );
    expect(offers).toEqual([{ group: 1, id: '1-00c0ffee' }]);
  });

  it('carry snapshots', () => {
    const configuration = { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [], witnesses: [3], autoLeave: false };
    const files = [{ name: 'CURRENT', bytes: 16 }];
    const head = { group: 1, term: 7, snapshot: { index: 300, term: 6, configuration }, id: '1-00c0ffee', files };
    const bytes = golden('peer-snapshot-head-v1', encodeSnapshotMessage({ kind: 'head', head }, hash));
    documented('raft-wire.md', 'peer-snapshot-head-v1');
    expect(decodeSnapshotMessage(bytes, hash)).toEqual({ kind: 'head', head });
  });
});
