/** How often members of a simulated group sent what they send rarely: branches of the core that a campaign is to pass. */
import type { Message } from '../../server/raft/index.ts';

export class MessageCounts {
  readonly #counts: Map<string, number> = new Map();

  /** Of all kinds. */
  all = 0;

  add(message: Message): void {
    this.all++;
    const name = nameOf(message);
    if (name !== undefined) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  get reached(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}

function nameOf(message: Message): string | undefined {
  switch (message.type) {
    case 'vote-request':
      return message.pre ? 'sent: pre-vote asked' : message.force ? 'sent: vote asked by force' : 'sent: vote asked';
    case 'vote-response':
      return `sent: ${message.pre ? 'pre-vote' : 'vote'} ${message.granted ? 'granted' : 'refused'}`;
    case 'append-request':
      if (message.entries.some(({ change }) => change !== undefined)) return 'sent: change of members';
      return message.entries.some(({ term }) => term < message.term) ? 'sent: entries of an older term' : undefined;
    case 'append-response':
      if (!message.accepted) return message.index === 0 ? 'sent: has no configuration' : 'sent: append refused';
      return undefined;
    case 'heartbeat-request':
      return message.sleep ? 'sent: group goes to sleep' : undefined;
    case 'timeout-now':
      return 'sent: timeout-now';
    default:
      return undefined;
  }
}
