/** What the page works out before it draws: figures as words, health, what is chosen, where things go on a chart. */
import { describe, expect, it } from 'vitest';
import { ReplicaKind, type SurveyResponse } from '../../../proto/index.ts';
import type { ClusterView } from '../../../server/dashboard/cluster-view.ts';
import * as format from '../../../server/dashboard/page/format.ts';
import { modelOf, isChosen, type Choice, type Model } from '../../../server/dashboard/page/model.ts';
import { areaOf, nearest, pathOf, roundUp, roundUpBytes, stepOf } from '../../../server/dashboard/page/scale.ts';
import { PAINTS } from '../../../server/dashboard/page/shard-paint.ts';
import { viewOfSurvey } from '../../../server/dashboard/view-of-survey.ts';
import { fakeSurvey, loseNode } from './fake-cluster.ts';

function modelFrom(survey: SurveyResponse): Model {
  const view: ClusterView = { ...viewOfSurvey(survey, { node: 1, release: '0.1.0' }), history: { everyMs: 5_000, points: [] } };
  return modelOf(view, []);
}

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('figures', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [10_240, '10 KiB'],
    [1_048_000, '1023 KiB'],
    [1_048_575, '1.0 MiB'],
    [1.5 * 1024 ** 4, '1.5 TiB'],
  ])('%d bytes are %s', (value, text) => expect(plain(format.bytes(value))).toBe(text));

  it.each([
    [0, '0'],
    [0.3, '0.3'],
    [7, '7'],
    [999, '999'],
    [999.7, '1.0 k'],
    [1_240, '1.2 k'],
    [38_400, '38 k'],
    [999_700, '1.0 M'],
    [2.5e9, '2.5 G'],
  ])('%d is %s', (value, text) => expect(plain(format.short(value))).toBe(text));

  it.each([
    [400, '0.4 s'],
    [89_000, '89 s'],
    [91_000, '2 min'],
    [3 * 3_600_000, '3 h'],
    [48 * 3_600_000, '2 days'],
  ])('%d ms are %s', (value, text) => expect(plain(format.duration(value))).toBe(text));

  it.each([
    [129_600_000, '36 h'],
    [2_592_000_000, '30 d'],
    [90_000, '90 s'],
    [1_500, '1,500 ms'],
  ])('%d ms that were set are told as %s', (value, text) => expect(plain(format.setTime(value))).toBe(text));

  it('a list says how many more there are', () => {
    expect(format.listed(['1', '2', '3'], 2)).toBe('1, 2 and 1 more');
    expect(format.listed(['1', '2'], 2)).toBe('1, 2');
  });
});

describe('charts', () => {
  it('end at a round figure of which a quarter is round, too', () => {
    expect([0, 3, 11, 41, 95, 100, 0.13].map(roundUp)).toEqual([1, 4, 20, 60, 100, 100, 0.2]);
    expect([0, 1024, 1025, 3_000_000].map(roundUpBytes)).toEqual([1024, 1024, 2048, 4_194_304]);
  });

  it('join no points across a gap', () => {
    const points = [
      [0, 1],
      [5, 2],
      [30, 3],
    ] as const;
    expect(pathOf(points, 10)).toBe('M0.0 1.0L5.0 2.0M30.0 3.0');
    expect(pathOf(points, Infinity)).toBe('M0.0 1.0L5.0 2.0L30.0 3.0');
    expect(
      areaOf(
        [
          [0, 9, 1],
          [5, 9, 2],
          [30, 9, 3],
        ],
        10,
      ),
    ).toBe('M0.0 1.0L5.0 2.0L5.0 9.0L0.0 9.0Z');
  });

  it('read the nearest point, and step by a root', () => {
    expect(nearest([0, 10, 20], 14)).toBe(1);
    expect([0, 1, 25, 100].map((value) => stepOf(value, 100, 6))).toEqual([0, 0, 3, 5]);
  });
});

describe('health', () => {
  it('of a calm cluster is well', () => {
    const { verdict, problems, healths } = modelFrom(fakeSurvey({ nodes: 9, zones: 3, shards: 60, calm: true }));
    expect([verdict, problems]).toEqual([{ severity: 'well', words: 'All is well' }, []]);
    expect(new Set(healths.values())).toEqual(new Set(['well']));
  });

  it('of a shard is what is worst about it', () => {
    const survey = fakeSurvey({ nodes: 9, zones: 3, shards: 60, calm: true });
    const [lost, leaderless, stopped, short, crowded, changing] = survey.shards;
    loseNode(survey, 9);
    const place = (shard: typeof lost, nodes: readonly number[], leader: number): void => {
      const replicas = nodes.map((node) => ({
        node,
        kind: ReplicaKind.VOTER,
        role: node === leader ? 'leader' : 'follower',
        appliedIndex: 1,
        lag: 0,
        diskBytes: 1,
      }));
      Object.assign(shard!, { replicas });
      shard!.entry!.leader = leader;
    };
    survey.nodes[7]!.state = 'down';
    place(lost, [1, 8, 9], 1);
    place(leaderless, [1, 2, 9], 9);
    place(stopped, [1, 2, 3], 1);
    stopped!.replicas[1]!.role = 'failed';
    place(short, [1, 2], 1);
    // Nodes 1 and 4 are in the same zone.
    place(crowded, [1, 4, 2], 1);
    place(changing, [1, 2, 3], 1);
    changing!.operator = '7';
    const { healths, problems, verdict } = modelFrom(survey);
    expect([lost, leaderless, stopped, short, crowded, changing].map((shard) => healths.get(shard!.entry!.shard))).toEqual([
      'lost',
      'leaderless',
      'stopped',
      'short',
      'crowded',
      'changing',
    ]);
    expect(verdict.severity).toBe('bad');
    expect(problems.map(({ severity }) => severity)).toEqual(problems.map(({ severity }) => severity).toSorted());
    expect(problems.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['lost', 'leaderless', 'stopped', 'short', 'crowded', 'down-8', 'down-9']),
    );
  });

  it('a second replica in a zone is nothing where zones do not suffice, or while one is moved', () => {
    const survey = fakeSurvey({ nodes: 4, zones: 2, shards: 3, calm: true });
    expect(new Set(modelFrom(survey).healths.values())).toEqual(new Set(['well']));
  });

  it('of a shard whose leader is not known is well while the leader of the metaserver is new', () => {
    const survey = fakeSurvey({ nodes: 3, zones: 3, shards: 3, calm: true });
    survey.shards[0]!.entry!.leader = 0;
    expect(modelFrom(survey).verdict.severity).toBe('bad');
    survey.leadsSinceMs = survey.nowMs - 2_000;
    expect(modelFrom(survey).verdict.severity).toBe('well');
    expect(modelFrom(survey).problems.map(({ id }) => id)).toEqual(['settling']);
  });

  it('of nodes: suspected, slow, filling, leaving, and of different releases', () => {
    const survey = fakeSurvey({ nodes: 6, zones: 3, shards: 12, calm: true });
    loseNode(survey, 2, 'suspect');
    survey.nodes[2]!.slowDisk = 4.4;
    survey.nodes[3]!.diskFreeBytes = survey.nodes[3]!.capacityBytes * 0.05;
    survey.nodes[4]!.state = 'draining';
    survey.nodes[5]!.version = '0.2.0';
    survey.pausedBecause = 'an operator asked for it';
    survey.blocked = [{ shard: 16, reason: 'node 5 is draining; nobody has room' }];
    const problems = modelFrom(survey).problems.map(({ id, severity }) => `${id} ${severity}`);
    expect(problems).toEqual([
      'disk-4 bad',
      'short warn',
      'suspect-2 warn',
      'slow-3 warn',
      'paused warn',
      'drain-5 busy',
      'blocked busy',
      'releases busy',
    ]);
  });
});

describe('what is chosen', () => {
  const model = modelFrom(fakeSurvey({ nodes: 9, zones: 3, shards: 60 }));
  const chosen = (choice: Partial<Choice>): number =>
    model.view.shards.filter((shard) => isChosen(shard, { text: '', ...choice }, model)).length;

  it('is by node, table, state, number, key or name of the table', () => {
    expect(chosen({})).toBe(60);
    expect(chosen({ node: 4 })).toBe(model.view.nodes[3]!.replicas);
    expect(chosen({ health: 'changing' })).toBe(2);
    expect(chosen({ text: 'SESSION' })).toBe(20);
    expect(chosen({ table: 2, text: 'session' })).toBe(0);
    expect(chosen({ text: 'customer/0512' })).toBe(2);
    expect(chosen({ text: ' 33 ' })).toBeGreaterThan(0);
  });
});

describe('the colours of the map', () => {
  const model = modelFrom(fakeSurvey({ nodes: 24, zones: 8, shards: 100 }));

  it.each(PAINTS.map(({ name, make }) => [name, make] as const))('by %s are all in the legend', (_, make) => {
    const { of, legend } = make(model);
    const known = new Set(legend.map(({ paint }) => paint));
    expect(model.view.shards.filter((shard) => !known.has(of(shard)))).toEqual([]);
  });
});
