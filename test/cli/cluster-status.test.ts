/** How a cluster is shown to a person. */
import { expect, it } from 'vitest';
import { describe as show } from '../../cli/commands/cluster/status.ts';
import type { Survey, SurveyedMember } from '../../cli/commands/cluster/survey.ts';

const ROLE = { follower: 1, leader: 3 } as const;

function node(id: number, changes: Partial<NonNullable<SurveyedMember['node']>> = {}): NonNullable<SurveyedMember['node']> {
  return {
    id,
    role: ROLE.follower,
    address: `h${id}:7400`,
    peerAddress: `h${id}:7401`,
    version: '1.0.0',
    firstIndex: 1,
    lastIndex: 1234,
    lastTerm: 7,
    committedIndex: 1234,
    appliedIndex: 1234,
    diskFull: false,
    stoppedBecause: '',
    removed: false,
    receiving: undefined,
    ...changes,
  };
}

function member(id: number, changes: Partial<SurveyedMember> = {}): SurveyedMember {
  const progress = { state: 2 as const, matchIndex: 1234, lag: 0 };
  return {
    id,
    role: 1,
    address: `h${id}:7400`,
    peerAddress: `h${id}:7401`,
    reachable: true,
    begun: true,
    progress,
    node: node(id),
    shards: { replicas: 12, leading: 4, asleep: 8, unwellCount: 0, unwell: [] },
    error: undefined,
    ...changes,
  };
}

const found = (members: SurveyedMember[], changes: Partial<Survey> = {}): Survey => ({
  clusterId: '00000000000000aa',
  leaderId: 1,
  term: 7,
  asked: 'h1:7400',
  node: members[0]?.node,
  members,
  removedIds: [],
  freeId: 9,
  ...changes,
});

it('says of each node what it is, where, and how it does', () => {
  const text = show(
    found(
      [
        member(1, { node: node(1, { role: ROLE.leader }) }),
        member(2, { progress: { state: 2, matchIndex: 0, lag: 12_345 }, node: node(2, { diskFull: true }) }),
        member(3, { node: undefined, shards: undefined, error: 'cannot reach h3:7400: connect ECONNREFUSED', reachable: false }),
        member(4, { role: 2, node: node(4, { receiving: { bytes: 12_000_000, bytesTotal: 40_000_000 } }) }),
        member(5, { role: 3, node: node(5, { stoppedBecause: 'the replica stopped: EIO' }) }),
      ],
      { removedIds: [6, 7] },
    ),
  );
  const rows = text.split('\n').map((row) => row.split(/ {2,}/));
  expect(rows).toEqual([
    ['cluster 00000000000000aa: node 1 leads in term 7'],
    [''],
    ['node', 'role', 'address', 'other nodes at', 'state', 'log', 'behind', 'shards'],
    ['1', 'voter', 'h1:7400', 'h1:7401', 'leads', '1 to 1,234', '-', '12, 4 led'],
    ['2', 'voter', 'h2:7400', 'h2:7401', 'follows, DISK FULL', '1 to 1,234', '12,345', '12, 4 led'],
    ['3', 'voter', 'h3:7400', 'h3:7401', 'DOWN (connect ECONNREFUSED)', '-', '0', '-'],
    ['4', 'learner', 'h4:7400', 'h4:7401', 'follows, takes a snapshot, 12 MB of 40 MB', '1 to 1,234', '0', '12, 4 led'],
    ['5', 'voter, going', 'h5:7400', 'h5:7401', 'STOPPED: the replica stopped: EIO', '1 to 1,234', '0', '12, 4 led'],
    [''],
    ['removed, and not to be used again: 6, 7'],
    [''],
  ]);
  // One under the other.
  const table = text.split('\n').slice(2, 8);
  expect(new Set(table.map((row) => row.search(/state|leads|follows|DOWN|STOPPED/))).size).toBe(1);
});

it('says what is missing to have a leader, and what the last resort is', () => {
  const down = { node: undefined, shards: undefined, error: 'gone', progress: undefined };
  const without = { progress: undefined };
  const text = show(found([member(1, without), member(2, down), member(3, down)], { leaderId: 0 }));
  expect(text).toContain('NO LEADER, term 7');
  expect(text).toMatch(/^1 +voter +\S+ +\S+ +up +1 to 1,234 +- +12, 4 led$/m);
  expect(text).toContain('1 of 3 voters are up, and 2 are needed.');
  expect(text).toContain('sparrowkv cluster recover --nodes 1\n');
  expect(show(found([member(1, without), member(2, without), member(3, down)], { leaderId: 0 }))).toContain('Enough voters are up');
});

it('names the shards of all nodes that do not do well, as many as can be read, and counts the rest', () => {
  const unwell = Array.from({ length: 100 }, (_, i) => ({ shard: 16 + i, state: 'no leader', why: '' }));
  const stopped = { shard: 17, state: 'stopped', why: 'a sync failed' };
  const text = show(
    found([
      member(1, { shards: { replicas: 1000, leading: 300, asleep: 0, unwellCount: 1, unwell: [stopped] } }),
      member(2, { shards: { replicas: 1000, leading: 0, asleep: 0, unwellCount: 900, unwell } }),
    ]),
  );
  expect(text).toMatch(/^1 .* 1,000, 300 led, 1 UNWELL$/m);
  expect(text).toContain('\nnot well:\n  node 1, shard 17: stopped: a sync failed\n  node 2, shard 16: no leader\n');
  expect(text).toContain('\n  and 881 more; --json');
  expect(text.split('\n').length).toBeLessThan(32);
});

it('says of a node that waits how it is taken in, and of one that was removed that it was', () => {
  expect(show(found([], { leaderId: 0, node: node(4), asked: 'h4:7400' }))).toContain(
    'sparrowkv cluster add-learner 4 --address h4:7400 --server',
  );
  expect(show(found([member(1)], { node: node(4, { removed: true }), asked: 'h4:7400' }))).toContain(
    'node 4 at h4:7400 was removed from this cluster',
  );
});
