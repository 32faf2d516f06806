/** What a cluster is for, shown: the node that leads is killed while files are imported, and comes back. */
import { setTimeout as pause } from 'node:timers/promises';

import { plural } from '../terminal/progress.ts';
import type { Meanwhile } from './fill.ts';
import type { NodeGroup } from './node-group.ts';

/** It stays away for so long at least, so that there is something to catch up with. */
const AWAY_MS = 3_000;

/** Settles when the node has everything that it missed. */
export async function killTheLeader(group: NodeGroup, { note, importing }: Meanwhile, signal: AbortSignal): Promise<void> {
  const leader = await group.leader(signal);
  const before = await group.positions(signal);
  note(`\nNode ${leader.id}, which leads, is killed now: kill -9 ${group.processOf(leader.id) ?? ''}`);
  const beganMs = performance.now();
  await group.kill(leader.id);
  const next = await group.leader(signal, leader.id);
  const goesOn = importing() ? ' The import goes on: what was under way is sent again, and nothing is written twice.' : '';
  note(`Node ${next.id} leads, ${seconds(performance.now() - beganMs)} later.${goesOn}`);
  await pause(Math.max(0, AWAY_MS - (performance.now() - beganMs)), undefined, { signal });
  const startedMs = performance.now();
  await group.start(leader.id);
  const missed = between(before, await group.caughtUp(leader.id, signal));
  note(
    `Node ${leader.id} is started again, and has caught up with about ${plural(missed, 'write')} that it missed, ` +
      `${seconds(performance.now() - startedMs)} later.\n`,
  );
}

/** Entries of shards that there were before, and are. */
function between(before: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>): number {
  return [...before].reduce((sum, [shard, index]) => sum + Math.max(0, (after.get(shard) ?? index) - index), 0);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
