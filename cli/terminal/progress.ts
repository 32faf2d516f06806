/**
 * Progress of a long command on stderr: a bar on a terminal, else a plain line every few seconds and one at the end.
 */
import { SingleBar } from 'cli-progress';

const PLAIN_LINE_EVERY_MS = 5_000;

export interface ProgressTotals {
  /** 0 when not known. */
  files: number;
  bytes: number;
  /** What is counted beside bytes, where that is not files; null: nothing. */
  items?: readonly [one: string, many: string] | null;
}

const FILES = ['file', 'files'] as const;

export interface Progress {
  advance(files: number, bytes: number): void;
  /** Prints a line without disturbing the bar. */
  note(line: string): void;
  /** Ends the bar. Idempotent. */
  stop(): void;
  /** Milliseconds since the start. */
  elapsedMs(): number;
  /** What was done and at which rate. */
  summary(): string;
}

export function startProgress(verb: string, totals: ProgressTotals, stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY === true ? new BarProgress(verb, totals, stream) : new PlainProgress(verb, totals, stream);
}

export function formatBytes(bytes: number): string {
  if (bytes < 999.5) return `${Math.round(bytes)} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** "1 file", "7,413 files". */
export function plural(count: number, one: string, many: string = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** "7,413 files, 619 MB in 6.1 s (1,215 files/s, 101 MB/s)" */
export function formatRate(count: number, bytes: number, milliseconds: number, items: ProgressTotals['items'] = FILES): string {
  const seconds = Math.max(milliseconds, 1) / 1000;
  const bytesRate = `${formatBytes(bytes / seconds)}/s`;
  if (items === null) return `${formatBytes(bytes)} in ${seconds.toFixed(1)} s (${bytesRate})`;
  const rate = `${formatCount(Math.round(count / seconds))} ${items[1]}/s, ${bytesRate}`;
  return `${plural(count, ...items)}, ${formatBytes(bytes)} in ${seconds.toFixed(1)} s (${rate})`;
}

class Tally {
  files = 0;
  bytes = 0;
  readonly items: NonNullable<ProgressTotals['items']> | null;
  readonly #startedAt = performance.now();

  constructor({ items }: ProgressTotals) {
    this.items = items === undefined ? FILES : items;
  }

  add(files: number, bytes: number): void {
    this.files += files;
    this.bytes += bytes;
  }

  elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  summary(): string {
    return formatRate(this.files, this.bytes, this.elapsedMs(), this.items);
  }
}

class BarProgress implements Progress {
  readonly #tally: Tally;
  readonly #bar: SingleBar;
  readonly #stream: NodeJS.WriteStream;
  #running = true;

  constructor(verb: string, totals: ProgressTotals, stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#tally = new Tally(totals);
    const { items } = this.#tally;
    const known = totals.bytes > 0;
    this.#bar = new SingleBar({
      stream,
      hideCursor: true,
      fps: 10,
      barsize: 30,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      format: `${verb} ${known ? '{bar} {percentage}% | ' : ''}${items === null ? '' : '{files} | '}{done} | {rate}`,
    });
    this.#bar.start(Math.max(totals.bytes, 1), 0, { files: `0 ${items?.[1]}`, done: '0 B', rate: '-' });
  }

  advance(files: number, bytes: number): void {
    this.#tally.add(files, bytes);
    const seconds = Math.max(this.#tally.elapsedMs(), 1) / 1000;
    const { items } = this.#tally;
    const perSecond = items === null ? '' : `${formatCount(Math.round(this.#tally.files / seconds))} ${items[1]}/s, `;
    this.#bar.update(this.#tally.bytes, {
      files: items === null ? '' : plural(this.#tally.files, ...items),
      done: formatBytes(this.#tally.bytes),
      rate: `${perSecond}${formatBytes(this.#tally.bytes / seconds)}/s`,
    });
  }

  note(line: string): void {
    // Over the bar, which draws itself anew below at its next frame.
    this.#stream.write(this.#running ? `\r\x1b[2K${line}\n` : `${line}\n`);
  }

  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    this.#bar.stop();
  }

  elapsedMs(): number {
    return this.#tally.elapsedMs();
  }

  summary(): string {
    return this.#tally.summary();
  }
}

class PlainProgress implements Progress {
  readonly #tally: Tally;
  readonly #verb: string;
  readonly #totals: ProgressTotals;
  readonly #stream: NodeJS.WriteStream;
  #nextLineMs = PLAIN_LINE_EVERY_MS;

  constructor(verb: string, totals: ProgressTotals, stream: NodeJS.WriteStream) {
    this.#verb = verb;
    this.#tally = new Tally(totals);
    this.#totals = totals;
    this.#stream = stream;
  }

  advance(files: number, bytes: number): void {
    this.#tally.add(files, bytes);
    const elapsedMs = this.#tally.elapsedMs();
    if (elapsedMs < this.#nextLineMs) return;
    this.#nextLineMs = elapsedMs + PLAIN_LINE_EVERY_MS;
    const of = this.#totals.bytes > 0 ? ` of ${formatBytes(this.#totals.bytes)}` : '';
    const { items } = this.#tally;
    const count = items === null ? '' : `${plural(this.#tally.files, ...items)}, `;
    this.#stream.write(`${this.#verb}: ${count}${formatBytes(this.#tally.bytes)}${of}\n`);
  }

  note(line: string): void {
    this.#stream.write(`${line}\n`);
  }

  stop(): void {
    this.#nextLineMs = Number.POSITIVE_INFINITY;
  }

  elapsedMs(): number {
    return this.#tally.elapsedMs();
  }

  summary(): string {
    return this.#tally.summary();
  }
}
