/**
 * What a leader of the metaserver wrote whose clock was ahead of that of the next one: times that are to come yet. By them a node that is silent would be waited for, an order be given, a shard
 * that was split be left alone, for as long as that clock had been ahead by. So what was begun then counts as begun with this lead. A table that was dropped can be had back for as long as it
 * was said, from now on.
 *
 * Pure. Called by lead.ts for each record that a lead begins with; written with the record's next change.
 */
import type { MetaWrite } from './state.ts';

/** The record, with nothing in it that has begun later than `nowMs`. */
export function notAhead(write: MetaWrite, nowMs: number): MetaWrite {
  if (write.record === undefined) return write;
  const past = (ms: number): number => Math.min(ms, nowMs);
  switch (write.kind) {
    case 'node':
      return { ...write, record: { ...write.record, healthSinceMs: past(write.record.healthSinceMs) } };
    case 'shard': {
      const { createdAtMs, splitAtMs } = write.record;
      return { ...write, record: { ...write.record, createdAtMs: past(createdAtMs), splitAtMs: past(splitAtMs) } };
    }
    case 'operator': {
      const { startedAtMs, stepAtMs } = write.record;
      return { ...write, record: { ...write.record, startedAtMs: past(startedAtMs), stepAtMs: past(stepAtMs) } };
    }
    case 'table': {
      const { droppedAtMs, undeleteUntilMs } = write.record;
      const aheadMs = droppedAtMs - past(droppedAtMs);
      // 0 for never.
      const until = undeleteUntilMs === 0 ? 0 : undeleteUntilMs - aheadMs;
      return { ...write, record: { ...write.record, droppedAtMs: droppedAtMs - aheadMs, undeleteUntilMs: until } };
    }
    default:
      return write;
  }
}
