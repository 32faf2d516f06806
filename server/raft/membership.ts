/**
 * Changes of the configuration. They are entries of the log, proposed like others, and act when they are applied - on every member at its
 * own time. What keeps members whose configurations differ from electing two leaders:
 *
 *   - one change at a time: none is proposed before the last one is applied, and a new leader assumes that its log holds one
 *   - who knows of a committed change that it has not applied does not campaign (election.ts); whoever has an entry behind a change also has
 *     a commit index that covers the change, and both become durable together
 *   - majorities of one change and the next overlap (configuration.ts)
 */
import { SparrowError } from '../../base/errors.ts';
import { canLead, changed, type Configuration, type ConfigurationChange, isJoint, isVoter } from './configuration.ts';
import { NO_DATA } from './entries.ts';
import { advanceCommit, trackMember } from './leader.ts';
import type { LogEntry, Refusal } from './messages.ts';
import type { RaftState } from './state.ts';
import { hasSuccessor } from './witness.ts';

/** Throws `invalid/CONFIGURATION_CHANGE` when the change makes no sense. */
export function proposeChange(state: RaftState, change: ConfigurationChange): { index: number } | { refused: Refusal } {
  if (state.role !== 'leader') return { refused: 'not-leader' };
  if (state.transferee !== 0) return { refused: 'transferring' };
  if (state.pendingChange > state.log.applied) return { refused: 'change-pending' };
  if (change.type === 'force') throw new SparrowError('invalid', 'CONFIGURATION_CHANGE', 'a configuration is not forced by an entry');
  const after = changed(state.configuration, change);
  if (!hasSuccessor(state, after)) return { refused: 'no-successor' };
  return { index: append(state, change) };
}

/** A leader of a joint configuration leaves it when it may, whoever entered it. */
export function leaveJoint(state: RaftState): void {
  const { configuration, pendingChange, log, transferee } = state;
  if (isJoint(configuration) && configuration.autoLeave && pendingChange <= log.applied && transferee === 0) {
    append(state, { type: 'leave-joint' });
  }
}

/** These changes were applied. */
export function applyChanges(state: RaftState, entries: readonly LogEntry[]): void {
  for (const { change } of entries) {
    if (change!.type === 'force') state.forced = undefined;
    switchTo(state, changed(state.configuration, change!));
  }
}

/** A leader whose vote was taken steps down, with its last word on what is committed. */
export function resign(state: RaftState): void {
  if (state.forced !== undefined || canLead(state.configuration, state.id) || !hasSuccessor(state, state.configuration)) return;
  state.becomeFollower(state.term, 0);
}

function append(state: RaftState, change: ConfigurationChange): number {
  const index = state.log.lastIndex + 1;
  state.log.append([{ index, term: state.term, data: NO_DATA, change }]);
  state.pendingChange = index;
  return index;
}

function switchTo(state: RaftState, configuration: Configuration): void {
  state.configuration = configuration;
  state.lease.renew();
  if (state.role !== 'leader') return;
  const { members, progress } = state;
  for (const id of progress.keys()) if (!members.includes(id) && id !== state.id) progress.delete(id);
  // One that is new has not been heard, and need not have been.
  for (const id of members) if (!progress.has(id)) trackMember(state, id, state.now);
  advanceCommit(state);
  if (!isVoter(configuration, state.transferee)) state.transferee = 0;
}
