/** What the cells of the map are coloured by: a state, the leader's zone, traffic or size. Pure. */
import type { ShardView } from '../cluster-view.ts';
import { bytes, count, perSecond } from './format.ts';
import { HEALTHS } from './health.ts';
import { inOrder, type Model, trafficOf, zoneOf } from './model.ts';
import { stepOf } from './scale.ts';

export interface Paint {
  /** A class of style.css. */
  readonly of: (shard: ShardView) => string;
  readonly legend: readonly { readonly paint: string; readonly words: string }[];
}

const STEPS = 6;
const ZONE_COLOURS = 6;

export const PAINTS: readonly { readonly name: string; readonly make: (model: Model) => Paint }[] = [
  { name: 'State', make: byHealth },
  { name: "Leader's zone", make: byZone },
  { name: 'Traffic', make: (model) => bySteps(model, trafficOf, perSecond) },
  { name: 'Size', make: (model) => bySteps(model, ({ dataBytes }) => dataBytes, bytes) },
];

function byHealth({ healths }: Model): Paint {
  const counts = new Map<string, number>();
  for (const health of healths.values()) counts.set(health, (counts.get(health) ?? 0) + 1);
  return {
    of: ({ id }) => `paint-${healths.get(id) ?? 'well'}`,
    legend: HEALTHS.filter(({ health }) => counts.has(health)).map(({ health, words }) => ({
      paint: `paint-${health}`,
      words: `${words} ${count(counts.get(health)!)}`,
    })),
  };
}

/** With more zones than colours, the last ones share theirs: the legend says so. */
function byZone({ view, around }: Model): Paint {
  const zones = inOrder(view.nodes.filter(({ state }) => state !== 'removed').map(({ zone }) => zone));
  const paintOf = new Map(zones.map((zone, index) => [zone, `paint-zone-${Math.min(index + 1, ZONE_COLOURS)}`]));
  const counts = new Map<string, number>();
  for (const { leader } of view.shards) {
    const zone = leader === 0 ? undefined : zoneOf(leader, around);
    const paint = zone === undefined ? 'paint-lost' : (paintOf.get(zone) ?? 'paint-lost');
    counts.set(paint, (counts.get(paint) ?? 0) + 1);
  }
  const legend = zones.slice(0, ZONE_COLOURS).map((zone, index) => {
    const paint = `paint-zone-${index + 1}`;
    const others = index === ZONE_COLOURS - 1 && zones.length > ZONE_COLOURS ? ` and ${count(zones.length - ZONE_COLOURS)} more` : '';
    return { paint, words: `${zone === '' ? 'no zone' : zone}${others} ${count(counts.get(paint) ?? 0)}` };
  });
  const without = counts.get('paint-lost');
  return {
    of: ({ leader }) => (leader === 0 ? 'paint-lost' : (paintOf.get(zoneOf(leader, around)) ?? 'paint-lost')),
    legend: [...legend, ...(without === undefined ? [] : [{ paint: 'paint-lost', words: `no leader ${count(without)}` }])],
  };
}

function bySteps({ view }: Model, measure: (shard: ShardView) => number, show: (value: number) => string): Paint {
  const most = view.shards.reduce((largest, shard) => Math.max(largest, measure(shard)), 0);
  return {
    of: (shard) => `paint-step-${stepOf(measure(shard), most, STEPS) + 1}`,
    legend: Array.from({ length: STEPS }, (_, i) => ({
      paint: `paint-step-${i + 1}`,
      words: i === STEPS - 1 ? `to ${show(most)}` : i === 0 ? 'from 0' : '',
    })),
  };
}
