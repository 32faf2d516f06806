/**
 * Part `rebuild`: a node dies for good and is decommissioned; how long until what it had is on others, what that costs them, and what a load notices of it. Once without a load,
 * for time and bytes, and once with one.
 */
import { KEY_BYTES } from '../engine/data.ts';
import { Meter } from '../engine/meter.ts';
import { bytesWrittenBy, cpuUsOf, sumOf } from '../server/process-figures.ts';
import type { LoadFigures, RebuildResult } from './part-result.ts';
import type { PartStage } from './part-stage.ts';
import { Records } from './records.ts';
import { drive, each } from './stretch.ts';
import { TABLE, Topology } from './topology.ts';
import { enter } from './ways-in.ts';
import { workloadOf } from './workloads.ts';

export interface RebuildPlan {
  /** One more than a shard has replicas, at least. The last one dies; the first three have the metaserver. */
  readonly nodes: number;
  readonly shards: number;
  /** Values, of 1 KiB. */
  readonly dataBytes: number;
  readonly inFlights: readonly number[];
  /** Of the load before the death. */
  readonly measureMs: number;
}

const WORKLOAD = 'mix-1k';
const FILL_IN_FLIGHT = 256;
const READ_BACK_KEYS = 1000;

export async function measureRebuild({ start, onResult }: PartStage<RebuildResult>, plan: RebuildPlan): Promise<void> {
  const { nodes, shards, dataBytes, inFlights, measureMs } = plan;
  const workload = workloadOf(WORKLOAD);
  for (const inFlight of inFlights) {
    await using cluster = await start(`rebuild-${inFlight}`, nodes);
    using topology = new Topology(cluster);
    await topology.makeTable(shards);
    const records = new Records(Math.ceil(dataBytes / workload.valueBytes), workload.valueBytes);
    const caller = await enter('session', cluster.addresses, TABLE);
    try {
      await each(FILL_IN_FLIGHT, records.count, (i) => records.put(caller, i));
      const load = async (milliseconds: number, over: () => boolean): Promise<LoadFigures | null> => {
        if (inFlight === 0) return null;
        const meter = new Meter();
        await drive({ caller, workload, records, meter }, inFlight, { milliseconds, operations: Infinity, over });
        const { opsPerSec, p50Us, p99Us, maxUs } = meter.result();
        return { opsPerSec, p50Us, p99Us, maxUs };
      };
      const before = await load(measureMs, () => false);
      await topology.atRest();
      const held = Math.round(((await topology.replicasOn(nodes)) / shards) * records.count * (KEY_BYTES + workload.valueBytes));
      await cluster.kill(nodes);
      const { processIds } = cluster;
      const [cpuBefore, writtenBefore, beganMs] = [sumOf(processIds, cpuUsOf), sumOf(processIds, bytesWrittenBy), performance.now()];
      let whole = false;
      const rebuilding = topology
        .decommission(nodes)
        .then(() => topology.atRest())
        .then(() => performance.now() - beganMs)
        .finally(() => (whole = true));
      const [during, tookMs] = await Promise.all([load(Infinity, () => whole), rebuilding]);
      const [cpuAfter, writtenAfter] = [sumOf(processIds, cpuUsOf), sumOf(processIds, bytesWrittenBy)];
      await each(FILL_IN_FLIGHT, READ_BACK_KEYS, () => records.get(caller, records.choose(0, 1)));
      const spent = (after: number | undefined, since: number | undefined): number | null =>
        after === undefined || since === undefined ? null : after - since;
      const cpuUs = spent(cpuAfter, cpuBefore);
      onResult({
        ...{ part: 'rebuild', nodes, shards, dataBytes: held, tookMs },
        bytesWritten: spent(writtenAfter, writtenBefore),
        cpuMs: cpuUs === null ? null : cpuUs / 1000,
        ...{ inFlight, before, during },
      });
    } finally {
      await caller.close();
    }
  }
}
