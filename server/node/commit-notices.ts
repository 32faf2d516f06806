/**
 * Appends without entries, held back a moment: they tell a follower little more than what is committed, and the next append with entries tells it as well.
 *
 *   leader's turn:   commit 7 -> notice held          entries 8 9, commit 7 -> sent, the notice is needless
 *
 * Under a steady stream of writes this halves the messages between nodes, and how often each of them is woken: the answers to notices go with them. When nothing follows they
 * leave after `NOTICE_MS`. Raft takes any message to be delayed or lost, so nothing but time depends on this; probes, which look the same, come that much later.
 *
 * Used by node-host.ts, for all groups.
 */
import type { Scheduler, Timer } from '../../base/env.ts';
import type { GroupMessage, PeerMessage } from '../transport/index.ts';

/** Longer than a write of a single caller takes on a local network, so that the next one's entries come first; short for whoever reads from a follower. */
const NOTICE_MS = 4;

export class CommitNotices {
  readonly #scheduler: Scheduler;
  readonly #send: (messages: readonly GroupMessage[]) => void;
  /** By group, by the member that it is for. */
  #held: Map<number, Map<number, PeerMessage>> = new Map();
  #timer: Timer | undefined;

  /** `send` is given what nothing has made needless in time. */
  constructor(scheduler: Scheduler, send: (messages: readonly GroupMessage[]) => void) {
    this.#scheduler = scheduler;
    this.#send = send;
  }

  /** Whether the message is held back. Any other append takes the place of what is held for the same member. */
  hold(group: number, message: PeerMessage): boolean {
    if (message.type !== 'append-request') return false;
    const held = this.#held.get(group);
    if (message.entries.length > 0) {
      held?.delete(message.to);
      return false;
    }
    if (held === undefined) this.#held.set(group, new Map([[message.to, message]]));
    else held.set(message.to, message);
    this.#timer ??= this.#scheduler.after(NOTICE_MS, () => this.#release(), true);
    return true;
  }

  close(): void {
    this.#timer?.cancel();
    this.#held.clear();
  }

  #release(): void {
    this.#timer = undefined;
    const held = this.#held;
    this.#held = new Map();
    const messages: GroupMessage[] = [];
    for (const [group, notices] of held) for (const message of notices.values()) messages.push({ group, message });
    if (messages.length > 0) this.#send(messages);
  }
}
