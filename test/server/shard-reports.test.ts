import { expect, it } from 'vitest';

import { SparrowError } from '../../base/errors.ts';
import type { Clock } from '../../base/env.ts';
import type { NodeShards, Replica } from '../../server/node/index.ts';
import { ShardReports } from '../../server/shard-reports.ts';

/** A replica that sleeps, of which it is counted how often it is asked. */
class Sleeper {
  group = 16;
  members = [1, 2, 3];
  asleep = true;
  stopped = undefined;
  applied = 16;
  leader = 4;
  term = 4;
  role = 'follower';
  asked = 0;
  shard = { descriptor: { keys: { kind: 'range' } } };
  configuration = { voters: [1, 2, 3] };
  get engine(): never {
    throw new SparrowError('closed', 'ENGINE_CLOSED', 'it has none');
  }
  get lead(): object {
    return { leader: this.leader };
  }
  progressOf(): object {
    return { match: 0 };
  }
  stats(): object {
    this.asked++;
    const { role, term, leader, applied } = this;
    return { role, term, leader, lastIndex: applied, appliedIndex: applied, stoppedBecause: undefined };
  }
}

function reportsOf(sleeper: Sleeper): ShardReports {
  return new ShardReports([sleeper as unknown as Replica] as unknown as NodeShards, { monotonicMs: () => 0 } as Clock);
}

it('a group that sleeps is asked once', () => {
  const sleeper = new Sleeper();
  const reports = reportsOf(sleeper);
  for (let i = 0; i < 3; i++) expect(reports.take()).toMatchObject([{ role: 'follower', leader: 4, applied: 16 }]);
  expect(sleeper.asked).toBe(1);
});

it('one that woke while nobody took reports, and sleeps again, is reported as it is', () => {
  const sleeper = new Sleeper();
  const reports = reportsOf(sleeper);
  reports.take();
  Object.assign(sleeper, { role: 'leader', leader: 1, term: 5, applied: 17 });
  expect(reports.take()).toMatchObject([{ role: 'leader', leader: 1, term: 5, applied: 17 }]);
});
