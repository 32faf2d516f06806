/**
 * Plans of faults, drawn from a seed: single faults anywhere, and, where several nodes are one group, *stories*: a few faults that follow one another closely, in
 * the order in which they hurt. Faults at random alone hardly ever meet a member twice within the few milliseconds in which it forgets what it promised.
 */
import { DECEITS, type DiskError, type Fault, type FaultKind, LEADER, type Way } from './fault-plan.ts';
import { MOMENTS } from './moments.ts';
import { CRASH_MODES, type CrashMode } from './sim-file.ts';
import type { Ending } from './sim-node.ts';
import { SimRandom } from './sim-random.ts';

export interface PlanOptions {
  /** Machines with disks and clocks, and addresses of clients. */
  readonly nodes: readonly string[];
  readonly clients: readonly string[];
  /** Faults begin within this time. */
  readonly forMs: number;
  readonly faultsMax: number;
  readonly kinds: readonly FaultKind[];
  readonly diskErrors: readonly DiskError[];
  /** The nodes are one group: stories are told, too. */
  readonly grouped?: boolean;
  /** Of a group: machines, fewer than half, whose disks deceive. */
  readonly deceived?: readonly string[];
}

/** All that a single copy can bear without losing what it acknowledged. */
export const BEARABLE: Pick<PlanOptions, 'kinds' | 'diskErrors'> = {
  kinds: [
    'end',
    'end-at-operation',
    'pause',
    'partition',
    'sever',
    'mute',
    'slow-links',
    'clock-jump',
    'clock-drift',
    'slow-disk',
    'full-disk',
    'disk',
    'upkeep',
  ],
  diskErrors: ['EIO', 'ENOSPC', 'short', 'read EIO'],
};

/** What makes sense of several nodes only. */
export const OF_GROUPS: readonly FaultKind[] = ['end-at-moment', 'end-several', 'transfer'];

type Untimed = Fault extends infer F ? (F extends Fault ? Omit<F, 'atMs'> : never) : never;

const ENDINGS: readonly Ending[] = [...CRASH_MODES, 'process', 'process', 'process'];
/** Those that leave the least behind. */
const FORGETFUL: readonly CrashMode[] = ['none', 'none', 'random', 'torn', 'entries-lost', 'contents-lost'];
const STORIES_MAX = 3;
/** What it takes of a disk's operations to make the replica of a shard that is split off, at most about. */
const CHILD_OPERATIONS = 24;
/** How often a run of shards has a node end while it makes one. */
const CHILD_CHANCE = 0.6;
/** How often a run of a cluster damages an engine. */
const DAMAGED_CHANCE = 0.4;

/**
 * One member's engine is damaged now and then, and its machine may fail while it is being repaired. Drawn apart from all else, so that nothing else is another for it.
 */
export function drawDamages(seed: number, node: string, forMs: number): Fault[] {
  const random = SimRandom.mixed(seed ^ 0x6d67);
  if (!random.chance(DAMAGED_CHANCE)) return [];
  return Array.from({ length: 1 + random.below(3) }, () => random.below(forMs)).flatMap((atMs): Fault[] => {
    const damage: Fault = { atMs, kind: 'engine-damage', node, part: random.fraction() };
    const met: Fault = { atMs: atMs + 1, kind: 'upkeep', node, what: 'compact' };
    const end: Fault = { atMs: atMs + 2 + random.below(60), kind: 'end', node, ending: random.pick(ENDINGS), downMs: random.below(300) };
    return [damage, ...(random.chance(0.5) ? [met] : []), ...(random.chance(0.5) ? [end] : [])];
  });
}

/** Nodes end while they make replicas of shards that are split off. Drawn apart from all else, too. */
export function drawChildFaults(seed: number, nodes: readonly string[], forMs: number): Fault[] {
  const random = SimRandom.mixed(seed ^ 0x3c41);
  if (!random.chance(CHILD_CHANCE)) return [];
  const options = { nodes, clients: [], forMs, faultsMax: 0, kinds: [], diskErrors: [] };
  return Array.from({ length: 1 + random.below(4) }, () => ({ atMs: random.below(forMs), ...drawFault('end-at-child', random, options) }));
}

export function drawPlan(seed: number, options: PlanOptions): Fault[] {
  const random = SimRandom.mixed(seed);
  const { nodes, faultsMax, forMs, grouped = false, deceived = [] } = options;
  // Not all kinds in every run: what one fault alone brings about, many hide.
  const kinds = options.kinds.filter(() => random.chance(0.6));
  const count = kinds.length === 0 ? 0 : 1 + random.below(random.pick([faultsMax, Math.ceil(faultsMax / 4)]));
  const plan: Fault[] = Array.from({ length: count }, () => ({
    atMs: random.below(forMs),
    ...drawFault(random.pick(kinds), random, options),
  }));
  if (grouped && random.chance(0.7)) {
    for (let stories = 1 + random.below(STORIES_MAX); stories > 0; stories--) plan.push(...drawStory(random, options));
  }
  for (const node of deceived) {
    if (random.chance(0.4)) plan.push(...spoiltSnapshot(random, nodes, random.below(Math.ceil(forMs * 0.5)), node));
    for (let times = 1 + random.below(4); times > 0; times--) {
      plan.push({ atMs: random.below(forMs), kind: 'disk', node, after: random.below(40), error: random.pick(DECEITS) });
    }
  }
  // What a story has left to tell when everything is healed stays untold.
  return plan.filter(({ atMs }) => atMs < forMs).sort((a, b) => a.atMs - b.atMs);
}

function drawFault(kind: FaultKind, random: SimRandom, { nodes, clients, diskErrors, grouped = false }: PlanOptions): Untimed {
  const node = grouped && random.chance(0.3) ? LEADER : random.pick(nodes);
  const peer = (): string => random.pick([...nodes.filter((other) => other !== node), ...clients]);
  const forMs = 50 + random.below(random.chance(0.3) ? 5000 : 800);
  const downMs = 10 + random.below(600);
  switch (kind) {
    case 'end':
      return { kind, node, ending: random.pick(ENDINGS), downMs };
    case 'lose':
      return { kind, node: random.pick(nodes) };
    case 'end-at-operation':
      return { kind, node, after: random.below(60), ending: random.pick(ENDINGS), downMs };
    case 'end-at-child':
      return { kind, node: random.pick(nodes), after: random.below(CHILD_OPERATIONS), ending: random.pick(ENDINGS), downMs };
    case 'end-at-moment': {
      const several = random.chance(0.3) ? { several: nodes.filter(() => random.chance(0.7)) } : {};
      const [at, ending] = [random.pick(MOMENTS), random.pick(ENDINGS)];
      return { kind, node, at, after: random.below(4), afterMs: random.fraction() * 4, ...several, ending, downMs };
    }
    case 'end-several':
      return {
        kind,
        nodes: random.chance(0.5) ? nodes : nodes.filter(() => random.chance(0.6)),
        ending: random.pick(CRASH_MODES),
        downMs,
      };
    case 'partition':
      return { kind, ...drawSides(random, nodes, clients), way: random.pick(WAYS), forMs };
    case 'sever':
      return { kind, one: node === LEADER ? random.pick(nodes) : node, other: peer() };
    case 'mute': {
      const [from, to] = random.chance(0.5) ? [random.pick(nodes), peer()] : [peer(), random.pick(nodes)];
      return { kind, from, to };
    }
    case 'slow-links':
      return { kind, delayMs: 1 + random.below(100), forMs };
    case 'clock-jump':
      return { kind, node, ms: random.below(20_000) - 10_000 };
    case 'clock-drift':
      return { kind, node, drift: random.pick([-1, -0.1, 0.05, 0.5]), forMs };
    case 'slow-disk':
      return { kind, node, times: random.pick([5, 50, 500]), forMs };
    case 'disk':
      return { kind, node, after: random.below(40), error: random.pick(diskErrors) };
    case 'upkeep':
      return { kind, node, what: random.pick(['flush', 'compact'] as const) };
    case 'engine-damage':
      return { kind, node: random.pick(nodes), part: random.fraction() };
    case 'transfer':
      return { kind, node: random.pick(nodes) };
    case 'pause':
    case 'full-disk':
      return { kind, node, forMs };
  }
}

const WAYS: readonly Way[] = ['both', 'there', 'back'];

/** Two sides of everybody, the leader and the rest, or two sides with somebody between them who hears both. */
function drawSides(
  random: SimRandom,
  nodes: readonly string[],
  clients: readonly string[],
): { some: readonly string[]; others: readonly string[] } {
  const all = [...nodes, ...clients];
  const dice = random.below(4);
  if (dice === 0 && nodes.length > 1) return { some: [LEADER], others: random.chance(0.5) ? nodes : all };
  const some = all.filter(() => random.chance(0.4));
  const others = all.filter((name) => !some.includes(name));
  return { some, others: dice === 1 ? others.filter(() => random.chance(0.6)) : others };
}

type Story = (random: SimRandom, nodes: readonly string[], beganMs: number, clients: readonly string[]) => Fault[];

/** Two that do not hear each other, and one between them that gives its word to one, forgets it, and is asked by the other. */
const betweenTwo: Story = (random, nodes, beganMs) => {
  const [one, other, between] = shuffled(nodes, random);
  const forMs = 600 + random.below(1500);
  const faults: Fault[] = [{ atMs: beganMs, kind: 'partition', some: [one!], others: [other!], way: 'both', forMs }];
  // Whoever it followed, it follows nobody now.
  faults.push({
    atMs: beganMs + random.below(100),
    kind: 'end',
    node: between!,
    ending: random.pick(ENDINGS),
    downMs: 5 + random.below(100),
  });
  for (let atMs = beganMs + 100; atMs < beganMs + forMs; atMs += 100 + random.below(300)) {
    const at = random.chance(0.7) ? 'vote' : random.pick(MOMENTS);
    const ending = random.pick(FORGETFUL);
    faults.push({
      atMs,
      kind: 'end-at-moment',
      node: between!,
      at,
      after: 0,
      afterMs: 0.1 + random.fraction() * 4,
      ending,
      downMs: 2 + random.below(60),
    });
  }
  return faults;
};

/** A leader that is cut off under load, and fails while others' entries take the place of its own. */
const deposed: Story = (random, nodes, beganMs) => {
  const node = random.pick(nodes);
  const [cutMs, forMs] = [beganMs + 100 + random.below(200), 400 + random.below(1200)];
  const faults: Fault[] = [
    { atMs: beganMs, kind: 'transfer', node },
    { atMs: cutMs, kind: 'partition', some: [node], others: nodes.filter((other) => other !== node), way: random.pick(WAYS), forMs },
  ];
  for (let times = 1 + random.below(2); times > 0; times--) {
    const atMs = cutMs + forMs + random.below(150);
    faults.push({
      atMs,
      kind: 'end-at-operation',
      node,
      after: random.below(12),
      ending: random.pick(ENDINGS),
      downMs: 5 + random.below(200),
    });
  }
  return faults;
};

/** One that misses so much that it needs a snapshot, and fails while that takes the place of what it had. */
const leftBehind: Story = (random, nodes, beganMs) => {
  const node = random.pick(nodes);
  const others = nodes.filter((other) => other !== node);
  const forMs = 500 + random.below(1500);
  const faults: Fault[] = random.chance(0.5)
    ? [{ atMs: beganMs, kind: 'partition', some: [node], others, way: 'both', forMs }]
    : [{ atMs: beganMs, kind: 'end', node, ending: random.pick(ENDINGS), downMs: forMs }];
  for (const other of others) faults.push({ atMs: beganMs + random.below(forMs), kind: 'upkeep', node: other, what: 'flush' });
  for (let times = 1 + random.below(4), atMs = beganMs + forMs; times > 0; times--) {
    atMs += random.below(250);
    faults.push({
      atMs,
      kind: 'end-at-operation',
      node,
      after: random.below(60),
      ending: random.pick(ENDINGS),
      downMs: 5 + random.below(150),
    });
  }
  return faults;
};

/** Power fails for all, or most, and again before they have found together. */
const blackouts: Story = (random, nodes, beganMs) => {
  const faults: Fault[] = [];
  for (let times = 1 + random.below(3), atMs = beganMs; times > 0; times--) {
    const most = random.chance(0.5) ? nodes : nodes.filter(() => random.chance(0.7));
    const [ending, downMs] = [random.pick(CRASH_MODES), 5 + random.below(300)];
    if (random.chance(0.5)) faults.push({ atMs, kind: 'end-several', nodes: most, ending, downMs });
    else {
      const [at, after] = [random.pick(MOMENTS), random.below(6)];
      faults.push({ atMs, kind: 'end-at-moment', node: LEADER, at, after, afterMs: random.fraction() * 4, several: most, ending, downMs });
    }
    atMs += 100 + random.below(700);
  }
  return faults;
};

/** Whoever leads is cut off, ended, stopped or asked to hand over, time and again. */
const unrest: Story = (random, nodes, beganMs) => {
  const faults: Fault[] = [];
  for (let times = 3 + random.below(6), atMs = beganMs; times > 0; times--) {
    const forMs = 100 + random.below(700);
    const dice = random.below(6);
    if (dice === 0) faults.push({ atMs, kind: 'end', node: LEADER, ending: random.pick(ENDINGS), downMs: 5 + random.below(300) });
    else if (dice === 1) faults.push({ atMs, kind: 'pause', node: LEADER, forMs });
    else if (dice === 2) faults.push({ atMs, kind: 'transfer', node: random.pick(nodes) });
    else faults.push({ atMs, kind: 'partition', some: [LEADER], others: nodes, way: random.pick(WAYS), forMs });
    atMs += 50 + random.below(400);
  }
  return faults;
};

/**
 * Answers are long on their way and get lost, and whoever is asked again refuses for a while: for want of room, or because it hands the lead over to
 * one that it cannot reach.
 */
const lostAnswers: Story = (random, nodes, beganMs, clients) => {
  const forMs = 800 + random.below(1500);
  const [away, ...others] = shuffled(nodes, random);
  const faults: Fault[] = [
    { atMs: beganMs, kind: 'slow-links', delayMs: 20 + random.below(80), forMs },
    { atMs: beganMs, kind: 'partition', some: [away!], others, way: 'both', forMs },
  ];
  const refusal = random.pick(['full-disk', 'transfer', 'both'] as const);
  for (let atMs = beganMs + 100; atMs < beganMs + forMs; atMs += 200 + random.below(300)) {
    for (const client of clients)
      if (random.chance(0.8)) faults.push({ atMs: atMs + random.below(10), kind: 'sever', one: client, other: LEADER });
    if (refusal !== 'transfer')
      faults.push({ atMs: atMs - random.below(50), kind: 'full-disk', node: LEADER, forMs: 200 + random.below(500) });
    if (refusal !== 'full-disk') faults.push({ atMs: atMs - random.below(10), kind: 'transfer', node: away! });
  }
  return faults;
};

/** One whose disk deceives it leads while another falls so far behind that it is sent all that the deceived one has. */
function spoiltSnapshot(random: SimRandom, nodes: readonly string[], beganMs: number, deceived: string): Fault[] {
  const sound = nodes.filter((node) => node !== deceived);
  const behind = random.pick(sound);
  const forMs = 500 + random.below(600);
  const faults: Fault[] = [
    { atMs: beganMs, kind: 'transfer', node: deceived },
    { atMs: beganMs + 200, kind: 'partition', some: [behind], others: nodes.filter((node) => node !== behind), way: 'both', forMs },
  ];
  for (let times = 2 + random.below(6); times > 0; times--) {
    const atMs = beganMs + random.below(200 + forMs);
    faults.push({ atMs, kind: 'disk', node: deceived, after: random.below(20), error: random.pick(DECEITS) });
    faults.push({ atMs, kind: 'upkeep', node: random.pick(nodes), what: 'flush' });
  }
  return faults;
}

const STORIES: readonly Story[] = [betweenTwo, betweenTwo, deposed, leftBehind, blackouts, unrest, lostAnswers];

function drawStory(random: SimRandom, { nodes, clients, forMs }: PlanOptions): Fault[] {
  return random.pick(STORIES)(random, nodes, random.below(Math.ceil(forMs * 0.6)), clients);
}

function shuffled(names: readonly string[], random: SimRandom): string[] {
  const left = [...names];
  return names.map(() => left.splice(random.below(left.length), 1)[0]!);
}
