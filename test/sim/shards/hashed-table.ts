/** In some runs the clients' table is one that is divided by hash. It is made before anything happens, as one shard that has a replica on every node. */
import { MADE_SHARD_MIN, type ShardDescriptor, wholeTable } from '../../../server/shard/descriptor.ts';
import { SimRandom } from '../sim-random.ts';

const TABLE = 3;
const CHANCE = 0.35;

/** As it begins. It is split, and what is split off is merged into it again; it stays. */
export const HASHED_SHARD: ShardDescriptor = { ...wholeTable(MADE_SHARD_MIN, TABLE), keys: { kind: 'hash', bits: 0, index: 0 } };

export function drawsHashed(seed: number): boolean {
  return SimRandom.mixed(seed ^ 0x6a5b).chance(CHANCE);
}
