/**
 * Linearizable reads without a log entry (Raft thesis, 6.4): a leader notes its commit index, makes sure by a round of heartbeats
 * that it still was the leader after that, and then the read may be served once that index is applied.
 *
 * All reads asked between two heartbeat rounds share one. An answer counts only for the round that it names and those before, and rounds
 * only grow, so a delayed or repeated answer to an older heartbeat proves nothing about newer reads. Followers ask too, for reads that they
 * serve themselves (forwarded-reads.ts).
 */
import { jointQuorumIndex, type VoterSets } from './quorum.ts';

/** Who asked, this member or a follower, and its number for the read. */
export interface Asked {
  readonly from: number;
  readonly read: number;
}

/** What was asked may be read when `index` is applied. */
export interface Confirmed extends Asked {
  readonly index: number;
}

interface Round {
  round: number;
  index: number;
  reads: Asked[];
}

export class ReadIndex {
  /** Reads that wait for the next round. */
  #waiting: Asked[] = [];
  /** Rounds on their way, oldest first. */
  #rounds: Round[] = [];
  /** The latest round that each member has answered. */
  readonly #heard: Map<number, number> = new Map();

  ask(asked: Asked): void {
    this.#waiting.push(asked);
  }

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether a read has not been answered. */
  get busy(): boolean {
    return this.#waiting.length > 0 || this.#rounds.length > 0;
  }

  /** Starts a round for all waiting reads, at the leader's commit index. */
  begin(round: number, index: number): void {
    this.#rounds.push({ round, index, reads: this.#waiting });
    this.#waiting = [];
  }

  /** `from` answered the heartbeat of `round`: that confirms it and all before it. */
  heard(from: number, round: number): void {
    if (round > (this.#heard.get(from) ?? 0)) this.#heard.set(from, round);
  }

  /** The latest round that majorities have answered. The leader `self` has answered all. */
  confirmed(self: number, sets: VoterSets): number {
    return jointQuorumIndex(sets, (id) => (id === self ? Infinity : (this.#heard.get(id) ?? 0)));
  }

  /** Reads of the rounds up to that one. */
  take(confirmed: number): Confirmed[] {
    const states: Confirmed[] = [];
    while (this.#rounds.length > 0 && this.#rounds[0]!.round <= confirmed) {
      const { reads, index } = this.#rounds.shift()!;
      for (const { from, read } of reads) states.push({ from, read, index });
    }
    return states;
  }

  /** All waiting reads, at once: the leader has a lease. */
  takeWaiting(index: number): Confirmed[] {
    const reads = this.#waiting.map(({ from, read }) => ({ from, read, index }));
    this.#waiting = [];
    return reads;
  }

  /** Gives up all reads; returns them. */
  drop(): Asked[] {
    const lost = [...this.#rounds.flatMap((round) => round.reads), ...this.#waiting];
    this.#rounds = [];
    this.#waiting = [];
    this.#heard.clear();
    return lost;
  }
}
