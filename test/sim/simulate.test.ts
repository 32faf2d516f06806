import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Counters } from './counters.ts';
import { expectedCounters } from './expected.ts';
import { PLANTED_HOOKS } from './planted-hooks.ts';
import { bootServer } from './server-program.ts';
import { shrinkPlan, simulate } from './simulate.ts';

const SEEDS = 40;
/** Each planted bug shows within so many. */
const PLANTED_SEEDS = 60;
const CAMPAIGN = fileURLToPath(new URL('campaign.ts', import.meta.url));

describe('a server of one voter in the simulation', () => {
  it('stays linearizable and comes back under faults', { timeout: 120_000 }, async () => {
    const counters = new Counters();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { failure, counters: reached } = await simulate({ seed });
      expect(failure, `node test/sim/campaign.ts --seed ${seed} --replay`).toBeUndefined();
      counters.addAll(reached);
    }
    expect(counters.get('operations')).toBeGreaterThan(2000);
    const rare = new Set(['exit: disk', 'flushes', 'compactions']);
    counters.assertReached(
      expectedCounters({ nodes: 0, changing: false }).filter((name) => !rare.has(name) && !/^(?:disk|power lost)/.test(name)),
    );
  });

  it('runs the same way for the same seed, in another process too', { timeout: 600_000 }, async () => {
    const { hash } = await simulate({ seed: 7 });
    expect((await simulate({ seed: 7 })).hash).toBe(hash);
    expect((await simulate({ seed: 8 })).hash).not.toBe(hash);
    const output = execFileSync(process.execPath, [CAMPAIGN, '--seed', '7', '--replay'], { encoding: 'utf8' });
    expect(output).toContain(`hash ${hash}`);
  });
});

describe('the simulation finds', () => {
  it('that two servers know nothing of each other', async () => {
    const { failure, counters } = await simulate({ seed: 2, servers: ['one', 'other'], plan: [] });
    expect(failure).toMatch(/no order explains/);
    expect(counters.get('start')).toBe(4);
  });

  for (const { name, hooks } of PLANTED_HOOKS) {
    it(`that ${name}`, { timeout: 120_000 }, async () => {
      for (let seed = 1; seed <= PLANTED_SEEDS; seed++) {
        const options = {
          seed,
          boot: (...[environment, settings]: Parameters<typeof bootServer>) => bootServer(environment, settings, hooks()),
        };
        const { failure, plan } = await simulate(options);
        if (failure === undefined) continue;
        const shrunk = await shrinkPlan(options, plan);
        expect(shrunk.length).toBeLessThanOrEqual(plan.length);
        expect((await simulate({ ...options, plan: shrunk })).failure).toBeDefined();
        return;
      }
      expect.unreachable(`not found in ${PLANTED_SEEDS} seeds`);
    });
  }
});
