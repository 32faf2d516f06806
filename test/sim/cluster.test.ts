import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Counters } from './counters.ts';
import { BEARABLE } from './fault-plan.ts';
import { simulate } from './simulate.ts';

const SEEDS = 24;
const CAMPAIGN = fileURLToPath(new URL('campaign.ts', import.meta.url));

describe('a cluster in the simulation', () => {
  it('of three nodes stays linearizable and comes back under faults', { timeout: 240_000 }, async () => {
    const counters = new Counters();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { failure, counters: reached } = await simulate({ seed, nodes: 3 });
      expect(failure, `node test/sim/campaign.ts --nodes 3 --seed ${seed} --replay`).toBeUndefined();
      counters.addAll(reached);
    }
    expect(counters.get('operations')).toBeGreaterThan(2000);
    counters.assertReached([...BEARABLE.kinds.filter((kind) => kind !== 'disk'), 'sent again', 'ended in an operation', 'outcome unknown']);
    counters.assertReached([
      'leads begun',
      'leads lost',
      'entries replayed',
      'entries fetched',
      'snapshots sent',
      'snapshots installed',
      'logs of several segments',
      'answer: rerouted',
    ]);
    counters.assertReached(['messages dropped', 'messages doubled', 'messages reordered']);
  });

  it('of five nodes, too', { timeout: 120_000 }, async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const { failure } = await simulate({ seed, nodes: 5 });
      expect(failure, `node test/sim/campaign.ts --nodes 5 --seed ${seed} --replay`).toBeUndefined();
    }
  });

  it('whose members change, too', { timeout: 240_000 }, async () => {
    const counters = new Counters();
    for (let seed = 1; seed <= 10; seed++) {
      const { failure, counters: reached } = await simulate({ seed, nodes: 5, voters: 3 });
      expect(failure, `node test/sim/campaign.ts --nodes 5 --voters 3 --seed ${seed} --replay`).toBeUndefined();
      counters.addAll(reached);
    }
    const verbs = ['learner added', 'promoted', 'demoted', 'removed', 'replaced', 'transferred'];
    counters.assertReached(verbs.map((verb) => `members: ${verb}`));
    counters.assertReached(['snapshots installed']);
  });

  it('runs the same way for the same seed, in another process too', { timeout: 60_000 }, async () => {
    const { hash } = await simulate({ seed: 7, nodes: 3 });
    expect((await simulate({ seed: 7, nodes: 3 })).hash).toBe(hash);
    const output = execFileSync(process.execPath, [CAMPAIGN, '--nodes', '3', '--seed', '7', '--replay'], { encoding: 'utf8' });
    expect(output).toContain(`hash ${hash}`);
  });
});
