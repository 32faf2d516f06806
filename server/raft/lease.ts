/**
 * Leader leases (Raft thesis, 6.4.1): reads at the leader without a round of heartbeats.
 *
 *   follower   promises, by each heartbeat or append that it gets, to vote for nobody for durationMs
 *   leader     may read until (it sent the heartbeats that a majority answered) + durationMs - pauseMarginMs
 *
 * Time is a monotonic clock of the member's own, given as a value; only its speed is compared between members. The host reads it after
 * it has taken messages from the wire and before it steps them, and right before it asks for a read. The margin covers what passes
 * between that and the answer, and clocks that differ in speed: 1 % of durationMs for 1 % of difference. A clock that stands still
 * while a machine is suspended does not do.
 *
 * A member that starts again does not know what it promised: it votes for nobody for durationMs.
 */
import { assert } from '../../base/assert.ts';

export interface LeaseOptions {
  durationMs: number;
  /** Taken off the leader's end: the longest pause of a process between looking at its clock and answering. */
  pauseMarginMs: number;
}

export class Lease {
  readonly #options: LeaseOptions | undefined;
  #nowMs = 0;
  #started = false;
  /** This member votes for nobody before that. */
  #promisedUntilMs = Infinity;
  /** When the heartbeats of each round left, oldest first. */
  #rounds: { round: number; sentMs: number }[] = [];
  #validUntilMs = -Infinity;
  /** Somebody may campaign although votes are withheld: not in this term any more. */
  #revoked = false;

  constructor(options: LeaseOptions | undefined) {
    this.#options = options;
    if (options !== undefined) {
      assert(options.durationMs > options.pauseMarginMs && options.pauseMarginMs >= 0, 'a lease is longer than its margin');
    }
  }

  get enabled(): boolean {
    return this.#options !== undefined;
  }

  advance(nowMs: number): void {
    assert(nowMs >= this.#nowMs || !this.#started, 'a monotonic clock does not go back');
    this.#nowMs = nowMs;
    if (this.#options === undefined || this.#started) return;
    this.#started = true;
    this.#promisedUntilMs = nowMs + this.#options.durationMs;
  }

  /** Whether this member must not vote, for itself neither. */
  get withholdsVotes(): boolean {
    return this.#options !== undefined && this.#nowMs < this.#promisedUntilMs;
  }

  /** The leader was heard. */
  promise(): void {
    if (this.#options !== undefined) this.#promisedUntilMs = Math.max(this.#nowMs + this.#options.durationMs, this.#promisedUntilMs);
  }

  /** Heartbeats of that round leave now. */
  sent(round: number): void {
    if (this.#options !== undefined && this.#rounds.at(-1)?.round !== round) this.#rounds.push({ round, sentMs: this.#nowMs });
  }

  /** A majority has answered heartbeats of that round or later ones. */
  confirmed(round: number): void {
    let sentMs = -Infinity;
    while (this.#rounds.length > 0 && this.#rounds[0]!.round <= round) sentMs = this.#rounds.shift()!.sentMs;
    if (this.#options === undefined) return;
    const { durationMs, pauseMarginMs } = this.#options;
    this.#validUntilMs = Math.max(this.#validUntilMs, sentMs + durationMs - pauseMarginMs);
  }

  /** Whether nobody else can lead now, nor within the margin. */
  get valid(): boolean {
    return !this.#revoked && this.#nowMs < this.#validUntilMs;
  }

  /** The voters are others now: what the former ones promised does not count. */
  renew(): void {
    this.#validUntilMs = -Infinity;
    this.#rounds = [];
  }

  /** timeout-now is on its way, and may arrive at any time: it lets its receiver campaign against the promises. */
  revoke(): void {
    this.#revoked = true;
  }

  /** This member does not lead any more. */
  lose(): void {
    this.renew();
    this.#revoked = false;
  }
}
