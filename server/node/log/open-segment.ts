/**
 * The segment of a node's log that is written to, and how the next one follows it.
 *
 *   | header | summary | durable ........ synced | written ... end | grown ahead, zeros |
 *
 * Where a file has to grow, it grows ahead of its content, so that most syncs change no metadata; recycled files need not grow. A write that finds no room counts
 * for nothing: the next one goes to the same place. A segment is durable before the next one begins.
 *
 * Used by log-writer.ts. Calls segment-files.ts.
 */
import { assert } from '../../../base/assert.ts';
import type { File } from '../../../base/env.ts';
import { writeZeros } from '../../../base/zeros-ahead.ts';
import { type Seal, SEGMENT_HEADER_BYTES } from './log-format.ts';
import { noRoom } from './no-room.ts';
import type { SegmentFiles } from './segment-files.ts';

/** A file grows ahead by this much, where batches of up to so many bytes follow one another: it is written twice so, which for larger ones costs more than it spares. */
const AHEAD_BYTES: number = 256 * 1024;
const AHEAD_BATCH_BYTES_MAX = 4096;
/** A summary takes at most one byte in so many of a segment. */
const SUMMARY_PART = 4;

export class OpenSegment {
  readonly #segments: SegmentFiles;
  /** It takes no new batch once it is this large. */
  readonly #segmentBytes: number;
  #file: File | undefined;
  #next: number;
  /** End of what was written, of what is durable, and of the file. */
  #end = 0;
  #synced = 0;
  #fileBytes = 0;
  #summaryBytes = 0;
  /** The last batch that the file had to grow for was a small one. */
  #wasSmall = false;

  /** `current`: the last segment, to go on in; undefined: there is none, and the next one gets this number. */
  constructor(segments: SegmentFiles, segmentBytes: number, current: { file: File; bytes: number } | undefined, next: number) {
    this.#segments = segments;
    this.#segmentBytes = segmentBytes;
    this.#next = next;
    if (current === undefined) return;
    this.#file = current.file;
    this.#end = this.#synced = current.bytes;
    this.#fileBytes = current.file.sizeSync();
  }

  /** Nothing more goes into it: the next one is to begin. */
  get isFull(): boolean {
    return this.#file === undefined || this.#end >= Math.max(this.#segmentBytes, SUMMARY_PART * this.#summaryBytes);
  }

  /** Where the next write goes. */
  get place(): { readonly segment: number; readonly at: number; readonly seal: Seal; readonly synced: number } {
    const { number } = this.#segments.last!;
    return { segment: number, at: this.#end, seal: this.#segments.seal(number), synced: this.#synced };
  }

  /** At the end; the system has it then. Throws NoRoom. */
  write(bytes: Buffer): void {
    this.#growAhead(bytes.length);
    noRoom(() => this.#file!.writeSync(bytes, 0, bytes.length, this.#end));
    this.#end += bytes.length;
    this.#segments.last!.bytes = this.#end;
  }

  /** Settles when all that is written by now is durable. A failure is final. */
  async datasync(): Promise<void> {
    const end = this.#end;
    await this.#file!.datasync();
    this.#synced = end;
  }

  /** Begins the next segment with what `begin` makes. Settles when that is durable. Rejects with NoRoom: this one stays what it is. */
  async roll(begin: (seal: Seal) => Buffer): Promise<void> {
    assert(this.#synced === this.#end, 'a segment is durable before the next one begins');
    let summaryBytes = 0;
    const { file, fileBytes } = await this.#segments.create(this.#next, (seal) => {
      const summary = begin(seal);
      summaryBytes = summary.length;
      return summary;
    });
    this.#file?.closeSync();
    this.#file = file;
    this.#fileBytes = fileBytes;
    this.#summaryBytes = summaryBytes;
    this.#end = this.#synced = SEGMENT_HEADER_BYTES + summaryBytes;
    this.#next++;
  }

  closeSync(): void {
    this.#file?.closeSync();
  }

  /** Small batches at the end of a file: grow it by more than they need. */
  #growAhead(bytes: number): void {
    if (this.#end + bytes <= this.#fileBytes) return;
    const ahead = Math.min(AHEAD_BYTES, Math.ceil(this.#segmentBytes / 8));
    const isSmall = bytes <= AHEAD_BATCH_BYTES_MAX;
    const wasSmall = this.#wasSmall;
    this.#wasSmall = isSmall;
    if (isSmall && wasSmall && bytes < ahead) {
      noRoom(() => writeZeros(this.#file!, this.#fileBytes, this.#fileBytes + ahead));
      this.#fileBytes += ahead;
    } else {
      // The write itself makes the file longer, or fails with less than a file that is longer than its content.
      this.#fileBytes = Math.max(this.#fileBytes, this.#end + bytes);
    }
  }
}
