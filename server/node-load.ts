/**
 * How busy a node's machine is: its disk's room, its cores, the syncs of its log, what the process reads and writes. Of what is counted, means over some ten seconds, so that a
 * burst is none: leads and replicas are moved for it. Made by cluster-part.ts.
 */
import { statfsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import type { NodeLog } from './node/index.ts';
import { processIoBytes } from './process-io.ts';

export interface MachineLoad {
  readonly diskUsedBytes: number;
  readonly diskFreeBytes: number;
  readonly cpu: number;
  readonly io: number;
  readonly ioBytesPerSecond: number;
  readonly slowDisk: number;
}

export const CORES: number = availableParallelism();

/** What counts as usual forgets at this rate a look: about a quarter of an hour's memory, at one a second. */
const USUAL_PART = 0.001;
/** Until a few syncs are known, and on disks that are quick, nothing is slow. */
const QUICK_MS = 20;
const SYNCS_WITHIN_MS = 10_000;
/** Rates are means over about so long; looks that follow one another sooner than LOOK_MS are one. */
const WINDOW_MS = 10_000;
const LOOK_MS = 500;

/** What the machine has counted so far. */
export interface MachineCounts {
  nowMs(): number;
  /** Of all cores, in milliseconds. */
  coreTimes(): { readonly busy: number; readonly all: number };
  /** What the process has read and written; undefined: nobody tells. */
  ioBytes(): number | undefined;
}

const THIS_MACHINE: MachineCounts = { nowMs: () => performance.now(), coreTimes, ioBytes: processIoBytes };

interface Counted {
  readonly atMs: number;
  readonly cores: { readonly busy: number; readonly all: number };
  readonly ioBytes: number | undefined;
  readonly syncs: number;
}

type Rates = Pick<MachineLoad, 'cpu' | 'io' | 'ioBytesPerSecond'>;

export class NodeLoadMeter {
  readonly #directory: string;
  readonly #log: Pick<NodeLog, 'stats' | 'syncMs'>;
  readonly #machine: MachineCounts;
  #counted: Counted;
  #rates: Rates = { cpu: 0, io: 0, ioBytesPerSecond: 0 };
  #usualMs: number | undefined;

  constructor(directory: string, log: Pick<NodeLog, 'stats' | 'syncMs'>, machine: MachineCounts = THIS_MACHINE) {
    this.#directory = directory;
    this.#log = log;
    this.#machine = machine;
    this.#counted = this.#count();
  }

  /** Of the disk that holds the directory: what is used, and what this process may use. What the file system keeps for others, or a quota withholds, is no part of it. */
  get diskBytes(): number {
    const { diskUsedBytes, diskFreeBytes } = diskOf(this.#directory);
    return diskUsedBytes + diskFreeBytes;
  }

  take(): MachineLoad {
    const syncMs = this.#log.syncMs(SYNCS_WITHIN_MS) ?? 0;
    const before = this.#counted;
    const passedMs = this.#machine.nowMs() - before.atMs;
    // A report that is hurried comes right after another.
    if (passedMs >= LOOK_MS) {
      this.#counted = this.#count();
      this.#rates = mixed(this.#rates, ratesBetween(before, this.#counted, syncMs), Math.min(1, passedMs / WINDOW_MS));
    }
    const { cpu, io, ioBytesPerSecond } = this.#rates;
    return {
      ...diskOf(this.#directory),
      cpu,
      io,
      ioBytesPerSecond: Math.round(ioBytesPerSecond),
      slowDisk: this.#slowness(syncMs),
    };
  }

  #count(): Counted {
    const machine = this.#machine;
    return { atMs: machine.nowMs(), cores: machine.coreTimes(), ioBytes: machine.ioBytes(), syncs: this.#log.stats().syncs };
  }

  #slowness(syncMs: number): number {
    if (syncMs === 0) return 1;
    this.#usualMs ??= syncMs;
    const slow = syncMs / Math.max(QUICK_MS, this.#usualMs);
    // What is slow for long is not what is usual: it counts for less.
    this.#usualMs += (USUAL_PART / Math.max(1, slow)) * (syncMs - this.#usualMs);
    return Math.max(1, Math.round(slow * 100) / 100);
  }
}

function ratesBetween(before: Counted, after: Counted, syncMs: number): Rates {
  const passedMs = after.atMs - before.atMs;
  const all = after.cores.all - before.cores.all;
  const ioBytes = after.ioBytes === undefined || before.ioBytes === undefined ? 0 : after.ioBytes - before.ioBytes;
  return {
    cpu: all > 0 ? Math.min(1, Math.max(0, (after.cores.busy - before.cores.busy) / all)) : 0,
    io: Math.min(1, ((after.syncs - before.syncs) * syncMs) / passedMs),
    ioBytesPerSecond: (1000 * ioBytes) / passedMs,
  };
}

/** `part` of what is new. */
function mixed(before: Rates, now: Rates, part: number): Rates {
  const mix = (old: number, rate: number): number => old + part * (rate - old);
  return {
    cpu: mix(before.cpu, now.cpu),
    io: mix(before.io, now.io),
    ioBytesPerSecond: mix(before.ioBytesPerSecond, now.ioBytesPerSecond),
  };
}

function coreTimes(): { readonly busy: number; readonly all: number } {
  let busy = 0;
  let all = 0;
  for (const { times } of cpus()) {
    const { user, nice, sys, idle, irq } = times;
    busy += user + nice + sys + irq;
    all += user + nice + sys + irq + idle;
  }
  return { busy, all };
}

function diskOf(directory: string): Pick<MachineLoad, 'diskUsedBytes' | 'diskFreeBytes'> {
  const { blocks, bfree, bavail, bsize } = statfsSync(directory);
  return { diskUsedBytes: (blocks - bfree) * bsize, diskFreeBytes: bavail * bsize };
}
