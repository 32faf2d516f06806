/**
 * Bytes of files that a read has had brought to it, by file and position, until it has ended. A read that is begun anew finds here what made
 * it stop, so it gets further each time, whatever became of caches and tables meanwhile. What it finds is verified as what comes from a file.
 */

interface Span {
  readonly position: number;
  /** Bytes that were asked for; those that there are may be fewer, at the end of a file. */
  readonly asked: number;
  readonly bytes: Uint8Array;
}

/** Of each file so many spans outlive the step that they were brought for. */
const KEPT_SPANS = 2;
const TIMES_MAX = 256;
const BYTES_MAX = 32 * 1024 * 1024;

export class Fetched {
  readonly #files = new Map<string, Span[]>();
  /** Since its caller has seen a step of it. */
  #times = 0;
  #bytes = 0;

  /** So much was brought without its caller seeing anything of it that it had better end. */
  get isSpent(): boolean {
    return this.#times >= TIMES_MAX || this.#bytes >= BYTES_MAX;
  }

  /** As `File.readSync`, out of what was brought; -1: that has not been. */
  copy(file: string, target: Uint8Array, targetOffset: number, length: number, position: number): number {
    const span = this.#find(file, length, position);
    if (span === undefined) return -1;
    const from = position - span.position;
    const there = span.bytes.subarray(from, from + length);
    target.set(there, targetOffset);
    return there.length;
  }

  has(file: string, length: number, position: number): boolean {
    return this.#find(file, length, position) !== undefined;
  }

  /** `asked`: how many bytes it was; those that there are may be fewer, at the end of the file. */
  add(file: string, position: number, asked: number, bytes: Uint8Array): void {
    if (this.has(file, asked, position)) return;
    this.#times++;
    this.#bytes += bytes.length;
    const spans = this.#files.get(file);
    if (spans) spans.push({ position, asked, bytes });
    else this.#files.set(file, [{ position, asked, bytes }]);
  }

  /** What to bring for a read of `length` bytes at `position`: just these. */
  extent(_file: string, position: number, length: number): { position: number; length: number } {
    return { position, length };
  }

  /** The caller has seen a step of the read: of each file what was brought last is kept for the next. */
  progressed(): void {
    this.#times = 0;
    this.#bytes = 0;
    for (const spans of this.#files.values()) if (spans.length > KEPT_SPANS) spans.splice(0, spans.length - KEPT_SPANS);
  }

  #find(file: string, length: number, position: number): Span | undefined {
    return this.#files.get(file)?.find((each) => each.position <= position && position + length <= each.position + each.asked);
  }
}

/** A run in a file: where it has come to, and how long its last part was. */
interface Run {
  start: number;
  end: number;
  bytes: number;
}

const RUN_BYTES_MAX = 256 * 1024;
/** The runs of all files together. */
const RUNS_BYTES_MAX = 4 * 1024 * 1024;
const GROWTH = 4;
/** Reads with less than this between them are of one run. */
const RUN_GAP_BYTES = 64 * 1024;

/**
 * What a scan has had brought: in runs. When it goes on in a file where it was before, more is brought than it asks for, four times as much
 * each time: a scan of a few entries costs a page of each table, a long one comes to 256 KiB at a time.
 */
export class ReadAhead extends Fetched {
  readonly #backward: boolean;
  readonly #runs = new Map<string, Run>();

  constructor(backward: boolean) {
    super();
    this.#backward = backward;
  }

  override extent(file: string, position: number, length: number): { position: number; length: number } {
    const run = this.#runs.get(file);
    if (run === undefined) {
      this.#runs.set(file, { start: position, end: position + length, bytes: length });
      return { position, length };
    }
    const goesOn = this.#backward
      ? position <= run.start && position + length + RUN_GAP_BYTES >= run.start
      : position + length >= run.end && position <= run.end + RUN_GAP_BYTES;
    const most = Math.min(RUN_BYTES_MAX, RUNS_BYTES_MAX / this.#runs.size);
    run.bytes = Math.max(length, goesOn ? Math.min(most, run.bytes * GROWTH) : 0);
    const end = this.#backward ? position + length : position + run.bytes;
    run.start = Math.max(0, end - run.bytes);
    run.end = end;
    return { position: run.start, length: end - run.start };
  }
}
