import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { parseSetting, policyText } from '../../cli/commands/cluster/policy.ts';
import { departureText, nodesText, operatorsText, planText, shardsText } from '../../cli/terminal/cluster-text.ts';
import { tablesText, tableText } from '../../cli/commands/table/show.ts';
import { durationText, formatAge, jsonText, parseDuration, parseSize, sizeText } from '../../cli/meta-command.ts';
import { OperatorEntry, SurveyNode, SurveyResponse, SurveyShard, TableEntry } from '../../proto/index.ts';

const NOW = 1_700_000_000_000;

const ORDERS = TableEntry.fromPartial({
  table: 16,
  name: 'orders',
  partitioning: 'hash',
  replicas: 3,
  pool: 'default',
  state: 'normal',
  shards: 2,
});

describe('what the metaserver says, for people', () => {
  it('shards: who leads, who learns, where keys begin and end', () => {
    const survey = SurveyResponse.fromPartial({ tables: [ORDERS] });
    const range = SurveyShard.fromPartial({
      entry: {
        shard: 17,
        table: 16,
        epoch: 2,
        leader: 3,
        state: 'normal',
        keys: { keys: { $case: 'range', value: { start: Buffer.from('a'), end: Buffer.of(0) } } },
      },
      replicas: [
        { node: 1, kind: 1 },
        { node: 3, kind: 1 },
        { node: 4, kind: 2 },
        { node: 5, kind: 3 },
      ],
      operator: '9',
    });
    const hash = SurveyShard.fromPartial({
      entry: {
        shard: 18,
        table: 16,
        epoch: 1,
        leader: 0,
        state: 'splitting',
        keys: { keys: { $case: 'hash', value: { bits: 3, index: 1 } } },
      },
    });
    const text = shardsText(survey, [range, hash], 10);
    expect(text).toContain('1 3* 4+ 5-');
    expect(text).toContain('a .. \\x00');
    expect(text).toContain('operator 9');
    expect(text).toContain('hash 1 of 8');
    expect(text).toContain('NO LEADER, splitting');
    expect(shardsText(survey, [range, hash], 1)).toContain('1 more shard; --limit shows them');
  });

  it('shards: replicas that do not run, and tables that do not wait for disks', () => {
    const survey = SurveyResponse.fromPartial({ tables: [{ ...ORDERS, durability: 'os' }] });
    const shard = SurveyShard.fromPartial({
      entry: { shard: 17, table: 16, leader: 3, state: 'normal' },
      replicas: [
        { node: 1, kind: 1, role: 'stopped', failedBecause: 'its disk failed' },
        { node: 2, kind: 1, role: 'failed', failedBecause: 'permission denied' },
        { node: 3, kind: 1, role: 'leader' },
      ],
    });
    expect(shardsText(survey, [shard], 10)).toContain('node 1 STOPPED, node 2 FAILED, durability os');
    expect(
      shardsText(SurveyResponse.fromPartial({ tables: [ORDERS] }), [SurveyShard.fromPartial({ entry: shard.entry })], 10),
    ).not.toContain('durability');
  });

  it('operators: steps that are done, under way, to come; and why one failed', () => {
    const running = OperatorEntry.fromPartial({
      id: '7',
      kind: 'move',
      shard: 16,
      reason: 'node 3 is full',
      state: 'running',
      by: 'policy',
      beganMs: NOW - 90_000,
      steps: [
        { what: 'create a replica on node 4', state: 'done' },
        { what: 'take node 4 in', state: 'running' },
        { what: 'give node 4 a vote', state: 'pending' },
      ],
    });
    const failed = OperatorEntry.fromPartial({
      id: '6',
      kind: 'split',
      shard: 1,
      state: 'failed',
      note: 'one key only',
      reason: 'large',
      endedMs: NOW - 5000,
    });
    const text = operatorsText(SurveyResponse.fromPartial({ nowMs: NOW, operators: [running] }), [failed]);
    expect(text).toContain(
      '7 move of shard 16, for 90 s: node 3 is full\n  [x] create a replica on node 4\n  [>] take node 4 in\n  [ ] give node 4 a vote\n',
    );
    expect(text).toMatch(/6 +split +1 +FAILED +5 s ago +one key only \(large\)/);
    expect(text).not.toContain('asked for by');
  });

  it('operators that a person asked for say so, once', () => {
    const ended = OperatorEntry.fromPartial({ id: '6', kind: 'move', reason: 'from node 2 to node 4', by: 'an operator', state: 'done' });
    expect(operatorsText(SurveyResponse.fromPartial({ nowMs: NOW }), [ended])).toContain(
      'from node 2 to node 4 (asked for by an operator)\n',
    );
  });

  it('nodes: since when one is silent, but not since when it drains; what of the disk is not free is used; which disk is slow', () => {
    const node = (id: number, state: string, slowDisk = 1.9): SurveyNode =>
      SurveyNode.fromPartial({
        entry: { node: id },
        state,
        sinceMs: NOW - 480_000,
        capacityBytes: 100e9,
        diskFreeBytes: 25e9,
        diskUsedBytes: 10e9,
        slowDisk,
        ioBytesPerSecond: 12e6,
      });
    const nodes = [node(1, 'up'), node(2, 'draining'), node(3, 'down'), SurveyNode.fromPartial({ entry: { node: 4 }, state: 'suspect' })];
    nodes.push(node(5, 'up', 4.44), node(6, 'draining', 2));
    const text = nodesText(SurveyResponse.fromPartial({ nowMs: NOW, nodes }));
    expect(text).toMatch(/^2 .* DRAINING {2}/m);
    expect(text).toMatch(/^3 .* DOWN 8 min +- +75 GB of 100 GB, 75 % +12 MB\/s /m);
    expect(text).toMatch(/^4 .* SUSPECT - +- +- +0 B\/s +0 %/m);
    expect(text).toMatch(/^1 .* up {2}/m);
    expect(text).toMatch(/^5 .* up, SLOW DISK 4\.4x +- /m);
    expect(text).toMatch(/^6 .* DRAINING, SLOW DISK 2\.0x +- /m);
  });

  it('a node that is to be left: where its replicas go, and which cannot', () => {
    const entry = (shard: number, reason: string, note = ''): OperatorEntry => OperatorEntry.fromPartial({ shard, reason, note });
    const goes = [16, 17].map((shard) => entry(shard, 'to node 4 (c)'));
    const stays = entry(1, 'no room', 'no room');
    expect(departureText(3, goes, true)).toBe('node 3 would give its leads to others, and 2 replicas:\n  shards 16, 17: to node 4 (c)\n');
    expect(departureText(3, [...goes, stays], false)).toBe(
      'node 3 gives its leads to others, and 2 replicas:\n  shards 16, 17: to node 4 (c)\n1 replica CANNOT MOVE now:\n  shard 1: no room\n' +
        'The node is not left until that is otherwise, such as when another node joins.\n',
    );
    expect(departureText(3, [stays], false)).toMatch(/^node 3 gives its leads to others\n1 replica CANNOT MOVE/);
    expect(departureText(3, [], false)).toBe('node 3 has no replica\n');
    const many = Array.from({ length: 15 }, (_, i) => entry(i + 1, 'to node 4'));
    expect(departureText(3, many, false)).toContain('shards 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more: to node 4\n');
  });

  it('a plan: nothing to do, paused, or steps with their reason', () => {
    expect(planText(SurveyResponse.fromPartial({}))).toBe('nothing is to be done: the cluster is as it should be\n');
    const nodes = [
      SurveyNode.fromPartial({ entry: { node: 3 }, cpu: 0.98, io: 0.1 }),
      SurveyNode.fromPartial({ entry: { node: 4 }, cpu: 0.7 }),
    ];
    expect(planText(SurveyResponse.fromPartial({ nodes }))).toBe(
      'nothing is to be done now\nbusy, and given nothing for the sake of balance until they are less so: node 3 (cores 98 %, disk 10 %)\n',
    );
    expect(planText(SurveyResponse.fromPartial({ pausedBecause: 'asked for' }))).toBe('nothing is planned: asked for\n');
    const plan = [{ kind: 'balance', shard: 16, reason: 'node 4 has nothing', steps: ['one', 'two'] }];
    expect(planText(SurveyResponse.fromPartial({ plan }))).toBe('balance of shard 16: node 4 has nothing\n  one\n  two\n');
    const blocked = [1, 16].map((shard) => ({ shard, reason: 'node 3 is draining; no other node' }));
    expect(planText(SurveyResponse.fromPartial({ blocked }))).toBe(
      'should be done, and cannot be now:\n  shards 1, 16: node 3 is draining; no other node\n',
    );
  });

  it('tables: a line for each, or one for each field', () => {
    expect(tablesText([ORDERS])).toMatch(/orders +16 +hash +2 +3 +default +- +normal\n/);
    const all = tableText({
      ...ORDERS,
      ttlMs: 7 * 86_400_000,
      learners: 1,
      quotas: { bytes: 1024 ** 3, readsPerSecond: 0, writesPerSecond: 500 },
    });
    expect(all).toContain('ttl           7d\n');
    expect(all).toContain('replicas      3 + 1 learner\n');
    expect(all).toMatch(/quotas +1G, 500 writes\/s\n/);
  });

  it('tables: whether answers wait for disks, in the list and of one', () => {
    const tables = [
      { ...ORDERS, durability: 'synced' },
      { ...ORDERS, table: 17, name: 'sessions', durability: 'os' },
    ];
    const [head, ...lines] = tablesText(tables).split('\n');
    const at = head!.indexOf('durability');
    expect(at).toBeGreaterThan(0);
    expect(lines.slice(0, 2).map((line) => line.slice(at).split(/ +/)[0])).toEqual(['synced', 'os']);
    expect(tables.map((each) => /durability +(\w+)\n/.exec(tableText(each))?.[1])).toEqual(['synced', 'os']);
  });

  it('JSON has keys as scan prints them, and of alternatives the one that is there', () => {
    expect(JSON.parse(jsonText({ keys: { $case: 'range', value: { start: Buffer.of(0x61, 0) } } }))).toEqual({
      keys: { range: { start: 'a\\x00' } },
    });
  });
});

describe('times and sizes on the command line', () => {
  it('are read', () => {
    expect(['0', '250ms', '90s', '15m', '12h', '7d'].map(parseDuration)).toEqual([0, 250, 90_000, 900_000, 43_200_000, 604_800_000]);
    expect(['0', '512', '64K', '10M', '2GiB', '1TB'].map(parseSize)).toEqual([0, 512, 65_536, 10 * 1024 ** 2, 2 * 1024 ** 3, 1024 ** 4]);
  });

  it('are told as they are typed, in the largest unit that says them exactly', () => {
    for (const text of ['0', '250ms', '90s', '15m', '36h', '7d']) expect(durationText(parseDuration(text))).toBe(text);
    for (const text of ['0', '513', '64K', '10M', '200G', '1T']) expect(sizeText(parseSize(text))).toBe(text);
  });

  it('are refused when they are none', () => {
    for (const text of ['', '5', 'x', '1.5h', '-1s']) expect(() => parseDuration(text)).toThrow('A time such as');
    for (const text of ['', 'K', '1X', '-1']) expect(() => parseSize(text)).toThrow('A size such as');
  });

  it('ages are told in the unit that fits', () => {
    expect([5000, 600_000, 3 * 3_600_000, 5 * 86_400_000].map(formatAge)).toEqual(['5 s', '10 min', '3 h', '5 d']);
  });
});

describe('the bounds of the policy', () => {
  const bound = {
    name: 'splitBytes',
    value: 100 * 2 ** 20,
    defaultValue: 96 * 2 ** 20,
    min: 65_536,
    max: Number.MAX_SAFE_INTEGER,
    whole: true,
  };

  it('are shown as they can be set', () => {
    const bounds = [
      bound,
      { name: 'downAfterMs', value: 1_800_000, defaultValue: 1_800_000, min: 0, max: 31_536_000_000, whole: true },
      { name: 'probeMs', value: 1500, defaultValue: 3000, min: 100, max: 3_600_000, whole: true },
      { name: 'diskLow', value: 0.7, defaultValue: 0.7, min: 0, max: 1, whole: false },
    ];
    const lines = policyText(bounds)
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd().split(/  +/));
    expect(lines).toEqual([
      ['name', 'value', 'default', 'may be'],
      ['splitBytes', '100M', '96M', 'from 64K'],
      ['downAfterMs', '30m', '-', '0 to 365d'],
      ['probeMs', '1500ms', '3s', '100ms to 1h'],
      ['diskLow', '0.7', '-', '0 to 1'],
    ]);
  });

  it.each([
    ['splitBytes=100M', 100 * 2 ** 20],
    ['splitBytes=1000000', 1_000_000],
    ['downAfterMs=15m', 900_000],
    ['probeMs=1500', 1500],
    ['diskLow=0.5', 0.5],
    ['balanceBytesMin=1G', 2 ** 30],
  ])('are taken as %s', (text, value) => {
    expect(parseSetting(text)).toEqual({ name: text.split('=')[0], value });
  });

  it.each(['splitBytes', 'splitBytes=', 'splitBytes=much', 'diskLow=10M', 'downAfterMs=2x', '=5', 'a b=1'])(
    'are not taken as %j',
    (text) => {
      expect(() => parseSetting(text)).toThrow(InvalidArgumentError);
    },
  );
});
