/**
 * One run: a world, servers in it, clients at work while a plan of faults is followed. Then everything is healed: what still waits must be
 * answered within a bound. Then power fails once more, leaving only what is durable, and all is read again. At last the histories are checked.
 *
 * A run is a function of its seed and plan: it gives the same hash whenever and wherever it runs.
 */
import { SparrowError } from '../../base/errors.ts';
import { LEASE_DRIFT_MAX } from './cluster-settings.ts';
import type { Counters } from './counters.ts';
import { BEARABLE, drawChildFaults, drawDamages, drawPlan, OF_GROUPS } from './draw-plan.ts';
import { DISKS_MS, drawEarlyAnswers, withCachesKept } from './early-answers.ts';
import { type Fault, followPlan, heal } from './fault-plan.ts';
import { BROKEN, Ledger } from './ledger.ts';
import { GroupOversight } from './group-oversight.ts';
import { bootClusterNode } from './metaserver/cluster-node.ts';
import { drawPolicy, drawsTables, NODES } from './metaserver/cluster-plan.ts';
import { drawClusterFaults } from './metaserver/draw-faults.ts';
import { ClusterOversight, STORM } from './metaserver/oversight.ts';
import { bootServer, drawStackSettings, type StackSettings } from './server-program.ts';
import { SdkClient } from './sdk-client.ts';
import { SimClient } from './sim-client.ts';
import type { MetaEvent } from '../../server/meta/lead.ts';
import type { Oversight } from './oversight.ts';
import type { Environment, Program } from './sim-node.ts';
import { bootShardNode, Ledgers } from './shards/node-program.ts';
import { drawsHashed, HASHED_SHARD } from './shards/hashed-table.ts';
import { ShardOversight } from './shards/oversight.ts';
import { RoutingClient } from './shards/routing-client.ts';
import { drawShardWorkloads } from './shards/workloads.ts';
import { SimRandom } from './sim-random.ts';
import { shrink } from './shrink.ts';
import { World } from './world.ts';
import { type Workload, WORKLOADS } from './workloads/index.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Default: drawn from the seed. */
  readonly plan?: readonly Fault[];
  /** Names of machines that a program runs on, and that clients turn to. Default: one, or `nodes`. */
  readonly servers?: readonly string[];
  /** So many servers that are one cluster. Default: each server is one by itself. */
  readonly nodes?: number;
  /** So many of them begin as the group; the others are taken in, and members come and go. Default: all, and they stay. */
  readonly voters?: number;
  /** The keys of a cluster are divided among shards, which are split, merged and moved meanwhile. Default: one shard. */
  readonly shards?: boolean;
  /** A cluster that runs itself: five nodes in three zones, with the metaserver. `nodes` and `shards` are left out. */
  readonly metaserver?: boolean;
  /** Virtual milliseconds in which faults happen. Default 3,000, with the metaserver 8,000. */
  readonly forMs?: number;
  /** What runs on each. Default: today's server of one voter. */
  readonly boot?: (environment: Environment, settings: StackSettings) => Promise<Program>;
  readonly traced?: boolean;
}

export interface SimulationResult {
  readonly hash: string;
  /** What is wrong; undefined: nothing. */
  readonly failure: string | undefined;
  /** What noticed it: `linearizability`, a promise of the ledger, `replicas compared`, `liveness`, or `own checks` of the program. */
  readonly foundBy: string | undefined;
  readonly plan: readonly Fault[];
  readonly counters: Counters;
  /** Operations of clients with a known outcome. */
  readonly answered: number;
  readonly events: number;
  readonly simulatedMs: number;
  readonly trace: readonly string[];
}

/** How often nodes report to the metaserver, and how often that decides. */
const REPORT_MS: readonly number[] = [50, 100, 300];
const CLIENTS_MAX = 4;
/** At work at the same time; those beyond the number of clients share one with others. */
const WORKERS_MAX = 8;
const THINK_MS_MAX: readonly number[] = [10, 50, 50, 150];
/** Of a client's call: short ones leave many outcomes unknown. Once the world is healed everything ends within HEALED_MS_MAX. */
const TIMEOUTS_MS: readonly number[] = [300, 1000, 4000];
const HEALED_MS_MAX = 10_000;
/** Of the metaserver: who attended a leader that is gone finds out by its silence, and orders that were lost are given again. */
const SELF_HEALED_MS_MAX = 60_000;
/** How often fewer than half of a group's machines have disks that deceive. */
const DECEIVED_CHANCE = 0.3;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed, traced = false, metaserver = false } = options;
  const { shards = metaserver, nodes: count = metaserver ? NODES.length : 0, forMs = metaserver ? 8000 : 3000 } = options;
  const voters = options.voters ?? count;
  const healedMsMax = metaserver ? SELF_HEALED_MS_MAX : HEALED_MS_MAX;
  const { servers = count > 0 ? Array.from({ length: count }, (_, i) => `node${i + 1}`) : ['server'] } = options;
  const random = SimRandom.mixed(seed ^ 0x51b0);
  const clientNames = Array.from({ length: 2 + random.below(CLIENTS_MAX - 1) }, (_, i) => `client${i}`);
  // Drawn in any case: what is drawn after it must not depend on whether a plan was given.
  const deceivable = count >= 3 && voters === count && !shards && random.chance(DECEIVED_CHANCE) ? Math.floor((count - 1) / 2) : 0;
  const drawn = drawPlan(random.u32(), {
    nodes: servers,
    clients: clientNames,
    forMs,
    faultsMax: 20,
    kinds: count > 1 ? [...BEARABLE.kinds, ...OF_GROUPS] : BEARABLE.kinds,
    diskErrors: BEARABLE.diskErrors,
    grouped: count >= 3,
    deceived: servers.slice(0, deceivable),
  });
  // Where one member is lost, what only another one has in its engine is gone with that.
  const damages = count >= 3 && voters === count && !shards && deceivable === 0 ? drawDamages(seed, servers.at(-1)!, forMs) : [];
  const ofCluster = metaserver ? drawClusterFaults(seed, clientNames, forMs) : [];
  const ofChildren = shards ? drawChildFaults(seed, servers, forMs) : [];
  const earlyAnswers = count >= 3 && drawEarlyAnswers(seed);
  const hashed = shards && !metaserver && drawsHashed(seed);
  const allDrawn = [...drawn, ...damages, ...ofCluster, ...ofChildren];
  const plan = options.plan ?? (earlyAnswers ? withCachesKept(allDrawn) : allDrawn);
  const settings = { ...withoutLeases(drawStackSettings(random), plan), earlyAnswers };
  const world = new World({ seed, traced });
  const ledgers = new Ledgers((error) => world.alarm(error));
  const hooks = count > 0 ? { ledger: new Ledger((error) => world.alarm(error)) } : {};
  const reports = { reportMs: random.pick(metaserver ? REPORT_MS : [0]), roundMs: random.pick(metaserver ? REPORT_MS : [0]) };
  const bootNode = (environment: Environment, stack: StackSettings): Promise<Program> => {
    if (metaserver)
      return bootClusterNode(environment, {
        settings: stack,
        ledgers,
        ...reports,
        onEvent: (event) => tellEvent(world, event),
        alarm: (error) => world.alarm(error),
      });
    if (shards) return bootShardNode(environment, { settings: stack, ledgers, nodes: servers });
    return bootServer(environment, stack, hooks, count > 0 ? servers : undefined, count > 0 ? voters : undefined);
  };
  const { boot = bootNode } = options;
  const nodes = servers.map((name) => world.addNode(name, (environment) => boot(environment, settings)));
  /** All but those that are lost for good. */
  const allServe = (): boolean => nodes.every(({ program, isLost }) => program !== undefined || isLost);
  const timeoutMs = random.pick(TIMEOUTS_MS);
  // Servers that are no cluster know nothing of each other: the SDK would keep to one of them.
  const sdkShare = count > 0 ? random.pick([0, 0.5, 1]) : 0;
  const clients = clientNames.map((name) => {
    const Client = shards
      ? metaserver && random.chance(sdkShare)
        ? SdkClient
        : RoutingClient
      : random.chance(sdkShare)
        ? SdkClient
        : SimClient;
    return new Client(world, name, servers, timeoutMs, hashed ? HASHED_SHARD : undefined);
  });
  const workers = Array.from(
    { length: clients.length + random.below(WORKERS_MAX - clients.length) },
    (_, i) => clients[i % clients.length]!,
  );
  const thinkMsMax = random.pick(THINK_MS_MAX);
  const kinds = WORKLOADS.filter(() => random.chance(0.5));
  const nowMs = (): number => world.nowMs;
  const clocksLose = plan.some((fault) => fault.kind === 'clock-drift' && fault.drift < 0);
  const divided = shards ? drawShardWorkloads(nowMs, random, clocksLose, earlyAnswers) : undefined;
  const workloads =
    divided?.workloads ?? (kinds.length > 0 ? kinds : [random.pick(WORKLOADS)]).map((make) => make(nowMs, random, clocksLose));

  let failure: string | undefined;
  try {
    failure = await live();
  } catch (error) {
    failure = errorText(error);
  }
  const answered = workloads.reduce((sum, workload) => sum + workload.answered, 0);
  for (const workload of workloads) failure ??= verdictText(workload);
  world.counters.add('operations', answered);
  const { trace, counters, scheduler } = world;
  trace.fold(`answered ${answered} ${counters.text}`);
  return {
    hash: trace.hex,
    failure,
    foundBy: failure === undefined ? undefined : finderOf(failure),
    plan,
    counters,
    answered,
    events: scheduler.ran,
    simulatedMs: world.nowMs,
    trace: trace.lines,
  };

  async function live(): Promise<string | undefined> {
    if (!(await world.run(HEALED_MS_MAX, allServe))) return 'the servers do not come up';
    const oversight = overseer();
    const unprepared = await oversight.prepare?.();
    if (unprepared !== undefined) return unprepared;
    followPlan(world, plan);
    let working = true;
    let busy = workers.length;
    for (const [i, client] of workers.entries()) {
      const mine = random.fork();
      const work = async (): Promise<void> => {
        while (working) {
          await mine.pick(workloads).act(i, client, mine);
          await world.sleep(mine.fraction() * thinkMsMax);
        }
      };
      void work().then(
        () => busy--,
        (error: unknown) => world.alarm(error as Error),
      );
    }
    oversight.begin();
    await world.run(forMs);
    working = false;
    oversight.end();
    heal(world);
    // Two voters of three that lose a tenth of what they say to each other may elect for ever.
    Object.assign(settings.cluster.transport, { dropChance: 0, duplicateChance: 0, reorderChance: 0 });
    if (!(await world.run(healedMsMax, () => busy === 0))) return `${busy} workers wait for answers for ever`;
    if (!(await everybodyActs())) return 'the healed world does not serve';
    // What nobody has read yet may be damaged, and is found now.
    for (const { program } of nodes) program?.readAll?.();
    await world.run(1);
    if (!(await world.run(HEALED_MS_MAX, () => nodes.every(({ program }) => program?.isSound?.() ?? true))))
      return 'the healed world does not repair itself';
    if (earlyAnswers) await world.run(DISKS_MS);
    for (const node of nodes) node.end('none', 10);
    if (!(await everybodyActs())) return 'the servers do not come up again after the last loss of power';
    if (!(await everythingIsRead())) return 'what is there cannot be read';
    const unrest = await oversight.unrest();
    if (unrest !== undefined) return unrest;
    for (const { program } of nodes) if (program !== undefined) world.trace.fold(program.digest());
    return count > 0 ? oversight.difference() : undefined;
  }

  function overseer(): Oversight {
    if (metaserver)
      return new ClusterOversight(
        world,
        nodes,
        ledgers,
        random,
        {
          ...divided!,
          earlyAnswers,
          tables: drawsTables(seed),
          policy: drawPolicy(random),
          reportMs: reports.reportMs,
          tickMs: settings.cluster.tickMs,
        },
        healedMsMax,
      );
    if (divided !== undefined) return new ShardOversight(world, nodes, ledgers, random, { ...divided, earlyAnswers, hashed }, healedMsMax);
    return new GroupOversight({ world, nodes, changing: voters < count, random, healedMsMax });
  }

  /** Every key, so that what was acknowledged is found to be there. */
  async function everythingIsRead(): Promise<boolean> {
    let done = false;
    const reads = async (): Promise<void> => {
      for (const workload of workloads) await workload.readAll?.(0, clients[0]!);
      done = true;
    };
    reads().catch((error: unknown) => world.alarm(error as Error));
    return world.run(healedMsMax, () => done);
  }

  /** Until every client has seen every workload again. */
  async function everybodyActs(): Promise<boolean> {
    let left = clients.length;
    for (const [i, client] of clients.entries()) {
      const before = async (): Promise<void> => {
        for (const workload of workloads) {
          for (let times = 0; times < 4; times++) await workload.act(i, client, random);
        }
      };
      void before().then(
        () => left--,
        (error: unknown) => world.alarm(error as Error),
      );
    }
    return world.run(healedMsMax, () => left === 0 && allServe());
  }
}

const LIVENESS =
  /^(?:what is there|the servers do not|\d+ workers wait|the healed world|nobody leads|the replicas do not come|the shards do not come)/;

function finderOf(failure: string): string {
  if (failure.includes(BROKEN)) return failure.slice(failure.indexOf(BROKEN)).split(':', 2).join(':');
  if (failure.startsWith('the shards are no partition') || /^shard \d+ /.test(failure)) return 'shards compared';
  if (failure.startsWith(STORM)) return STORM;
  if (failure.startsWith('the replicas have different data')) return 'replicas compared';
  if (LIVENESS.test(failure)) return 'liveness';
  if (failure.includes('no order explains')) return 'linearizability';
  return failure.includes('ended itself') || failure.includes('internal/') ? 'own checks' : 'error';
}

/** What the metaserver does is counted by what it is. */
function tellEvent(world: World, event: MetaEvent): void {
  world.trace.fold(`metaserver ${world.nowMs}: ${JSON.stringify(event)}`);
  if (event.type === 'node') world.counters.add(`node: ${event.what.replace(/^node \d+/, 'it').replace(/[\d.,]+ ?m?s\b|\d+/g, 'n')}`);
  if (event.type === 'operator') world.counters.add(`operator: ${event.operator.kind} ${event.operator.state}`);
}

/** The shortest part of the plan with which the run still fails. */
export function shrinkPlan(options: SimulationOptions, plan: readonly Fault[]): Promise<readonly Fault[]> {
  return shrink(plan, async (some) => (await simulate({ ...options, plan: some })).failure !== undefined);
}

/** Leases are for clocks that go about as quickly. */
function withoutLeases(settings: StackSettings, plan: readonly Fault[]): StackSettings {
  const drifts = plan.some((fault) => fault.kind === 'clock-drift' && Math.abs(fault.drift) > LEASE_DRIFT_MAX);
  return drifts ? { ...settings, cluster: { ...settings.cluster, lease: undefined } } : settings;
}

function verdictText(workload: Workload): string | undefined {
  const verdict = workload.check();
  if (verdict.verdict === 'ok') return undefined;
  if (verdict.verdict === 'violation') return verdict.text;
  return `${workload.name} ${verdict.part}: undecided after ${verdict.visited} states`;
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = error instanceof SparrowError ? `${error.kind}/${error.code}: ` : '';
  return `${code}${error.stack ?? error.message}${error.cause === undefined ? '' : `\ncaused by ${errorText(error.cause)}`}`;
}
