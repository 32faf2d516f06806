/**
 * What goes wrong in a run, as data: a list of timed faults, drawn from a seed, that can be written down, given again, and shortened. Each
 * fault stands by itself and brings its own end (a crash its restart, a partition its healing), so that any part of a plan is a plan.
 */
import { CRASH_MODES } from './sim-file.ts';
import type { Ending } from './sim-node.ts';
import { SimRandom } from './sim-random.ts';
import type { World } from './world.ts';

export type Fault = { readonly atMs: number } & (
  | { readonly kind: 'end'; readonly node: string; readonly ending: Ending; readonly downMs: number }
  | {
      readonly kind: 'end-at-operation';
      readonly node: string;
      readonly after: number;
      readonly ending: Ending;
      readonly downMs: number;
    }
  | { readonly kind: 'pause'; readonly node: string; readonly forMs: number }
  | {
      readonly kind: 'partition';
      readonly some: readonly string[];
      readonly others: readonly string[];
      readonly way: Way;
      readonly forMs: number;
    }
  | { readonly kind: 'sever'; readonly one: string; readonly other: string }
  | { readonly kind: 'mute'; readonly from: string; readonly to: string }
  | { readonly kind: 'slow-links'; readonly delayMs: number; readonly forMs: number }
  | { readonly kind: 'clock-jump'; readonly node: string; readonly ms: number }
  | { readonly kind: 'clock-drift'; readonly node: string; readonly drift: number; readonly forMs: number }
  | { readonly kind: 'slow-disk'; readonly node: string; readonly times: number; readonly forMs: number }
  | { readonly kind: 'full-disk'; readonly node: string; readonly forMs: number }
  | { readonly kind: 'disk'; readonly node: string; readonly after: number; readonly error: DiskError }
);

type Way = 'both' | 'there' | 'back';
type DiskError = 'EIO' | 'ENOSPC' | 'short' | 'read EIO' | 'rot' | 'misdirected' | 'lie';
export type FaultKind = Fault['kind'];

export interface PlanOptions {
  /** Machines with disks and clocks, and addresses of clients. */
  readonly nodes: readonly string[];
  readonly clients: readonly string[];
  /** Faults begin within this time. */
  readonly forMs: number;
  readonly faultsMax: number;
  readonly kinds: readonly FaultKind[];
  readonly diskErrors: readonly DiskError[];
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
  ],
  diskErrors: ['EIO', 'ENOSPC', 'short', 'read EIO'],
};

export function drawPlan(seed: number, options: PlanOptions): Fault[] {
  const random = SimRandom.mixed(seed);
  // Not all kinds in every run: what one fault alone brings about, many hide.
  const kinds = options.kinds.filter(() => random.chance(0.6));
  const count = kinds.length === 0 ? 0 : 1 + random.below(random.pick([options.faultsMax, Math.ceil(options.faultsMax / 4)]));
  return Array.from({ length: count }, () => ({
    atMs: random.below(options.forMs),
    ...drawFault(random.pick(kinds), random, options),
  })).sort((a, b) => a.atMs - b.atMs);
}

const ENDINGS: readonly Ending[] = [...CRASH_MODES, 'process', 'process', 'process'];

type Untimed = Fault extends infer F ? (F extends Fault ? Omit<F, 'atMs'> : never) : never;

function drawFault(kind: FaultKind, random: SimRandom, { nodes, clients, diskErrors }: PlanOptions): Untimed {
  const node = random.pick(nodes);
  const peer = (): string => random.pick([...nodes.filter((other) => other !== node), ...clients]);
  const forMs = 50 + random.below(random.chance(0.3) ? 5000 : 800);
  switch (kind) {
    case 'end':
      return {
        kind,
        node,
        ending: random.pick([...CRASH_MODES, 'process', 'process', 'process'] as const),
        downMs: 10 + random.below(600),
      };
    case 'end-at-operation':
      return { kind, node, after: random.below(60), ending: random.pick(ENDINGS), downMs: 10 + random.below(600) };
    case 'partition': {
      const all = [...nodes, ...clients];
      const some = all.filter(() => random.chance(0.4));
      return {
        kind,
        some,
        others: all.filter((name) => !some.includes(name)),
        way: random.pick(['both', 'there', 'back'] as const),
        forMs,
      };
    }
    case 'sever':
      return { kind, one: node, other: peer() };
    case 'mute': {
      const [from, to] = random.chance(0.5) ? [node, peer()] : [peer(), node];
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
    default:
      return { kind, node, forMs };
  }
}

/** Makes the faults of a plan happen, from now on. */
export function followPlan(world: World, plan: readonly Fault[]): void {
  const beganMs = world.nowMs;
  for (const fault of plan) {
    world.scheduler.at(beganMs + fault.atMs, () => {
      if (happen(world, fault)) world.counters.add(fault.kind === 'disk' ? `disk ${fault.error}` : fault.kind);
    });
  }
}

/** Whether it could happen: what is down cannot be ended. */
function happen(world: World, fault: Fault): boolean {
  const { links, network, scheduler } = world;
  const node = 'node' in fault ? world.nodes.get(fault.node)! : undefined;
  switch (fault.kind) {
    case 'end':
      if (!node!.isUp) return false;
      node!.end(fault.ending, fault.downMs);
      return true;
    case 'end-at-operation':
      if (!node!.isUp) return false;
      node!.endAtOperation(fault.after, fault.ending, fault.downMs);
      return true;
    case 'pause':
      node!.pause(fault.forMs);
      return node!.isUp;
    case 'partition': {
      const each = (change: (from: string, to: string) => void): void => {
        for (const some of fault.some) {
          for (const other of fault.others) {
            if (fault.way !== 'back') change(some, other);
            if (fault.way !== 'there') change(other, some);
          }
        }
      };
      each((from, to) => links.block(from, to));
      scheduler.after(fault.forMs, () => each((from, to) => links.unblock(from, to)));
      return fault.some.length > 0 && fault.others.length > 0;
    }
    case 'sever':
      return network.sever(fault.one, fault.other) > 0;
    case 'mute':
      return network.mute(fault.from, fault.to) > 0;
    case 'slow-links': {
      links.settings = { ...links.settings, delayMsMax: links.settings.delayMsMax + fault.delayMs };
      const end = (): void => void (links.settings = { ...links.settings, delayMsMax: links.settings.delayMsMax - fault.delayMs });
      scheduler.after(fault.forMs, end);
      return true;
    }
    case 'clock-jump':
      node!.clock.jumpWall(fault.ms);
      return true;
    case 'clock-drift':
      node!.clock.drift(fault.drift);
      scheduler.after(fault.forMs, () => node!.clock.drift(0));
      return true;
    case 'slow-disk':
      node!.diskSlowness = fault.times;
      scheduler.after(fault.forMs, () => (node!.diskSlowness = 1));
      return true;
    case 'full-disk':
      node!.disk.capacityBytes = 0;
      scheduler.after(fault.forMs, () => (node!.disk.capacityBytes = Infinity));
      return true;
    case 'disk': {
      const reads = fault.error === 'rot' || fault.error === 'read EIO';
      const error = fault.error === 'read EIO' ? 'EIO' : fault.error;
      const at = (reads ? node!.disk.reads : node!.disk.operations) + 1 + fault.after;
      if (error === 'rot' || error === 'misdirected' || error === 'lie') node!.damaged = true;
      node!.disk.failAt({ at, error, on: reads ? 'read' : 'operation' });
      return true;
    }
  }
}

/** Ends everything that is wrong, so that what is still stuck afterwards is stuck by itself. */
export function heal(world: World): void {
  world.links.heal();
  for (const node of world.nodes.values()) {
    node.diskSlowness = 1;
    node.disk.capacityBytes = Infinity;
    node.forgetPlans();
    node.clock.drift(0);
    node.start();
  }
}

/** A plan in one line each. */
export function planText(plan: readonly Fault[]): string {
  return plan.map((fault) => `  ${JSON.stringify(fault)}`).join('\n');
}
