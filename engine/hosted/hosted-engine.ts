/** An engine under a host's log (hosted-api.ts): the engine, with what is flushed before it is copied, and what only a host asks for. */
import { SparrowError } from '../../base/errors.ts';
import type { BackupOptions, BackupResult, CheckpointOptions, CheckpointResult, IngestOptions, IngestResult } from '../files-api.ts';
import { type EngineParts, SparrowEngine } from '../engine.ts';
import type { ExpiryTime } from '../expiry-time.ts';
import type { HostedBatchOptions, HostedEngine, HostedOperation, HostSegment, TableSpan } from '../hosted-api.ts';
import { DEFAULT_KEYSPACE } from '../keyspace-key.ts';
import type { WriteResult } from '../api.ts';
import type { HostedWriter } from './hosted-writer.ts';

/** No key has so many bytes. */
const AFTER_ALL_KEYS: Uint8Array = new Uint8Array(4097).fill(0xff);

export class SparrowHostedEngine extends SparrowEngine implements HostedEngine {
  readonly expiry: ExpiryTime;
  readonly #own: EngineParts;
  readonly #writer: HostedWriter;

  constructor(parts: EngineParts & { readonly writer: HostedWriter }, expiry: ExpiryTime) {
    super(parts, true);
    this.#writer = parts.writer;
    this.expiry = expiry;
    this.#own = parts;
  }

  get durableSequence(): number {
    this.assertOpen();
    const { manifest } = this.#own;
    // What was found may be in the system's cache only: the host must not forget what would have to be applied again.
    manifest.makeDurable();
    return manifest.version.lastSequence;
  }

  get inlineThreshold(): number {
    return this.#own.settings.inlineThreshold;
  }

  writeNow(batch: readonly HostedOperation[], sequence: number): Promise<void> | undefined {
    return this.#writer.batchNow(this.planned(batch), sequence);
  }

  override write(batch: readonly HostedOperation[], options: HostedBatchOptions): Promise<WriteResult> {
    return super.write(batch, options);
  }

  override async flush(): Promise<void> {
    const { sequence } = this;
    await super.flush();
    await this.#own.maintenance.reached(sequence);
  }

  override sync(): Promise<void> {
    return this.flush();
  }

  override async checkpoint(directory: string, options?: CheckpointOptions): Promise<CheckpointResult> {
    await this.flush();
    return super.checkpoint(directory, options);
  }

  override async backup(target: string, options?: BackupOptions): Promise<BackupResult> {
    await this.flush();
    return super.backup(target, options);
  }

  override ingest(directory: string, options?: IngestOptions): Promise<IngestResult> {
    if (options?.sequence !== undefined) return super.ingest(directory, options);
    const message = 'an ingest into a hosted engine says its sequence number, by which its host knows it';
    return Promise.reject(new SparrowError('invalid', 'SEQUENCE', message, { field: 'sequence' }));
  }

  hostSegments(): HostSegment[] {
    this.assertOpen();
    const found = new Map<number, HostSegment>();
    for (const { hostSegment: segment, bytes, liveBytes, end } of this.#own.maintenance.hostLinks()) {
      const before = found.get(segment) ?? { segment, bytes: 0, liveBytes: 0, end: 0 };
      found.set(segment, {
        segment,
        bytes: before.bytes + bytes,
        liveBytes: before.liveBytes + liveBytes,
        // Names of one segment lead to one file; of none, each to its own.
        end: segment === 0 ? before.end + end : Math.max(before.end, end),
      });
    }
    return [...found.values()].toSorted((a, b) => a.segment - b.segment);
  }

  tableSpans(): TableSpan[] {
    this.assertOpen();
    const tables = this.#own.manifest.version.levels.flat();
    return tables
      .filter(({ smallest }) => smallest[0] === DEFAULT_KEYSPACE)
      .map(({ smallest, largest, bytes, entries, references }) => ({
        smallest: smallest.slice(1),
        // Of a table of level 0 that has other keyspaces, too: up to the end of this one.
        largest: largest[0] === DEFAULT_KEYSPACE ? largest.slice(1) : AFTER_ALL_KEYS,
        bytes: references.reduce((sum, reference) => sum + reference.bytes, bytes),
        entries,
      }));
  }

  async relocate(segments: number | readonly number[]): Promise<void> {
    const asked = typeof segments === 'number' ? [segments] : segments;
    for (const segment of asked) {
      if (Number.isInteger(segment) && segment >= 0) continue;
      throw new SparrowError('invalid', 'OPTION_RANGE', `segment is a whole number from 0, not ${String(segment)}`, { field: 'segment' });
    }
    await this.flush();
    await this.#own.maintenance.relocate(new Set(asked));
  }
}
