/** Moments at which a member of a group has just given its word, or told of somebody else's: the best ones to lose its memory at (fault-plan.ts). */
import type { Message } from '../../server/raft/index.ts';

/**
 * - `vote`: a vote was granted. `candidacy`: votes are asked for in a new term.
 * - `append`: entries were sent. `ack`: entries are said to be durable.
 * - `timeout-now`: the lead is handed over. `answer`: a client was told that its write is done.
 */
export type Moment = 'vote' | 'candidacy' | 'append' | 'ack' | 'timeout-now' | 'answer';

export const MOMENTS: readonly Moment[] = ['vote', 'candidacy', 'append', 'ack', 'timeout-now', 'answer'];

export function momentOf(message: Message): Moment | undefined {
  switch (message.type) {
    case 'vote-request':
      return message.pre ? undefined : 'candidacy';
    case 'vote-response':
      return message.granted && !message.pre ? 'vote' : undefined;
    case 'append-request':
      return message.entries.length > 0 ? 'append' : undefined;
    case 'append-response':
      return message.accepted ? 'ack' : undefined;
    case 'timeout-now':
      return 'timeout-now';
    default:
      return undefined;
  }
}
