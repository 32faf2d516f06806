/** The verbs of Admin about a cluster, on simulated machines: what they refuse, and what a node tells. */
import { describe, expect, it } from 'vitest';
import { SparrowError } from '../../../base/errors.ts';
import { MemberRole, type NodeAddresses, ProgressState, Role } from '../../../proto/index.ts';
import { ClusterAdmin, type OwnNode } from '../../../server/gateway/cluster-admin.ts';
import { ClusterView } from '../../../server/gateway/index.ts';
import { type Replica, soleShard } from '../../../server/node/index.ts';
import { at, SimGroup } from '../node/sim-group.ts';

const refused = (code: string, details: object = {}): Error =>
  expect.objectContaining({ code, details: expect.objectContaining(details) as object }) as Error;

/** Node ids that a probe finds elsewhere. */
const wrong = new Set<number>();
const links = {
  reachable: () => true,
  probe: (node: number) =>
    wrong.has(node)
      ? Promise.reject(new SparrowError('invalid', 'OTHER_NODE', 'it is another one', { applied: false }))
      : Promise.resolve(),
};

function adminOf(replica: Replica, own: Partial<OwnNode> = {}): ClusterAdmin {
  const view = new ClusterView({ clusterId: '00000000000000aa', members: new Map() }, soleShard(replica));
  return new ClusterAdmin(replica, view, '1', () => ({ ...at(replica.stats().id), links, ...own }));
}

const learner = (node: NodeAddresses): { change: { $case: 'addLearner'; value: NodeAddresses } } => ({
  change: { $case: 'addLearner', value: node },
});

describe('a change of members', () => {
  it('goes to the leader, by a call of any shape', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    const follower = adminOf(cluster.replica([1, 2, 3].find((id) => id !== leader.stats().id)!));
    const changes = [
      learner({ id: 4, ...at(4) }).change,
      { $case: 'setAddresses', value: { id: 2, ...at(4) } },
      { $case: 'promote', value: 4 },
      { $case: 'demote', value: 1 },
      { $case: 'remove', value: 1 },
      { $case: 'replace', value: { voter: 1, learner: 4 } },
    ] as const;
    for (const change of changes)
      await expect(follower.changeMembers({ change })).rejects.toThrow(refused('NOT_LEADER', { applied: false }));
    await expect(follower.transferLead({ to: 0 })).rejects.toThrow(refused('NOT_LEADER'));
  });

  it('is refused, with the field, where it is malformed', async () => {
    const cluster = new SimGroup();
    const admin = adminOf(await cluster.led());
    await expect(admin.changeMembers({ change: undefined })).rejects.toThrow(refused('CHANGE_EMPTY', { field: 'change' }));
    await expect(admin.changeMembers({ change: { $case: 'promote', value: 0 } })).rejects.toThrow(refused('NODE_ID', { field: 'promote' }));
    await expect(admin.changeMembers(learner({ id: 0, ...at(4) }))).rejects.toThrow(refused('NODE_ID', { field: 'add_learner.id' }));
    for (const address of ['', 'nowhere', '10.0.0.4:0', '0.0.0.0:7400', `${'a'.repeat(256)}:1`]) {
      const field = 'add_learner.address';
      await expect(admin.changeMembers(learner({ id: 4, address, peerAddress: 'a:1' }))).rejects.toThrow(
        expect.objectContaining({ kind: 'invalid', details: expect.objectContaining({ field }) as object }) as Error,
      );
    }
    await expect(admin.changeMembers({ change: { $case: 'remove', value: 9 } })).rejects.toThrow(refused('NOT_A_MEMBER', { node: 9 }));
    await expect(admin.changeMembers({ change: { $case: 'setAddresses', value: { id: 9, ...at(9) } } })).rejects.toThrow(
      refused('NOT_A_MEMBER'),
    );
    await expect(admin.transferLead({ to: 9 })).rejects.toThrow(refused('NOT_A_MEMBER'));
    expect(() => admin.recoveryPlan({ voters: [] })).toThrow(refused('NODE_ID', { field: 'voters' }));
    expect(() => admin.recoveryPlan({ voters: [1, 1] })).toThrow(refused('NODE_ID'));
    expect(() => admin.recover({ voters: [1], token: '' })).toThrow(refused('TOKEN_EMPTY', { field: 'token' }));
  });

  it('changes nothing when the node is not where it is said to be, or somebody else is', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    const admin = adminOf(leader);
    wrong.add(4);
    await expect(cluster.done(admin.changeMembers(learner({ id: 4, ...at(4) })))).rejects.toThrow(refused('OTHER_NODE'));
    wrong.delete(4);
    expect([leader.book.nodes.has(4), leader.members]).toEqual([false, [1, 2, 3]]);
    await expect(adminOf(leader, { links: undefined }).changeMembers(learner({ id: 4, ...at(4) }))).rejects.toThrow(
      refused('NO_PEER_LISTEN'),
    );
    await cluster.done(admin.changeMembers(learner({ id: 4, ...at(4) })));
    await expect(admin.changeMembers(learner({ id: 5, address: at(5).address, peerAddress: at(4).peerAddress }))).rejects.toThrow(
      refused('ADDRESS_TAKEN', { node: 4 }),
    );
    await expect(admin.changeMembers(learner({ id: 4, ...at(4) }))).rejects.toThrow(refused('CONFIGURATION_CHANGE'));
  });

  it('takes a vote before it takes a member', async () => {
    const cluster = new SimGroup();
    const leader = await cluster.led();
    const admin = adminOf(leader);
    const other = [1, 2, 3].find((id) => id !== leader.stats().id)!;
    await expect(admin.changeMembers({ change: { $case: 'remove', value: other } })).rejects.toThrow(refused('CONFIGURATION_CHANGE'));
    await cluster.done(admin.changeMembers({ change: { $case: 'demote', value: other } }));
    await cluster.done(admin.changeMembers({ change: { $case: 'remove', value: other } }));
    expect(admin.status()).toMatchObject({ removedIds: [other], freeId: 4 });
  });
});

it('a node tells who the members are, where, and how far behind if it leads', async () => {
  const cluster = new SimGroup();
  const leader = await cluster.led();
  const { id } = leader.stats();
  await cluster.done(adminOf(leader).changeMembers(learner({ id: 4, ...at(4) })));
  await cluster.world.run(3000);
  const status = adminOf(leader).status();
  expect(status).toMatchObject({ clusterId: '00000000000000aa', leaderId: id, term: leader.stats().term, freeId: 5, removedIds: [] });
  expect(status.node).toMatchObject({
    id,
    role: Role.LEADER,
    ...at(id),
    version: '1',
    diskFull: false,
    stoppedBecause: '',
    removed: false,
  });
  expect(status.members.map((member) => member.id)).toEqual([1, 2, 3, 4]);
  expect(status.members[3]).toMatchObject({ id: 4, role: MemberRole.LEARNER, ...at(4), reachable: true });
  const { lastIndex } = leader.stats();
  for (const { progress } of status.members) expect(progress).toEqual({ state: ProgressState.REPLICATE, matchIndex: lastIndex, lag: 0 });
  const told = adminOf(cluster.replica(4)).status();
  expect(told).toMatchObject({ leaderId: id, node: { id: 4, role: Role.FOLLOWER, lastIndex } });
  expect(told.members.map(({ progress }) => progress)).toEqual([undefined, undefined, undefined, undefined]);
});

it('a replica that was retired says so, and does nothing more', async () => {
  const cluster = new SimGroup();
  const leader = await cluster.led();
  leader.retire(new SparrowError('unavailable', 'NODE_REMOVED', 'it was removed'));
  const admin = adminOf(leader);
  expect(admin.status().node).toMatchObject({ removed: true, stoppedBecause: 'it was removed' });
  expect(admin.status().leaderId).toBe(0);
  await expect(admin.changeMembers({ change: { $case: 'promote', value: 1 } })).rejects.toThrow(refused('NODE_REMOVED'));
  expect(
    await cluster.world.run(10_000, () =>
      [1, 2, 3].some((id) => id !== leader.stats().id && cluster.replica(id)?.stats().role === 'leader'),
    ),
  ).toBe(true);
});
