/** A cluster that is none: surveys of any size and trouble, the same for the same seed and moment. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { ReplicaKind, SurveyResponse, type SurveyNode, type SurveyShard } from '../../../proto/index.ts';

export interface FakeOptions {
  readonly nodes: number;
  readonly zones: number;
  readonly shards: number;
  readonly replicas?: number;
  readonly seed?: number;
  readonly nowMs?: number;
  readonly calm?: boolean;
}

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** Changed as a test likes; what it is made of is the wire's own message. */
export function fakeSurvey({
  nodes,
  zones,
  shards,
  replicas = 3,
  seed = 1,
  nowMs = 1_800_000_000_000,
  calm = false,
}: FakeOptions): SurveyResponse {
  const generator = xoroshiro128plus(seed);
  const random = (): number => uniformFloat64(generator);
  const voters = Math.min(replicas, nodes);
  const hash = Math.floor(shards / 3);
  const tables = [
    {
      table: 1,
      name: 'default',
      partitioning: 'range',
      replicas: voters,
      shards: shards > 3 ? 1 : Math.max(1, shards - hash),
      state: 'normal',
      durability: 'synced',
    },
    ...(shards > 3
      ? [
          {
            table: 2,
            name: 'orders',
            partitioning: 'range',
            replicas: voters,
            shards: shards - 1 - hash,
            state: 'normal',
            durability: 'synced',
          },
          {
            table: 3,
            name: 'sessions',
            partitioning: 'hash',
            replicas: voters,
            shards: hash,
            state: 'normal',
            durability: 'os',
            ttlMs: 86_400_000,
          },
        ]
      : []),
  ];
  const surveyed: SurveyShard[] = [];
  let id = 15;
  for (const [at, table] of tables.entries()) {
    const members = table.table === 1 && shards <= 3 ? shards : table.shards;
    for (let index = 0; index < members; index++) {
      const shard = at === 0 && index === 0 ? 1 : ++id;
      const first = Math.floor(random() * nodes);
      const homes = Array.from({ length: voters }, (_, i) => nextZone(first, i, nodes, zones));
      const heat = random() ** 6 * 3_000;
      const keys =
        table.partitioning === 'hash'
          ? { keys: { $case: 'hash' as const, value: hashOf(index, members) } }
          : { keys: { $case: 'range' as const, value: rangeOf(index, members) } };
      const dataBytes = Math.floor((0.2 + random() * 0.8) * 90 * MIB);
      surveyed.push({
        entry: {
          shard,
          table: table.table,
          epoch: 1 + Math.floor(random() * 5),
          keys,
          state: 'normal',
          replicas: homes.map((node) => ({ node, kind: ReplicaKind.VOTER })),
          leader: homes[0]!,
        },
        dataBytes,
        keysCount: Math.floor(dataBytes / 900),
        readsPerSecond: heat,
        writesPerSecond: heat * random() * 0.5,
        term: 3,
        lastIndex: 90_000,
        replicas: homes.map((node, i) => ({
          node,
          kind: ReplicaKind.VOTER,
          role: i === 0 ? 'leader' : 'follower',
          appliedIndex: 90_000,
          lag: i === 0 ? 0 : Math.floor(random() * 4),
          diskBytes: Math.floor(dataBytes * (1.05 + random() * 0.2)),
          failedBecause: '',
          failedSinceMs: 0,
        })),
        operator: '',
        byHand: false,
      });
    }
  }
  const survey = SurveyResponse.fromPartial({
    clusterId: '5ab0c7d1e2f30412',
    leader: 1,
    term: 7,
    leadsSinceMs: nowMs - 7_400_000,
    nowMs,
    version: 812,
    nodes: Array.from({ length: nodes }, (_, i) => nodeOf(i + 1, zones, surveyed, nowMs, random)),
    tables,
    shards: surveyed,
    decisionMs: 1.8,
  });
  if (!calm) addOperators(survey, nowMs);
  return survey;
}

/** It stops: its shards are led by others, and its replicas are reported by nobody. */
export function loseNode(survey: SurveyResponse, node: number, state: 'suspect' | 'down' = 'down'): void {
  const found = survey.nodes.find(({ entry }) => entry?.node === node)!;
  Object.assign(found, {
    state,
    sinceMs: survey.nowMs - 130_000,
    heardMs: survey.nowMs - 190_000,
    cpu: 0,
    io: 0,
    leaders: 0,
    readsPerSecond: 0,
    writesPerSecond: 0,
  });
  for (const { entry, replicas } of survey.shards) {
    if (entry!.leader === node) entry!.leader = replicas.find((replica) => replica.node !== node)?.node ?? 0;
    for (const replica of replicas) if (replica.node === node) replica.role = '';
  }
}

function nextZone(first: number, step: number, nodes: number, zones: number): number {
  // Nodes are numbered over zones in turn, so neighbours are in different ones.
  const perZone = Math.max(1, Math.floor(nodes / zones));
  return ((first + step * (perZone > 1 ? zones + 1 : 1)) % nodes) + 1;
}

function hashOf(index: number, of: number): { bits: number; index: number } {
  const bits = Math.ceil(Math.log2(Math.max(1, of)));
  return { bits, index };
}

function rangeOf(index: number, of: number): { start: Buffer; end: Buffer | undefined } {
  const key = (at: number): Buffer => Buffer.from(at === 0 ? '' : `customer/${String(Math.floor((at * 1_000_000) / of)).padStart(7, '0')}`);
  return { start: key(index), end: index === of - 1 ? undefined : key(index + 1) };
}

function nodeOf(
  node: number,
  zones: number,
  shards: readonly SurveyShard[],
  nowMs: number,
  random: () => number,
): Partial<SurveyNode> & object {
  const held = shards.flatMap(({ replicas }) => replicas.filter((replica) => replica.node === node));
  const led = shards.filter(({ entry }) => entry!.leader === node);
  const sum = (of: (shard: SurveyShard) => number): number => led.reduce((total, shard) => total + of(shard), 0);
  const used = held.reduce((total, { diskBytes }) => total + diskBytes, 0);
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(used, GIB))) * 1.4;
  return {
    entry: {
      node,
      address: `10.0.${((node - 1) % zones) + 1}.${node}:7400`,
      peerAddress: `10.0.${((node - 1) % zones) + 1}.${node}:7401`,
      zone: `zone-${String.fromCharCode(97 + ((node - 1) % zones))}`,
      pool: 'default',
      role: 'all',
    },
    state: 'up',
    sinceMs: nowMs - 7_000_000,
    heardMs: nowMs - Math.floor(random() * 900),
    capacityBytes: capacity,
    diskUsedBytes: used,
    diskFreeBytes: capacity - used - capacity * 0.08,
    cpu: 0.12 + random() * 0.3,
    io: random() * 0.3,
    slowDisk: 1 + random() * 0.5,
    replicas: held.length,
    leaders: led.length,
    labels: { rack: `r${1 + (node % 4)}` },
    version: '0.1.0',
    readsPerSecond: sum(({ readsPerSecond }) => readsPerSecond),
    writesPerSecond: sum(({ writesPerSecond }) => writesPerSecond),
  };
}

function addOperators(survey: SurveyResponse, nowMs: number): void {
  const [first, second] = [survey.shards[Math.floor(survey.shards.length / 2)]!, survey.shards.at(-1)!];
  const steps = (at: number, ...names: string[]): { what: string; state: string }[] =>
    names.map((what, i) => ({ what, state: i < at ? 'done' : i === at ? 'running' : 'pending' }));
  survey.operators = [
    {
      id: '41',
      kind: 'balance',
      shard: first.entry!.shard,
      reason: `node ${survey.nodes.length} holds 1.6 GiB, 24 % over the mean of its pool; node 1 holds 0.9 GiB`,
      state: 'running',
      steps: steps(2, 'create replica on node 1', 'add learner 1', 'catch up', 'replace 3 by 1', 'destroy replica on node 3'),
      step: 2,
      beganMs: nowMs - 14_000,
      endedMs: 0,
      note: '62 % of the snapshot is there',
      by: 'policy',
      other: 0,
    },
    {
      id: '42',
      kind: 'split',
      shard: second.entry!.shard,
      reason: 'shard has 101 MiB, more than 96 MiB',
      state: 'running',
      steps: steps(0, 'split in the middle'),
      step: 0,
      beganMs: nowMs - 800,
      endedMs: 0,
      note: '',
      by: 'operator',
      other: 999,
    },
  ];
  first.operator = '41';
  second.operator = '42';
  second.entry!.state = 'splitting';
  survey.plan = [
    {
      kind: 'lead',
      shard: survey.shards[0]!.entry!.shard,
      reason: 'node 1 leads 9 shards, the mean is 6.3',
      steps: ['transfer the lead to node 2'],
    },
  ];
  survey.ended = [
    {
      id: '40',
      kind: 'lead',
      shard: 17,
      reason: 'node 2 leads 11 shards, the mean is 6.3',
      state: 'done',
      steps: [{ what: 'transfer the lead to node 3', state: 'done' }],
      step: 1,
      beganMs: nowMs - 64_000,
      endedMs: nowMs - 63_400,
      note: '',
      by: 'policy',
      other: 0,
    },
    {
      id: '39',
      kind: 'merge',
      shard: 21,
      reason: 'shards 21 and 22 have 3 MiB together',
      state: 'failed',
      steps: [
        { what: 'seal 22', state: 'done' },
        { what: 'import', state: 'failed' },
      ],
      step: 1,
      beganMs: nowMs - 264_000,
      endedMs: nowMs - 234_000,
      note: 'node 2 did not answer in 30 s',
      by: 'policy',
      other: 22,
    },
  ];
}
