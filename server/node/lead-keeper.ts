/**
 * What a leader measures of its own disk and of its followers, and when it looks at it (lead-decision.ts decides). All by this node's monotonic clock.
 *
 * Of a follower one append at a time is timed, from when it leaves until it is acknowledged: durable there.
 *
 * Used by replica-lead.ts, while it leads.
 */
import { type FollowerLook, FIRST_JUDGEMENT, type HandoverReason, judge, type Judgement, type Look } from './lead-decision.ts';

interface Timed {
  /** The append that is timed: its last entry; 0: none. */
  index: number;
  sentMs: number;
  /** Since the last look. */
  sumMs: number;
  count: number;
}

export interface Handover {
  readonly to: number;
  readonly reason: HandoverReason;
  readonly syncMs: number | undefined;
}

/** A sync below this part of the time between two looks is not slow. */
const FLOOR_PART = 0.1;

export class LeadKeeper {
  readonly #lookTicks: number;
  readonly #lookMs: number;
  readonly #followers: Map<number, Timed> = new Map();
  #judgement: Judgement = FIRST_JUDGEMENT;
  #ticks = 0;

  /** It looks each so many ticks. */
  constructor(lookTicks: number, tickMs: number) {
    this.#lookTicks = lookTicks;
    this.#lookMs = lookTicks * tickMs;
  }

  /** How long a sync of the log takes; undefined: not known. */
  get usualMs(): number | undefined {
    return this.#judgement.usualMs;
  }

  /** An append with entries up to `index` leaves. */
  sent(to: number, index: number, nowMs: number): void {
    let timed = this.#followers.get(to);
    if (timed === undefined) this.#followers.set(to, (timed = { index: 0, sentMs: 0, sumMs: 0, count: 0 }));
    if (timed.index !== 0) return;
    timed.index = index;
    timed.sentMs = nowMs;
  }

  /** A follower has everything up to `index`. */
  acknowledged(from: number, index: number, nowMs: number): void {
    const timed = this.#followers.get(from);
    if (timed === undefined || timed.index === 0 || index < timed.index) return;
    timed.sumMs += nowMs - timed.sentMs;
    timed.count++;
    timed.index = 0;
  }

  /** The lead was gained or lost: what was measured is of another time. What was decided before is remembered. */
  restart(): void {
    this.#followers.clear();
    this.#ticks = 0;
    this.#judgement = { ...this.#judgement, slowLooks: 0 };
  }

  /** Whether it is time to look: who is unfit to lead looks with every tick. */
  tick(unfit: HandoverReason | undefined): boolean {
    return ++this.#ticks >= this.#lookTicks || unfit !== undefined;
  }

  /** `syncMs`: of the log's syncs within so many milliseconds. `caughtUp`: who may lead at once. */
  look(
    nowMs: number,
    unfit: HandoverReason | undefined,
    syncMs: (withinMs: number) => number | undefined,
    caughtUp: (id: number) => boolean,
    members: readonly number[],
  ): Handover | undefined {
    const due = this.#ticks >= this.#lookTicks;
    if (due) this.#ticks = 0;
    const measured = due ? syncMs(this.#lookMs) : undefined;
    const followers = members.map((id): FollowerLook => ({ id, ackMs: this.#ackMs(id, nowMs), caughtUp: caughtUp(id) }));
    const look: Look = { syncMs: measured, floorMs: this.#lookMs * FLOOR_PART, unfit, followers };
    this.#judgement = judge(this.#judgement, look);
    if (due) for (const timed of this.#followers.values()) timed.sumMs = timed.count = 0;
    const { to, reason } = this.#judgement;
    return to === undefined || reason === undefined ? undefined : { to, reason, syncMs: measured };
  }

  /** An append that is not acknowledged for longer than others took tells as much. */
  #ackMs(id: number, nowMs: number): number | undefined {
    const timed = this.#followers.get(id);
    if (timed === undefined) return undefined;
    const waitsMs = timed.index === 0 ? 0 : nowMs - timed.sentMs;
    if (timed.count === 0) return waitsMs === 0 ? undefined : waitsMs;
    return Math.max(timed.sumMs / timed.count, waitsMs);
  }
}
