/**
 * What a table is asked to be, checked: every bound has a name, and what breaks one is told which field, what it is and what it may be
 * (`invalid/TABLE_SPEC`, details field, min, max). Pure. Used by tables.ts.
 */
import { majority } from '../../raft/index.ts';
import { DURABILITIES, type Durability, type ReplicaCounts, type TablePartitioning, type TableQuotas } from '../table.ts';
import { checkWhole, invalid } from './change.ts';

/** What is not there has its default. */
export interface TableSpec {
  readonly name: string;
  /** Default: range, one shard. */
  readonly partitioning?: TablePartitioning;
  /** Default: 3 voters, or 1 where there are fewer than three nodes. */
  readonly replicas?: Partial<ReplicaCounts>;
  readonly pool?: string;
  readonly inlineThreshold?: number;
  /** Default: synced. */
  readonly durability?: Durability;
  /** Default: 0, values do not expire. */
  readonly ttlMs?: number;
  /** Default: no bounds. */
  readonly quotas?: Partial<TableQuotas>;
}

export const TABLE_LIMITS = {
  nameCharacters: 128,
  splitKeys: 1023,
  keyBytes: 4096,
  hashShards: 1024,
  votes: 7,
  learners: 16,
  inlineThresholdBytes: 16_777_216,
  callsPerSecond: 4_000_000_000,
  /** 100 years. */
  ttlMs: 3_153_600_000_000,
} as const;

const NAME = /^[A-Za-z0-9._-]+$/;
const POOL_NAME = /^[A-Za-z0-9._-]{1,64}$/;

export function checkName(name: string): string {
  const max = TABLE_LIMITS.nameCharacters;
  if (name.length === 0 || name.length > max || !NAME.test(name))
    throw spec('name', `name '${name.slice(0, max)}': a name has 1 to ${max} letters, digits, dots, underscores and dashes`, { max });
  return name;
}

export function checkPool(pool: string): string {
  if (!POOL_NAME.test(pool))
    throw spec('pool', `pool '${pool.slice(0, 64)}': a name has 1 to 64 letters, digits, dots, underscores and dashes`);
  return pool;
}

export function checkPartitioning(partitioning: TablePartitioning): TablePartitioning {
  if (partitioning.kind === 'hash') {
    const { shards } = partitioning;
    whole('partitioning.shards', shards, 1, TABLE_LIMITS.hashShards);
    if ((shards & (shards - 1)) !== 0) throw spec('partitioning.shards', `partitioning.shards is a power of two, not ${shards}`);
    return partitioning;
  }
  const { splitKeys } = partitioning;
  whole('partitioning.splitKeys (how many)', splitKeys.length, 0, TABLE_LIMITS.splitKeys);
  for (const [i, key] of splitKeys.entries()) {
    whole(`partitioning.splitKeys[${i}] (its bytes)`, key.length, 1, TABLE_LIMITS.keyBytes);
    if (i > 0 && Buffer.compare(splitKeys[i - 1]!, key) >= 0)
      throw spec('partitioning.splitKeys', `partitioning.splitKeys ascend, each once: number ${i} does not come after the one before it`, {
        index: i,
      });
  }
  return partitioning;
}

export function checkReplicas(replicas: ReplicaCounts): ReplicaCounts {
  const { voters, learners, witnesses } = replicas;
  whole('replicas.voters', voters, 1, TABLE_LIMITS.votes);
  whole('replicas.learners', learners, 0, TABLE_LIMITS.learners);
  whole('replicas.witnesses', witnesses, 0, TABLE_LIMITS.votes - 1);
  const votes = voters + witnesses;
  if (votes % 2 === 0 || votes > TABLE_LIMITS.votes)
    throw spec(
      'replicas.voters',
      `voters and witnesses are together 1, 3, 5 or 7, not ${votes}: an even number bears no more failures than one less`,
      { value: votes },
    );
  if (witnesses >= majority(votes))
    throw spec('replicas.witnesses', `${witnesses} of ${votes} votes would be witnesses': a majority could have no data`, {
      value: witnesses,
    });
  return { voters, learners, witnesses };
}

export function checkInlineThreshold(bytes: number): number {
  whole('inlineThreshold', bytes, 0, TABLE_LIMITS.inlineThresholdBytes);
  return bytes;
}

export function checkTtl(ms: number): number {
  whole('ttlMs', ms, 0, TABLE_LIMITS.ttlMs);
  return ms;
}

export function checkDurability(durability: string): Durability {
  const known = DURABILITIES.find((each) => each === durability);
  if (known === undefined)
    throw invalid('TABLE_SPEC', `durability is ${DURABILITIES.join(' or ')}, not ${durability}`, { field: 'durability' });
  return known;
}

/** What is not there has no bound. */
export function checkQuotas({ bytes = 0, readsPerSecond = 0, writesPerSecond = 0 }: Partial<TableQuotas>): TableQuotas {
  whole('quotas.bytes', bytes, 0, Number.MAX_SAFE_INTEGER);
  whole('quotas.readsPerSecond', readsPerSecond, 0, TABLE_LIMITS.callsPerSecond);
  whole('quotas.writesPerSecond', writesPerSecond, 0, TABLE_LIMITS.callsPerSecond);
  return { bytes, readsPerSecond, writesPerSecond };
}
function whole(field: string, value: number, min: number, max: number): void {
  checkWhole('TABLE_SPEC', field, value, min, max);
}

function spec(field: string, message: string, details: Readonly<Record<string, number>> = {}): Error {
  return invalid('TABLE_SPEC', message, { field, ...details });
}
