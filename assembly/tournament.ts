/**
 * A loser tree (Knuth, The Art of Computer Programming 3, 5.4.1) over the first `count` cursors of a context: after the winner moved,
 * one comparison a level finds the next. Any count works: leaf i hangs below node (count + i) / 2.
 *
 *   tree: u32 x count, cursor addresses: [0] the winner, [1..] the loser of each inner node        (256 bytes in the cells at TOURNAMENT)
 */
import { CELLS } from './memory-map';
import { cursorAt, cursorBefore } from './cursor';

/** Cells 512..767. */
export const TOURNAMENT: usize = CELLS + 512;

/** The winner of the subtree at `node`, leaving the losers in the inner nodes. */
function settle(context: usize, node: i32, count: i32): usize {
  if (node >= count) return cursorAt(context, node - count);
  const a = settle(context, node << 1, count);
  const b = settle(context, (node << 1) + 1, count);
  const first = !cursorBefore(b, a);
  store<u32>(context + TOURNAMENT + ((<usize>node) << 2), <u32>(first ? b : a));
  return first ? a : b;
}

/** Builds the tree when all cursors stand on their first entry, and returns the winner. */
export function tournamentBegin(context: usize, count: i32): usize {
  const winner = count > 1 ? settle(context, 1, count) : cursorAt(context, 0);
  store<u32>(context + TOURNAMENT, <u32>winner);
  return winner;
}

// @ts-ignore: decorator
@inline
export function tournamentWinner(context: usize): usize {
  return <usize>load<u32>(context + TOURNAMENT);
}

/** After the winner has moved. Returns the new winner. */
// @ts-ignore: decorator
@inline
export function tournamentReplay(context: usize, count: i32, moved: usize): usize {
  let winner = moved;
  for (let node = (count + <i32>((moved - cursorAt(context, 0)) >> 8)) >> 1; node > 0; node >>= 1) {
    const at = context + TOURNAMENT + ((<usize>node) << 2);
    const loser = <usize>load<u32>(at);
    if (cursorBefore(loser, winner)) {
      store<u32>(at, <u32>winner);
      winner = loser;
    }
  }
  store<u32>(context + TOURNAMENT, <u32>winner);
  return winner;
}
