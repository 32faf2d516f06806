/**
 * By what the metaserver decides: bounds, each with its unit, range and default. Persisted as what differs from the defaults; changed online.
 * Why each default is what it is: docs/placement.md. Pure.
 *
 * Read by placement/; `resolvePolicy` is the only way to one.
 */
import { SparrowError } from '../../base/errors.ts';

export interface Policy {
  /** Nothing new is decided; what is under way goes on. */
  readonly paused: boolean;

  /** A leader of META_GROUP plans nothing for so long, or until every node that is up has reported. */
  readonly settleMs: number;
  /** A node that is silent for so long is asked for through peers, and suspect when none of them reaches it. */
  readonly suspectAfterMs: number;
  /** So many peers are asked, of different zones as far as there are; an answer that takes longer than `probeMs` is none. */
  readonly probePeers: number;
  readonly probeMs: number;
  /** Suspect for so long: down, and its replicas are made anew. */
  readonly downAfterMs: number;
  /** No more nodes than this part of all become down at once: that many do not fail together, a network does. */
  readonly downPartMax: number;
  /** Dropped tables can be had back for so long. */
  readonly undeleteMs: number;

  /** Operators at a time in the whole cluster that copy data, and those that only move leads. */
  readonly copiesMax: number;
  readonly transfersMax: number;
  /** Copies at a time into one node, and out of one that gives its replicas away. */
  readonly copiesIntoNodeMax: number;
  readonly copiesOutOfNodeMax: number;
  /** Of `copiesMax`, so many at most for mere balance: repair never waits for it. */
  readonly balanceCopiesMax: number;
  readonly splitsMax: number;
  readonly mergesMax: number;
  /** An operator that has been at one step for so long is given up, and decided anew. */
  readonly stepMs: number;
  /** Ended operators that are remembered. */
  readonly endedKept: number;

  /** Parts of the disk. Above high it gives data away until it is below low; nothing is moved to one above low; nothing at all above full. */
  readonly diskLow: number;
  readonly diskHigh: number;
  readonly diskFull: number;
  /** The same for busy cores and disks; they have no third mark. */
  readonly cpuLow: number;
  readonly cpuHigh: number;
  readonly ioLow: number;
  readonly ioHigh: number;
  /** A node whose log takes so many times as long as usual to sync is slow, until it is at half of that: it leads nothing and gets nothing. */
  readonly slowDisk: number;
  /** How far from its fair share, as a part of it, a node may be in data, replicas, leads and traffic before anything is moved for it. */
  readonly tolerance: number;
  /** Differences below these are not worth a move, whatever part of the share they are. */
  readonly balanceBytesMin: number;
  readonly balanceReplicasMin: number;
  readonly balanceTrafficMin: number;

  /** A shard beyond is split; beyond the maximum before anything else is done with it. */
  readonly splitBytes: number;
  readonly splitBytesMax: number;
  /** Reads and writes each second beyond which a shard is split, if it has at least `hotSplitBytesMin`: a single hot key is not divided. */
  readonly splitTraffic: number;
  readonly hotSplitBytesMin: number;
  readonly shardsPerTableMax: number;
  /** Smaller shards (in both) are merged with a neighbour when they have been neither split nor made for `mergeGuardMs`. */
  readonly mergeBytes: number;
  readonly mergeKeys: number;
  readonly mergeGuardMs: number;
}

const MIB = 1024 * 1024;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const DEFAULT_POLICY: Policy = Object.freeze({
  paused: false,
  settleMs: 15 * SECOND,
  suspectAfterMs: 10 * SECOND,
  probePeers: 3,
  probeMs: 3 * SECOND,
  downAfterMs: 30 * MINUTE,
  downPartMax: 0.34,
  undeleteMs: 24 * HOUR,
  copiesMax: 256,
  transfersMax: 256,
  copiesIntoNodeMax: 2,
  copiesOutOfNodeMax: 2,
  balanceCopiesMax: 128,
  splitsMax: 16,
  mergesMax: 8,
  stepMs: 10 * MINUTE,
  endedKept: 200,
  diskLow: 0.7,
  diskHigh: 0.8,
  diskFull: 0.9,
  cpuLow: 0.6,
  cpuHigh: 0.75,
  ioLow: 0.6,
  ioHigh: 0.8,
  slowDisk: 4,
  tolerance: 0.1,
  balanceBytesMin: 256 * MIB,
  balanceReplicasMin: 2,
  balanceTrafficMin: 500,
  splitBytes: 96 * MIB,
  splitBytesMax: 144 * MIB,
  splitTraffic: 20_000,
  hotSplitBytesMin: MIB,
  shardsPerTableMax: 65_536,
  mergeBytes: 20 * MIB,
  mergeKeys: 200_000,
  mergeGuardMs: HOUR,
});

type Field = Exclude<keyof Policy, 'paused'>;
type Range = readonly [min: number, max: number, whole: boolean];

const TIME: Range = [0, 365 * 24 * HOUR, true];
const COUNT: Range = [0, 1_000_000, true];
const SOME: Range = [1, 1_000_000, true];
const PART: Range = [0, 1, false];
const AMOUNT: Range = [0, Number.MAX_SAFE_INTEGER, true];

const RANGES: Readonly<Record<Field, Range>> = {
  settleMs: TIME,
  suspectAfterMs: [SECOND, HOUR, true],
  probePeers: [0, 100, true],
  probeMs: [100, HOUR, true],
  downAfterMs: TIME,
  downPartMax: PART,
  undeleteMs: TIME,
  copiesMax: COUNT,
  transfersMax: COUNT,
  copiesIntoNodeMax: SOME,
  copiesOutOfNodeMax: SOME,
  balanceCopiesMax: COUNT,
  splitsMax: COUNT,
  mergesMax: COUNT,
  stepMs: [SECOND, 24 * HOUR, true],
  endedKept: COUNT,
  diskLow: PART,
  diskHigh: PART,
  diskFull: PART,
  cpuLow: PART,
  cpuHigh: PART,
  ioLow: PART,
  ioHigh: PART,
  slowDisk: [1.1, 1000, false],
  tolerance: [0.01, 1, false],
  balanceBytesMin: AMOUNT,
  balanceReplicasMin: COUNT,
  balanceTrafficMin: AMOUNT,
  splitBytes: [64 * 1024, Number.MAX_SAFE_INTEGER, true],
  splitBytesMax: [64 * 1024, Number.MAX_SAFE_INTEGER, true],
  splitTraffic: [1, Number.MAX_SAFE_INTEGER, true],
  hotSplitBytesMin: AMOUNT,
  shardsPerTableMax: SOME,
  mergeBytes: AMOUNT,
  mergeKeys: AMOUNT,
  mergeGuardMs: TIME,
};

/** Pairs of which the first is below the second: between them nothing is begun, and what was begun goes on. */
const ORDERED: readonly (readonly [Field, Field])[] = [
  ['diskLow', 'diskHigh'],
  ['diskHigh', 'diskFull'],
  ['cpuLow', 'cpuHigh'],
  ['ioLow', 'ioHigh'],
  ['splitBytes', 'splitBytesMax'],
  ['mergeBytes', 'splitBytes'],
];

/** A bound, and what it may be. */
export interface PolicyBound {
  readonly name: string;
  readonly value: number;
  readonly defaultValue: number;
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

/** All but `paused`, which is no bound. */
export function boundsOf(policy: Policy): PolicyBound[] {
  return (Object.entries(RANGES) as [Field, Range][]).map(([name, [min, max, whole]]) => {
    return { name, value: policy[name], defaultValue: DEFAULT_POLICY[name], min, max, whole };
  });
}

/** `set` on top of what is, and the defaults of `reset`. Throws `invalid/POLICY`; what a bound may be `resolvePolicy` checks. */
export function fieldsOf(set: readonly { readonly name: string; readonly value: number }[], reset: readonly string[]): Partial<Policy> {
  const fields: Record<string, number> = {};
  const wanted = [
    ...set.map(({ name, value }) => [name, () => value] as const),
    ...reset.map((name) => [name, () => DEFAULT_POLICY[name as Field]] as const),
  ];
  for (const [name, value] of wanted) {
    if (!Object.hasOwn(RANGES, name)) throw invalid(name, `there is no bound ${name}; "sparrowkv cluster policy" shows them`);
    if (Object.hasOwn(fields, name)) throw invalid(name, `${name} is asked for twice`);
    fields[name] = value();
  }
  return fields;
}

/** `overrides` on top of the defaults. Throws `invalid/POLICY` with the field and what it may be. */
export function resolvePolicy(overrides: Partial<Policy> = {}): Policy {
  for (const field of Object.keys(overrides)) {
    if (!Object.hasOwn(DEFAULT_POLICY, field)) throw invalid(field, `there is no ${field}`);
  }
  const policy = { ...DEFAULT_POLICY, ...overrides };
  if (typeof policy.paused !== 'boolean') throw invalid('paused', 'paused is true or false');
  for (const [field, [min, max, whole]] of Object.entries(RANGES) as [Field, Range][]) {
    const value = policy[field];
    if (typeof value !== 'number' || !(value >= min && value <= max) || (whole && !Number.isInteger(value)))
      throw invalid(field, `${field} is a ${whole ? 'whole ' : ''}number from ${min} to ${max}, not ${String(value)}`);
  }
  for (const [low, high] of ORDERED) {
    if (policy[low] >= policy[high]) throw invalid(low, `${low} (${policy[low]}) is below ${high} (${policy[high]})`);
  }
  return Object.freeze(policy);
}

function invalid(field: string, message: string): SparrowError {
  return new SparrowError('invalid', 'POLICY', `policy: ${message}`, { field, applied: false });
}
