/**
 * Fetches one snapshot that a peer has offered, over a connection of its own, into the sink that the host gives for it. A fetch that breaks is not
 * taken up again here: the peer offers again, and the sink knows how far it is.
 */
import { SparrowError } from '../../../base/errors.ts';
import { failureOf } from '../../../base/rpc-status.ts';
import { checkGreeting, decodeGreeting, encodeGreeting, greetingTo } from '../greeting.ts';
import type { PeerCounters } from '../peer-stats.ts';
import { decodeSnapshotMessage, encodeSnapshotMessage, type SnapshotMessage } from '../snapshot-codec.ts';
import type { SnapshotAcceptor, SnapshotHead, SnapshotSink } from '../transport.ts';
import { peerFormat } from '../wire-bytes.ts';
import { type ClientStream, errorOfStatus, PeerClient } from './peer-service.ts';
import { StreamReader } from './stream-reader.ts';
import { channelOptions, type Common } from './transport-options.ts';

export interface FetchedFrom {
  readonly peer: number;
  readonly address: string;
  readonly group: number;
  readonly id: string;
}

export class SnapshotFetch {
  readonly from: FetchedFrom;
  /** Settles when it is over, however it went. */
  readonly done: Promise<void>;
  readonly #common: Common;
  readonly #counters: PeerCounters;
  readonly #client: PeerClient;
  readonly #stream: ClientStream;
  readonly #reader: StreamReader;
  readonly #ended: Promise<void>;

  constructor(common: Common, from: FetchedFrom, counters: PeerCounters, accept: SnapshotAcceptor) {
    this.#common = common;
    this.from = from;
    this.#counters = counters;
    this.#client = new PeerClient(from.address, common.parts.channelCredentials, channelOptions(common.settings));
    this.#stream = this.#client.snapshot();
    this.#reader = new StreamReader(this.#stream);
    this.#stream.on('error', () => undefined);
    this.#ended = new Promise((resolve) => {
      this.#stream.on('status', (status) => {
        this.#reader.fail(errorOfStatus(status));
        resolve();
      });
    });
    this.done = this.#run(accept);
  }

  close(): void {
    this.#reader.fail(new SparrowError('closed', 'TRANSPORT_CLOSED', 'the fetch of a snapshot was ended'));
    this.#stream.cancel();
  }

  async #run(accept: SnapshotAcceptor): Promise<void> {
    const { settings, parts } = this.#common;
    const timer = parts.scheduler.after(settings.openMsMax, () => this.close());
    try {
      const head = await this.#open();
      timer.cancel();
      const failure = await this.#receive(head, accept);
      this.#stream.write(
        encodeSnapshotMessage(failure === undefined ? { kind: 'taken' } : { kind: 'refused', failure: failureOf(failure) }, parts.hash),
      );
      this.#stream.end();
      await this.#ended;
    } catch (error) {
      this.#counters.lastError = `${(error as SparrowError).code}: ${(error as SparrowError).message}`;
      this.#stream.cancel();
    } finally {
      timer.cancel();
      this.#client.close();
    }
  }

  async #open(): Promise<SnapshotHead> {
    const { identity, parts } = this.#common;
    const { peer, group, id } = this.from;
    this.#stream.write(encodeGreeting(greetingTo(peer, identity), parts.hash));
    this.#stream.write(encodeSnapshotMessage({ kind: 'fetch', group, id }, parts.hash));
    checkGreeting(decodeGreeting(await this.#reader.next(), parts.hash), identity, peer);
    const message = await this.#next();
    if (message.kind !== 'head' || message.head.group !== group || message.head.id !== id)
      throw peerFormat('it is not the head of the snapshot');
    return message.head;
  }

  /** What the host has against it; undefined when it was taken. Throws when the stream breaks. */
  async #receive(head: SnapshotHead, accept: SnapshotAcceptor): Promise<unknown> {
    let sink: SnapshotSink;
    try {
      sink = await accept(this.from.peer, head);
    } catch (refusal) {
      return refusal;
    }
    try {
      this.#stream.write(encodeSnapshotMessage({ kind: 'from', position: sink.position }, this.#common.parts.hash));
      while (sink.position.file < head.files.length) {
        const message = await this.#next();
        try {
          await this.#take(message, sink);
        } catch (failure) {
          return failure;
        }
      }
      try {
        await sink.finish();
      } catch (failure) {
        return failure;
      }
      return undefined;
    } finally {
      sink.close();
    }
  }

  async #take(message: SnapshotMessage, sink: SnapshotSink): Promise<void> {
    const { file, offset } = sink.position;
    if (message.kind === 'chunk' && message.position.file === file && message.position.offset === offset) {
      sink.write(message.data);
      this.#counters.snapshotBytesReceived += message.data.length;
    } else if (message.kind === 'file-end' && message.file === file) {
      await sink.endFile(message.check);
    } else {
      throw peerFormat(`a ${message.kind} came where the snapshot has file ${file} up to ${offset}`);
    }
  }

  async #next(): Promise<SnapshotMessage> {
    return decodeSnapshotMessage(await this.#reader.next(), this.#common.parts.hash);
  }
}
