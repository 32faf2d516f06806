/** What the gateway tells clients of the cluster: in refusals, in a session's greeting, and in the answer to a ping. */
import { credentials } from '@grpc/grpc-js';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { SparrowError } from '../../../base/errors.ts';
import {
  FRAME_ANSWER,
  FRAME_GREETING,
  FRAME_PING,
  KvClient,
  Leadership,
  readFrames,
  type SessionFrame,
  SessionGreeting,
  SessionWriter,
} from '../../../proto/index.ts';
import { ClusterView, NO_CLUSTER } from '../../../server/gateway/index.ts';
import { type NodeShards, type Replica, soleShard } from '../../../server/node/index.ts';
import { startServer } from '../../../server/index.ts';

const IDENTITY = {
  clusterId: '00000000000000aa',
  members: new Map([
    [1, 'one:7400'],
    [2, 'two:7400'],
  ]),
};
const refusal = new SparrowError('rerouted', 'NOT_LEADER', 'member 3 leads', { leader: 3, applied: false });

function replica(stats: { id: number; leader: number; term: number; stoppedBecause?: SparrowError }): NodeShards {
  return soleShard({ stats: () => stats } as unknown as Replica);
}

it('a refusal for not leading says where the leader is now, and in which term', () => {
  const view = new ClusterView(IDENTITY, replica({ id: 1, leader: 2, term: 9 }));
  expect(view.routed(refusal)).toMatchObject({
    kind: 'rerouted',
    code: 'NOT_LEADER',
    message: 'node 2 leads',
    details: { leader: 2, leaderAddress: 'two:7400', term: 9, applied: false },
  });
});

it('a leader whose address nobody gave is told by its id alone', () => {
  const view = new ClusterView(NO_CLUSTER, replica({ id: 1, leader: 2, term: 9 }));
  expect((view.routed(refusal) as SparrowError).details).toEqual({ leader: 2, term: 9, applied: false });
});

it.each([0, 1])('when the leader is lost, or this node itself (%i), by the time of the refusal, nobody is sent anywhere', (leader) => {
  const view = new ClusterView(IDENTITY, replica({ id: 1, leader, term: 9 }));
  expect(view.routed(refusal)).toMatchObject({ kind: 'unavailable', code: 'NO_LEADER', details: { leader: 0, term: 9, applied: false } });
});

it('other errors are told as they are', () => {
  const view = new ClusterView(IDENTITY, replica({ id: 1, leader: 2, term: 9 }));
  const error = new SparrowError('exhausted', 'OVERLOADED', 'too much');
  expect(view.routed(error)).toBe(error);
  expect(view.routed('text')).toBe('text');
});

it('a replica that stopped does not say that it leads', () => {
  const stoppedBecause = new SparrowError('unavailable', 'REPLICA_STOPPED', 'the disk failed');
  expect(new ClusterView(IDENTITY, replica({ id: 1, leader: 1, term: 9, stoppedBecause })).leadership()).toEqual({ leaderId: 0, term: 9 });
  expect(new ClusterView(IDENTITY, replica({ id: 1, leader: 2, term: 9, stoppedBecause })).leadership()).toEqual({ leaderId: 2, term: 9 });
});

it('a session greets with node and leader, and answers pings with who leads', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sparrowkv-ping-'));
  const server = await startServer({ data: directory, listen: '127.0.0.1:0', logLevel: 'silent' });
  const client = new KvClient(server.address, credentials.createInsecure());
  try {
    const stream = client.session();
    stream.on('error', () => undefined);
    const frames: SessionFrame[] = [];
    stream.on('data', (message: Buffer) => frames.push(...readFrames(message)));
    await expect.poll(() => frames.length).toBe(1);
    expect(frames[0].kind).toBe(FRAME_GREETING);
    const greeting = SessionGreeting.decode(frames[0].payload);
    expect(greeting).toMatchObject({ nodeId: 1, clusterId: '', members: [], leadership: { leaderId: 1 } });

    const writer = new SessionWriter();
    writer.append(FRAME_PING, 7, 0, Buffer.alloc(0));
    writer.append(FRAME_PING, 8, 0, Buffer.alloc(0));
    stream.write(writer.take());
    await expect.poll(() => frames.length).toBe(3);
    expect(frames.slice(1).map(({ kind, call, payload }) => [kind, call, Leadership.decode(payload)])).toEqual([
      [FRAME_ANSWER, 7, greeting.leadership],
      [FRAME_ANSWER, 8, greeting.leadership],
    ]);
    stream.cancel();
  } finally {
    client.close();
    await server.close();
    await rm(directory, { recursive: true });
  }
});
