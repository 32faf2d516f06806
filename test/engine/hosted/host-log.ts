/**
 * The log of a host, as hosted engines need one: segments of bytes, of other groups too, and the batches in them, which are written to an engine again after
 * a crash from where it was durable. What was appended is on disk after `sync`.
 */
import type { File, FileSystem } from '../../../base/env.ts';
import type { Hosted, HostedEngine, HostedOperation, ValuePlace } from '../../../engine/index.ts';

export class HostLog {
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #segmentBytes: number;
  #segment = 0;
  #offset = 0;
  #file: File | undefined;
  #unsynced: File[] = [];
  syncs = 0;

  constructor(fs: FileSystem, directory: string, segmentBytes: number = 256 * 1024) {
    this.#fs = fs;
    this.#directory = directory;
    this.#segmentBytes = segmentBytes;
    fs.makeDirectorySync(directory);
  }

  get segment(): number {
    return this.#segment;
  }

  path(segment: number): string {
    return `${this.#directory}/segment-${segment}`;
  }

  get hosted(): Hosted {
    return { segmentPath: (segment) => this.path(segment), sync: () => this.sync() };
  }

  /** Appends the value behind some bytes that are not its engine's. */
  append(value: Uint8Array): ValuePlace {
    if (this.#file === undefined || this.#offset + value.length + 13 > this.#segmentBytes) this.roll();
    const other = Buffer.alloc(13, '#');
    this.#file!.writeSync(other, 0, other.length, this.#offset);
    const place = { segment: this.#segment, offset: this.#offset + other.length };
    this.#file!.writeSync(value, 0, value.length, place.offset);
    this.#offset = place.offset + value.length;
    return place;
  }

  /** The next value goes to another segment. */
  roll(): void {
    this.#segment++;
    this.#offset = 0;
    this.#file = this.#fs.openSync(this.path(this.#segment), 'create');
    this.#unsynced.push(this.#file);
  }

  async sync(): Promise<void> {
    this.syncs++;
    for (const file of this.#unsynced) await file.datasync();
    for (const file of this.#unsynced.splice(0)) if (file !== this.#file) file.closeSync();
    if (this.#file) this.#unsynced.push(this.#file);
    this.#fs.syncDirectorySync(this.#directory);
  }

  /** The log needs it no longer. */
  remove(segment: number): void {
    this.#fs.unlinkSync(this.path(segment));
  }

  /** After a crash: its files are closed, and what comes goes to a new segment. */
  recover(): void {
    this.#unsynced = [];
    this.#file = undefined;
  }

  close(): void {
    for (const file of new Set([...this.#unsynced, ...(this.#file ? [this.#file] : [])])) file.closeSync();
    this.#unsynced = [];
    this.#file = undefined;
  }
}

/** A put of a value that the log has. */
export function logged(log: HostLog, key: string, value: Uint8Array, more: object = {}): HostedOperation {
  return { type: 'put', key, value, at: log.append(value), ...more };
}

/** The value of round `stamp`. */
export function valueOf(stamp: number, bytes: number): Uint8Array {
  return Buffer.alloc(bytes, `<${stamp}>`, 'latin1');
}

/** Writes the put of a value that the log has as the engine's next batch. */
export async function putLogged(engine: HostedEngine, log: HostLog, key: string, value: Uint8Array, more: object = {}): Promise<void> {
  await engine.write([logged(log, key, value, more)], { sequence: engine.sequence + 1 });
}
