/**
 * Whether a leader gives the lead up because of its disk. It looks once in an election timeout:
 *
 *   unfit   the log's disk is full, or the data is damaged: at once
 *   slow    a sync of the log takes `floorMs` at least, and
 *             4 times as long as a follower takes to acknowledge, its own disk and the network's way there and back included, or
 *             10 times as long as usual here, and twice as long as that follower;
 *           at SLOW_LOOKS looks one after another
 *
 * To the quickest follower that is caught up. There is always one that is quicker by far, so who gets the lead does not give it back: where all disks
 * are slow nothing happens. Beyond that a leader gives the lead up for slowness once in PAUSE_LOOKS looks at most, and half as often each
 * time that it had to again.
 *
 * Pure. Used by lead-keeper.ts.
 */
export interface FollowerLook {
  readonly id: number;
  /** From an append until it is acknowledged, since the last look; undefined: none was. */
  readonly ackMs: number | undefined;
  /** It may lead, and has everything that is committed. */
  readonly caughtUp: boolean;
}

export interface Look {
  /** Of the log's syncs since the last look, the one under way included; undefined: there were none. */
  readonly syncMs: number | undefined;
  /** No sync that is quicker is slow. */
  readonly floorMs: number;
  /** Why it is not to lead, whatever its disk takes. */
  readonly unfit: HandoverReason | undefined;
  readonly followers: readonly FollowerLook[];
}

export type HandoverReason = 'full disk' | 'slow disk' | 'damaged data';

/** What is remembered from look to look. */
export interface Judgement {
  readonly looks: number;
  /** In a row, the last ones. */
  readonly slowLooks: number;
  /** How long a sync takes; undefined: not known. */
  readonly usualMs: number | undefined;
  /** No giving up for slowness before this look, and the pause after the next time. */
  readonly notBefore: number;
  readonly pause: number;
  /** Whom the lead is given to. */
  readonly to: number | undefined;
  readonly reason: HandoverReason | undefined;
}

const SLOW_LOOKS = 5;
const PAUSE_LOOKS = 60;
const PAUSE_LOOKS_MAX = 960;
/** What is usual follows what is, over so many looks; at first sooner, where nothing is slow. */
const USUAL_LOOKS = 300;

export const FIRST_JUDGEMENT: Judgement = {
  looks: 0,
  slowLooks: 0,
  usualMs: undefined,
  notBefore: 0,
  pause: PAUSE_LOOKS,
  to: undefined,
  reason: undefined,
};

export function judge(before: Judgement, look: Look): Judgement {
  const looks = before.looks + 1;
  const quickest = quickestOf(look.followers);
  if (look.unfit !== undefined) {
    const to = quickest?.id ?? look.followers.find(({ caughtUp }) => caughtUp)?.id;
    return { ...before, looks, to, reason: to === undefined ? undefined : look.unfit };
  }
  const quiet = { ...before, looks, to: undefined, reason: undefined };
  // Nothing was written: that tells nothing.
  if (look.syncMs === undefined) return quiet;
  const slow = quickest !== undefined && isSlow(look.syncMs, look.floorMs, before.usualMs, quickest.ackMs);
  const slowLooks = slow ? before.slowLooks + 1 : 0;
  const judged = { ...quiet, slowLooks, usualMs: mixed(before.usualMs, look.syncMs, slow ? USUAL_LOOKS : looks) };
  // Quiet for long: the next time counts as the first one.
  if (looks > before.notBefore + before.pause) judged.pause = PAUSE_LOOKS;
  if (slowLooks < SLOW_LOOKS || looks < before.notBefore) return judged;
  const { pause } = judged;
  return {
    ...judged,
    slowLooks: 0,
    notBefore: looks + pause,
    pause: Math.min(2 * pause, PAUSE_LOOKS_MAX),
    to: quickest!.id,
    reason: 'slow disk',
  };
}

function isSlow(syncMs: number, floorMs: number, usualMs: number | undefined, ackMs: number): boolean {
  if (syncMs < floorMs) return false;
  return syncMs >= 4 * ackMs || (usualMs !== undefined && syncMs >= 10 * usualMs && syncMs >= 2 * ackMs);
}

function quickestOf(followers: readonly FollowerLook[]): { id: number; ackMs: number } | undefined {
  let quickest: { id: number; ackMs: number } | undefined;
  for (const { id, ackMs, caughtUp } of followers) {
    if (caughtUp && ackMs !== undefined && (quickest === undefined || ackMs < quickest.ackMs)) quickest = { id, ackMs };
  }
  return quickest;
}

function mixed(usualMs: number | undefined, syncMs: number, looks: number): number {
  return usualMs === undefined ? syncMs : usualMs + (syncMs - usualMs) / Math.min(looks, USUAL_LOOKS);
}
