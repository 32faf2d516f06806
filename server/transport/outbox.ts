/**
 * What waits to go to one node, bounded. Pure.
 *
 * Messages leave in the order in which they came. When there is no more room, what comes is dropped, never what waits: so nothing is ever
 * overtaken. Entries get `queueBytesMax`; everything else, small and what leaders live by, gets `reserveBytes` on top, so entries are dropped
 * first and votes and heartbeats last. An append that is larger than all the room goes when nothing else waits.
 *
 * Messages are held as they are and encoded as late as there is a way for them: until then their entries take no memory of their own, and what
 * comes meanwhile shares a packet.
 */
import { costOf, type PacketWriter } from './message-codec.ts';
import type { PeerMessage } from './transport.ts';

export interface OutboxLimits {
  readonly queueBytesMax: number;
  readonly reserveBytes: number;
  /** A packet gets no further message when it has grown to this. */
  readonly packetBytes: number;
  /** No message is larger: the other side would not take it. */
  readonly messageBytesMax: number;
}

export type Refused = 'entries' | 'others' | 'too-large';

interface Waiting {
  readonly group: number;
  /** Or the id of a snapshot that is offered. */
  readonly message: PeerMessage | string;
  readonly cost: number;
}

export class Outbox {
  readonly #limits: OutboxLimits;
  readonly #writer: PacketWriter;
  /** Those before `#head` were taken, and hold their entries no longer. */
  #queue: (Waiting | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  constructor(limits: OutboxLimits, writer: PacketWriter) {
    this.#limits = limits;
    this.#writer = writer;
  }

  /** Bytes that wait, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get messages(): number {
    return this.#queue.length - this.#head;
  }

  /** Says why there was no room; undefined when there was. */
  push(group: number, message: PeerMessage): Refused | undefined {
    const cost = costOf(message);
    const { queueBytesMax, reserveBytes, messageBytesMax } = this.#limits;
    if (cost > messageBytesMax) return 'too-large';
    const entries = (message.type === 'append-request' || message.type === 'entries-response') && message.entries.length > 0;
    const room = queueBytesMax + (entries ? 0 : reserveBytes);
    if (this.#bytes + cost > room && !(entries && this.#bytes === 0)) return entries ? 'entries' : 'others';
    this.#add({ group, message, cost });
    return undefined;
  }

  /** Word of a snapshot; false when there is no room. */
  offer(group: number, id: string): boolean {
    const cost = 48 + id.length;
    if (this.#bytes + cost > this.#limits.queueBytesMax + this.#limits.reserveBytes) return false;
    this.#add({ group, message: id, cost });
    return true;
  }

  /** The next packet and how many messages it has; undefined when nothing waits. */
  take(): { packet: Buffer; messages: number } | undefined {
    const writer = this.#writer;
    const end = this.#endOfPacket();
    for (; this.#head < end; this.#head++) {
      const { group, message, cost } = this.#queue[this.#head]!;
      this.#queue[this.#head] = undefined;
      this.#bytes -= cost;
      if (typeof message === 'string') writer.offer(group, message);
      else writer.add(group, message);
    }
    this.#letGo();
    const { messages } = writer;
    return messages === 0 ? undefined : { packet: writer.take(), messages };
  }

  /** Up to where one packet holds what waits: one message at least. Makes room for it. */
  #endOfPacket(): number {
    let end = this.#head;
    let bytes = 0;
    for (; end < this.#queue.length; end++) {
      const { cost } = this.#queue[end]!;
      if (bytes > 0 && bytes + cost > this.#limits.packetBytes) break;
      bytes += cost;
    }
    this.#writer.expect(bytes);
    return end;
  }

  #add(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.#bytes += waiting.cost;
  }

  #letGo(): void {
    if (this.#head === this.#queue.length) this.#queue = [];
    else if (this.#head < 1024 || this.#head * 2 < this.#queue.length) return;
    else this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }
}
