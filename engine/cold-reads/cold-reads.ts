/**
 * Reads that would wait for the disk, without the caller's thread waiting. Everything is looked for synchronously (reader.ts, scan.ts); only an
 * asynchronous verb says, by `begin`, that it may be stopped: then a read of a file that the policy (read-policy.ts) expects to be slow
 * throws COLD instead. Whoever began has the bytes brought through the pool, and begins anew with them:
 *
 *   begin ─► look ─► all there ─► end, answer
 *     ▲       └─► a file is to be read: here, or COLD ─► end ─► pool ─┐
 *     └──────────────────── with what was brought ◄───────────────────┘
 *
 * Nothing is held meanwhile but a sequence number, which the caller pins: what was looked for is found at it in whatever tables there are
 * then. What was brought lies in arrays of its own, outside of linear memory, so that tables, frames and windows may come and go. Files stay
 * open until reads of them have ended.
 *
 * Who wants bytes that are on their way to somebody else gets those. No more than IN_FLIGHT_MAX reads are with the pool: it has four threads
 * unless told otherwise, and syncs of the log wait there too.
 */
import { assert } from '../../base/assert.ts';
import type { Clock, File } from '../../base/env.ts';
import type { ReadableFile } from '../open-files.ts';
import { Fetched, type ReadAhead } from './fetched.ts';
import type { ReadChoice, ReadPolicy } from './read-policy.ts';

const IN_FLIGHT_MAX = 16;
const IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024;
/** Thrown through a read that has to wait. Never seen outside of the engine, and made once: it has no story to tell. */
export const COLD: Error = new Error('a read waits for the disk');

const NOTHING = new Fetched();

interface Need {
  readonly file: ColdFile;
  readonly position: number;
  readonly length: number;
}

/** Bytes on their way. */
interface Flight extends Need {
  readonly arrived: Promise<Uint8Array>;
  readonly depart: () => void;
}

export class ColdReads {
  readonly #clock: Clock;
  readonly #tablePolicy: ReadPolicy;
  readonly #valuePolicy: ReadPolicy;
  /** What the read that is under way may use; undefined: it is not to be stopped. */
  #under: Fetched | undefined;
  /** What `prepare` has decided for the read that follows. */
  #chosen: ReadChoice | undefined;
  /** Why the last one was stopped. */
  #need: Need | undefined;
  /** By file. */
  readonly #flights = new Map<string, readonly Flight[]>();
  readonly #waiting: Flight[] = [];
  #inFlight = 0;
  #inFlightBytes = 0;
  #count = 0;
  readonly #tracked = new Set<Promise<unknown>>();

  /** `makePolicy`: for tables, and another for large values, which the system caches apart. */
  constructor(clock: Clock, makePolicy: () => ReadPolicy) {
    this.#clock = clock;
    this.#tablePolicy = makePolicy();
    this.#valuePolicy = makePolicy();
  }

  /** Reads that went through the pool. */
  get count(): number {
    return this.#count;
  }

  /** A table's file, of which reads can be stopped then. It belongs to what is returned. */
  tableFile(file: File, path: string): ReadableFile {
    return new ColdFile(file, path, false, this, this.#tablePolicy);
  }

  /** A file of large values. `grows`: it is the log's, and more may be written to it. */
  valueFile(file: File, path: string, grows: boolean): PreparedFile {
    // What was brought of it while it did not grow must not be taken for its end while it does.
    return new ColdFile(file, grows ? `${path} (growing)` : path, grows, this, this.#valuePolicy);
  }

  // ---- for verbs ----

  /** From here to `end`, in this turn, reads of files may throw COLD. */
  begin(fetched: Fetched = NOTHING): void {
    this.#under = fetched;
  }

  end(): void {
    this.#under = undefined;
  }

  /** Brings what the read was stopped for, in this turn, and goes on with `read` until it comes to an end. It must be the same each time. */
  async finish<T>(read: () => T): Promise<T> {
    const fetched = new Fetched();
    for (;;) {
      await this.bring(fetched);
      this.begin(fetched);
      try {
        return read();
      } catch (error) {
        if (error !== COLD) throw error;
      } finally {
        this.end();
      }
    }
  }

  /** Brings what the last read was stopped for, in this turn, to `fetched`. */
  async bring(fetched: Fetched): Promise<void> {
    const { file, position, length } = this.#need!;
    this.#need = undefined;
    const under = this.#flights
      .get(file.name)
      ?.find((each) => each.position <= position && position + length <= each.position + each.length);
    const flight = under ?? this.#fly(file, file.grows ? { position, length } : fetched.extent(file.name, position, length));
    const bytes = await flight.arrived;
    // That the file ended before all that was brought with it says nothing of later.
    fetched.add(file.name, flight.position, Math.max(bytes.length, position + length - flight.position), bytes);
  }

  /** A scan that was stopped by `reason` can show something: what it was stopped for is brought while its caller looks at that. False: not stopped. */
  bringMeanwhile(reason: unknown): boolean {
    if (reason !== COLD) return false;
    const ahead = this.#under as ReadAhead;
    ahead.progressed();
    // Should it fail, the scan comes to the same place and meets it there.
    void this.bring(ahead).catch(() => undefined);
    return true;
  }

  /** `settled` waits for it. */
  track<T>(answer: Promise<T>): Promise<T> {
    this.#tracked.add(answer);
    const ended = (): boolean => this.#tracked.delete(answer);
    answer.then(ended, ended);
    return answer;
  }

  /** Settles when nothing is tracked or on its way any more. */
  async settled(): Promise<void> {
    for (;;) {
      const flights = [...this.#flights.values()].flatMap((each) => each.map(({ arrived }) => arrived));
      if (this.#tracked.size + flights.length === 0) return;
      await Promise.allSettled([...this.#tracked, ...flights]);
    }
  }

  // ---- for files ----

  get mayStop(): boolean {
    return this.#under !== undefined;
  }

  /** A read during which `mayStop`. */
  read(file: ColdFile, target: Uint8Array, targetOffset: number, length: number, position: number): number {
    const under = this.#under!;
    const brought = under.copy(file.name, target, targetOffset, length, position);
    if (brought >= 0) return brought;
    const choice = this.#chosen ?? this.#choose(file, length, position);
    this.#chosen = undefined;
    if (choice === 'here') return file.readHere(target, targetOffset, length, position);
    const beganMs = this.#clock.monotonicMs();
    const got = file.readHere(target, targetOffset, length, position);
    file.policy.took(length, this.#clock.monotonicMs() - beganMs);
    return got;
  }

  prepare(file: ColdFile, length: number, position: number): void {
    if (!this.#under!.has(file.name, length, position)) this.#chosen = this.#choose(file, length, position);
  }

  /** Throws COLD for those away. */
  #choose(file: ColdFile, length: number, position: number): ReadChoice {
    const choice = this.#under!.isSpent ? 'here' : file.policy.choose(length);
    if (choice !== 'away') return choice;
    this.#need = { file, position, length };
    throw COLD;
  }

  /** Sends for bytes of a file. */
  #fly(file: ColdFile, { position, length }: { position: number; length: number }): Flight {
    const { promise: departed, resolve: depart } = Promise.withResolvers<void>();
    const flight: Flight = { file, position, length, depart, arrived: this.#read(file, position, length, departed) };
    this.#flights.set(file.name, [...(this.#flights.get(file.name) ?? []), flight]);
    const land = (): void => {
      const left = this.#flights.get(file.name)!.filter((each) => each !== flight);
      if (left.length > 0) this.#flights.set(file.name, left);
      else this.#flights.delete(file.name);
    };
    flight.arrived.then(land, land);
    this.#waiting.push(flight);
    this.#departures();
    return flight;
  }

  /** The bytes at `position` once it is their turn: fewer than `length` only at the end of the file. Nobody writes to them. */
  async #read(file: ColdFile, position: number, length: number, departed: Promise<void>): Promise<Uint8Array> {
    file.hold();
    try {
      await departed;
      this.#count++;
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
      const got = await file.read(bytes, 0, length, position);
      return got === length ? bytes : bytes.subarray(0, got);
    } finally {
      this.#inFlight--;
      this.#inFlightBytes -= length;
      file.letGo();
      this.#departures();
    }
  }

  #departures(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#inFlight >= IN_FLIGHT_MAX) return;
      if (this.#inFlight > 0 && this.#inFlightBytes + next.length > IN_FLIGHT_BYTES_MAX) return;
      this.#waiting.shift();
      this.#inFlight++;
      this.#inFlightBytes += next.length;
      next.depart();
    }
  }
}

/** A file of which it can be asked whether a read is going to be stopped. */
export interface PreparedFile extends ReadableFile {
  /** Throws COLD if the read of these bytes that follows would: before anything is done for it. */
  prepare(length: number, position: number): void;
}

/** A file of which reads can be stopped. It is closed once those that are under way have ended. */
class ColdFile implements PreparedFile {
  readonly name: string;
  readonly grows: boolean;
  readonly policy: ReadPolicy;
  readonly #file: File;
  readonly #reads: ColdReads;
  #holders = 0;
  #closed = false;

  constructor(file: File, name: string, grows: boolean, reads: ColdReads, policy: ReadPolicy) {
    this.#file = file;
    this.name = name;
    this.grows = grows;
    this.#reads = reads;
    this.policy = policy;
  }

  readSync(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    if (this.#reads.mayStop) return this.#reads.read(this, target, targetOffset, length, position);
    return this.#file.readSync(target, targetOffset, length, position);
  }

  prepare(length: number, position: number): void {
    if (this.#reads.mayStop) this.#reads.prepare(this, length, position);
  }

  readHere(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    return this.#file.readSync(target, targetOffset, length, position);
  }

  read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number> {
    return this.#file.read(target, targetOffset, length, position);
  }

  sizeSync(): number {
    return this.#file.sizeSync();
  }

  hold(): void {
    assert(!this.#closed, 'a closed file is not read');
    this.#holders++;
  }

  letGo(): void {
    if (--this.#holders === 0 && this.#closed) this.#file.closeSync();
  }

  closeSync(): void {
    assert(!this.#closed, 'a file is closed once');
    this.#closed = true;
    if (this.#holders === 0) this.#file.closeSync();
  }
}
