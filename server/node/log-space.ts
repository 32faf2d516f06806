/**
 * The disk space that the node's log takes, and those who must let go of it for some to come back:
 *
 *   - The log goes from the front, when no group needs its oldest segment. When all of it is larger than `bytesMax`, the groups that do are told to flush
 *     their engines and to forget what members that lag may lack: one group in which little happens must not keep the log of all others.
 *   - A segment that the log has dropped stays for as long as an engine points to a value in it. Those that hold little of use are emptied
 *     (segment-space.ts).
 *
 * Looked at with the ticks of the node. Made by node-host.ts. Calls replicas by replica-host.ts.
 */
import type { NodeLog } from './log/index.ts';
import type { HostedReplica, LogHolder } from './replica-host.ts';
import { wasteful } from './segment-space.ts';

export type SpaceLog = Pick<NodeLog, 'bytes' | 'bytesWritten' | 'oldest' | 'oldestSegment' | 'segmentBytes'>;

/** So many groups are told at a time: each flushes. */
const TOLD_MAX = 16;
/** Segments are looked at once in so many ticks. */
const LOOK_TICKS = 20;

export class LogSpace {
  readonly #log: SpaceLog;
  readonly #bytesMax: number;
  readonly #replicas: ReadonlyMap<number, HostedReplica>;
  #ticks = 0;
  #bytesWritten: number;
  #emptying = false;
  #emptied = 0;

  constructor(log: SpaceLog, bytesMax: number, replicas: ReadonlyMap<number, HostedReplica>) {
    this.#log = log;
    this.#bytesMax = bytesMax;
    this.#replicas = replicas;
    this.#bytesWritten = log.bytesWritten;
  }

  /** Segments that engines were told to empty. */
  get emptied(): number {
    return this.#emptied;
  }

  tick(): void {
    if (this.#log.bytes > this.#bytesMax) this.#release();
    if (++this.#ticks % LOOK_TICKS === 0 && !this.#emptying) this.#look();
  }

  #release(): void {
    const groups = this.#log.oldest()?.groups ?? [];
    for (const group of groups.slice(0, TOLD_MAX)) this.#replicas.get(group)?.upkeep?.releaseLog();
  }

  #look(): void {
    const { bytesWritten, oldestSegment, segmentBytes } = this.#log;
    const loaded = bytesWritten !== this.#bytesWritten;
    this.#bytesWritten = bytesWritten;
    const held = new Map<number, { segment: number; bytes: number; liveBytes: number; holders: LogHolder[] }>();
    for (const { upkeep } of this.#replicas.values()) {
      if (upkeep === undefined) continue;
      for (const { segment, end, liveBytes } of upkeep.held) {
        if (segment >= oldestSegment) continue;
        const known = held.get(segment) ?? { segment, bytes: segmentBytes, liveBytes: 0, holders: [] };
        held.set(segment, known);
        known.bytes = Math.max(known.bytes, end);
        known.liveBytes += liveBytes;
        known.holders.push(upkeep);
      }
    }
    const chosen = wasteful([...held.values()], loaded);
    if (chosen.length === 0) return;
    const byHolder = new Map<LogHolder, number[]>();
    for (const segment of chosen) {
      for (const holder of held.get(segment)!.holders) byHolder.set(holder, [...(byHolder.get(holder) ?? []), segment]);
    }
    void this.#empty(byHolder, chosen.length);
  }

  async #empty(byHolder: ReadonlyMap<LogHolder, number[]>, segments: number): Promise<void> {
    this.#emptying = true;
    for (const [holder, held] of byHolder) await holder.relocate(held);
    this.#emptied += segments;
    this.#emptying = false;
  }
}
