/** Wall clocks that jump, or run fast or slow, on one node or on all of them by different amounts. */
import type { Fault } from './fault.ts';

const SETTINGS: readonly string[] = ['+30', '-30', '+86400', '-86400', '+0 x3.0', '+0 x0.1'];

function clocks(name: string, everybody: boolean): Fault {
  return {
    name,
    missing: (target) => (target.clocks === undefined ? 'no libfaketime' : undefined),
    begin({ cluster, clocks }, random) {
      const nodes = everybody ? cluster.nodes : [random.pick(cluster.nodes)];
      const met = nodes.map(({ id }) => {
        const words = random.pick(SETTINGS);
        clocks!.set(id, words);
        return `node ${id}: ${words}`;
      });
      return Promise.resolve({
        what: met.join(', '),
        serves: true,
        heal() {
          for (const { id } of nodes) clocks!.heal(id);
          return Promise.resolve();
        },
      });
    },
  };
}

export const CLOCK_FAULTS: readonly Fault[] = [clocks('a wrong clock', false), clocks('wrong clocks everywhere', true)];
