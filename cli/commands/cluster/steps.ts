/** Steps that several commands of an operator are made of. Each reaches what it is named after, and says so. */
import { type ClusterStatus, SparrowError } from '../../../client/index.ts';
import { formatBytes, formatCount } from '../../terminal/progress.ts';
import { memberOf, needMember, type Operator, reach } from './operator.ts';
import { statusOf } from './survey.ts';

export const VOTER = 1;
export const LEARNER = 2;
const PROMOTED_LAG_MAX = 1000;

export interface Place {
  address: string;
  peerAddress: string;
}

/** Both addresses of a node: its own word says where other nodes reach it, when nobody else does. */
export async function placeOf({ admin }: Operator, id: number, address: string, peerAddress: string | undefined): Promise<Place> {
  if (peerAddress !== undefined) return { address, peerAddress };
  const { node } = await statusOf(admin, id, address).catch((error: unknown) => {
    if (!(error instanceof SparrowError) || error.code !== 'UNREACHABLE') throw error;
    throw new SparrowError('unavailable', 'NODE_UNREACHABLE', `node ${id} is not reached: ${error.message}`, { node: id, address }, error);
  });
  const told = node?.peerAddress ?? '';
  if (told !== '') return { address, peerAddress: told };
  throw new SparrowError(
    'invalid',
    'NO_PEER_LISTEN',
    `node ${id} at ${address} does not tell where other nodes reach it: name --peer-address`,
    {
      node: id,
    },
  );
}

export async function addLearner(operator: Operator, id: number, place: Place): Promise<void> {
  const node = { id, ...place };
  let before: boolean | undefined;
  await reach(operator, {
    reached: (status) => {
      const member = memberOf(status, id);
      before ??= member !== undefined;
      if (member === undefined) return false;
      if (member.address === place.address && member.peerAddress === place.peerAddress) return true;
      throw new SparrowError(
        'invalid',
        'CONFIGURATION_CHANGE',
        `node ${id} is a member already, at ${member.address} and ${member.peerAddress} for other nodes; set-address moves it`,
        { node: id },
      );
    },
    step: () => operator.admin.changeMembers({ type: 'add-learner', node }),
    msMax: operator.timeoutMs,
    what: `taking node ${id} in`,
  });
  operator.done(before === true ? `node ${id} is a member already` : `node ${id} is a learner now`);
}

/** Waits until it has nearly all that the leader has. */
export async function catchUp(operator: Operator, id: number): Promise<void> {
  await reach(operator, {
    reached: (status) => {
      const { role, progress } = needMember(status, id);
      return (
        role === VOTER || (progress !== undefined && progress.state === 2 && progress.matchIndex > 0 && progress.lag <= PROMOTED_LAG_MAX)
      );
    },
    progress: (status) => standing(operator, status, id),
    msMax: Infinity,
    what: `catching up of node ${id}`,
  });
}

export async function makeVoter(operator: Operator, id: number): Promise<void> {
  let before: boolean | undefined;
  await reach(operator, {
    reached: (status) => {
      const isVoter = needMember(status, id).role === VOTER;
      before ??= isVoter;
      return isVoter;
    },
    step: () => operator.admin.changeMembers({ type: 'promote', id }),
    msMax: operator.timeoutMs,
    what: `the promotion of node ${id}`,
  });
  operator.done(before === true ? `node ${id} is a voter already` : `node ${id} is a voter now`);
}

/** A node that leads hands the lead over before. */
export async function makeLearner(operator: Operator, id: number): Promise<void> {
  const { status } = await operator.admin.leaderStatus();
  const member = needMember(status, id);
  if (member.role === LEARNER) return operator.done(`node ${id} is a learner already`);
  await yieldLead(operator, id);
  await reach(operator, {
    reached: (now) => needMember(now, id).role === LEARNER,
    step: () => operator.admin.changeMembers({ type: 'demote', id }),
    msMax: operator.timeoutMs,
    what: `the demotion of node ${id}`,
  });
  operator.done(`node ${id} is a learner now`);
}

/** For good. A voter is made a learner before. */
export async function removeMember(operator: Operator, id: number): Promise<void> {
  const { status } = await operator.admin.leaderStatus();
  if (status.removedIds.includes(id)) return operator.done(`node ${id} was removed before`);
  const member = memberOf(status, id);
  // Who is none may be known to the address book still.
  if (member === undefined) {
    await operator.admin.changeMembers({ type: 'remove', id });
    return operator.done(`node ${id} is forgotten; it was no member`);
  }
  if (member.role !== LEARNER) await makeLearner(operator, id);
  await reach(operator, {
    reached: (now) => now.removedIds.includes(id),
    step: () => operator.admin.changeMembers({ type: 'remove', id }),
    msMax: operator.timeoutMs,
    what: `the removal of node ${id}`,
  });
  operator.done(`node ${id} is removed; its id is not used again, and its data directory is of no more use`);
}

/** Node `to` leads, or with 0 the one that is the best for it. */
export async function transferLead(operator: Operator, to: number): Promise<void> {
  const { status } = await operator.admin.leaderStatus();
  const from = status.leaderId;
  if (to !== 0) needMember(status, to);
  if (to === from) return operator.done(`node ${to} leads already`);
  const next = to === 0 ? await operator.admin.transferLead(0) : to;
  const after = await reach(operator, {
    reached: ({ leaderId }) => leaderId === next,
    step: () => operator.admin.transferLead(next),
    msMax: operator.timeoutMs,
    what: `the lead of node ${next}`,
  });
  operator.done(`node ${after.leaderId} leads now, in term ${formatCount(after.term)}`);
}

/** Another node than `id` leads. */
export async function yieldLead(operator: Operator, id: number): Promise<void> {
  const { status } = await operator.admin.leaderStatus();
  if (status.leaderId === id) await transferLead(operator, 0);
}

/** How far a node is, for people who wait. */
async function standing({ admin }: Operator, status: ClusterStatus, id: number): Promise<string> {
  const { address, progress, reachable } = needMember(status, id);
  if (!reachable) return `node ${id} is not reached by the leader (${address}); still waiting`;
  const lag = progress === undefined ? '' : ` is ${formatCount(progress.lag)} entries behind`;
  try {
    const { node } = await admin.statusOf(address);
    const { receiving } = node ?? {};
    if (receiving !== undefined) {
      return `node ${id} takes a snapshot, ${formatBytes(receiving.bytes)} of ${formatBytes(receiving.bytesTotal)}`;
    }
  } catch {
    // The leader's word has to do.
  }
  return `node ${id}${lag}`;
}
