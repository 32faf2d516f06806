/**
 * The stream over which messages to one peer leave: opened by the peer. What is sent without a pause shares packets. gRPC is given
 * no more than `unsentBytesMax`; the rest waits in an Outbox, which is bounded.
 */
import { PacketWriter } from '../message-codec.ts';
import { Outbox } from '../outbox.ts';
import type { PeerCounters } from '../peer-stats.ts';
import type { PeerMessage } from '../transport.ts';
import { refuse, type ServerStream } from './peer-service.ts';
import type { Common } from './transport-options.ts';

export class OutgoingStream {
  readonly incarnation: bigint;
  readonly #common: Common;
  readonly #stream: ServerStream;
  readonly #counters: PeerCounters;
  readonly #outbox: Outbox;
  /** Packets that gRPC has and the network has not, and how many messages they are. */
  #unsentBytes = 0;
  #unsentMessages = 0;
  #scheduled = false;
  #over = false;

  constructor(common: Common, peer: number, incarnation: bigint, stream: ServerStream, counters: PeerCounters) {
    const { identity, settings, parts, packets } = common;
    this.incarnation = incarnation;
    this.#common = common;
    this.#stream = stream;
    this.#counters = counters;
    this.#outbox = new Outbox(settings, new PacketWriter(identity.node, peer, parts.hash, packets));
  }

  get queuedBytes(): number {
    return this.#outbox.bytes + this.#unsentBytes;
  }

  get queuedMessages(): number {
    return this.#outbox.messages + this.#unsentMessages;
  }

  send(group: number, message: PeerMessage): void {
    const refused = this.#outbox.push(group, message);
    if (refused !== undefined) this.#counters.dropped[refused]++;
    // A whole packet need not wait for the end of the turn, in which more than all the room may come.
    else if (this.#outbox.bytes >= this.#common.settings.packetBytes) this.#flush(this.#common.settings.packetBytes);
    else this.#schedule();
  }

  offer(group: number, id: string): void {
    if (this.#outbox.offer(group, id)) this.#schedule();
  }

  /** The stream is over, or is to be ended for a reason. What waits is dropped. */
  close(why?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#counters.dropped.broken += this.queuedMessages;
    if (why !== undefined) refuse(this.#stream, why);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Whoever sends has gathered already what a node has to say (node-host.ts): another turn of the loop would bring nothing more, and takes time.
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** `bytesMin`: what waits goes only while it is at least so much. The rest has its turn at the end of this one. */
  #flush(bytesMin = 0): void {
    if (bytesMin > 0) this.#schedule();
    while (!this.#over && this.#unsentBytes < this.#common.settings.unsentBytesMax && this.#outbox.bytes >= bytesMin) {
      const taken = this.#outbox.take();
      if (taken === undefined) return;
      const { packet, messages } = taken;
      this.#unsentBytes += packet.length;
      this.#unsentMessages += messages;
      this.#stream.write(packet, (error: unknown) => {
        this.#unsentBytes -= packet.length;
        this.#unsentMessages -= messages;
        // gRPC says so when it needs the bytes no longer.
        this.#common.packets.give(packet);
        if (this.#over) return;
        if (error === undefined || error === null) this.#sent(packet.length, messages);
        else this.#counters.dropped.broken += messages;
        this.#flush();
      });
    }
  }

  #sent(bytes: number, messages: number): void {
    const { sent } = this.#counters;
    sent.bytes += bytes;
    sent.messages += messages;
    sent.packets++;
  }
}
