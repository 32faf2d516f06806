/**
 * What goes wrong in a run, as data: a list of timed faults, drawn from a seed (draw-plan.ts), that can be written down, given again, and shortened. Each
 * fault stands by itself and brings its own end (a crash its restart, a partition its healing), so that any part of a plan is a plan.
 */
import type { Moment } from './moments.ts';
import type { Ending, SimNode } from './sim-node.ts';
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
  /** The next time that `node` makes the replica of a shard that is split off there, `after` operations of its disk later. */
  | {
      readonly kind: 'end-at-child';
      readonly node: string;
      readonly after: number;
      readonly ending: Ending;
      readonly downMs: number;
    }
  /** The next time that `node` has sent what `at` names, after so many that are let go by: `afterMs` later it ends, or all of `several` do. */
  | {
      readonly kind: 'end-at-moment';
      readonly node: string;
      readonly at: Moment;
      readonly after: number;
      readonly afterMs: number;
      readonly several?: readonly string[];
      readonly ending: Ending;
      readonly downMs: number;
    }
  /** The machine is gone for good, and its disk with it. */
  | { readonly kind: 'lose'; readonly node: string }
  /** Power fails for several machines at once. */
  | { readonly kind: 'end-several'; readonly nodes: readonly string[]; readonly ending: Ending; readonly downMs: number }
  | { readonly kind: 'pause'; readonly node: string; readonly forMs: number }
  | {
      readonly kind: 'partition';
      readonly some: readonly string[];
      readonly others: readonly string[];
      readonly way: Way;
      readonly forMs: number;
      /** What it is called where it is counted. */
      readonly of?: string;
    }
  | { readonly kind: 'sever'; readonly one: string; readonly other: string }
  | { readonly kind: 'mute'; readonly from: string; readonly to: string }
  | { readonly kind: 'slow-links'; readonly delayMs: number; readonly forMs: number }
  | { readonly kind: 'clock-jump'; readonly node: string; readonly ms: number }
  | { readonly kind: 'clock-drift'; readonly node: string; readonly drift: number; readonly forMs: number }
  | { readonly kind: 'slow-disk'; readonly node: string; readonly times: number; readonly forMs: number }
  | { readonly kind: 'full-disk'; readonly node: string; readonly forMs: number }
  | { readonly kind: 'disk'; readonly node: string; readonly after: number; readonly error: DiskError }
  /** The engine does now what it does by itself at other times. */
  | { readonly kind: 'upkeep'; readonly node: string; readonly what: 'flush' | 'compact' }
  /** A byte is another in each of the engine's tables, `part` of the way into it. The log is sound: others can give back what is lost. */
  | { readonly kind: 'engine-damage'; readonly node: string; readonly part: number }
  /** The leads of `by`'s node, whoever leads when left out, are handed over. */
  | { readonly kind: 'transfer'; readonly node: string; readonly by?: typeof LEADER | typeof METASERVER }
);

export type Way = 'both' | 'there' | 'back';
/** `rot`, `misdirected`, `lie`, `lost` (sim-file-system.ts) deceive: no single copy can bear them. */
export type DiskError = 'EIO' | 'ENOSPC' | 'short' | 'read EIO' | Deceit;
export type Deceit = 'rot' | 'misdirected' | 'lie' | 'lost';
export type FaultKind = Fault['kind'];

export const DECEITS: readonly Deceit[] = ['rot', 'misdirected', 'lie', 'lost'];

/** Instead of a node's name: whoever leads when the fault happens. When nobody does, it does not happen. */
export const LEADER = '@leader';

/** The same: whoever leads the metaserver. */
export const METASERVER = '@metaserver';

/** Makes the faults of a plan happen, from now on. */
export function followPlan(world: World, plan: readonly Fault[]): void {
  const beganMs = world.nowMs;
  for (const fault of plan) {
    world.scheduler.at(beganMs + fault.atMs, () => {
      if (happen(world, fault)) world.counters.add(nameOf(fault));
    });
  }
}

/** As it is counted. */
function nameOf(fault: Fault): string {
  switch (fault.kind) {
    case 'disk':
      return `disk ${fault.error}`;
    case 'partition':
      return `partition${fault.of === undefined ? '' : ` of ${fault.of}`}${fault.way === 'both' ? '' : ' one-way'}`;
    case 'end-at-moment':
      return `armed: end at ${fault.at}`;
    case 'end-at-child':
      return 'armed: end at child';
    case 'upkeep':
      return `upkeep ${fault.what}`;
    default:
      return fault.kind;
  }
}

/** Whether it could happen: what is down cannot be ended. */
function happen(world: World, fault: Fault): boolean {
  const { links, network, scheduler } = world;
  const node = 'node' in fault ? nodeOf(world, fault.node) : undefined;
  if ('node' in fault && node === undefined) return false;
  switch (fault.kind) {
    case 'end':
      if (!node!.isUp) return false;
      node!.end(fault.ending, fault.downMs);
      return true;
    case 'lose':
      if (node!.isLost) return false;
      node!.lose();
      return true;
    case 'end-at-operation':
      if (!node!.isUp) return false;
      node!.endAtOperation(fault.after, fault.ending, fault.downMs);
      return true;
    case 'end-at-child':
      node!.endAtChild(fault.after, fault.ending, fault.downMs);
      return true;
    case 'end-at-moment':
      node!.whenSent(fault.at, fault.after, () =>
        scheduler.after(fault.afterMs, () => {
          const several = fault.several?.flatMap((name) => nodeOf(world, name) ?? []) ?? [node!];
          if (several.some(({ isUp }) => isUp)) world.counters.add(`ended at ${fault.at}`);
          for (const each of several) each.end(fault.ending, fault.downMs);
        }),
      );
      return true;
    case 'end-several': {
      const up = fault.nodes.flatMap((name) => nodeOf(world, name) ?? []).filter(({ isUp }) => isUp);
      for (const each of up) each.end(fault.ending, fault.downMs);
      return up.length > 1;
    }
    case 'pause':
      node!.pause(fault.forMs);
      return node!.isUp;
    case 'partition': {
      const some = fault.some.flatMap((name) => addressOf(world, name) ?? []);
      const others = fault.others.flatMap((name) => addressOf(world, name) ?? []).filter((name) => !some.includes(name));
      const each = (change: (from: string, to: string) => void): void => {
        for (const one of some) {
          for (const other of others) {
            if (fault.way !== 'back') change(one, other);
            if (fault.way !== 'there') change(other, one);
          }
        }
      };
      each((from, to) => links.block(from, to));
      scheduler.after(fault.forMs, () => each((from, to) => links.unblock(from, to)));
      return some.length > 0 && others.length > 0;
    }
    case 'sever': {
      const [one, other] = [addressOf(world, fault.one), addressOf(world, fault.other)];
      return one !== undefined && other !== undefined && network.sever(one, other) > 0;
    }
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
      if (isDeceit(fault.error)) node!.damaged = true;
      node!.disk.failAt({ at, error, on: reads ? 'read' : 'operation' });
      return true;
    }
    case 'upkeep': {
      const work = node!.program?.upkeep?.(fault.what);
      work?.catch(() => world.counters.add('upkeep refused'));
      return work !== undefined;
    }
    case 'engine-damage':
      return damageEngine(node!, fault.part);
    case 'transfer':
      return nodeOf(world, fault.by ?? LEADER)?.program?.handOver?.(node!.name) ?? false;
  }
}

/** Tables of a snapshot that arrives are among them: that is found before it takes an engine's place. */
function damageEngine(node: SimNode, part: number): boolean {
  let damaged = 0;
  for (const slot of ['a', 'b']) {
    const directory = `/data/groups/000001/${slot}/files`;
    if (!node.disk.existsSync(directory)) continue;
    for (const name of node.disk.listSync(directory).filter((each) => each.endsWith('.table'))) {
      const { length } = node.disk.contents(`${directory}/${name}`);
      if (length === 0) continue;
      node.disk.flip(`${directory}/${name}`, Math.floor(part * length), 0x10);
      damaged++;
    }
  }
  node.damaged ||= damaged > 0;
  return damaged > 0;
}

function nodeOf(world: World, name: string): SimNode | undefined {
  if (name !== LEADER && name !== METASERVER) return world.nodes.get(name);
  let leader: SimNode | undefined;
  let term = 0;
  for (const node of world.nodes.values()) {
    const leads = (name === LEADER ? node.program?.leads?.() : node.program?.leadsMetaserver?.()) ?? 0;
    if (leads > term) [leader, term] = [node, leads];
  }
  return leader;
}

function addressOf(world: World, name: string): string | undefined {
  return name === LEADER || name === METASERVER ? nodeOf(world, name)?.name : name;
}

function isDeceit(error: DiskError): error is Deceit {
  return (DECEITS as readonly string[]).includes(error);
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
