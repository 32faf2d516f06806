/**
 * After the loss of a majority for good, an operator names the members that are left and lets one of them lead. It asks all of them, and
 * only when every one votes for it - none has a longer log - it leads, and its first entry makes them the voters. Until that entry
 * is applied, majorities of them elect and commit.
 *
 * This is not safe, whatever it does: what was committed with the lost members alone is lost, and a lost member that comes back
 * with others of its kind may elect another leader. It is for when the alternative is to lose everything.
 */
import { SparrowError } from '../../base/errors.ts';
import { changed, membersOf } from './configuration.ts';
import { elect } from './election.ts';
import type { RaftState } from './state.ts';

/** Throws `invalid/CONFIGURATION_CHANGE` when `voters` cannot be those that are left. */
export function forceConfiguration(state: RaftState, voters: readonly number[]): void {
  const { configuration, id, log } = state;
  if (state.role === 'leader') throw invalid('this member leads: change the configuration by an entry');
  if (!voters.includes(id)) throw invalid(`member ${id} is asked to lead and not among those that are left`);
  if (state.isWitness || log.installing) throw invalid(`member ${id} does not have the data that a leader needs`);
  const unknown = voters.find((voter) => !membersOf(configuration).includes(voter));
  if (unknown !== undefined) throw invalid(`member ${unknown} is not a member of the group`);
  changed(configuration, { type: 'force', voters });
  state.forced = [...voters];
  elect(state, true);
}

function invalid(reason: string): SparrowError {
  return new SparrowError('invalid', 'CONFIGURATION_CHANGE', reason);
}
