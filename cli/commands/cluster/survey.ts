/** A cluster as it looks from here: what a node says of it, and what each member says of itself when it is asked. */
import { type ClusterAdmin, type ClusterStatus, SparrowError } from '../../../client/index.ts';
import type { Member } from './operator.ts';

export interface SurveyedMember extends Member {
  /** What it says of itself; undefined when it did not answer. */
  readonly node: ClusterStatus['node'];
  /** How its replicas do, of all shards. */
  readonly shards: ClusterStatus['shards'];
  /** Why it did not answer. */
  readonly error: string | undefined;
}

export interface Survey {
  readonly clusterId: string;
  /** 0: no node that answers knows of one. */
  readonly leaderId: number;
  readonly term: number;
  /** The address of the first node that answered, and what it says of itself. */
  readonly asked: string;
  readonly node: ClusterStatus['node'];
  readonly members: readonly SurveyedMember[];
  readonly removedIds: readonly number[];
  readonly freeId: number;
}

/** Throws `unavailable/UNREACHABLE` when no node answers. */
export async function survey(admin: ClusterAdmin): Promise<Survey> {
  const { address: asked, status: first } = await admin.status();
  const answers = new Map<number, ClusterStatus | SparrowError>();
  const ask = async ({ id, address }: Member): Promise<void> => {
    try {
      answers.set(id, id === first.node?.id ? first : await statusOf(admin, id, address));
    } catch (error) {
      if (!(error instanceof SparrowError) || error.kind === 'cancelled') throw error;
      answers.set(id, error);
    }
  };
  await Promise.all(first.members.map(ask));
  const told = [first, ...answers.values()].filter((answer): answer is ClusterStatus => !(answer instanceof SparrowError));
  // Whoever is behind says what was so before; of those that know the largest term, one that leads knows most.
  const newest = told.sort((a, b) => b.term - a.term || Number(isLeader(b)) - Number(isLeader(a)) || b.leaderId - a.leaderId)[0]!;
  const members = newest.members.map((member): SurveyedMember => {
    const answer = answers.get(member.id);
    if (answer instanceof SparrowError) return { ...member, node: undefined, shards: undefined, error: answer.message };
    return { ...member, node: answer?.node, shards: answer?.shards, error: answer === undefined ? 'not asked' : undefined };
  });
  const { clusterId, leaderId, term, removedIds, freeId } = newest;
  return { clusterId, leaderId, term, asked, node: first.node, members, removedIds, freeId };
}

/** Of node `id`, at the address where it should be. */
export async function statusOf(admin: ClusterAdmin, id: number, address: string): Promise<ClusterStatus> {
  if (address === '') throw new SparrowError('invalid', 'NO_ADDRESS', `nobody knows where node ${id} is reached`, { node: id });
  const status = await admin.statusOf(address);
  if (status.node?.id === id) return status;
  const is = status.node?.id ?? 0;
  throw new SparrowError('invalid', 'OTHER_NODE', `at ${address} is node ${is}, not node ${id}`, { address, node: is, meant: id });
}

function isLeader({ node, leaderId }: ClusterStatus): boolean {
  return node !== undefined && node.id === leaderId;
}
