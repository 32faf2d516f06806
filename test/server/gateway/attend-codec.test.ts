import { describe, expect, it } from 'vitest';
import { AttendRequest, AttendResponse } from '../../../proto/index.ts';
import { attendRequest, attendResponse, fromNode, toNode } from '../../../server/gateway/attend-codec.ts';
import type { FromNode, ShardReport, ToNode } from '../../../server/meta/attending.ts';
import type { Order } from '../../../server/meta/orders.ts';
import { votersOnly } from '../../../server/raft/index.ts';
import { ALL_KEYS, type ShardDescriptor, wholeTable } from '../../../server/shard/descriptor.ts';

const RANGE: ShardDescriptor = {
  ...wholeTable(16, 17),
  epoch: 3,
  keys: { kind: 'range', start: Uint8Array.of(1, 0), end: Uint8Array.of(9) },
  state: 'splitting',
  ttlMs: 5000,
};
const HASH: ShardDescriptor = { ...wholeTable(18, 19), keys: { kind: 'hash', bits: 3, index: 5 } };

const PLACE = { node: 4, address: 'h:1', peerAddress: 'h:2', zone: 'a', pool: 'default', role: 'all' } as const;
const LOAD = {
  diskUsedBytes: 1e12,
  diskFreeBytes: 5,
  cpu: 0.25,
  io: 0.5,
  ioBytesPerSecond: 4096,
  readsPerSecond: 1.5,
  writesPerSecond: 2,
  bytesPerSecond: 3,
  slowDisk: 1.25,
  snapshots: 2,
};
const SHARD: ShardReport = {
  descriptor: RANGE,
  role: 'leader',
  term: 7,
  leader: 4,
  configuration: { ...votersOnly([1, 4, 9]), outgoing: [1, 2], learners: [12], learnersNext: [2], witnesses: [9], autoLeave: true },
  configurationIndex: 77,
  matches: [
    { node: 1, match: 5 },
    { node: 12, match: 2 ** 50 },
  ],
  applied: 100,
  lastIndex: 101,
  diskBytes: 1e9,
  keysCount: 12,
  readsPerSecond: 1,
  writesPerSecond: 0.5,
  bytesPerSecond: 100.25,
  stoppedBecause: '',
};

const UP: readonly FromNode[] = [
  {
    type: 'register',
    registration: {
      ...PLACE,
      clusterId: '00000000000000ff',
      labels: { rack: 'r1', disk: 'nvme' },
      version: '1.2.3',
      incarnation: 'abc',
      directoryId: '93c1a85be07d2f64',
      diskBytes: 2 ** 52,
      cores: 8,
    },
  },
  {
    type: 'report',
    report: {
      sequence: 1,
      load: LOAD,
      shards: [SHARD, { ...SHARD, descriptor: HASH, role: 'stopped', stoppedBecause: 'its disk' }],
      failed: [{ shard: 21, why: 'the disk is full' }],
      full: true,
      gone: [3, 5],
    },
  },
  {
    type: 'report',
    report: { sequence: 2, load: LOAD, shards: [], full: false, gone: [] },
  },
  { type: 'done', done: { id: '12.3', result: { outcome: 'done' } } },
  { type: 'done', done: { id: '12.3', result: { outcome: 'refused', code: 'NOT_LEADER', message: 'no', again: true, leader: 3 } } },
  { type: 'probed', node: 9, reached: true },
];

const ORDERS: readonly Order[] = [
  { type: 'create-replica', descriptor: HASH, voters: [1, 2, 3] },
  { type: 'create-replica', descriptor: { ...RANGE, keys: ALL_KEYS }, voters: [] },
  { type: 'destroy-replica', shard: 16 },
  { type: 'change-members', shard: 16, change: { type: 'simple', members: [{ type: 'make-learner', id: 5, witness: true }] } },
  {
    type: 'change-members',
    shard: 16,
    change: {
      type: 'enter-joint',
      members: [
        { type: 'make-learner', id: 1 },
        { type: 'make-voter', id: 5 },
      ],
      autoLeave: true,
    },
  },
  { type: 'transfer', shard: 16, to: 3 },
  { type: 'split', shard: 16, epoch: 3, child: 20, at: { kind: 'key', key: Uint8Array.of(5) } },
  { type: 'split', shard: 16, epoch: 3, child: 20, at: { kind: 'middle' } },
  { type: 'split', shard: 16, epoch: 3, child: 20, at: { kind: 'hash' } },
  { type: 'seal', shard: 16 },
  { type: 'unseal', shard: 16 },
  { type: 'retire', shard: 16, into: 17 },
  { type: 'absorb', shard: 16, source: RANGE, commit: false },
  { type: 'absorb', shard: 16, source: RANGE, commit: true },
  { type: 'forget', shard: 16, source: RANGE },
  { type: 'describe', descriptor: RANGE },
];

const DOWN: readonly ToNode[] = [
  { type: 'welcome', term: 3, leader: 2, reportMs: 1000 },
  { type: 'nodes', version: 9, nodes: [PLACE, { ...PLACE, node: 5, role: 'proxy' }], removed: [7] },
  { type: 'probe', node: 3 },
  ...ORDERS.map((order): ToNode => ({ type: 'order', term: 5, given: { id: '1.2', order } })),
];

describe('what passes over Attend', () => {
  it.each(UP)('$type of a node comes as it went', (message) => {
    const bytes = AttendRequest.encode(attendRequest(message)).finish();
    expect(plain(fromNode(AttendRequest.decode(bytes)))).toEqual(plain(message));
  });

  it.each(DOWN)('$type of the leader comes as it went', (message) => {
    const bytes = AttendResponse.encode(attendResponse(message)).finish();
    expect(plain(toNode(AttendResponse.decode(bytes)))).toEqual(plain(message));
  });

  it('a message of a later release is not understood, and the stream goes on', () => {
    expect(toNode(AttendResponse.decode(Buffer.of(0xfa, 0x07, 0x00)))).toBeUndefined();
  });

  it('a message that makes no sense is refused', () => {
    const registration = UP[0] as Extract<FromNode, { type: 'register' }>;
    const other = attendRequest({ ...registration, registration: { ...registration.registration, role: 'king' as never } });
    expect(() => fromNode(other)).toThrow("role is one of meta, node, proxy, all, not 'king'");
    expect(() => fromNode(attendRequest({ ...registration, registration: { ...registration.registration, node: 0 } }))).toThrow(
      'without an id',
    );
    expect(() => fromNode({ message: undefined })).toThrow('Attend: a message of a node is empty');
  });
});

/** Buffers and Uint8Arrays of the same bytes are the same. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, function (this: Record<string, unknown>, name, field: unknown) {
      const raw = this[name];
      return raw instanceof Uint8Array ? Buffer.from(raw).toString('hex') : field;
    }),
  );
}
