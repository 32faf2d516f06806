/**
 * Who leads, out of what several nodes said at several times. In one term there is at most one leader, and terms only grow: what is said of a
 * smaller term is older, whenever it comes. Pure.
 */
import type { Leadership } from '../proto/index.ts';

export class LeaderKnowledge {
  #leaderId = 0;
  #term = 0;

  /** 0: not known. */
  get leaderId(): number {
    return this.#leaderId;
  }

  /** The largest term that any node told. */
  get term(): number {
    return this.#term;
  }

  learn({ leaderId, term }: Leadership): void {
    // Of one term, a node that does not know its leader yet takes nothing back.
    if (term < this.#term || (term === this.#term && leaderId === 0)) return;
    this.#leaderId = leaderId;
    this.#term = term;
  }

  /** This node does not lead any more, or cannot be reached. */
  lost(nodeId: number): void {
    if (this.#leaderId === nodeId) this.#leaderId = 0;
  }
}
