/**
 * What goes wrong in a cluster that runs itself, beside what goes wrong anywhere (draw-plan.ts):
 *
 *   a machine is gone for good, one at most: what it had is made anew elsewhere
 *   a zone is cut off, or loses its power, and is there again later
 *   whoever leads the metaserver ends, stands still, hears nobody or is heard by nobody, hands the lead over, time and again; and nodes lose each other then, so that they ask around who leads
 */
import { type Fault, METASERVER, type Way } from '../fault-plan.ts';
import { CRASH_MODES } from '../sim-file.ts';
import { SimRandom } from '../sim-random.ts';
import { NODES, nodesIn, ZONES } from './cluster-plan.ts';

const WAYS: readonly Way[] = ['both', 'there', 'back'];
const LOST_CHANCE = 0.35;
const ZONE_CHANCE = 0.4;
const LEAD_CHANCE = 0.5;
/** Nodes ask around for so long after something has happened to whoever led. */
const ASKING_MS = 4000;

/** Drawn apart from all else. `clients`: of each side one part, when a zone is cut off. */
export function drawClusterFaults(seed: number, clients: readonly string[], forMs: number): Fault[] {
  const random = SimRandom.mixed(seed ^ 0x2e7a);
  const faults: Fault[] = [];
  if (random.chance(LOST_CHANCE)) faults.push({ atMs: random.below(forMs * 0.8), kind: 'lose', node: random.pick(NODES) });
  if (random.chance(ZONE_CHANCE)) faults.push(zoneFault(random, clients, forMs));
  if (random.chance(LEAD_CHANCE)) for (let times = 1 + random.below(4); times > 0; times--) faults.push(...leadFaults(random, forMs));
  // Everything is healed after that, and nothing breaks any more.
  return faults.filter(({ atMs }) => atMs < forMs);
}

function zoneFault(random: SimRandom, clients: readonly string[], forMs: number): Fault {
  const zone = nodesIn(random.pick(ZONES));
  const atMs = random.below(forMs * 0.7);
  const awayMs = 500 + random.below(4000);
  if (random.chance(0.4)) return { atMs, kind: 'end-several', nodes: zone, ending: random.pick(CRASH_MODES), downMs: awayMs };
  const some = [...zone, ...clients.filter(() => random.chance(0.3))];
  const others = [...NODES, ...clients].filter((name) => !some.includes(name));
  return { atMs, kind: 'partition', some, others, way: random.pick(WAYS), forMs: awayMs, of: 'a zone' };
}

function leadFaults(random: SimRandom, forMs: number): Fault[] {
  const fault = leadFault(random, forMs);
  if (random.chance(0.5)) return [fault];
  const asking = Array.from({ length: 8 + random.below(16) }, (): Fault => {
    const one = random.pick([METASERVER, ...NODES]);
    return { atMs: fault.atMs + random.below(ASKING_MS), kind: 'sever', one, other: random.pick(NODES.filter((node) => node !== one)) };
  });
  return [fault, ...asking];
}

function leadFault(random: SimRandom, forMs: number): Fault {
  const atMs = random.below(forMs);
  const awayMs = 100 + random.below(3000);
  const dice = random.below(6);
  if (dice < 2) return { atMs, kind: 'transfer', node: random.pick(NODES), by: METASERVER };
  if (dice === 2) {
    const ending = random.pick([...CRASH_MODES, 'process', 'process'] as const);
    return { atMs, kind: 'end', node: METASERVER, ending, downMs: random.below(1000) };
  }
  if (dice === 3) return { atMs, kind: 'pause', node: METASERVER, forMs: awayMs };
  return { atMs, kind: 'partition', some: [METASERVER], others: NODES, way: random.pick(WAYS), forMs: awayMs, of: 'the metaserver' };
}
