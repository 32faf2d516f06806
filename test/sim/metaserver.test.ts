import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runSample } from './campaign-workers.ts';
import { drawClusterFaults } from './metaserver/draw-faults.ts';
import { simulate } from './simulate.ts';

const CAMPAIGN = fileURLToPath(new URL('campaign.ts', import.meta.url));
const SEEDS = 30;
/** What so few seeds reach. */
const REACHED: readonly string[] = [
  'lose',
  'operator: split done',
  'operator: move done',
  'operator: repair done',
  'operator: tidy done',
  'people: drain',
  'shards serving, seen',
  'snapshots installed',
];

describe('a cluster that runs itself in the simulation', () => {
  it(
    'stays linearizable and comes to rest, its replicas spread over zones, whatever fails and is asked of it',
    { timeout: 600_000 },
    async () => {
      const counters = await runSample(['--metaserver'], SEEDS);
      expect(counters.get('operations')).toBeGreaterThan(15_000);
      counters.assertReached(REACHED);
    },
  );

  it('is broken by nothing any more once it is healed', () => {
    const drawn = Array.from({ length: 200 }, (_, seed) => drawClusterFaults(seed, ['client0'], 8000)).flat();
    expect(drawn.length).toBeGreaterThan(1000);
    expect(drawn.filter(({ atMs }) => atMs >= 8000)).toEqual([]);
  });

  it('runs the same way for the same seed, in another process too', { timeout: 600_000 }, async () => {
    const { hash } = await simulate({ seed: 1, metaserver: true });
    const output = execFileSync(process.execPath, [CAMPAIGN, '--metaserver', '--seed', '1', '--replay'], { encoding: 'utf8' });
    expect(output).toContain(`hash ${hash}`);
  });
});
