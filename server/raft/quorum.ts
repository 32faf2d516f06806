/** Majorities of a set of voters, and of the two sets of a joint configuration. Pure arithmetic. */

/** Those whose agreement counts. `outgoing` is empty unless the configuration is joint. */
export interface VoterSets {
  readonly voters: readonly number[];
  readonly outgoing: readonly number[];
}

/** How many of `voters` make a majority. */
export function majority(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** The largest index that a majority has: each voter's acknowledged index in `acknowledged`, in any order. */
export function quorumIndex(acknowledged: readonly number[]): number {
  if (acknowledged.length === 1) return acknowledged[0]!;
  const sorted = [...acknowledged].sort((a, b) => b - a);
  return sorted[majority(sorted.length) - 1] ?? 0;
}

/** The largest index that majorities of both sets have. */
export function jointQuorumIndex({ voters, outgoing }: VoterSets, acknowledged: (id: number) => number): number {
  const index = quorumIndex(voters.map(acknowledged));
  return outgoing.length === 0 ? index : Math.min(index, quorumIndex(outgoing.map(acknowledged)));
}

/** Whether majorities of both sets fulfil it. */
export function hasQuorum({ voters, outgoing }: VoterSets, fulfils: (id: number) => boolean): boolean {
  const has = (set: readonly number[]): boolean => set.filter(fulfils).length >= majority(set.length);
  return has(voters) && (outgoing.length === 0 || has(outgoing));
}

export type VoteResult = 'won' | 'lost' | 'pending';

/** The state of an election. `votes` holds the answers so far. */
export function tally(voters: readonly number[], votes: ReadonlyMap<number, boolean>): VoteResult {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  const needed = majority(voters.length);
  if (granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'pending';
}

/** An election under both sets: won when each is, lost when either is. */
export function jointTally({ voters, outgoing }: VoterSets, votes: ReadonlyMap<number, boolean>): VoteResult {
  const result = tally(voters, votes);
  if (outgoing.length === 0 || result === 'lost') return result;
  const other = tally(outgoing, votes);
  return other === 'won' ? result : other;
}
