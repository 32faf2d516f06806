import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runSample } from './campaign-workers.ts';
import { expectedCounters } from './expected.ts';
import { simulate } from './simulate.ts';

const CAMPAIGN = fileURLToPath(new URL('campaign.ts', import.meta.url));

/** What a sample may miss: it takes hundreds of seeds to meet all. */
const RARE: ReadonlySet<string> = new Set([
  'groups asleep',
  'disk rot',
  'disk misdirected',
  'disk lie',
  'disk lost',
  'machine lost',
  'ended at timeout-now',
  'exit: disk',
  'members: two replaced',
]);

describe('a cluster in the simulation', () => {
  it('of three nodes stays linearizable and comes back under faults', { timeout: 600_000 }, async () => {
    const counters = await runSample(['--nodes', '3'], 300);
    expect(counters.get('operations')).toBeGreaterThan(30_000);
    counters.assertReached(expectedCounters({ nodes: 3, changing: false }).filter((name) => !RARE.has(name)));
  });

  it('of five nodes, too', { timeout: 600_000 }, async () => {
    const counters = await runSample(['--nodes', '5'], 20);
    expect(counters.get('operations')).toBeGreaterThan(2000);
  });

  it('runs the same way for the same seed, in another process too', { timeout: 600_000 }, async () => {
    const { hash } = await simulate({ seed: 7, nodes: 3 });
    expect((await simulate({ seed: 7, nodes: 3 })).hash).toBe(hash);
    const output = execFileSync(process.execPath, [CAMPAIGN, '--nodes', '3', '--seed', '7', '--replay'], { encoding: 'utf8' });
    expect(output).toContain(`hash ${hash}`);
  });
});

describe('a cluster whose members change', () => {
  it('stays linearizable, too', { timeout: 600_000 }, async () => {
    const counters = await runSample(['--nodes', '5', '--voters', '3'], 60);
    counters.assertReached(expectedCounters({ nodes: 5, changing: true }).filter((name) => !RARE.has(name)));
  });
});
