/**
 * The way to other nodes over gRPC (peer-service.ts). A pair of nodes has two connections: each opens one to receive over, and an additional one
 * while a snapshot comes.
 *
 *   send      -> OutgoingStream -> Outbox -> packets -> the stream that the peer has opened to us
 *   receive   <- IncomingStream <- packets           <- the stream that we have opened to the peer
 *
 * A peer that opens a stream anew takes the place of its earlier stream: what waited there is dropped. Should it be another life of that node, while the
 * one before still answers where the node is known to be, then somebody has started a copy of its data beside it: the copy is refused (`NODE_TWICE`).
 */
import { Server } from '@grpc/grpc-js';
import { SparrowError } from '../../../base/errors.ts';
import { MessageMemory } from '../../../base/message-memory.ts';
import { checkGreeting, decodeGreeting, encodeGreeting, type Greeting, greetingTo, type Identity } from '../greeting.ts';
import { PeerCounters, type PeerStats } from '../peer-stats.ts';
import type { Packet } from '../message-codec.ts';
import { decodeSnapshotMessage } from '../snapshot-codec.ts';
import { TokenBucket } from '../token-bucket.ts';
import type { GroupMessage, MessagesHandler, SnapshotAcceptor, SnapshotSource, Transport } from '../transport.ts';
import { peerFormat } from '../wire-bytes.ts';
import { IncomingStream } from './incoming-stream.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { probePeer } from './peer-probe.ts';
import { Peer as definition, refuse, type ServerStream } from './peer-service.ts';
import { SnapshotFetch } from './snapshot-fetch.ts';
import { SnapshotSending } from './snapshot-sending.ts';
import { StreamReader } from './stream-reader.ts';
import {
  type Common,
  DEFAULT_TRANSPORT_SETTINGS,
  serverOptions,
  type TransportParts,
  type TransportSettings,
} from './transport-options.ts';

interface Peer {
  readonly id: number;
  address: string;
  readonly counters: PeerCounters;
  incoming: IncomingStream;
  outgoing: OutgoingStream | undefined;
  /** By group. */
  readonly sendings: Map<number, SnapshotSending>;
  readonly fetches: Map<number, SnapshotFetch>;
}

export interface TransportStats {
  readonly peers: readonly PeerStats[];
  /** Messages to nodes that are no peers. */
  readonly droppedNoPeer: number;
}

/** What a snapshot's rate brings in this time may be sent at once after a pause. */
const BURST_MS = 50;
/** Memory of packets that have left: so much is kept for the next ones, whatever the number of peers. */
const SPARE_PACKETS_BYTES_MAX: number = 4 * 1024 * 1024;
/** How long an answer to a probe may take. */
const PROBE_MS = 3000;

export class GrpcTransport implements Transport, AsyncDisposable {
  readonly #common: Common;
  readonly #server: Server;
  readonly #bucket: TokenBucket;
  readonly #peers: Map<number, Peer> = new Map();
  readonly #host: string;
  #port = 0;
  #handler: MessagesHandler | undefined;
  #acceptor: SnapshotAcceptor | undefined;
  #droppedNoPeer = 0;
  #closed = false;

  /** Listens at `listen`, HOST:PORT; port 0: any. Throws `unavailable/LISTEN`. Peers are added one by one. */
  static async listen(
    listen: string,
    identity: Identity,
    parts: TransportParts,
    settings: Partial<TransportSettings> = {},
  ): Promise<GrpcTransport> {
    const common = {
      identity,
      parts,
      settings: { ...DEFAULT_TRANSPORT_SETTINGS, ...settings },
      packets: new MessageMemory(SPARE_PACKETS_BYTES_MAX),
    };
    const transport = new GrpcTransport(listen, common);
    transport.#port = await new Promise<number>((resolve, reject) => {
      transport.#server.bindAsync(listen, parts.serverCredentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(new SparrowError('unavailable', 'LISTEN', `cannot listen on ${listen}: ${error.message}`, { listen }, error));
      });
    });
    return transport;
  }

  private constructor(listen: string, common: Common) {
    const { snapshotBytesPerSecond } = common.settings;
    const { clock, scheduler } = common.parts;
    this.#common = common;
    this.#host = listen.slice(0, listen.lastIndexOf(':'));
    this.#bucket = new TokenBucket(snapshotBytesPerSecond, BURST_MS, clock, scheduler);
    this.#server = new Server(serverOptions(common.settings));
    this.#server.addService(definition as never, {
      messages: (stream: ServerStream) => void this.#accept(stream, (peer, greeting) => this.#messagesStream(stream, peer, greeting)),
      snapshot: (stream: ServerStream) => void this.#accept(stream, (peer, _, reader) => this.#snapshotStream(stream, peer, reader)),
    });
  }

  /** HOST:PORT, with the port that was really taken. */
  get address(): string {
    return `${this.#host}:${this.#port}`;
  }

  /** Begins to listen to a node, and lets it listen to this one. At another address than before: there from now on. */
  addPeer(id: number, address: string): void {
    if (!Number.isSafeInteger(id) || id < 1 || id > 0xffffffff || id === this.#common.identity.node) {
      throw new SparrowError('invalid', 'NODE_ID', `node ${id}: a peer has an id from 1 to 4294967295, not this node's own`, { node: id });
    }
    if (this.#closed) throw closed();
    const known = this.#peers.get(id);
    if (known?.address === address) return;
    if (known !== undefined) {
      known.incoming.close();
      known.address = address;
      known.incoming = this.#listenTo(known);
      return;
    }
    const peer = { id, address, counters: new PeerCounters(), outgoing: undefined, sendings: new Map(), fetches: new Map() };
    const added = peer as Omit<Peer, 'incoming'> as Peer;
    added.incoming = this.#listenTo(added);
    this.#peers.set(id, added);
  }

  removePeer(id: number): void {
    const peer = this.#peers.get(id);
    this.#peers.delete(id);
    if (peer !== undefined) this.#release(peer, this.#whyNoPeer(id));
  }

  /** Whether node `id` answers at `address`, peer or not: see peer-probe.ts for what it rejects with. */
  async probe(id: number, address: string): Promise<void> {
    await probePeer(this.#common, id, address, PROBE_MS);
  }

  send(to: number, messages: readonly GroupMessage[]): void {
    const peer = this.#peers.get(to);
    if (peer === undefined) {
      this.#droppedNoPeer += messages.length;
      return;
    }
    const { outgoing } = peer;
    if (outgoing === undefined) {
      peer.counters.dropped.unreachable += messages.length;
      return;
    }
    for (const { group, message } of messages) outgoing.send(group, message);
  }

  onMessages(handler: MessagesHandler): void {
    this.#handler = handler;
  }

  async sendSnapshot(to: number, group: number, source: SnapshotSource, signal?: AbortSignal): Promise<void> {
    let peer: Peer;
    try {
      peer = this.#receiverOf(to, group, signal);
    } catch (error) {
      source.close();
      throw error;
    }
    const offer = (): void => peer.outgoing?.offer(group, source.id);
    const sending = new SnapshotSending(this.#common, this.#bucket, group, source, peer.counters, offer);
    const onAbort = (): void => sending.end(aborted());
    signal?.addEventListener('abort', onAbort);
    peer.sendings.set(group, sending);
    try {
      await sending.done;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      peer.sendings.delete(group);
    }
  }

  onSnapshot(acceptor: SnapshotAcceptor): void {
    this.#acceptor = acceptor;
  }

  reachable(to: number): boolean {
    return this.#peers.get(to)?.outgoing !== undefined;
  }

  stats(): TransportStats {
    const peers = [...this.#peers.values()].map(({ id, address, counters, incoming, outgoing }): PeerStats => {
      const { sent, received, dropped, connects, lastError, snapshotBytesSent, snapshotBytesReceived } = counters;
      return {
        peer: id,
        address,
        reachable: outgoing !== undefined,
        incarnation: outgoing?.incarnation,
        heard: incoming.open,
        queuedMessages: outgoing?.queuedMessages ?? 0,
        queuedBytes: outgoing?.queuedBytes ?? 0,
        sent: { ...sent },
        received: { ...received },
        dropped: { ...dropped },
        reconnects: Math.max(0, connects - 1),
        lastError,
        snapshotBytesSent,
        snapshotBytesReceived,
      };
    });
    return { peers, droppedNoPeer: this.#droppedNoPeer };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const fetches = [...this.#peers.values()].flatMap((peer) => [...peer.fetches.values()]);
    for (const peer of this.#peers.values()) this.#release(peer, closed());
    this.#peers.clear();
    this.#server.forceShutdown();
    await Promise.all(fetches.map((fetch) => fetch.done));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #receiverOf(to: number, group: number, signal: AbortSignal | undefined): Peer {
    const peer = this.#peers.get(to);
    if (this.#closed) throw closed();
    if (peer === undefined) throw this.#whyNoPeer(to);
    if (signal?.aborted === true) throw aborted();
    if (!peer.sendings.has(group)) return peer;
    throw new SparrowError('invalid', 'SNAPSHOT_UNDER_WAY', `a snapshot of group ${group} is on its way to node ${to} already`, {
      group,
      to,
    });
  }

  #whyNoPeer(id: number): SparrowError {
    const { identity, parts } = this.#common;
    return parts.whyNoPeer?.(id) ?? notAPeer(id, identity.node);
  }

  #release(peer: Peer, why: SparrowError): void {
    peer.incoming.close();
    peer.outgoing?.close(why);
    peer.outgoing = undefined;
    for (const sending of peer.sendings.values()) sending.end(why);
    for (const fetch of peer.fetches.values()) fetch.close();
  }

  #listenTo(peer: Peer): IncomingStream {
    const onPacket = ({ messages, offers }: Packet): void => {
      if (messages.length > 0) this.#handler?.(peer.id, messages);
      for (const { group, id } of offers) this.#fetch(peer, group, id);
    };
    return new IncomingStream(this.#common, peer.id, peer.address, peer.counters, onPacket, (incarnation) => {
      // Whoever is where the peer is known to be is the peer: the other one has gone, or never was it.
      if (peer.outgoing !== undefined && peer.outgoing.incarnation !== incarnation) peer.outgoing.close(runsTwice(peer));
    });
  }

  /** Rejects with `invalid/NODE_TWICE` when the peer lives where it is known to be, and it is not that one who greets. */
  async #refuseCopy({ id, address, incoming, outgoing }: Peer, { incarnation }: Greeting): Promise<void> {
    const known = incoming.incarnation ?? outgoing?.incarnation;
    if (known === undefined || known === incarnation) return;
    // It may have been started again, and nobody has noticed yet that the life before is over.
    const lives = await probePeer(this.#common, id, address, PROBE_MS).catch(() => undefined);
    if (lives !== undefined && lives !== incarnation) throw runsTwice({ id, address });
  }

  #fetch(peer: Peer, group: number, id: string): void {
    const acceptor = this.#acceptor;
    const before = peer.fetches.get(group);
    if (acceptor === undefined || before?.from.id === id) return;
    // The one before has to be over first, so that a sink has one writer; the offer comes again.
    if (before !== undefined) return before.close();
    const fetch = new SnapshotFetch(this.#common, { peer: peer.id, address: peer.address, group, id }, peer.counters, acceptor);
    peer.fetches.set(group, fetch);
    void fetch.done.then(() => peer.fetches.delete(group));
  }

  /** A stream that some node has opened: learns who it is, greets it, and goes on with it. */
  async #accept(stream: ServerStream, go: (peer: Peer, greeting: Greeting, reader: StreamReader) => void): Promise<void> {
    const { identity, settings, parts } = this.#common;
    const reader = new StreamReader(stream);
    const over = (): void => reader.fail(new SparrowError('unavailable', 'CONNECTION_LOST', 'the stream has ended'));
    for (const event of ['cancelled', 'error', 'end']) stream.on(event, over);
    const timer = parts.scheduler.after(settings.openMsMax, over, true);
    let from: number | undefined;
    try {
      const greeting = decodeGreeting(await reader.next(), parts.hash);
      from = greeting.from;
      checkGreeting(greeting, identity);
      const peer = this.#peers.get(from);
      if (peer === undefined) throw this.#whyNoPeer(from);
      await this.#refuseCopy(peer, greeting);
      stream.write(encodeGreeting(greetingTo(from, identity), parts.hash));
      go(peer, greeting, reader);
    } catch (error) {
      const refusal = error as SparrowError;
      if (refusal.kind !== 'unavailable' && refusal.kind !== 'closed') parts.onRefused?.(from, refusal);
      refuse(stream, refusal);
    } finally {
      timer.cancel();
    }
  }

  #messagesStream(stream: ServerStream, peer: Peer, { incarnation }: Greeting): void {
    peer.outgoing?.close(new SparrowError('cancelled', 'ABORTED', 'the node has opened another stream'));
    const outgoing = new OutgoingStream(this.#common, peer.id, incarnation, stream, peer.counters);
    peer.outgoing = outgoing;
    const over = (): void => {
      outgoing.close();
      if (peer.outgoing === outgoing) peer.outgoing = undefined;
    };
    for (const event of ['cancelled', 'error', 'end']) stream.on(event, over);
    peer.incoming.hurry();
    for (const sending of peer.sendings.values()) outgoing.offer(sending.group, sending.source.id);
  }

  #snapshotStream(stream: ServerStream, peer: Peer, reader: StreamReader): void {
    let sending: SnapshotSending | undefined;
    for (const event of ['cancelled', 'error', 'end']) stream.on(event, () => sending?.broken(stream));
    const serve = async (): Promise<void> => {
      try {
        const fetch = decodeSnapshotMessage(await reader.next(), this.#common.parts.hash);
        if (fetch.kind !== 'fetch') throw peerFormat('FETCH was expected');
        sending = peer.sendings.get(fetch.group);
        if (sending?.source.id !== fetch.id) {
          throw new SparrowError('invalid', 'SNAPSHOT_UNKNOWN', `there is no snapshot ${fetch.id} of group ${fetch.group} to be fetched`, {
            id: fetch.id,
          });
        }
      } catch (error) {
        return refuse(stream, error);
      }
      await sending.serve(stream, reader);
    };
    void serve();
  }
}

function runsTwice({ id, address }: Pick<Peer, 'id' | 'address'>): SparrowError {
  const message = `node ${id} runs already, at ${address}: this is a copy of its data, or the same data on another machine. A node must run once; if it has moved, stop the other one first`;
  return new SparrowError('invalid', 'NODE_TWICE', message, { node: id, address });
}

function notAPeer(node: number, own: number): SparrowError {
  return new SparrowError('invalid', 'NOT_A_PEER', `node ${node} is no peer of node ${own}`, { node });
}

function aborted(): SparrowError {
  return new SparrowError('cancelled', 'ABORTED', 'sending the snapshot was aborted');
}

function closed(): SparrowError {
  return new SparrowError('closed', 'TRANSPORT_CLOSED', 'the transport is closed');
}
