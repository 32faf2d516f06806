/**
 * What an operator does to the members of a group, on the replica that leads it: one verb, one step, settled when it is applied there.
 *
 *   add a learner -> it gets a snapshot and the log -> promote         demote -> remove
 *
 * A member that is gone for good does not come back under its id: nobody could tell what it has forgotten. Its node joins under another.
 *
 * When a majority is gone for good, `recover` makes what is left the group (server/raft, forced.ts), on any member that is left. `recoveryPlan` says before
 * what that may cost.
 *
 * Called by whoever serves operators. Calls replica.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import { isVoter, membersOf } from '../raft/index.ts';
import type { Replica } from './replica.ts';

/** A learner that lags by more would, as a voter, hold the group up for long should another one fail. */
const PROMOTED_LAG_MAX = 1000;

export interface RecoveryPlan {
  /** Who would make up the group. */
  readonly voters: readonly number[];
  /** Voters that would be given up. */
  readonly lost: readonly number[];
  /** Known to be committed on this member: kept for certain. */
  readonly committed: number;
  /** The last entry of this member: it and all before it are kept. */
  readonly last: number;
  /** Entries from here on may have been committed by those that are given up, and are lost then, unless another one of `voters` has them and is asked instead. */
  readonly lostFrom: number;
}

export async function addLearner(replica: Replica, id: number): Promise<void> {
  await replica.changeMembers({ type: 'simple', members: [{ type: 'make-learner', id }] });
}

/** `unavailable/NOT_CAUGHT_UP` while it lags too far behind. */
export async function promote(replica: Replica, id: number): Promise<void> {
  const { lastIndex, configuration } = replica.stats();
  const match = replica.matchOf(id);
  if (match !== undefined && configuration.learners.includes(id) && lastIndex - match > PROMOTED_LAG_MAX) {
    const lag = lastIndex - match;
    throw new SparrowError(
      'unavailable',
      'NOT_CAUGHT_UP',
      `member ${id} lags by ${lag} entries; it is promoted at ${PROMOTED_LAG_MAX} at most`,
      {
        member: id,
        lag,
        limit: PROMOTED_LAG_MAX,
        applied: false,
      },
    );
  }
  await replica.changeMembers({ type: 'simple', members: [{ type: 'make-voter', id }] });
}

export async function demote(replica: Replica, id: number): Promise<void> {
  await replica.changeMembers({ type: 'simple', members: [{ type: 'make-learner', id }] });
}

/** A voter is demoted first. */
export async function remove(replica: Replica, id: number): Promise<void> {
  if (isVoter(replica.stats().configuration, id)) await demote(replica, id);
  await replica.changeMembers({ type: 'simple', members: [{ type: 'remove', id }] });
}

/** One voter for another in one step, by way of both majorities; who goes stays as a learner, to be removed. */
export async function replace(replica: Replica, from: number, by: number): Promise<void> {
  const members = [
    { type: 'make-learner', id: from },
    { type: 'make-voter', id: by },
  ] as const;
  await replica.changeMembers({ type: 'enter-joint', members, autoLeave: true });
}

/** Throws `invalid/CONFIGURATION_CHANGE` for who cannot be all that is left. */
export function recoveryPlan(replica: Replica, voters: readonly number[]): RecoveryPlan {
  const { configuration, committedIndex, lastIndex } = replica.stats();
  const unknown = voters.find((id) => !membersOf(configuration).includes(id));
  if (voters.length === 0 || unknown !== undefined) {
    const what = unknown === undefined ? 'nobody would be left' : `member ${unknown} is not a member of the group`;
    throw new SparrowError('invalid', 'CONFIGURATION_CHANGE', what);
  }
  const lost = [...configuration.voters, ...configuration.outgoing].filter((id) => !voters.includes(id));
  return { voters, lost: [...new Set(lost)], committed: committedIndex, last: lastIndex, lostFrom: lastIndex + 1 };
}

/** Unsafe. Under way when it returns: all of `voters` must vote for this member, so none of them may have a longer log. */
export function recover(replica: Replica, voters: readonly number[]): void {
  recoveryPlan(replica, voters);
  replica.forceConfiguration(voters);
}
