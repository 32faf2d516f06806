/**
 * Linearizable reads without a log entry (Raft thesis, 6.4): a leader notes its commit index, makes sure by a round of heartbeats
 * that it still was the leader after that, and then the read may be served once that index is applied.
 *
 * All reads asked between two heartbeat rounds share one. An answer counts only for the round that it names, and rounds only grow,
 * so a delayed answer to an older heartbeat proves nothing about newer reads.
 */
import type { ReadState } from './messages.ts';
import { majority } from './quorum.ts';

interface Round {
  round: number;
  index: number;
  reads: number[];
  heard: Set<number>;
}

export class ReadIndex {
  /** Reads that wait for the next round. */
  #waiting: number[] = [];
  /** Rounds on their way, oldest first. */
  #rounds: Round[] = [];

  ask(read: number): void {
    this.#waiting.push(read);
  }

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Starts a round for all waiting reads, at the leader's commit index. */
  begin(round: number, index: number, self: number): void {
    this.#rounds.push({ round, index, reads: this.#waiting, heard: new Set([self]) });
    this.#waiting = [];
  }

  /** `from` answered the heartbeat of `round`: that confirms it and all before it. Returns what is confirmed by a majority. */
  heard(from: number, round: number, voters: readonly number[]): ReadState[] {
    for (const started of this.#rounds) {
      if (started.round <= round && voters.includes(from)) started.heard.add(from);
    }
    const confirmed: ReadState[] = [];
    while (this.#rounds.length > 0 && this.#rounds[0]!.heard.size >= majority(voters.length)) {
      const { reads, index } = this.#rounds.shift()!;
      for (const read of reads) confirmed.push({ read, index });
    }
    return confirmed;
  }

  /** Gives up all reads; returns them. */
  drop(): number[] {
    const lost = [...this.#rounds.flatMap((round) => round.reads), ...this.#waiting];
    this.#rounds = [];
    this.#waiting = [];
    return lost;
  }
}
