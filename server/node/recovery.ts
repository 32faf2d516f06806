/**
 * When a majority of a group is gone for good: `recover` makes what is left the group (server/raft, forced.ts), on any member that is left and with its
 * node running. `recoveryPlan` says before what that may cost; its token stands for exactly that, and `recover` is given it back.
 *
 *   1 ............ committed ............ last | last + 1 .......
 *   known to be committed     kept too         | here is nothing; what those that are gone committed among themselves is lost
 *
 * Called by whoever serves operators. Calls replica.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import { xxh64 } from '../../base/xxh64.ts';
import { membersOf } from '../raft/index.ts';
import type { Replica } from './replica.ts';

export interface RecoveryPlan {
  /** The member that was asked: it would lead. */
  readonly member: number;
  /** Who would make up the group. */
  readonly voters: readonly number[];
  /** Members that would be given up: those that vote, and are not among `voters`. */
  readonly lost: readonly number[];
  /** Known to be committed on this member: kept for certain. */
  readonly committed: number;
  /** The last entry of this member, and its term: it and all before it are kept. */
  readonly last: number;
  readonly lastTerm: number;
  /** Entries from here on may have been committed by those that are given up, and are lost then, unless another one of `voters` has them and is asked instead. */
  readonly lostFrom: number;
  /** Of all this: 8 hexadecimal digits. */
  readonly token: string;
}

/**
 * Throws `invalid/CONFIGURATION_CHANGE` for who cannot be all that is left, and `conflict/HAS_LEADER` while the group works.
 */
export function recoveryPlan(replica: Replica, voters: readonly number[]): RecoveryPlan {
  const { id: member, leader, term, configuration, committedIndex, lastIndex, lastTerm } = replica.stats();
  if (leader !== 0) {
    throw new SparrowError(
      'conflict',
      'HAS_LEADER',
      `node ${leader} leads in term ${term}: the group has its majority, or had it until a moment ago; nothing is to be recovered`,
      { leader, term },
    );
  }
  const unknown = voters.find((id) => !membersOf(configuration).includes(id));
  if (voters.length === 0 || unknown !== undefined) {
    const what = unknown === undefined ? 'nobody would be left' : `node ${unknown} is not a member of the group`;
    throw new SparrowError('invalid', 'CONFIGURATION_CHANGE', what);
  }
  if (!voters.includes(member)) {
    throw new SparrowError('invalid', 'CONFIGURATION_CHANGE', `node ${member} was asked, and is not among those that are left`);
  }
  const lost = [...new Set([...configuration.voters, ...configuration.outgoing])].filter((id) => !voters.includes(id));
  const plan = { member, voters: voters.toSorted((a, b) => a - b), lost, committed: committedIndex, last: lastIndex, lastTerm };
  return { ...plan, lostFrom: lastIndex + 1, token: tokenOf({ ...plan, configuration }) };
}

/**
 * Unsafe. Under way when it returns: all of `voters` must vote for this member, so none of them may have a longer log. `token`: of the plan that was
 * agreed to; `conflict/PLAN_CHANGED` when that is not what would happen now.
 */
export function recover(replica: Replica, voters: readonly number[], token?: string): void {
  const plan = recoveryPlan(replica, voters);
  if (token !== undefined && token !== plan.token) {
    throw new SparrowError(
      'conflict',
      'PLAN_CHANGED',
      `the token ${token} is of another plan: the log of node ${plan.member} or the members have changed since, or other voters were named`,
    );
  }
  replica.forceConfiguration(plan.voters);
}

function tokenOf(plan: object): string {
  const text = Buffer.from(JSON.stringify(plan), 'utf8');
  return xxh64(text, 0, text.length, 0).high.toString(16).padStart(8, '0');
}
