/** The parts of the bench that are about shards and nodes, of ours only, and how much of each. */
import { type IdlePlan, measureIdle } from './idle-shards.ts';
import type { PartResult } from './part-result.ts';
import type { PartStage } from './part-stage.ts';
import { measureRebuild, type RebuildPlan } from './rebuild.ts';
import { measureShards, type ShardsPlan } from './shard-counts.ts';
import type { Plan } from './workloads.ts';

export type PartName = PartResult['part'];
export const PARTS: readonly PartName[] = ['shards', 'idle', 'rebuild'];

export interface PartsPlan {
  readonly shards: ShardsPlan;
  readonly idle: IdlePlan;
  readonly rebuild: RebuildPlan;
}

const MIB: number = 2 ** 20;

export const PARTS_PLAN: PartsPlan = {
  shards: { nodes: [3, 5], shards: [1, 4, 16, 64], inFlights: [64, 256] },
  idle: { nodes: 3, shards: [1, 256, 1024], settleMs: 20_000, measureMs: 20_000 },
  rebuild: { nodes: 4, shards: 16, dataBytes: 512 * MIB, inFlights: [0, 16], measureMs: 10_000 },
};

export const PARTS_PLAN_QUICK: PartsPlan = {
  shards: { nodes: [3, 5], shards: [1, 16], inFlights: [64] },
  idle: { nodes: 3, shards: [1, 64], settleMs: 4_000, measureMs: 4_000 },
  rebuild: { nodes: 4, shards: 8, dataBytes: 32 * MIB, inFlights: [0, 16], measureMs: 2_000 },
};

/** Values on disks, at most. */
export function bytesOfParts({ rebuild }: PartsPlan): number {
  return rebuild.dataBytes * rebuild.nodes;
}

export function measurePart(part: PartName, stage: PartStage, parts: PartsPlan, plan: Plan): Promise<void> {
  if (part === 'shards') return measureShards(stage, parts.shards, plan);
  return part === 'idle' ? measureIdle(stage, parts.idle) : measureRebuild(stage, parts.rebuild);
}
