/**
 * How much work is left undone, as one number: 0 nobody needs to notice, 1 writers should crawl. Each kind of it begins to count well before
 * its bound, so that writers are slowed little by little. Pure.
 *
 *   memtables   sealed ones, and how full the active one is: from one sealed and an empty active one on, up to no place for another
 *   level0      tables of level 0: from halfway between level0Compact and level0Stop on, up to level0Stop, and beyond: place for more is left
 *   levels      what a level has over its share: from three times its share on, up to ten times
 *   memory      memtables of all engines: from three quarters of their bound on
 *   garbage     block files of which most is garbage: from 60 % on, up to 90 %, when there is much of it
 *
 * `full` says how much of the very last place is taken, 0 none, 1 all: of the active memtable when there is no place for another sealed one, of the tables of level 0 beyond some three halves of level0Stop, up to twice as many.
 */
import type { StallReason } from '../events/index.ts';

export interface Debt {
  readonly amount: number;
  readonly reason: StallReason;
  readonly full: number;
}

export const NO_DEBT: Debt = { amount: 0, reason: 'memtables', full: 0 };

/** What changes with every write. */
export interface Passing {
  sealed: number;
  /** Sealed memtables that there is place for. */
  sealedMax: number;
  /** Of the active memtable, 0 to 1 and, when it cannot be sealed, beyond. */
  activeShare: number;
  /** Share of their bound that the memtables of all engines take. */
  memoryShare: number;
}

/** What changes with the version. */
export interface Standing {
  level0: number;
  level0Compact: number;
  level0Stop: number;
  /** So many tables of level 0 there can be, at most. */
  level0Max: number;
  /** What the fullest level below level 0 holds, as a multiple of its share. */
  fullestLevel: number;
  /** Of all block files: their bytes, those that nobody refers to, and how many bytes are nothing to speak of. */
  valueBytes: number;
  garbageBytes: number;
  valueBytesFew: number;
}

/** Beyond level0Stop there is place, up to so many times as many tables, of which the last share is left to time. */
const LAST_PER_STOP = 2.1;
const LAST_PLACE = 0.8;
/** Of the tables that level 0 may have: what writers still bring at the slowest has room in the rest while a compaction goes on. */
const LAST_OF_MAX = 0.875;
/** What only costs space or time slows writers, and never to a crawl. */
const SLOW_MAX = 0.8;

export function passingDebt({ sealed, sealedMax, activeShare, memoryShare }: Passing): Debt {
  const memtables = sealed === 0 ? 0 : between(1, sealed + activeShare, sealedMax);
  const memory = between(0.75, memoryShare, 1);
  const full = between(1, Math.max(memtables, memory), 1.5);
  return memory > memtables ? { reason: 'memory', amount: memory, full } : { reason: 'memtables', amount: memtables, full };
}

export function standingDebt(standing: Standing): Debt {
  const { level0, level0Compact, level0Stop, level0Max, fullestLevel, valueBytes, garbageBytes, valueBytesFew } = standing;
  const level0Start = Math.min(Math.floor((level0Compact + level0Stop) / 2), level0Stop - 1);
  const garbageShare = valueBytes > valueBytesFew ? garbageBytes / valueBytes : 0;
  const level0Last = Math.min(LAST_PER_STOP * level0Stop, LAST_OF_MAX * level0Max);
  const full = between(Math.max(level0Stop, LAST_PLACE * level0Last), level0, level0Last);
  const kinds: Debt[] = [
    { reason: 'level0', amount: between(level0Start, level0, level0Stop), full },
    { reason: 'levels', amount: Math.min(SLOW_MAX, between(3, fullestLevel, 10)), full },
    { reason: 'garbage', amount: Math.min(SLOW_MAX, between(0.6, garbageShare, 0.9)), full },
  ];
  return kinds.reduce((most, each) => (each.amount > most.amount ? each : most));
}

/** 0 at `from` and below, 1 at `to`, more beyond. */
function between(from: number, value: number, to: number): number {
  return Math.max(0, (value - from) / (to - from));
}
