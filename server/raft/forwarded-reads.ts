/**
 * Linearizable reads that a follower serves itself: it asks the leader for an index (read-index.ts), and reads when it has applied that.
 *
 *   asked -> output: one request for all that were asked since the last -> answered, with all of the requests before it
 *
 * Requests are numbered. The leader confirms its lead after it has got a request, so an answer does for every read that was asked before that
 * request left, those of earlier requests too. Therefore only the last request is sent again: when nothing is heard for RESEND_TICKS, and to
 * another leader at once. It does for none of a later request: the number tells. Numbers only grow, and begin in each life of a member at
 * another place: an answer to what it asked before it crashed is none to what it asks now.
 *
 * A read is lost when nobody answers it for electionTicks. Whoever comes to lead answers its own. Used by reads.ts.
 */
import type { ReadState } from './messages.ts';

/** A round of the leader's heartbeats takes one way there and back more than the request itself. */
const RESEND_TICKS = 2;
/** Requests of one life, before they could be taken for those of another one; and still integers beyond. */
const REQUESTS_PER_LIFE: number = 2 ** 20;

interface Batch {
  /** 0: not sent yet. */
  request: number;
  readonly reads: number[];
  ticks: number;
}

export class ForwardedReads {
  /** Oldest first; only the last one may be unsent. */
  #batches: Batch[] = [];
  #lastRequest: number;
  #sentTo = 0;
  #quietTicks = 0;
  #resend = false;

  /** `life`: a number of 32 bits that no other life of this member has. */
  constructor(life: number) {
    this.#lastRequest = (life >>> 0) * REQUESTS_PER_LIFE;
  }

  get busy(): boolean {
    return this.#batches.length > 0;
  }

  ask(read: number): void {
    const last = this.#batches.at(-1);
    if (last?.request === 0) last.reads.push(read);
    else this.#batches.push({ request: 0, reads: [read], ticks: 0 });
  }

  /** The number of the request to send to this leader now; undefined: none. */
  take(leader: number): number | undefined {
    const last = this.#batches.at(-1);
    if (last === undefined) return undefined;
    const moved = leader !== this.#sentTo;
    if (last.request === 0) last.request = ++this.#lastRequest;
    else if (!this.#resend && !moved) return undefined;
    this.#sentTo = leader;
    this.#resend = false;
    this.#quietTicks = 0;
    return this.#lastRequest;
  }

  /** The leader has confirmed that request. */
  answered(request: number, index: number): ReadState[] {
    const [first] = this.#batches;
    if (first === undefined || first.request === 0 || request < first.request || request > this.#lastRequest) return [];
    const states: ReadState[] = [];
    while (this.#batches.length > 0 && this.#batches[0]!.request !== 0 && this.#batches[0]!.request <= request) {
      for (const read of this.#batches.shift()!.reads) states.push({ read, index });
    }
    this.#quietTicks = 0;
    return states;
  }

  /** Time passes. Returns reads that nobody has answered for `ticksMax`. */
  tick(ticksMax: number): number[] {
    if (this.#batches.length === 0) return [];
    if (++this.#quietTicks >= RESEND_TICKS) this.#resend = true;
    for (const batch of this.#batches) batch.ticks++;
    const lost: number[] = [];
    while (this.#batches.length > 0 && this.#batches[0]!.ticks >= ticksMax) lost.push(...this.#batches.shift()!.reads);
    return lost;
  }

  /** Gives up all; returns them. */
  drop(): number[] {
    const reads = this.#batches.flatMap((batch) => batch.reads);
    this.#batches = [];
    return reads;
  }
}
