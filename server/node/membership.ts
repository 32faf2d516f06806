/**
 * What an operator does to the members of a group, on the replica that leads it: one verb, one step, settled when it is applied there.
 *
 *   add a learner -> it gets a snapshot and the log -> promote         demote -> remove
 *
 * A node that is removed from the cluster does not come back under its id: nobody could tell what it has forgotten. It joins under another, and the address
 * book (address-book.ts) keeps the ids that are used up. That a node is no member of one group says nothing of that: shards move between nodes. Where a node is goes into the book before it becomes a member, so that everybody can reach it then.
 *
 * A change after which no majority of voters would be reached is refused: with one of three voters down, the other one that is up must not be demoted.
 *
 * When a majority is gone for good, recovery.ts makes what is left the group.
 *
 * Called by whoever serves operators. Calls replica.ts.
 */
import { SparrowError } from '../../base/errors.ts';
import { changed, type ConfigurationChange, hasQuorum, isVoter, membersOf } from '../raft/index.ts';
import { type NodeAddress, NOWHERE } from './address-book.ts';
import { NO_LIMIT } from './call-state.ts';
import { encodeBegun, encodeNode, encodeRemoved } from './command-codec.ts';
import type { Replica } from './replica.ts';

/** A learner that lags by more would, as a voter, hold the group up for long should another one fail. */
export const PROMOTED_LAG_MAX = 1000;

/** Whether a node can be reached now. */
export type Reachable = (id: number) => boolean;

const EVERYBODY: Reachable = () => true;

/** Throws `invalid/NODE_REMOVED` for an id that is used up, `invalid/CONFIGURATION_CHANGE` for a member. */
export function checkNewMember(replica: Replica, id: number): void {
  const { configuration } = replica.stats();
  if (replica.book.removed.has(id)) {
    throw new SparrowError(
      'invalid',
      'NODE_REMOVED',
      `node ${id} was removed from this cluster, and an id is used once: start it with an empty directory and another id, such as ${freeId(replica)}`,
      { node: id, free: freeId(replica), applied: false },
    );
  }
  if (!membersOf(configuration).includes(id)) return;
  const what = isVoter(configuration, id) ? 'a voter' : 'a learner';
  throw new SparrowError('invalid', 'CONFIGURATION_CHANGE', `node ${id} is ${what} already`, { member: id, applied: false });
}

/** The least id after all that were ever used. */
export function freeId(replica: Replica): number {
  const { nodes, begun, removed } = replica.book;
  return Math.max(0, ...nodes.keys(), ...begun, ...removed, ...replica.members) + 1;
}

/** `where`: into the address book first. */
export async function addLearner(replica: Replica, id: number, where?: NodeAddress): Promise<void> {
  checkNewMember(replica, id);
  if (where !== undefined) await setAddress(replica, id, where);
  await replica.changeMembers({ type: 'simple', members: [{ type: 'make-learner', id }] });
}

/** From now on the node is reached there. */
export async function setAddress(replica: Replica, id: number, where: NodeAddress): Promise<void> {
  await replica.propose(encodeNode(id, where), NO_LIMIT);
}

/** On the replica that leads: notes which members have data by now. Settles when it is applied. */
export async function noteBegun(replica: Replica): Promise<void> {
  const { id: own, role } = replica.stats();
  if (role !== 'leader') return;
  const { begun, removed } = replica.book;
  const unnoted = replica.members.filter((id) => !begun.has(id) && !removed.has(id));
  const have = unnoted.filter((id) => id === own || (replica.progressOf(id)?.match ?? 0) > 0);
  await Promise.all(have.map((id) => replica.propose(encodeBegun(id), NO_LIMIT)));
}

/** `unavailable/NOT_CAUGHT_UP` while it lags too far behind. */
export async function promote(replica: Replica, id: number, reachable: Reachable = EVERYBODY): Promise<void> {
  checkCaughtUp(replica, id);
  await change(replica, { type: 'simple', members: [{ type: 'make-voter', id }] }, reachable);
}

/** It stays as a learner. */
export async function demote(replica: Replica, id: number, reachable: Reachable = EVERYBODY): Promise<void> {
  if (!isVoter(replica.stats().configuration, id)) throw noVoter(id);
  await change(replica, { type: 'simple', members: [{ type: 'make-learner', id }] }, reachable);
}

/** A voter is demoted first. A node that is no member is forgotten by the address book. */
export async function remove(replica: Replica, id: number, reachable: Reachable = EVERYBODY): Promise<void> {
  const { configuration } = replica.stats();
  const { nodes, begun } = replica.book;
  const isMember = membersOf(configuration).includes(id);
  // Named, and never came.
  if (!isMember && nodes.has(id) && !begun.has(id)) return setAddress(replica, id, NOWHERE);
  if (isVoter(configuration, id)) await demote(replica, id, reachable);
  // Of one that is no member an attempt before may have got so far.
  if (isMember || !nodes.has(id)) await change(replica, { type: 'simple', members: [{ type: 'remove', id }] }, reachable);
  await replica.propose(encodeRemoved(id), NO_LIMIT);
}

/** One voter for another in one step, by way of both majorities; who goes stays as a learner, to be removed. `unavailable/NOT_CAUGHT_UP` as `promote`. */
export async function replace(replica: Replica, from: number, by: number, reachable: Reachable = EVERYBODY): Promise<void> {
  const members = [
    { type: 'make-learner', id: from },
    { type: 'make-voter', id: by },
  ] as const;
  if (!isVoter(replica.stats().configuration, from)) throw noVoter(from);
  checkCaughtUp(replica, by);
  await change(replica, { type: 'enter-joint', members, autoLeave: true }, reachable);
}

/** Any change, as whoever plans it wants it: with the same checks as the verbs above. */
export async function changeMembers(replica: Replica, wanted: ConfigurationChange, reachable: Reachable): Promise<void> {
  if (wanted.type === 'simple' || wanted.type === 'enter-joint')
    for (const { type, id } of wanted.members) if (type === 'make-voter') checkCaughtUp(replica, id);
  await change(replica, wanted, reachable);
}

async function change(replica: Replica, wanted: ConfigurationChange, reachable: Reachable): Promise<void> {
  checkMajority(replica, wanted, reachable);
  await replica.changeMembers(wanted);
}

/** That a learner, should it vote, has what is needed to be counted on. */
function checkCaughtUp(replica: Replica, id: number): void {
  const { lastIndex, configuration } = replica.stats();
  const progress = replica.progressOf(id);
  if (progress === undefined || !configuration.learners.includes(id)) return;
  const lag = lastIndex - progress.match;
  if (progress.match > 0 && lag <= PROMOTED_LAG_MAX) return;
  const how = progress.match === 0 ? 'has nothing yet' : `lags by ${lag} entries`;
  const message = `node ${id} ${how}; it is given a vote when it lags by ${PROMOTED_LAG_MAX} at most`;
  throw new SparrowError('unavailable', 'NOT_CAUGHT_UP', message, { member: id, lag, limit: PROMOTED_LAG_MAX, applied: false });
}

function checkMajority(replica: Replica, wanted: ConfigurationChange, reachable: Reachable): void {
  const { id: own, role, configuration } = replica.stats();
  // Who does not lead is told so by the replica.
  if (role !== 'leader') return;
  const after = changed(configuration, wanted);
  const up = (id: number): boolean => id === own || reachable(id);
  if (hasQuorum(after, up)) return;
  const down = [...new Set([...after.voters, ...after.outgoing])].filter((id) => !up(id));
  throw new SparrowError(
    'unavailable',
    'NO_MAJORITY_AFTER',
    `of the voters ${after.voters.join(', ')} that there would be, ${down.join(', ')} cannot be reached: no majority would be left`,
    { down: down.join(','), applied: false },
  );
}

function noVoter(id: number): SparrowError {
  return new SparrowError('invalid', 'CONFIGURATION_CHANGE', `node ${id} is no voter`, { member: id, applied: false });
}
