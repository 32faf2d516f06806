/**
 * Giving the lead away before it is lost: a node that is about to stop would leave its groups without a leader until an election timeout has passed.
 *
 * Called by whoever stops a node. Calls replica.ts.
 */
import type { Clock, Scheduler } from '../../base/env.ts';
import { canLead } from '../raft/index.ts';
import type { Replica } from './replica.ts';

export interface HandOverParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Whether a node can be sent messages. */
  readonly reachable: (node: number) => boolean;
}

/** Of the members that may lead and can be reached, the one that has most of the log. Undefined: there is none, or this replica does not lead. */
export function successorOf(replica: Replica, reachable: (node: number) => boolean): number | undefined {
  const { id, configuration } = replica.stats();
  let best: { member: number; match: number } | undefined;
  for (const member of configuration.voters) {
    const match = replica.progressOf(member)?.match;
    if (member === id || match === undefined || !canLead(configuration, member) || !reachable(member)) continue;
    if (best === undefined || match > best.match) best = { member, match };
  }
  return best?.member;
}

/**
 * Hands the lead over to the member that is furthest, if there is one. Settles when another member leads, as this one is told by its first
 * message, or after `msMax`; with that member, or undefined when this one did not lead or nobody took over. Then it steps down all the same: who is about to
 * stop answers nobody any more, and the others need not wait for its end to elect another one.
 */
export async function handOver(
  replica: Replica,
  { clock, scheduler, reachable }: HandOverParts,
  msMax: number,
): Promise<number | undefined> {
  const isOther = (): boolean => ![0, replica.stats().id].includes(replica.stats().leader);
  const endMs = clock.monotonicMs() + msMax;
  while (replica.stopped === undefined && replica.stats().role === 'leader') {
    const to = successorOf(replica, reachable);
    const leftMs = endMs - clock.monotonicMs();
    if (to === undefined || leftMs <= 0) {
      replica.lead.stepDown();
      return undefined;
    }
    replica.lead.transfer(to);
    if (await becomes(replica, scheduler, isOther, leftMs)) return replica.stats().leader;
  }
  return undefined;
}

/** Waits for it to be so after a change of leaders. */
function becomes(replica: Replica, scheduler: Scheduler, condition: () => boolean, msMax: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (is: boolean): void => {
      timer.cancel();
      unlisten();
      resolve(is);
    };
    const timer = scheduler.after(msMax, () => end(condition()));
    const unlisten = replica.lead.onLeader(() => {
      if (condition()) end(true);
    });
  });
}
