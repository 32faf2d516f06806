/** Whether what an order asks of a shard's members is so already. Pure. Used by node-agent.ts. */
import { type Configuration, type ConfigurationChange, isVoter, type MemberChange, membersOf } from '../raft/index.ts';

/** False as well while a change is half done: the members are those of before and of after together then. */
export function isMade(configuration: Configuration, change: ConfigurationChange): boolean {
  if (configuration.outgoing.length > 0) return false;
  switch (change.type) {
    case 'leave-joint':
      return true;
    case 'force':
      return sameIds(configuration.voters, change.voters) && membersOf(configuration).length === change.voters.length;
    case 'simple':
    case 'enter-joint':
      return change.members.every((member) => isMember(configuration, member));
  }
}

/** Who gets a vote by the change. */
export function promotedBy(configuration: Configuration, change: ConfigurationChange): number[] {
  if (change.type !== 'simple' && change.type !== 'enter-joint') return [];
  return change.members.filter(({ type, id }) => type === 'make-voter' && !isVoter(configuration, id)).map(({ id }) => id);
}

function isMember(configuration: Configuration, { type, id, witness }: MemberChange): boolean {
  if (type === 'remove') return !membersOf(configuration).includes(id);
  const group = type === 'make-voter' ? configuration.voters : configuration.learners;
  return group.includes(id) && (witness === undefined || configuration.witnesses.includes(id) === witness);
}

function sameIds(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id));
}
