/**
 * The way between nodes, in the simulation: one connection for each direction, opened by who sends, with packets as the real one has them. They are lost with the connection, when
 * too many are on their way, and, where a run says so, one by one: dropped, doubled, or held back until the next one has gone.
 */
import type { Scheduler } from '../../base/env.ts';
import type { GroupMessage, NodeTransport } from '../../server/node/index.ts';
import { PacketWriter, readPacket } from '../../server/transport/index.ts';
import { hash } from '../server/node/hash.ts';
import type { ConnectionEvents, SimConnection, SimEndpoint } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';

export interface SimTransportSettings {
  readonly dropChance: number;
  readonly duplicateChance: number;
  readonly reorderChance: number;
}

interface Peer {
  readonly packets: PacketWriter;
  connection: SimConnection | undefined;
  open: boolean;
  /** Goes after the next one. */
  held: Uint8Array | undefined;
}

const IN_FLIGHT_MAX = 64;
const RECONNECT_MS = 30;

export class SimTransport implements NodeTransport {
  readonly counts = { dropped: 0, duplicated: 0, reordered: 0, overflowed: 0 };
  readonly #endpoint: SimEndpoint;
  readonly #scheduler: Scheduler;
  readonly #random: SimRandom;
  readonly #settings: SimTransportSettings;
  /** Addresses; a node's id is its place, from 1 on. */
  readonly #nodes: readonly string[];
  readonly #self: number;
  readonly #outgoing = new Map<number, Peer>();
  #handler: (from: number, messages: readonly GroupMessage[]) => void = () => undefined;

  constructor(endpoint: SimEndpoint, scheduler: Scheduler, random: SimRandom, nodes: readonly string[], settings: SimTransportSettings) {
    this.#endpoint = endpoint;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#nodes = nodes;
    this.#self = nodes.indexOf(endpoint.address) + 1;
    this.#settings = settings;
  }

  onMessages(handler: (from: number, messages: readonly GroupMessage[]) => void): void {
    this.#handler = handler;
  }

  /** A connection from another node. */
  accept(connection: SimConnection): ConnectionEvents {
    const from = this.#nodes.indexOf(connection.peer) + 1;
    return {
      frame: (bytes) => this.#handler(from, readPacket(Buffer.from(bytes), from, this.#self, hash).messages),
      closed: () => undefined,
    };
  }

  reachable(to: number): boolean {
    return this.#outgoing.get(to)?.open ?? false;
  }

  send(to: number, messages: readonly GroupMessage[]): void {
    const peer = this.#peer(to);
    const { connection } = peer;
    if (!connection) return;
    if (connection.inFlight > IN_FLIGHT_MAX) {
      this.counts.overflowed++;
      return;
    }
    const { dropChance, duplicateChance, reorderChance } = this.#settings;
    for (const { group, message } of messages) peer.packets.add(group, message);
    const frame = peer.packets.take();
    if (this.#random.chance(dropChance)) {
      this.counts.dropped++;
      return;
    }
    if (peer.held === undefined && this.#random.chance(reorderChance)) {
      peer.held = frame;
      return;
    }
    connection.send(frame);
    if (this.#random.chance(duplicateChance)) {
      this.counts.duplicated++;
      connection.send(frame);
    }
    if (peer.held === undefined) return;
    this.counts.reordered++;
    connection.send(peer.held);
    peer.held = undefined;
  }

  #peer(to: number): Peer {
    const known = this.#outgoing.get(to);
    if (known) return known;
    const peer: Peer = { packets: new PacketWriter(this.#self, to, hash), connection: undefined, open: false, held: undefined };
    this.#outgoing.set(to, peer);
    this.#connect(to, peer);
    return peer;
  }

  #connect(to: number, peer: Peer): void {
    peer.connection = this.#endpoint.connect(this.#nodes[to - 1]!, {
      opened: () => (peer.open = true),
      frame: () => undefined,
      closed: () => {
        peer.open = false;
        peer.held = undefined;
        peer.connection = undefined;
        this.#scheduler.after(RECONNECT_MS * (0.5 + this.#random.fraction()), () => this.#connect(to, peer), true);
      },
    });
  }
}
