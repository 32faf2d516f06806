/** Restarts the nodes of a cluster one after another, under load: no call of an SDK fails, and what was acknowledged is there. */
import { audit } from './audit.ts';
import { Load } from './load.ts';
import { restartOneByOne } from './process-faults.ts';
import type { TestCluster } from './test-cluster.ts';

export interface RollingOptions {
  readonly seed: number;
  /** Each time all nodes are. */
  readonly times: number;
  readonly onRound?: (report: string) => void;
}

export interface RollingResult {
  readonly restarts: number;
  readonly calls: number;
  readonly slowestMs: number;
}

const CLIENTS = 4;

export async function restartUnderLoad(cluster: TestCluster, { seed, times, onRound }: RollingOptions): Promise<RollingResult> {
  // As users have them.
  const clients = Array.from({ length: CLIENTS }, () => cluster.connect());
  let [calls, slowestMs] = [0, 0];
  try {
    for (let time = 1; time <= times; time++) {
      const load = new Load(clients, { seed: seed + time, prefix: `time-${time}/` });
      load.begin();
      await restartOneByOne(cluster);
      await load.end();
      await load.look();
      const wrong = load.check();
      if (wrong !== undefined) throw new Error(wrong);
      const { failures } = load.calls;
      if (failures.size > 0) throw new Error(`calls failed: ${[...failures].map(([name, count]) => `${count} ${name}`).join(', ')}`);
      await audit(cluster, [load]);
      calls += load.calls.calls;
      slowestMs = Math.max(slowestMs, load.calls.slowestMs);
      onRound?.(`time ${time}: ${load.calls.calls} calls, the slowest took ${Math.round(load.calls.slowestMs)} ms`);
    }
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
  return { restarts: times * cluster.nodes.length, calls, slowestMs };
}
