/** Part `idle`: what servers take that have shards in which nothing happens, beside one that has almost none. */
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesWrittenBy, cpuUsOf, rssBytesOf, sumOf } from '../server/process-figures.ts';
import type { IdleResult } from './part-result.ts';
import type { PartStage } from './part-stage.ts';
import { Topology } from './topology.ts';

export interface IdlePlan {
  readonly nodes: number;
  readonly shards: readonly number[];
  /** Groups go to sleep, and what making them left behind is done. */
  readonly settleMs: number;
  readonly measureMs: number;
}

export async function measureIdle(
  { start, onResult }: PartStage<IdleResult>,
  { nodes, shards: counts, settleMs, measureMs }: IdlePlan,
): Promise<void> {
  for (const shards of counts) {
    await using cluster = await start(`idle-${shards}`, nodes);
    using topology = new Topology(cluster);
    await topology.makeTable(shards);
    await sleep(settleMs);
    const { processIds } = cluster;
    const [cpuBefore, writtenBefore, beganMs] = [sumOf(processIds, cpuUsOf), sumOf(processIds, bytesWrittenBy), performance.now()];
    await sleep(measureMs);
    const [cpuAfter, writtenAfter, tookMs] = [sumOf(processIds, cpuUsOf), sumOf(processIds, bytesWrittenBy), performance.now() - beganMs];
    cluster.check();
    const each = (after: number | undefined, before: number | undefined, share: number): number | null =>
      after === undefined || before === undefined ? null : (after - before) / share / nodes;
    onResult({
      part: 'idle',
      nodes,
      shards,
      cpuShare: each(cpuAfter, cpuBefore, tookMs * 1000),
      rssBytes: each(sumOf(processIds, rssBytesOf), 0, 1),
      bytesWrittenPerSec: each(writtenAfter, writtenBefore, tookMs / 1000),
    });
  }
}
