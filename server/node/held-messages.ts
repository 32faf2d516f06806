/**
 * Messages for groups that are not here yet, kept for a moment: the replica of a shard that was just made, or split off, may be spoken to before it is open.
 * Bounded in time, count and bytes; what is beyond is dropped, as a network may.
 *
 * Used by node-host.ts.
 */
import type { PeerMessage } from '../transport/index.ts';

const HELD_MS = 1000;
const COUNT_MAX = 4096;
const BYTES_MAX: number = 4 * 1024 * 1024;
/** Of a message beyond the data of its entries, about. */
const MESSAGE_BYTES = 128;

interface Held {
  readonly group: number;
  readonly message: PeerMessage;
  readonly bytes: number;
  /** Node's ticks, by which it is too old. */
  readonly until: number;
}

export class HeldMessages {
  readonly #lifeTicks: number;
  #held: Held[] = [];
  #bytes = 0;
  #tick = 0;
  #dropped = 0;

  constructor(tickMs: number) {
    this.#lifeTicks = Math.max(1, Math.ceil(HELD_MS / tickMs));
  }

  get count(): number {
    return this.#held.length;
  }

  /** Those that nobody came for, or that there was no room for. */
  get dropped(): number {
    return this.#dropped;
  }

  hold(group: number, message: PeerMessage): void {
    const bytes = bytesOf(message);
    if (this.#held.length >= COUNT_MAX || this.#bytes + bytes > BYTES_MAX) {
      this.#dropped++;
      return;
    }
    this.#held.push({ group, message, bytes, until: this.#tick + this.#lifeTicks });
    this.#bytes += bytes;
  }

  /** The group is here: what was held for it, in order. */
  take(group: number): PeerMessage[] {
    if (this.#held.length === 0) return [];
    const taken = this.#held.filter((each) => each.group === group);
    this.#keep((each) => each.group !== group);
    return taken.map(({ message }) => message);
  }

  tick(): void {
    this.#tick++;
    const [oldest] = this.#held;
    if (oldest === undefined || oldest.until > this.#tick) return;
    const before = this.#held.length;
    this.#keep(({ until }) => until > this.#tick);
    this.#dropped += before - this.#held.length;
  }

  #keep(wanted: (held: Held) => boolean): void {
    this.#held = this.#held.filter(wanted);
    this.#bytes = this.#held.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

function bytesOf(message: PeerMessage): number {
  if (!('entries' in message)) return MESSAGE_BYTES;
  return message.entries.reduce((sum, { data }) => sum + data.length, MESSAGE_BYTES);
}
