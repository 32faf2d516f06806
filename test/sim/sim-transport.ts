/**
 * The way between nodes, in the simulation: one connection for each direction, opened by who sends, with packets as the real one has them. They are lost with the connection, when
 * too many are on their way, and, where a run says so, one by one: dropped, doubled, or held back until the next one has gone.
 */
import type { Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { NodeTransport } from '../../server/node/index.ts';
import type { Message } from '../../server/raft/index.ts';
import {
  decodeSnapshotMessage,
  encodeSnapshotMessage,
  type GroupMessage,
  isRepairMessage,
  type MessagesHandler,
  PacketWriter,
  readPacket,
  type SnapshotAcceptor,
  type SnapshotHead,
  type SnapshotMessage,
  type SnapshotSink,
  type SnapshotSource,
} from '../../server/transport/index.ts';
import { hash } from '../server/node/hash.ts';
import type { ConnectionEvents, SimConnection, SimEndpoint } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';

/** May be changed at any time. */
export interface SimTransportSettings {
  dropChance: number;
  duplicateChance: number;
  reorderChance: number;
}

/** The first byte of a frame. */
const PACKET = 0;
const MESSAGE = 1;
const CHUNK = 2;
/** Says nothing: whoever waits for an answer finds out by it that the other end is gone. */
const PING = 3;
const PING_MS = 300;
const CHUNK_BYTES = 4096;
const CHUNKS_IN_FLIGHT = 4;

function tagged(message: Exclude<SnapshotMessage, { kind: 'chunk' }>): Buffer {
  return Buffer.concat([Uint8Array.of(MESSAGE), encodeSnapshotMessage(message, hash)]);
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
  readonly #sent: (message: Message, group: number) => void;
  /** Addresses; a node's id is its place, from 1 on. */
  readonly #nodes: readonly string[];
  readonly #self: number;
  readonly #outgoing = new Map<number, Peer>();
  #handler: MessagesHandler = () => undefined;
  #acceptor: SnapshotAcceptor | undefined;

  /** `sent` is told of every message before it leaves, whatever becomes of it. */
  constructor(
    endpoint: SimEndpoint,
    scheduler: Scheduler,
    random: SimRandom,
    nodes: readonly string[],
    settings: SimTransportSettings,
    sent: (message: Message, group: number) => void = () => undefined,
  ) {
    this.#endpoint = endpoint;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#nodes = nodes;
    this.#self = nodes.indexOf(endpoint.address) + 1;
    this.#settings = settings;
    this.#sent = sent;
  }

  onMessages(handler: MessagesHandler): void {
    this.#handler = handler;
  }

  onSnapshot(acceptor: SnapshotAcceptor): void {
    this.#acceptor = acceptor;
  }

  /** A connection from another node. */
  accept(connection: SimConnection): ConnectionEvents {
    const from = this.#nodes.indexOf(connection.peer) + 1;
    let sink: SnapshotSink | undefined;
    let head: SnapshotHead | undefined;
    let arrived: Promise<void> = Promise.resolve();
    const receive = async (bytes: Buffer): Promise<void> => {
      try {
        if (bytes[0] === CHUNK) sink?.write(bytes.subarray(1));
        else if (bytes[0] === MESSAGE) {
          const message = decodeSnapshotMessage(bytes.subarray(1), hash);
          if (message.kind === 'head') {
            head = message.head;
            sink = await this.#acceptor!(from, head);
            connection.send(tagged({ kind: 'from', position: sink.position }));
          } else if (message.kind === 'file-end') await sink?.endFile(message.check);
          if (sink === undefined || sink.position.file < head!.files.length) return;
          await sink.finish();
          connection.send(tagged({ kind: 'taken' }));
        }
      } catch {
        // Why is nothing to the sender: it is told by the end of the connection.
        sink?.close();
        sink = undefined;
        connection.close();
      }
    };
    return {
      frame: (bytes) => {
        const frame = Buffer.from(bytes);
        if (frame[0] === PACKET) this.#handler(from, readPacket(frame.subarray(1), from, this.#self, hash).messages);
        else arrived = arrived.then(() => receive(frame));
      },
      closed: () => {
        arrived = arrived.then(() => sink?.close());
      },
    };
  }

  /** On a connection of its own. */
  sendSnapshot(to: number, group: number, source: SnapshotSource): Promise<void> {
    return new Promise((resolve, reject) => {
      const failed = (why: string): void => reject(new SparrowError('unavailable', 'UNREACHABLE', `the snapshot was not taken: ${why}`));
      const { term, snapshot, id, files } = source;
      const ping = (): void => {
        if (!connection.open) return;
        connection.send(Uint8Array.of(PING));
        this.#scheduler.after(PING_MS, ping, true);
      };
      this.#scheduler.after(PING_MS, ping, true);
      const connection = this.#endpoint.connect(this.#nodes[to - 1]!, {
        opened: () => connection.send(tagged({ kind: 'head', head: { group, term, snapshot, id, files } })),
        frame: (bytes) => {
          const message = decodeSnapshotMessage(Buffer.from(bytes).subarray(1), hash);
          if (message.kind === 'taken') {
            resolve();
            connection.close();
          } else if (message.kind === 'from') {
            this.#sendFiles(connection, source, message.position.file, message.position.offset).catch((error: unknown) => {
              reject(error);
              connection.close();
            });
          }
        },
        closed: failed,
      });
    });
  }

  async #sendFiles(connection: SimConnection, source: SnapshotSource, firstFile: number, firstOffset: number): Promise<void> {
    for (let file = firstFile; file < source.files.length; file++) {
      const whole = Buffer.alloc(source.files[file]!.bytes);
      await source.read(file, 0, whole);
      for (let offset = file === firstFile ? firstOffset : 0; offset < whole.length; offset += CHUNK_BYTES) {
        while (connection.inFlight > CHUNKS_IN_FLIGHT) await new Promise<void>((resolve) => this.#scheduler.after(1, resolve));
        if (!connection.open) return;
        connection.send(Buffer.concat([Uint8Array.of(CHUNK), whole.subarray(offset, offset + CHUNK_BYTES)]));
      }
      connection.send(tagged({ kind: 'file-end', file, check: hash(whole, 0n) }));
    }
  }

  reachable(to: number): boolean {
    return this.#outgoing.get(to)?.open ?? false;
  }

  send(to: number, messages: readonly GroupMessage[]): void {
    for (const { group, message } of messages) if (!isRepairMessage(message)) this.#sent(message, group);
    const peer = this.#peer(to);
    const { connection } = peer;
    if (!connection) return;
    if (connection.inFlight > IN_FLIGHT_MAX) {
      this.counts.overflowed++;
      return;
    }
    const { dropChance, duplicateChance, reorderChance } = this.#settings;
    for (const { group, message } of messages) peer.packets.add(group, message);
    const frame = Buffer.concat([Uint8Array.of(PACKET), peer.packets.take()]);
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
