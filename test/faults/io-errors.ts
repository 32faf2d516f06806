/**
 * A store whose disk fails in the midst of a busy life, watched from outside: every promise settles, every read is right, and what is
 * written after the failure is either refused or really written.
 *
 * The oracle knows for each key which values it may have: the one that was acknowledged last, and any that was refused since (the outcome of
 * a refused write is open until the next one that is acknowledged).
 */
import { SparrowError } from '../../base/errors.ts';
import { type BatchOperation, type Durability, type Engine, type EngineSettingsInput, open } from '../../engine/index.ts';
import { type Fault, SimFileSystem } from '../sim/sim-file-system.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const DIRECTORY = '/store';
const KEYS = 30;
const SIZES = [10, 0, 200, 5000, 100, 1500, 60];

export class Wrong extends Error {}

type Value = number | undefined;

/** `stopped`: the engine refused to go on until it was opened again. */
export interface Life {
  readonly operations: number;
  readonly reads: number;
  readonly hit: boolean;
  readonly stopped: boolean;
}

export interface LifeOptions {
  readonly fault?: Fault;
  /** Longest sync that is made on the caller's thread: 0 leaves all to the pool. */
  readonly callerSyncMs?: number;
  /** What is left when the failed store is given up: the system's cache, or what is on disk. */
  readonly end?: 'process' | 'power';
}

/** Lives through the script with a fault planned, gets rid of the fault, and lives on: without opening again where the disk was only full. */
export async function liveThrough(options: LifeOptions): Promise<Life> {
  return new Witness(options).run();
}

class Witness {
  readonly #fs = new SimFileSystem();
  readonly #scheduler = new SimScheduler();
  readonly #options: LifeOptions;
  readonly #settings: EngineSettingsInput;
  #engine: Engine | undefined;
  #stamp = 0;
  #stopped = false;
  /** What a key may hold, the value that is certain first: for who reads now, after the end of the process, after power loss. */
  readonly #now = new Map<string, Value[]>();
  readonly #inSystem = new Map<string, Value[]>();
  readonly #onDisk = new Map<string, Value[]>();

  constructor(options: LifeOptions) {
    this.#options = options;
    this.#settings = {
      inlineThreshold: 1024,
      memtableBytes: 64 * 1024,
      segmentBytes: 64 * 1024,
      tableBytes: 64 * 1024,
      level0Compact: 2,
      level1Bytes: 256 * 1024,
      garbageRatio: 0.05,
      manifestBytes: 1024,
      pageCacheBytes: 1024 * 1024,
      valueCacheBytes: 0,
      memoryBytes: 64 * 1024 * 1024,
      maxBatchBytes: 1024 * 1024,
      maxValueBytes: 256 * 1024,
      callerSyncMs: options.callerSyncMs ?? 0,
    };
  }

  async run(): Promise<Life> {
    const fs = this.#fs;
    fs.makeDirectorySync(DIRECTORY);
    const { fault } = this.#options;
    if (fault) fs.failAt(fault);
    await this.#try(() => this.#open());
    await this.#live();
    const { operations, reads } = fs;
    const hit = fs.faultsHit > 0;
    // The disk is well again: space was freed, or the cable is back in its socket.
    fs.failAt();
    const full = fault?.on === 'space';
    if (this.#engine && full) await this.#mustGoOn();
    else if (this.#engine) await this.#isStoppedOrGoesOn();
    const stopped = this.#stopped;
    await this.#giveUp();
    await this.#open();
    this.#readAll(false);
    await this.#mustGoOn();
    await this.#until(this.#engine!.close());
    if (fs.openFiles.length > 0) throw new Wrong(`files are left open: ${fs.openFiles.join(' ')}`);
    return { operations, reads, hit, stopped };
  }

  async #open(): Promise<void> {
    this.#engine = await this.#until(open(DIRECTORY, this.#settings, { fileSystem: this.#fs, scheduler: this.#scheduler }));
  }

  /** Group commits, segments that fill up, flushes, compactions with values to move, a new manifest, deletes. */
  async #live(): Promise<void> {
    if (!this.#engine) return;
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 12; i++) await this.#write([i + round * 7], i % 3 === 0 ? 'synced' : 'os');
      await this.#together([() => this.#write([1, 2], 'synced'), () => this.#write([3], 'synced'), () => this.#write([4, 5, 6], 'os')]);
      await this.#fill();
      await this.#call(() => this.#engine!.flush());
      this.#readAll(true);
      await this.#write([round, round + 10], 'buffered');
      await this.#call(() => this.#engine!.settled());
      this.#readAll(true);
    }
    await this.#call(() => this.#engine!.sync());
  }

  /** Enough to fill a log segment. */
  async #fill(): Promise<void> {
    const writes: (() => Promise<void>)[] = [];
    for (let i = 0; i < 14; i++) writes.push(() => this.#write([i, i + 14], 'os'));
    await this.#together(writes);
  }

  async #together(writes: readonly (() => Promise<void>)[]): Promise<void> {
    await Promise.all(writes.map((write) => write()));
  }

  async #write(keys: readonly number[], durability: Durability): Promise<void> {
    const stamp = ++this.#stamp;
    const value: Value = stamp % 9 === 0 ? undefined : stamp;
    const names = keys.map((key) => `key/${key % KEYS}`);
    const batch = names.map((key): BatchOperation =>
      value === undefined ? { type: 'delete', key } : { type: 'put', key, value: bytesOf(value) },
    );
    // Possible from now on; certain when it is acknowledged.
    for (const may of [this.#now, this.#inSystem, this.#onDisk]) {
      for (const key of names) may.set(key, [...(may.get(key) ?? [undefined]), value]);
    }
    const wasStopped = this.#stopped;
    const done = await this.#call(() => this.#engine!.write(batch, { durability }));
    if (!done) return;
    if (wasStopped) throw new Wrong('a write is acknowledged after the engine said that it had stopped');
    // Later writes to the key may be under way already: what came before this one is over.
    const certain = [this.#now, ...(durability === 'buffered' ? [] : [this.#inSystem]), ...(durability === 'synced' ? [this.#onDisk] : [])];
    for (const may of certain) for (const key of names) may.set(key, from(may.get(key)!, value));
  }

  /** Whether the call succeeded. What it fails with must say what to do. */
  async #call(call: () => Promise<unknown>): Promise<boolean> {
    return this.#try(() => this.#until(call()));
  }

  async #try(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (error instanceof Wrong) throw error;
      this.#expectTold(error);
      return false;
    }
  }

  #expectTold(error: unknown): void {
    const code = String((error as NodeJS.ErrnoException).code);
    if (this.#fs.faultsHit === 0) throw new Wrong(`it fails though the disk did not: ${String(error)}`, { cause: error });
    if (error instanceof SparrowError && error.kind === 'closed') this.#stopped = true;
    else if (!(error instanceof SparrowError ? error.code === 'DISK_FULL' : code === 'EIO' || code === 'ENOSPC')) {
      throw new Wrong(`not what a failing disk is told by: ${String(error)}`, { cause: error });
    }
  }

  /** `living`: in the life that wrote; otherwise what a new one finds. */
  #readAll(living: boolean): void {
    const engine = this.#engine!;
    const lasting = this.#options.end === 'power' ? this.#onDisk : this.#inSystem;
    const may = (key: string): readonly Value[] => (living ? this.#now : lasting).get(key) ?? [undefined];
    const check = (key: string, found: Uint8Array | undefined): void => {
      const allowed = may(key);
      if (!allowed.some((value) => same(found, value))) {
        throw new Wrong(
          `${key} reads ${found === undefined ? 'nothing' : `${found.length} bytes of ${stampOf(found)}`}, allowed are ${allowed.join(', ')}`,
        );
      }
    };
    const reading = (read: () => void): void => {
      try {
        read();
      } catch (error) {
        // A disk that cannot be read is no reason to say anything wrong, nor to stop.
        if (!living || (error as NodeJS.ErrnoException).code !== 'EIO') throw error;
      }
    };
    for (let number = 0; number < KEYS; number++) reading(() => check(`key/${number}`, engine.getSync(`key/${number}`)));
    reading(() => {
      const found = new Map([...engine.scanSync()].map(([key, value]) => [Buffer.from(key).toString(), value]));
      for (let number = 0; number < KEYS; number++) check(`key/${number}`, found.get(`key/${number}`));
    });
    if (living) return;
    // What was found is what there is.
    for (let number = 0; number < KEYS; number++) {
      const key = `key/${number}`;
      const found = engine.getSync(key);
      const value = found === undefined ? undefined : may(key).find((each) => each !== undefined && same(found, each));
      for (const each of [this.#now, this.#inSystem, this.#onDisk]) each.set(key, [value]);
    }
  }

  /** The disk was full and has room again: no call needs anybody to open the store anew. */
  async #mustGoOn(): Promise<void> {
    const { faultsHit } = this.#fs;
    // What was refused for lack of space is tried again by a timer, or by the next that asks.
    await this.#scheduler.advance(2000);
    if (this.#stopped) throw new Wrong('a full disk stops the engine for good');
    for (let number = 0; number < 6; number++) {
      const before = this.#stamp;
      await this.#write([number, number + 9], number % 2 === 0 ? 'synced' : 'os');
      if (this.#now.get(`key/${number}`)!.length > 1) throw new Wrong(`a write is refused with room on the disk (${before})`);
    }
    await this.#until(this.#engine!.flush());
    await this.#until(this.#engine!.settled());
    this.#readAll(true);
    if (this.#fs.faultsHit !== faultsHit) throw new Wrong('a fault hit that was over');
  }

  /** After an error that may be final: stopped for all writers alike, or none of them noticed. */
  async #isStoppedOrGoesOn(): Promise<void> {
    await this.#scheduler.advance(2000);
    await this.#write([0, 1, 2], 'synced');
    await this.#write([3], 'os');
    this.#readAll(true);
  }

  async #giveUp(): Promise<void> {
    if (this.#engine) await this.#try(() => this.#until(this.#engine!.close()));
    this.#engine = undefined;
    await this.#scheduler.runDry();
    if (this.#options.end === 'power') this.#fs.crash('none');
    else this.#fs.endProcess();
    await this.#scheduler.runDry();
    this.#stopped = false;
  }

  #until<T>(promise: Promise<T>): Promise<T> {
    return this.#scheduler.until(promise);
  }
}

/** What is left of the possible values when this one is certain. */
function from(values: readonly Value[], certain: Value): Value[] {
  const at = values.lastIndexOf(certain);
  return at < 0 ? [...values] : values.slice(at);
}

function bytesOf(stamp: number): Uint8Array {
  return Buffer.alloc(SIZES[stamp % SIZES.length]!, `${stamp};`);
}

function same(found: Uint8Array | undefined, value: Value): boolean {
  return value === undefined ? found === undefined : found !== undefined && Buffer.compare(bytesOf(value), found) === 0;
}

function stampOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 8)).toString('latin1');
}
