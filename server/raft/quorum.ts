/** Majorities of a set of voters. Pure arithmetic; joint sets will be two of these. */

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
