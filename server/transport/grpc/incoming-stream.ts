/**
 * The stream over which one peer's messages arrive: opened by this node, and again whenever it broke, after a pause with jitter that doubles.
 *
 *   connecting --greeting of the right node--> open --broken--> pause --> connecting
 */
import { type ErrorKind, SparrowError } from '../../../base/errors.ts';
import type { Timer } from '../../../base/env.ts';
import { Backoff } from '../backoff.ts';
import { checkGreeting, decodeGreeting, encodeGreeting, greetingTo } from '../greeting.ts';
import { type Packet, readPacket } from '../message-codec.ts';
import type { PeerCounters } from '../peer-stats.ts';
import { type ClientStream, errorOfStatus, PeerClient } from './peer-service.ts';
import { channelOptions, type Common } from './transport-options.ts';

/** A stream that broke sooner counts as a failed attempt. */
const STABLE_MS = 1000;
/** A node that is not there, or is about to stop, has nothing against this one. */
const PASSING: ReadonlySet<ErrorKind> = new Set(['unavailable', 'cancelled', 'closed']);

export class IncomingStream {
  readonly #common: Common;
  readonly #peer: number;
  readonly #address: string;
  readonly #counters: PeerCounters;
  readonly #onPacket: (packet: Packet) => void;
  readonly #onGreeted: (incarnation: bigint) => void;
  readonly #backoff: Backoff;
  #client: PeerClient | undefined;
  #stream: ClientStream | undefined;
  #timer: Timer | undefined;
  #openSinceMs: number | undefined;
  #incarnation: bigint | undefined;
  #closed = false;

  /** `onGreeted`: the peer answers at its address, in this life. */
  constructor(
    common: Common,
    peer: number,
    address: string,
    counters: PeerCounters,
    onPacket: (packet: Packet) => void,
    onGreeted: (incarnation: bigint) => void,
  ) {
    const { reconnectMsFirst, reconnectMsMax } = common.settings;
    this.#common = common;
    this.#peer = peer;
    this.#address = address;
    this.#counters = counters;
    this.#onPacket = onPacket;
    this.#onGreeted = onGreeted;
    this.#backoff = new Backoff(reconnectMsFirst, reconnectMsMax, common.parts.random);
    this.#connect();
  }

  get open(): boolean {
    return this.#openSinceMs !== undefined;
  }

  /** Of the peer, as long as the stream is open. */
  get incarnation(): bigint | undefined {
    return this.#incarnation;
  }

  /** The peer is there: it has spoken to this node. A pause before the next attempt is over. */
  hurry(): void {
    if (this.#stream !== undefined || this.#closed) return;
    this.#timer?.cancel();
    this.#backoff.reset();
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  #connect(): void {
    const { identity, settings, parts } = this.#common;
    this.#client = new PeerClient(this.#address, parts.channelCredentials, channelOptions(settings));
    const stream = this.#client.messages();
    this.#stream = stream;
    stream.on('data', (bytes: Buffer) => {
      if (this.#stream === stream) this.#receive(bytes);
    });
    // The status says what the error says.
    stream.on('error', () => undefined);
    stream.on('status', (status) => {
      if (this.#stream === stream) this.#broken(errorOfStatus(status));
    });
    stream.write(encodeGreeting(greetingTo(this.#peer, identity), parts.hash));
    this.#timer = parts.scheduler.after(settings.openMsMax, () => {
      this.#broken(
        new SparrowError(
          'unavailable',
          'UNREACHABLE',
          `node ${this.#peer} at ${this.#address} did not answer within ${settings.openMsMax} ms`,
        ),
      );
    });
  }

  #receive(bytes: Buffer): void {
    const { identity, parts } = this.#common;
    let packet: Packet;
    try {
      if (!this.open) return this.#greeted(bytes);
      packet = readPacket(bytes, this.#peer, identity.node, parts.hash);
    } catch (error) {
      return this.#broken(error as SparrowError);
    }
    const { received } = this.#counters;
    received.bytes += bytes.length;
    received.messages += packet.messages.length;
    received.packets++;
    this.#onPacket(packet);
  }

  #greeted(bytes: Buffer): void {
    const { identity, parts } = this.#common;
    const greeting = decodeGreeting(bytes, parts.hash);
    checkGreeting(greeting, identity, this.#peer);
    this.#timer?.cancel();
    this.#incarnation = greeting.incarnation;
    this.#openSinceMs = parts.clock.monotonicMs();
    this.#counters.connects++;
    this.#counters.lastError = undefined;
    this.#onGreeted(greeting.incarnation);
  }

  #broken(error: SparrowError): void {
    const { clock, scheduler, onRefused } = this.#common.parts;
    if (this.#closed) return;
    if (this.#openSinceMs !== undefined && clock.monotonicMs() - this.#openSinceMs >= STABLE_MS) this.#backoff.reset();
    this.#release();
    this.#counters.lastError = `${error.code}: ${error.message}`;
    if (!PASSING.has(error.kind)) onRefused?.(this.#peer, error);
    this.#timer = scheduler.after(this.#backoff.next(), () => this.#connect(), true);
  }

  #release(): void {
    this.#timer?.cancel();
    this.#openSinceMs = this.#incarnation = undefined;
    const [stream, client] = [this.#stream, this.#client];
    this.#stream = undefined;
    this.#client = undefined;
    stream?.cancel();
    client?.close();
  }
}
