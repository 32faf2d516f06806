/**
 * Looks for a node that calls can go to: one that says that it leads, or one that says nothing of leaders and answers.
 *
 *   round:  ask the nodes one after another; the next one as soon as the one before failed or knows of no leader, and after STAGGER_MS in any
 *           case, so that a node that is silent holds nobody up. A node that is named as the leader is asked at once.
 *   pause:  after a round without success, with jitter, doubling. While no node can be reached up to `retryPauseMsMax`; while nodes answer
 *           and nobody leads only up to LEADERLESS_PAUSE_MS: an election takes a second or two.
 *
 * Calls wait meanwhile and send nothing: a client costs a cluster without a leader some pings, whatever it has under way.
 */
import type { Timer } from '../base/env.ts';
import { SparrowError } from '../base/errors.ts';
import type { Settings } from './connect-options.ts';
import type { GroupLinks } from './group-links.ts';
import type { NodeLink } from './node-link.ts';
import { pauseMs } from './retry.ts';
import { fraction, type Surroundings } from './surroundings.ts';

const STAGGER_MS = 250;
const LEADERLESS_PAUSE_MS = 250;

export interface SearchEvents {
  /** Whether anybody waits. */
  wanted(): boolean;
  found(link: NodeLink): void;
  /** Each node was asked. The search goes on while it is wanted. */
  failed(error: SparrowError): void;
}

interface Round {
  readonly queue: NodeLink[];
  readonly asked: Set<NodeLink>;
  /** Those that answered. */
  readonly told: Set<NodeLink>;
  unsettled: number;
  failure: { address: string; error: SparrowError } | undefined;
}

export class LeaderSearch {
  readonly #links: GroupLinks;
  readonly #settings: Settings;
  readonly #surroundings: Surroundings;
  readonly #events: SearchEvents;
  #on = false;
  #round: Round | undefined;
  /** The pause before a round, or what ends the waiting within one. */
  #timer: Timer | undefined;
  #failures = 0;
  #notBeforeMs = 0;
  /** The address after which the next round begins. */
  #after: string | undefined;

  constructor(links: GroupLinks, settings: Settings, surroundings: Surroundings, events: SearchEvents) {
    this.#links = links;
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#events = events;
  }

  get on(): boolean {
    return this.#on;
  }

  begin(): void {
    if (this.#on || !this.#events.wanted()) return;
    this.#on = true;
    this.#schedule();
  }

  /** Calls no longer go to this node. `stable`: it did well for a while, so that the next round need not wait long. */
  leave(link: NodeLink, stable: boolean): void {
    this.#after = link.address;
    if (stable) this.#failures = 0;
    else this.#failures++;
    // A moment by chance even so: everybody who was there leaves at once.
    const pause = stable ? fraction(this.#surroundings.random) * this.#settings.retryPauseMs : this.#pause(LEADERLESS_PAUSE_MS);
    this.#notBeforeMs = this.#surroundings.clock.monotonicMs() + pause;
  }

  /** A node said where it stands. */
  told(link: NodeLink): void {
    if (!this.#on) return;
    if (this.#serves(link)) return this.#found(link);
    const leader = this.#links.leader;
    if (this.#round !== undefined && leader !== undefined) this.#ask(this.#round, leader);
  }

  stop(): void {
    this.#on = false;
    this.#round = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #serves(link: NodeLink): boolean {
    const told = this.#links.toldBy(link);
    return told === undefined ? link.ready : this.#links.leads(link) && told.term >= this.#links.term;
  }

  #found(link: NodeLink): void {
    this.stop();
    this.#events.found(link);
  }

  #schedule(): void {
    const pause = this.#notBeforeMs - this.#surroundings.clock.monotonicMs();
    if (pause <= 0) return this.#beginRound();
    this.#timer = this.#surroundings.scheduler.after(pause, () => this.#beginRound());
  }

  #beginRound(): void {
    this.#timer = undefined;
    if (!this.#events.wanted()) return this.stop();
    this.#round = { queue: this.#inOrder(), asked: new Set(), told: new Set(), unsettled: 0, failure: undefined };
    this.#askNext(this.#round);
  }

  /** From the one after the last, so that each gets its turn; before all others the one that is said to lead. */
  #inOrder(): NodeLink[] {
    const links = this.#links.all();
    const start = links.findIndex((link) => link.address === this.#after) + 1;
    const order = [...links.slice(start), ...links.slice(0, start)];
    const leader = this.#links.leader;
    return leader === undefined ? order : [leader, ...order];
  }

  #askNext(round: Round): void {
    if (round !== this.#round) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    let link = round.queue.shift();
    while (link !== undefined && round.asked.has(link)) link = round.queue.shift();
    if (link !== undefined) {
      this.#ask(round, link);
    } else if (round.unsettled === 0) {
      return this.#endRound(round);
    } else if (round.told.size === 0) {
      // Nobody has answered: whatever is under way is waited for.
      return;
    }
    const next = link === undefined ? () => this.#endRound(round) : () => this.#askNext(round);
    if (round === this.#round) this.#timer = this.#surroundings.scheduler.after(STAGGER_MS, next);
  }

  #ask(round: Round, link: NodeLink): void {
    if (round.asked.has(link)) return;
    round.asked.add(link);
    round.unsettled++;
    this.#links.ask(link).then(
      () => {
        round.unsettled--;
        round.told.add(link);
        this.#askNext(round);
      },
      (error: unknown) => {
        round.unsettled--;
        round.failure = { address: link.address, error: error as SparrowError };
        this.#askNext(round);
      },
    );
  }

  #endRound(round: Round): void {
    if (round !== this.#round) return;
    this.#round = undefined;
    const restarted = this.#leaderAmong(round.told);
    if (restarted !== undefined) return this.#found(restarted);
    this.#failures++;
    const answered = round.told.size > 0;
    const most = answered ? LEADERLESS_PAUSE_MS : this.#settings.retryPauseMsMax;
    this.#notBeforeMs = this.#surroundings.clock.monotonicMs() + this.#pause(most);
    this.#events.failed(answered ? leaderless() : this.#unreachable(round));
    if (this.#events.wanted()) this.#schedule();
    else this.stop();
  }

  /**
   * Of the nodes that answer, one that says that it leads, of the largest term among them. Its term is smaller than one heard before: these
   * are not the nodes that it was heard from, or they have lost their memory.
   */
  #leaderAmong(told: ReadonlySet<NodeLink>): NodeLink | undefined {
    const term = Math.max(0, ...[...told].map((link) => this.#links.toldBy(link)?.term ?? 0));
    const leader = [...told].find((link) => this.#links.leads(link) && this.#links.toldBy(link)?.term === term);
    const leadership = leader && this.#links.toldBy(leader);
    if (leadership !== undefined) this.#links.relearnLeader(leadership);
    return leader;
  }

  #pause(mostMs: number): number {
    const { retryPauseMs, retryPauseMsMax } = this.#settings;
    return pauseMs(this.#failures, retryPauseMs, Math.min(mostMs, retryPauseMsMax), () => fraction(this.#surroundings.random));
  }

  #unreachable({ failure }: Round): SparrowError {
    if (failure === undefined) return new SparrowError('unavailable', 'UNREACHABLE', 'no node is known that has a replica');
    const { address, error } = failure;
    const addresses = this.#links.all().map((link) => link.address);
    const which = addresses.length === 1 ? address : `any of ${addresses.join(', ')}`;
    // What the server itself said (that we may not, or that it is of another cluster) is worth more than that it was not reached.
    if (error.kind !== 'unavailable' && error.kind !== 'internal') return error;
    return new SparrowError('unavailable', 'UNREACHABLE', `cannot reach ${which}: ${error.message}`, { address }, error);
  }
}

function leaderless(): SparrowError {
  return new SparrowError('unavailable', 'NO_LEADER', 'the nodes answer, but none of them leads');
}
