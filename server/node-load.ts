/** How busy a node's machine is, between two looks: its disk's room, its cores, the syncs of its log, what the process reads and writes. Made by cluster-part.ts. */
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

export class NodeLoadMeter {
  readonly #directory: string;
  readonly #log: Pick<NodeLog, 'stats' | 'syncMs'>;
  readonly #ioBytes: () => number | undefined;
  #busy = 0;
  #all = 0;
  #atMs = performance.now();
  #syncs = 0;
  #moved: number | undefined;
  #usualMs: number | undefined;

  /** `ioBytes`: what the process has read and written so far; undefined: nobody tells. */
  constructor(directory: string, log: Pick<NodeLog, 'stats' | 'syncMs'>, ioBytes: () => number | undefined = processIoBytes) {
    this.#directory = directory;
    this.#log = log;
    this.#ioBytes = ioBytes;
    this.#moved = ioBytes();
    this.#cpu();
    this.#syncs = log.stats().syncs;
  }

  /** Of the disk that holds the directory: what is used, and what this process may use. What the file system keeps for others, or a quota withholds, is no part of it. */
  get diskBytes(): number {
    const { diskUsedBytes, diskFreeBytes } = diskOf(this.#directory);
    return diskUsedBytes + diskFreeBytes;
  }

  take(): MachineLoad {
    const nowMs = performance.now();
    const passedMs = Math.max(1, nowMs - this.#atMs);
    this.#atMs = nowMs;
    const { syncs } = this.#log.stats();
    const syncMs = this.#log.syncMs(SYNCS_WITHIN_MS) ?? 0;
    const io = Math.min(1, ((syncs - this.#syncs) * syncMs) / passedMs);
    this.#syncs = syncs;
    const moved = this.#ioBytes();
    const ioBytes = moved === undefined || this.#moved === undefined ? 0 : moved - this.#moved;
    this.#moved = moved;
    return {
      ...diskOf(this.#directory),
      cpu: this.#cpu(),
      io,
      ioBytesPerSecond: Math.round((1000 * ioBytes) / passedMs),
      slowDisk: this.#slowness(syncMs),
    };
  }

  /** The part of all cores that was busy since the last look. */
  #cpu(): number {
    let busy = 0;
    let all = 0;
    for (const { times } of cpus()) {
      const { user, nice, sys, idle, irq } = times;
      busy += user + nice + sys + irq;
      all += user + nice + sys + irq + idle;
    }
    const part = all > this.#all ? (busy - this.#busy) / (all - this.#all) : 0;
    this.#busy = busy;
    this.#all = all;
    return Math.min(1, Math.max(0, part));
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

function diskOf(directory: string): Pick<MachineLoad, 'diskUsedBytes' | 'diskFreeBytes'> {
  const { blocks, bfree, bavail, bsize } = statfsSync(directory);
  return { diskUsedBytes: (blocks - bfree) * bsize, diskFreeBytes: bavail * bsize };
}
