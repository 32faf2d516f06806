/**
 * What is wrong with a cluster, worst first, and in words. Pure: it is worked out of one view.
 *
 * Health of a shard, the first that fits:
 *   lost        no majority of its voters can be up: it takes no writes
 *   leaderless  nobody leads it, or who led is down
 *   stopped     a replica of it has stopped
 *   short       fewer healthy voters than its table asks for
 *   crowded     two voters in one zone, though there are zones enough
 *   changing    an operator works on it, or it is being split or merged
 *   well
 */
import type { ClusterView, NodeView, ShardView, TableView } from '../cluster-view.ts';
import { bytes, count, duration, listed, percent, plural } from './format.ts';

export type Health = 'lost' | 'leaderless' | 'stopped' | 'short' | 'crowded' | 'changing' | 'well';

export const HEALTHS: readonly { readonly health: Health; readonly severity: Severity; readonly words: string }[] = [
  { health: 'lost', severity: 'bad', words: 'no majority' },
  { health: 'leaderless', severity: 'bad', words: 'no leader' },
  { health: 'stopped', severity: 'bad', words: 'a replica does not run' },
  { health: 'short', severity: 'warn', words: 'replicas missing' },
  { health: 'crowded', severity: 'warn', words: 'two in a zone' },
  { health: 'changing', severity: 'busy', words: 'changing' },
  { health: 'well', severity: 'well', words: 'healthy' },
];

export type Severity = 'bad' | 'warn' | 'busy' | 'well';

/** What an operator is shown at first, and where to look on. */
export interface Problem {
  readonly id: string;
  readonly severity: 'bad' | 'warn' | 'busy';
  readonly title: string;
  readonly detail: string;
  readonly look: { readonly node: number } | { readonly health: Health } | undefined;
}

/** Part of the disk that is used. */
const DISK_FULL = 0.9;
const DISK_FILLING = 0.8;
/** From so many times as long as usual on, the metaserver gives a node nothing to lead. */
const SLOW = 4;
const NAMED = 6;
const SETTLE_MS = 5_000;

/** What is known of nodes and tables by id, once for all shards. */
export class Surroundings {
  readonly nodes: ReadonlyMap<number, NodeView>;
  readonly tables: ReadonlyMap<number, TableView>;
  /** The metaserver's leader is new, and has not heard of all nodes yet: what it does not know is not amiss. */
  readonly settling: boolean;
  /** Zones with a node that may hold replicas, by pool. */
  readonly #zones: ReadonlyMap<string, ReadonlySet<string>>;

  constructor(view: ClusterView) {
    this.nodes = new Map(view.nodes.map((node) => [node.id, node]));
    this.tables = new Map(view.tables.map((table) => [table.id, table]));
    this.settling = view.nowMs - view.leadsSinceMs < SETTLE_MS;
    const zones = new Map<string, Set<string>>();
    for (const { state, role, pool, zone } of view.nodes) {
      if (state !== 'up' || role === 'proxy') continue;
      let known = zones.get(pool);
      if (known === undefined) zones.set(pool, (known = new Set()));
      known.add(zone);
    }
    this.#zones = zones;
  }

  /** Whether the node has a say, as far as anybody knows. */
  isUp(node: number): boolean {
    const state = this.nodes.get(node)?.state;
    return state !== undefined && !SILENT.has(state);
  }

  zonesOf(pool: string): number {
    return this.#zones.get(pool)?.size ?? 0;
  }
}

const SILENT: ReadonlySet<string> = new Set(['suspect', 'down', 'removed']);
/** Of replicas that are there and do not run: one has stopped, or could not be opened. */
export const DEAD_ROLES: ReadonlySet<string> = new Set(['stopped', 'failed']);

export function healthOf(shard: ShardView, around: Surroundings): Health {
  const voters = shard.replicas.filter(({ kind }) => kind !== 'learner');
  const up = voters.filter(({ node }) => around.isUp(node));
  if (up.length <= Math.floor(voters.length / 2)) return 'lost';
  if (shard.leader === 0 && around.settling) return 'changing';
  if (shard.leader === 0 || !around.isUp(shard.leader)) return 'leaderless';
  if (voters.some(({ role }) => DEAD_ROLES.has(role))) return 'stopped';
  const wanted = around.tables.get(shard.table);
  if (up.length < voters.length || (wanted !== undefined && up.length < wanted.replicas + wanted.witnesses)) return 'short';
  if (isCrowded(shard, around)) return 'crowded';
  return shard.operator !== '' || shard.state !== 'normal' ? 'changing' : 'well';
}

function isCrowded(shard: ShardView, around: Surroundings): boolean {
  const homes = shard.replicas.filter(({ kind }) => kind !== 'learner').map(({ node }) => around.nodes.get(node));
  const zones = new Set(homes.map((node) => node?.zone));
  const pool = homes[0]?.pool ?? '';
  // While an operator moves a replica, there is one too many.
  return shard.operator === '' && zones.size < Math.min(homes.length, around.zonesOf(pool));
}

export function problemsOf(view: ClusterView, healths: ReadonlyMap<number, Health>): Problem[] {
  return [...problemsOfShards(healths), ...problemsOfNodes(view), ...problemsOfTheWhole(view)].sort(
    (a, b) => WEIGHTS[a.severity] - WEIGHTS[b.severity],
  );
}

const WEIGHTS: Readonly<Record<Problem['severity'], number>> = { bad: 0, warn: 1, busy: 2 };

function problemsOfShards(healths: ReadonlyMap<number, Health>): Problem[] {
  const of = new Map<Health, number[]>();
  for (const [shard, health] of healths) {
    const known = of.get(health);
    if (known === undefined) of.set(health, [shard]);
    else known.push(shard);
  }
  const told: readonly (readonly [Health, Problem['severity'], (shards: string) => string, string])[] = [
    [
      'lost',
      'bad',
      (shards) => `${shards} without a majority`,
      'No writes and no linearizable reads there. Bring their nodes back; if they are gone for good, see recovery in the operations guide.',
    ],
    [
      'leaderless',
      'bad',
      (shards) => `${shards} without a leader`,
      'Calls there wait for an election; it takes a few seconds at most while a majority is up.',
    ],
    ['stopped', 'bad', (shards) => `${shards} with a replica that does not run`, "Its node's log says why: mostly its disk."],
    ['short', 'warn', (shards) => `${shards} with fewer replicas than wanted`, 'Served as ever, but one more loss may be one too many.'],
    ['crowded', 'warn', (shards) => `${shards} with two replicas in a zone`, 'The loss of that zone would cost two votes at once.'],
  ];
  return told.flatMap(([health, severity, title, detail]) => {
    const shards = of.get(health) ?? [];
    if (shards.length === 0) return [];
    const which = listed(shards.map(String), NAMED);
    return [{ id: health, severity, title: title(plural(shards.length, 'shard')), detail: `${detail} (${which})`, look: { health } }];
  });
}

function problemsOfNodes(view: ClusterView): Problem[] {
  return view.nodes.flatMap((node): Problem[] => {
    const { id, state, zone } = node;
    const place = `node ${id} in ${zone === '' ? 'no zone' : zone}`;
    const since = duration(view.nowMs - node.sinceMs);
    const look = { node: id };
    if (state === 'down') {
      const held =
        node.replicas > 0 ? `It holds ${plural(node.replicas, 'replica')}, which are rebuilt elsewhere.` : 'It holds no replicas any more.';
      return [{ id: `down-${id}`, severity: 'bad', title: `${capital(place)} is down`, detail: `For ${since}. ${held}`, look }];
    }
    if (state === 'suspect')
      return [
        {
          id: `suspect-${id}`,
          severity: 'warn',
          title: `${capital(place)} is suspected`,
          detail: `Neither the metaserver nor other nodes have heard of it for ${duration(view.nowMs - node.heardMs)}.`,
          look,
        },
      ];
    const found: Problem[] = [];
    if (state === 'removed') return found;
    const used = diskUsed(node);
    if (used >= DISK_FILLING) {
      found.push({
        id: `disk-${id}`,
        severity: used >= DISK_FULL ? 'bad' : 'warn',
        title: `The disk of ${place} is ${percent(used)} full`,
        detail: `${bytes(node.diskFreeBytes)} are free of ${bytes(node.capacityBytes)}.`,
        look,
      });
    }
    if (node.slowDisk >= SLOW)
      found.push({
        id: `slow-${id}`,
        severity: 'warn',
        title: `The disk of ${place} is slow`,
        detail: `Its log takes ${node.slowDisk.toFixed(1)} times as long as usual to be synced. Leads move away from it.`,
        look,
      });
    if (state === 'draining')
      found.push({ id: `drain-${id}`, severity: 'busy', title: `${capital(place)} is being drained`, detail: leftOn(node), look });
    if (state === 'drained')
      found.push({
        id: `drain-${id}`,
        severity: 'busy',
        title: `${capital(place)} is drained`,
        detail: 'Nothing is left on it, and it gets nothing until that is undone (sparrowkv cluster undrain).',
        look,
      });
    return found;
  });
}

function leftOn({ replicas, leaders }: NodeView): string {
  return `${capital(plural(replicas, 'replica'))} and ${plural(leaders, 'lead')} are left on it; it gets no new ones.`;
}

function problemsOfTheWhole(view: ClusterView): Problem[] {
  const found: Problem[] = [];
  if (view.nowMs - view.leadsSinceMs < SETTLE_MS)
    found.push({
      id: 'settling',
      severity: 'busy',
      title: 'Another node leads the metaserver now',
      detail: `Node ${view.leader} hears from all nodes within a few seconds; until then figures are not complete.`,
      look: undefined,
    });
  if (view.pausedBecause !== '')
    found.push({
      id: 'paused',
      severity: 'warn',
      title: 'The metaserver decides nothing',
      detail: `${capital(view.pausedBecause)}.`,
      look: undefined,
    });
  if (view.blocked.length > 0)
    found.push({
      id: 'blocked',
      severity: 'busy',
      title: `${plural(view.blocked.length, 'shard')} cannot be looked after now`,
      detail: `${capital(view.blocked[0]!.reason)}${view.blocked.length > 1 ? ', and others (below, at "Next")' : ''}.`,
      look: undefined,
    });
  const releases = new Map<string, number>();
  for (const { state, release } of view.nodes)
    if (state !== 'down' && state !== 'removed' && release !== '') releases.set(release, (releases.get(release) ?? 0) + 1);
  if (releases.size > 1)
    found.push({
      id: 'releases',
      severity: 'busy',
      title: 'Nodes run different releases',
      detail: `${[...releases].map(([release, nodes]) => `${release} on ${plural(nodes, 'node')}`).join(', ')}. That is fine while an upgrade is under way.`,
      look: undefined,
    });
  return found;
}

/** In one sentence. */
export function verdictOf(view: ClusterView, problems: readonly Problem[]): { severity: Severity; words: string } {
  const bad = problems.filter(({ severity }) => severity === 'bad').length;
  const warn = problems.filter(({ severity }) => severity === 'warn').length;
  if (bad > 0) return { severity: 'bad', words: bad + warn === 1 ? problems[0]!.title : `${count(bad + warn)} things need attention` };
  if (warn > 0) return { severity: 'warn', words: warn === 1 ? problems[0]!.title : `${count(warn)} things to look at` };
  const running = view.operators.length;
  if (running > 0) return { severity: 'busy', words: `All is well; ${plural(running, 'operator')} at work` };
  return { severity: 'well', words: 'All is well' };
}

/** Part of the disk that is used, by whomever; 0 before the node has reported. */
export function diskUsed({ capacityBytes, diskUsedBytes, diskFreeBytes }: NodeView): number {
  return capacityBytes > 0 && diskUsedBytes + diskFreeBytes > 0 ? Math.max(0, 1 - diskFreeBytes / capacityBytes) : 0;
}

export type NodeLook = NodeView['state'] | 'slow';

/** `slow` is what an up node with a slow disk is shown as. */
export function lookOf(node: NodeView): NodeLook {
  return node.state === 'up' && node.slowDisk >= SLOW ? 'slow' : node.state;
}

export const NODE_SEVERITY: Readonly<Record<NodeLook, Severity>> = {
  up: 'well',
  slow: 'warn',
  suspect: 'warn',
  down: 'bad',
  draining: 'busy',
  drained: 'busy',
  removed: 'busy',
};

export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
