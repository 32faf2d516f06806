/**
 * Who is a member, and how that changes. Pure.
 *
 *   voters        elect and commit                        outgoing      not empty: the change is joint, both sets must agree
 *   learners      get everything, count for nothing       learnersNext  voters of `outgoing` that are learners once it is left
 *   witnesses     members (of any role) that keep the log's metadata and no data
 *
 * A change of one voter is simple: majorities of before and after overlap. A larger one is joint (Raft thesis, 4.3): `enter-joint` makes
 * majorities of both sets necessary, `leave-joint` drops the old set. With `autoLeave` the leader leaves by itself.
 *
 * A voter is removed in two steps, a demotion to learner and then the removal: while anybody may still count on its vote, it is a member
 * that the host keeps. A member that is a witness stays one: what it does not have it cannot serve.
 *
 * An id is used once: whoever was removed, or has lost its disk, comes back under another. Nobody could tell what it has forgotten.
 *
 * Invariants: ids ascend in every set; learners are in no set of voters; every majority has a member with data.
 */
import { SparrowError } from '../../base/errors.ts';
import { majority } from './quorum.ts';

export interface Configuration {
  readonly voters: readonly number[];
  readonly outgoing: readonly number[];
  readonly learners: readonly number[];
  readonly learnersNext: readonly number[];
  readonly witnesses: readonly number[];
  readonly autoLeave: boolean;
}

export interface MemberChange {
  readonly type: 'make-voter' | 'make-learner' | 'remove';
  readonly id: number;
  /** Of a member that is added: it keeps no data. */
  readonly witness?: boolean;
}

export type ConfigurationChange =
  | { readonly type: 'simple'; readonly members: readonly MemberChange[] }
  | { readonly type: 'enter-joint'; readonly members: readonly MemberChange[]; readonly autoLeave: boolean }
  | { readonly type: 'leave-joint' }
  /** After the loss of a majority: these vote, whatever was before. Never proposed; see forced.ts. */
  | { readonly type: 'force'; readonly voters: readonly number[] };

/** A configuration of voters alone; of nobody, for a member that waits to be taken in. */
export function votersOnly(voters: readonly number[]): Configuration {
  return { voters: ordered(voters), outgoing: [], learners: [], learnersNext: [], witnesses: [], autoLeave: false };
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

/** Whether it counts in an election, in either set. */
export function isVoter({ voters, outgoing }: Configuration, id: number): boolean {
  return voters.includes(id) || outgoing.includes(id);
}

/** Whether it may lead: it votes and has the data. */
export function canLead(configuration: Configuration, id: number): boolean {
  return isVoter(configuration, id) && !configuration.witnesses.includes(id);
}

/** Everybody, once. */
export function membersOf({ voters, outgoing, learners }: Configuration): number[] {
  return ordered([...new Set([...voters, ...outgoing, ...learners])]);
}

/** The configuration after `change`. Throws `invalid/CONFIGURATION_CHANGE` when the change makes no sense from here. */
export function changed(configuration: Configuration, change: ConfigurationChange): Configuration {
  switch (change.type) {
    case 'simple': {
      if (isJoint(configuration)) throw invalid('the configuration is joint: leave it first');
      const after = checked(withMembers(configuration, change.members));
      const differing = [...after.voters, ...configuration.voters].filter(
        (id) => !after.voters.includes(id) || !configuration.voters.includes(id),
      );
      if (differing.length > 1) throw invalid(`${differing.length} voters change at once: enter a joint configuration`);
      return after;
    }
    case 'enter-joint': {
      if (isJoint(configuration)) throw invalid('the configuration is joint already: leave it first');
      const entered = { ...configuration, outgoing: configuration.voters, autoLeave: change.autoLeave };
      return checked(withMembers(entered, change.members));
    }
    case 'leave-joint':
      if (!isJoint(configuration)) throw invalid('the configuration is not joint');
      return left(configuration);
    case 'force':
      return forced(configuration, change.voters);
  }
}

/** Only `voters` vote; other learners remain. */
function forced({ learners, witnesses }: Configuration, voters: readonly number[]): Configuration {
  const others = learners.filter((id) => !voters.includes(id));
  const members = [...voters, ...others];
  return { ...votersOnly(voters), learners: others, witnesses: witnesses.filter((id) => members.includes(id)) };
}

function left({ voters, learners, learnersNext, witnesses }: Configuration): Configuration {
  const members = [...voters, ...learners, ...learnersNext];
  return {
    ...votersOnly(voters),
    learners: ordered([...learners, ...learnersNext]),
    witnesses: witnesses.filter((id) => members.includes(id)),
  };
}

function withMembers(configuration: Configuration, members: readonly MemberChange[]): Configuration {
  if (members.length === 0) throw invalid('the change names no member');
  let after = configuration;
  for (const [i, member] of members.entries()) {
    if (!Number.isSafeInteger(member.id) || member.id <= 0) throw invalid(`member ${member.id}: an id is an integer above 0`, member.id);
    if (members.findIndex(({ id }) => id === member.id) !== i) throw invalid(`member ${member.id} is named twice`, member.id);
    after = withMember(after, member);
  }
  return after;
}

function withMember(configuration: Configuration, { type, id, witness = false }: MemberChange): Configuration {
  const { voters, outgoing, learners, learnersNext, witnesses } = configuration;
  const known = membersOf(configuration).includes(id);
  const without = (ids: readonly number[]): number[] => ids.filter((other) => other !== id);
  if (type === 'remove') {
    if (!known) throw invalid(`member ${id} is not a member of the group`, id);
    if (isVoter(configuration, id)) throw invalid(`member ${id} votes: make it a learner first`, id);
    return { ...configuration, learners: without(learners), witnesses: without(witnesses) };
  }
  if (known && witness && !witnesses.includes(id)) throw invalid(`member ${id} has data: it does not become a witness`, id);
  const added = !known && witness ? ordered([...witnesses, id]) : witnesses;
  if (type === 'make-voter') {
    if (voters.includes(id)) throw invalid(`member ${id} is a voter already`, id);
    return { ...configuration, voters: ordered([...voters, id]), learners: without(learners), witnesses: added };
  }
  if (learners.includes(id) || learnersNext.includes(id)) throw invalid(`member ${id} is a learner already`, id);
  // Whoever still votes in the old set cannot be a learner yet.
  const staged = outgoing.includes(id);
  return {
    ...configuration,
    voters: without(voters),
    learners: staged ? learners : ordered([...learners, id]),
    learnersNext: staged ? ordered([...learnersNext, id]) : learnersNext,
    witnesses: added,
  };
}

function checked(configuration: Configuration): Configuration {
  const { voters, witnesses } = configuration;
  if (voters.length === 0) throw invalid('no voter would be left');
  const withoutData = voters.filter((id) => witnesses.includes(id)).length;
  if (withoutData >= majority(voters.length)) {
    throw invalid(`${withoutData} of ${voters.length} voters would be witnesses: a majority could have no data`);
  }
  return configuration;
}

function ordered(ids: readonly number[]): number[] {
  return ids.toSorted((a, b) => a - b);
}

function invalid(reason: string, member?: number): SparrowError {
  return new SparrowError('invalid', 'CONFIGURATION_CHANGE', reason, member === undefined ? {} : { member });
}
