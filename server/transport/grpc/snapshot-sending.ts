/**
 * One snapshot on its way to one peer. It is offered over the stream of messages, again and again until the peer fetches it; when the fetch breaks
 * it is offered again, and the peer says from where it goes on.
 *
 *   offered <--> fetched --TAKEN--> settled      REFUSED, `snapshotStallMsMax` without a fetch that gets further, `end`: rejected
 */
import { SparrowError } from '../../../base/errors.ts';
import { errorOf } from '../../../base/rpc-status.ts';
import type { Timer } from '../../../base/env.ts';
import type { PeerCounters } from '../peer-stats.ts';
import { beginChunk, CHUNK_HEADER_BYTES, decodeSnapshotMessage, encodeSnapshotMessage } from '../snapshot-codec.ts';
import type { TokenBucket } from '../token-bucket.ts';
import type { RunningHash64, SnapshotPosition, SnapshotSource } from '../transport.ts';
import { peerFormat } from '../wire-bytes.ts';
import { refuse, type ServerStream } from './peer-service.ts';
import type { StreamReader } from './stream-reader.ts';
import type { Common } from './transport-options.ts';

export class SnapshotSending {
  readonly group: number;
  readonly source: SnapshotSource;
  readonly done: Promise<void>;
  readonly #common: Common;
  readonly #bucket: TokenBucket;
  readonly #counters: PeerCounters;
  readonly #offer: () => void;
  #settle: { resolve: () => void; reject: (error: SparrowError) => void } | undefined;
  #timer: Timer | undefined;
  #movedAtMs: number;
  /** The fetch that is under way, where it began, and whether that was further on than where the one before did. */
  #fetch: ServerStream | undefined;
  #from: SnapshotPosition | undefined;
  #advanced = false;

  constructor(common: Common, bucket: TokenBucket, group: number, source: SnapshotSource, counters: PeerCounters, offer: () => void) {
    this.#common = common;
    this.#bucket = bucket;
    this.group = group;
    this.source = source;
    this.#counters = counters;
    this.#offer = offer;
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.#movedAtMs = common.parts.clock.monotonicMs();
    this.#offerAgain();
  }

  /** Over; with an error, for that reason. Idempotent. */
  end(error?: SparrowError): void {
    const settle = this.#settle;
    if (settle === undefined) return;
    this.#settle = undefined;
    this.#timer?.cancel();
    const fetch = this.#fetch;
    this.#fetch = undefined;
    this.source.close();
    if (error === undefined) {
      fetch?.end();
      settle.resolve();
    } else {
      if (fetch !== undefined) refuse(fetch, error);
      settle.reject(error);
    }
  }

  /** The peer fetches it, over a stream that has been greeted. A fetch that was under way is given up. */
  async serve(stream: ServerStream, reader: StreamReader): Promise<void> {
    const { hash } = this.#common.parts;
    const before = this.#fetch;
    this.#fetch = stream;
    if (before !== undefined) refuse(before, new SparrowError('cancelled', 'ABORTED', 'the snapshot is fetched anew'));
    const { group, source } = this;
    const { term, snapshot, id, files } = source;
    stream.write(encodeSnapshotMessage({ kind: 'head', head: { group, term, snapshot, id, files } }, hash));
    try {
      const from = decodeSnapshotMessage(await reader.next(), hash);
      if (from.kind === 'refused') throw errorOf(from.failure);
      if (from.kind !== 'from') throw peerFormat('FROM was expected');
      this.#begins(from.position);
      const verdict = reader.next();
      const sent = this.#send(stream, from.position);
      // The verdict may come first; what is sent has no reader then.
      sent.catch(() => undefined);
      await Promise.race([sent, verdict]);
      const answer = decodeSnapshotMessage(await verdict, hash);
      if (answer.kind === 'refused') throw errorOf(answer.failure);
      if (answer.kind !== 'taken') throw peerFormat('TAKEN or REFUSED was expected');
      if (this.#fetch === stream) this.end();
    } catch (error) {
      if (this.#fetch === stream) this.end(error as SparrowError);
    }
  }

  /** The stream of a fetch has broken. */
  broken(stream: ServerStream): void {
    if (this.#fetch !== stream) return;
    this.#fetch = undefined;
    if (this.#advanced) this.#movedAtMs = this.#common.parts.clock.monotonicMs();
  }

  /** Fetches that break and get nowhere do not go on for ever. */
  #begins(from: SnapshotPosition): void {
    const before = this.#from;
    this.#advanced = before === undefined || from.file > before.file || (from.file === before.file && from.offset > before.offset);
    this.#from = from;
  }

  #offerAgain(): void {
    const { settings, parts } = this.#common;
    if (this.#fetch === undefined) {
      const stalledMs = parts.clock.monotonicMs() - this.#movedAtMs;
      if (stalledMs >= settings.snapshotStallMsMax) {
        const message = `snapshot ${this.source.id} got no further for ${Math.round(stalledMs)} ms`;
        return this.end(new SparrowError('unavailable', 'UNREACHABLE', message, { id: this.source.id }));
      }
      this.#offer();
    }
    this.#timer = parts.scheduler.after(settings.offerMs, () => this.#offerAgain(), true);
  }

  async #send(stream: ServerStream, { file, offset }: SnapshotPosition): Promise<void> {
    const { files } = this.source;
    const fits = file === files.length ? offset === 0 : file < files.length && offset <= files[file]!.bytes;
    if (!fits) throw peerFormat(`the snapshot has no place ${offset} in file ${file}`);
    const window = new Window(this.#common.settings.unsentBytesMax);
    for (let number = file; number < files.length; number++) {
      const running = this.#common.parts.createHash();
      const from = number === file ? offset : 0;
      await this.#hashUpTo(running, number, from);
      for (let at = from; at < files[number]!.bytes;) {
        const bytes = Math.min(this.#common.settings.chunkBytes, files[number]!.bytes - at);
        await this.#bucket.take(bytes);
        const chunk = beginChunk({ file: number, offset: at }, bytes);
        await this.source.read(number, at, chunk.subarray(CHUNK_HEADER_BYTES));
        if (this.#fetch !== stream) return;
        running.update(chunk.subarray(CHUNK_HEADER_BYTES));
        await window.write(stream, chunk);
        this.#counters.snapshotBytesSent += bytes;
        at += bytes;
      }
      if (this.#fetch !== stream) return;
      stream.write(encodeSnapshotMessage({ kind: 'file-end', file: number, check: running.digest() }, this.#common.parts.hash));
    }
  }

  /** What the peer has already counts for the check of the file. */
  async #hashUpTo(running: RunningHash64, file: number, end: number): Promise<void> {
    const buffer = Buffer.allocUnsafe(Math.min(end, this.#common.settings.chunkBytes));
    for (let at = 0; at < end;) {
      const part = buffer.subarray(0, Math.min(buffer.length, end - at));
      await this.source.read(file, at, part);
      running.update(part);
      at += part.length;
    }
  }
}

/** Bounds what is given to gRPC and not taken by the network. */
class Window {
  readonly #bytesMax: number;
  #bytes = 0;
  #wake: (() => void) | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Settles when there is room for more. */
  async write(stream: ServerStream, message: Buffer): Promise<void> {
    this.#bytes += message.length;
    stream.write(message, () => {
      this.#bytes -= message.length;
      this.#wake?.();
    });
    while (this.#bytes >= this.#bytesMax) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
