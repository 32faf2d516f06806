/**
 * A disk in memory that is as unkind as a real one may be. Synchronous calls happen at once; asynchronous ones settle through `settle`,
 * and take effect only then. Every call that changes the disk counts as an *operation*; faults are planned by the operation's number:
 *
 *   failAt    EIO, ENOSPC or a short write, once or from then on; a datasync that fails drops what it should have written. And what nobody
 *             is told: a write that goes to another place or nowhere, a sync that does nothing, a bit that is read wrongly
 *   killAt    the operation is begun (it may or may not be found on the disk) and the machine is dead: every call throws PowerLoss
 *             until `crash` has decided what is left
 *
 * `crash` works at any moment; open files and locks do not survive it. `endProcess` is the milder end: the system's cache lives on.
 */
import { dirname, join, normalize, basename } from 'node:path';
import type { DirectoryLock, File, FileSystem, OpenMode } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { SimDirectory } from './sim-directory.ts';
import { SECTOR_BYTES, SimFile, type CrashMode } from './sim-file.ts';
import { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';

/** Thrown by everything once the machine is dead. Not an operating system's error: nothing may handle it. */
export class PowerLoss extends Error {
  constructor() {
    super('the machine has lost power');
    this.name = 'PowerLoss';
  }
}

export interface Fault {
  /** Number of the operation, the first is 1; for `on: 'read'`, number of the read; for `on: 'space'` without `forGood`, the next that fits. */
  readonly at: number;
  /**
   * - `short`: half of a write arrives, then ENOSPC. On anything but a write it is ENOSPC.
   * - `misdirected`: a write goes to other sectors of the file, or of another one in the directory, and says that it was done.
   * - `lie`: a sync of a file says that it was done and makes nothing durable; a later one does.
   * - `lost`: a write says that it was done; programs see it for as long as the system has it in its cache, and no sync brings it to the disk.
   * - `rot`: a read gives one bit wrongly.
   *
   * Those four wait, from `at` on, for the first call that they fit.
   */
  readonly error: 'EIO' | 'ENOSPC' | 'short' | Silent;
  /** Every operation from `at` on. */
  readonly forGood?: boolean;
  /** `space`: only what takes space fails, a write or the making of a file, at the operation or later. */
  readonly on?: 'operation' | 'read' | 'space';
}

/** Faults that nobody is told of. */
type Silent = 'misdirected' | 'lie' | 'lost' | 'rot';
const SILENT: ReadonlySet<string> = new Set<Silent>(['misdirected', 'lie', 'lost', 'rot']);

/** Calls that a full disk refuses. */
const TAKES_SPACE: ReadonlySet<string> = new Set(['create', 'write', 'link']);

export interface SimFileSystemOptions {
  readonly seed?: number;
  /** Called with what completes an asynchronous call. Default: queueMicrotask. */
  readonly settle?: (complete: () => void) => void;
  /** All files together hold no more than this; then ENOSPC. Default: no bound. */
  readonly capacityBytes?: number;
  /** Keeps `trace`. */
  readonly traced?: boolean;
  /** Told of every operation, and the bytes that it writes, before it happens. */
  readonly observe?: (operation: string, bytes?: Uint8Array) => void;
  /** Reads take time: a synchronous one holds the scheduler's thread for so long, an asynchronous one settles after it. Called for each. */
  readonly slowReads?: { readonly scheduler: SimScheduler; readonly readMs: () => number };
}

export class SimFileSystem implements FileSystem {
  /** May be changed at any time: space that is freed. */
  capacityBytes: number;
  /** What was done, one line an operation, when asked for. */
  readonly trace: string[] = [];
  readonly random: SimRandom;
  readonly #settle: (complete: () => void) => void;
  readonly #traced: boolean;
  readonly #observe: ((operation: string, bytes?: Uint8Array) => void) | undefined;
  readonly #slowReads: SimFileSystemOptions['slowReads'];
  readonly #directories = new Map<string, SimDirectory>([['/', new SimDirectory()]]);
  readonly #locked = new Set<string>();
  #operations = 0;
  #reads = 0;
  #bytesRead = 0;
  #bytesWritten = 0;
  #syncs = 0;
  #faults: readonly Fault[] = [];
  #faultsHit = 0;
  /** A fault of the plan has hit. */
  #spent = false;
  readonly #spentSilently = new Set<Fault>();
  #deceits = 0;
  #killAt = Infinity;
  #dead = false;
  /** Handles of an earlier life are dead. */
  #life = 0;
  readonly #open = new Set<SimHandle>();

  constructor(options: SimFileSystemOptions = {}) {
    this.random = new SimRandom(options.seed ?? 1);
    this.#settle = options.settle ?? queueMicrotask;
    this.capacityBytes = options.capacityBytes ?? Infinity;
    this.#traced = options.traced ?? false;
    this.#observe = options.observe;
    this.#slowReads = options.slowReads;
  }

  get operations(): number {
    return this.#operations;
  }
  get reads(): number {
    return this.#reads;
  }
  get bytesRead(): number {
    return this.#bytesRead;
  }
  get bytesWritten(): number {
    return this.#bytesWritten;
  }
  get syncs(): number {
    return this.#syncs;
  }
  get faultsHit(): number {
    return this.#faultsHit;
  }
  /** Faults that hit and that nobody was told of. */
  get deceits(): number {
    return this.#deceits;
  }
  get dead(): boolean {
    return this.#dead;
  }
  /** Files that are open now: a leak when the store is closed. */
  get openFiles(): readonly string[] {
    return [...this.#open].map((handle) => handle.path);
  }

  failAt(...faults: readonly Fault[]): void {
    this.#faults = faults;
    this.#spent = false;
  }

  killAt(operation: number): void {
    this.#killAt = operation;
  }

  /** Power is lost, and is back: the disk holds what `mode` leaves; plans for faults are gone. */
  crash(mode: CrashMode): void {
    // Files that no directory of either kind holds are out of reach, so that only reachable ones matter.
    const files = new Set<SimFile>();
    for (const directory of this.#directories.values()) {
      for (const file of directory.files()) files.add(file);
      directory.crash(mode, this.random);
      for (const file of directory.files()) files.add(file);
    }
    for (const file of files) file.crash(mode, this.random);
    this.#begin(`crash: ${mode}`);
  }

  /** The process dies and the machine runs on: what was not synced is still not on the disk, but the next process sees it. */
  endProcess(): void {
    this.#begin('process ended');
  }

  #begin(why: string): void {
    this.#locked.clear();
    this.#open.clear();
    this.#life++;
    this.#dead = false;
    this.#killAt = Infinity;
    this.#faults = [];
    if (this.#traced) this.trace.push(`---- ${why}`);
  }

  // ---- for tests, uncounted ----

  contents(path: string): Uint8Array {
    const file = this.#file(path);
    const target = new Uint8Array(file.bytes);
    file.read(target, 0, file.bytes, 0);
    return target;
  }

  /** Replaces a file's contents, durably. */
  replace(path: string, contents: Uint8Array): void {
    const directory = this.#directory(dirname(path), 'open');
    const file = new SimFile();
    file.write(contents, 0);
    file.finishSync(file.beginSync());
    directory.add(basename(path), file);
    directory.sync();
  }

  flip(path: string, position: number, mask = 1): void {
    this.#file(path).flip(position, mask);
  }

  // ---- FileSystem ----

  openSync(path: string, mode: OpenMode): File {
    this.#alive();
    const directory = this.#directory(dirname(normalize(path)), 'open');
    const name = basename(path);
    let file = directory.get(name);
    if (mode === 'create') {
      if (file) throw systemError('EEXIST', 'open', path);
      file = new SimFile();
      this.#operation('create', path, () => directory.add(name, file!));
    } else if (!file) throw systemError('ENOENT', 'open', path);
    const handle = new SimHandle(this.#disk(path), path, file, mode !== 'read');
    this.#open.add(handle);
    return handle;
  }

  renameSync(from: string, to: string): void {
    const [source, target] = [this.#directory(dirname(normalize(from)), 'rename'), this.#directory(dirname(normalize(to)), 'rename')];
    this.#alive();
    // Atomic across directories it would need a journal of its own here, and nothing renames that way.
    if (source !== target) throw systemError('EXDEV', 'rename', from);
    if (!source.get(basename(from))) throw systemError('ENOENT', 'rename', from);
    this.#operation('rename', `${from} -> ${to}`, () => source.rename(basename(from), basename(to)));
  }

  linkSync(existing: string, path: string): void {
    this.#alive();
    const file = this.#file(existing);
    const directory = this.#directory(dirname(normalize(path)), 'link');
    if (directory.get(basename(path))) throw systemError('EEXIST', 'link', path);
    this.#operation('link', `${existing} -> ${path}`, () => directory.add(basename(path), file));
  }

  unlinkSync(path: string): void {
    this.#alive();
    const directory = this.#directory(dirname(normalize(path)), 'unlink');
    if (!directory.get(basename(path))) throw systemError('ENOENT', 'unlink', path);
    this.#operation('unlink', path, () => directory.remove(basename(path)));
  }

  async unlink(path: string): Promise<void> {
    this.unlinkSync(path);
  }

  existsSync(path: string): boolean {
    this.#alive();
    const normal = normalize(path);
    return this.#directories.has(normal) || this.#directories.get(dirname(normal))?.get(basename(normal)) !== undefined;
  }

  listSync(directory: string): string[] {
    this.#alive();
    const normal = normalize(directory);
    const children = [...this.#directories.keys()].filter((path) => path !== '/' && dirname(path) === normal).map((path) => basename(path));
    return [...this.#directory(directory, 'scandir').names(), ...children].sort();
  }

  /** Durable at once, as the real one makes it. */
  makeDirectorySync(path: string): void {
    this.#alive();
    for (let normal = normalize(join(path, '.')); !this.#directories.has(normal); normal = dirname(normal)) {
      this.#directories.set(normal, new SimDirectory());
    }
  }

  syncDirectorySync(path: string): void {
    const directory = this.#directory(path, 'fsync');
    this.#operation('sync-directory', path, () => undefined);
    directory.sync();
    this.#syncs++;
  }

  async syncDirectory(path: string): Promise<void> {
    this.syncDirectorySync(path);
  }

  lockDirectory(path: string): DirectoryLock {
    this.#alive();
    const normal = normalize(join(path, '.'));
    this.#directory(normal, 'open');
    if (this.#locked.has(normal)) {
      throw new SparrowError('unavailable', 'LOCKED', `${path} is already open in this process`, { path, pid: null });
    }
    this.#locked.add(normal);
    const life = this.#life;
    let held = true;
    return {
      release: () => {
        if (held && life === this.#life) this.#locked.delete(normal);
        held = false;
      },
    };
  }

  // ---- the disk ----

  #disk(path: string): Disk {
    const life = this.#life;
    const alive = (): void => {
      this.#alive();
      if (life !== this.#life) throw new PowerLoss();
    };
    return {
      settle: this.#settle,
      hold: () => this.#slowReads?.scheduler.hold(this.#slowReads.readMs()),
      settleRead: (complete) => {
        if (this.#slowReads) this.#slowReads.scheduler.after(this.#slowReads.readMs(), complete);
        else this.#settle(complete);
      },
      alive,
      dead: () => this.#dead || life !== this.#life,
      names: (file) => [...this.#directories.values()].reduce((sum, directory) => sum + directory.namesOf(file), 0),
      closed: (handle) => {
        this.#open.delete(handle);
      },
      read: (call, body) => {
        alive();
        this.#reads++;
        const fault = this.#fault('read', this.#reads, call);
        if (fault) throw systemError('EIO', call, path);
        const bytes = body();
        this.#bytesRead += bytes;
        return bytes;
      },
      rots: () => this.#faults.length > 0 && this.#silent('rot'),
      lies: () => this.#faults.length > 0 && this.#silent('lie'),
      loses: () => this.#faults.length > 0 && this.#silent('lost'),
      place: (file, position, bytes) =>
        this.#faults.length > 0 && this.#silent('misdirected') ? this.#elsewhere(path, file, position, bytes) : { file, position },
      random: this.random,
      operation: (call, detail, begun, short, bytes) => {
        alive();
        this.#operation(call, `${path} ${detail}`, begun, short, bytes);
      },
      room: (bytes) => {
        if (bytes > 0 && this.#usedBytes() + bytes > this.capacityBytes) throw systemError('ENOSPC', 'write', path);
      },
      written: (bytes) => {
        this.#bytesWritten += bytes;
      },
      synced: () => {
        this.#syncs++;
      },
    };
  }

  /** Counts; `begun` is the effect that programs see at once. Throws when a fault is planned here. */
  #operation(call: string, detail: string, begun: () => void, short?: () => void, bytes?: Uint8Array): void {
    this.#alive();
    this.#operations++;
    this.#observe?.(`${call} ${detail}`, bytes);
    if (this.#traced) this.trace.push(`${this.#operations} ${call} ${detail}`);
    if (this.#operations >= this.#killAt) {
      this.#dead = true;
      begun();
      throw new PowerLoss();
    }
    const fault = this.#fault('operation', this.#operations, call);
    if (!fault) return begun();
    if (this.#traced) this.trace.push(`  fault: ${fault.error}`);
    if (fault.error === 'short') short?.();
    throw systemError(fault.error === 'short' ? 'ENOSPC' : fault.error, call, detail);
  }

  #fault(kind: 'operation' | 'read', number: number, call: string): Fault | undefined {
    const fault = this.#faults.find(({ on = 'operation', at, forGood, error }) => {
      if (isSilent(error)) return false;
      if (on === 'space') return kind === 'operation' && TAKES_SPACE.has(call) && number >= at && (forGood || !this.#spent);
      return on === kind && (at === number || (forGood && number > at));
    });
    if (!fault) return undefined;
    this.#faultsHit++;
    this.#spent = true;
    return fault;
  }

  /** Whether a fault of this kind is due, which nobody is to be told of. */
  #silent(error: Silent): boolean {
    const number = error === 'rot' ? this.#reads : this.#operations;
    const fault = this.#faults.find(
      (each) => each.error === error && number >= each.at && (each.forGood || !this.#spentSilently.has(each)),
    );
    if (!fault) return false;
    this.#spentSilently.add(fault);
    this.#faultsHit++;
    this.#deceits++;
    if (this.#traced) this.trace.push(`  fault: ${error}`);
    return true;
  }

  /** Where a write that loses its way goes: another file, or other sectors. */
  #elsewhere(path: string, file: SimFile, position: number, bytes: number): { file: SimFile; position: number } {
    const others = [...this.#directory(dirname(normalize(path)), 'open').files()].filter((other) => other.bytes >= bytes);
    const target = others.length > 0 && this.random.chance(0.5) ? this.random.pick(others) : file;
    const sectors = Math.ceil(Math.max(target.bytes, bytes) / SECTOR_BYTES);
    const away = (Math.floor(position / SECTOR_BYTES) + 1 + this.random.below(Math.max(1, sectors))) % (sectors + 1);
    return { file: target, position: away * SECTOR_BYTES + (position % SECTOR_BYTES) };
  }

  #usedBytes(): number {
    let used = 0;
    for (const directory of this.#directories.values()) for (const file of directory.files()) used += file.bytes;
    return used;
  }

  #alive(): void {
    if (this.#dead) throw new PowerLoss();
  }

  #directory(path: string, call: string): SimDirectory {
    const directory = this.#directories.get(normalize(join(path, '.')));
    if (!directory) throw systemError('ENOENT', call, path);
    return directory;
  }

  #file(path: string): SimFile {
    const file = this.#directory(dirname(normalize(path)), 'open').get(basename(path));
    if (!file) throw systemError('ENOENT', 'open', path);
    return file;
  }
}

/** What a handle may ask of its disk. */
interface Disk {
  names(file: SimFile): number;
  readonly settle: (complete: () => void) => void;
  readonly hold: () => void;
  readonly settleRead: (complete: () => void) => void;
  alive(): void;
  dead(): boolean;
  closed(handle: SimHandle): void;
  read(call: string, body: () => number): number;
  operation(call: string, detail: string, begun: () => void, short?: () => void, bytes?: Uint8Array): void;
  readonly random: SimRandom;
  rots(): boolean;
  lies(): boolean;
  loses(): boolean;
  place(file: SimFile, position: number, bytes: number): { file: SimFile; position: number };
  room(bytes: number): void;
  written(bytes: number): void;
  synced(): void;
}

class SimHandle implements File {
  readonly path: string;
  readonly #disk: Disk;
  readonly #file: SimFile;
  readonly #writable: boolean;
  #closed = false;
  /** Asynchronous calls that have not settled. */
  #inFlight = 0;

  constructor(disk: Disk, path: string, file: SimFile, writable: boolean) {
    this.path = path;
    this.#disk = disk;
    this.#file = file;
    this.#writable = writable;
  }

  readSync(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    this.#disk.hold();
    return this.#readNow(target, targetOffset, length, position);
  }

  read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number> {
    return this.#later(() => this.#readNow(target, targetOffset, length, position), this.#disk.settleRead);
  }

  #readNow(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    this.#use(false);
    const bytes = this.#disk.read('read', () => this.#file.read(target, targetOffset, length, position));
    if (bytes > 0 && this.#disk.rots()) {
      const { random } = this.#disk;
      target[targetOffset + random.below(bytes)]! ^= 1 << random.below(8);
    }
    return bytes;
  }

  writeSync(source: Uint8Array, sourceOffset: number, length: number, position: number): void {
    this.#use(true);
    if (sourceOffset + length > source.length) throw systemError('ERR_OUT_OF_RANGE', 'write', this.path);
    const bytes = source.slice(sourceOffset, sourceOffset + length);
    const put = (part: Uint8Array): void => {
      this.#disk.room(position + part.length - this.#file.bytes);
      const place = this.#disk.place(this.#file, position, part.length);
      place.file.write(part, place.position);
      if (this.#disk.loses()) place.file.lose(place.position, part.length);
      this.#disk.written(part.length);
    };
    this.#disk.operation(
      'write',
      `${length} at ${position}`,
      () => put(bytes),
      () => put(bytes.subarray(0, length >> 1)),
      bytes,
    );
  }

  writevSync(spans: readonly Uint8Array[], position: number): void {
    const whole = new Uint8Array(spans.reduce((sum, span) => sum + span.length, 0));
    let at = 0;
    for (const span of spans) {
      whole.set(span, at);
      at += span.length;
    }
    this.writeSync(whole, 0, whole.length, position);
  }

  datasyncSync(): void {
    this.#use(true);
    this.#beginSync()();
  }

  datasync(): Promise<void> {
    let finish: () => void;
    try {
      this.#use(true);
      finish = this.#beginSync();
    } catch (error) {
      return Promise.reject(error as Error);
    }
    return this.#later(finish);
  }

  truncateSync(bytes: number): void {
    this.#use(true);
    this.#disk.operation('truncate', `to ${bytes}`, () => {
      this.#disk.room(bytes - this.#file.bytes);
      this.#file.truncate(bytes);
    });
  }

  sizeSync(): number {
    this.#use(false);
    return this.#file.bytes;
  }

  linksSync(): number {
    this.#use(false);
    return this.#disk.names(this.#file);
  }

  /** Never while a call on it is under way, as on a real one. Anything goes on a dead machine: what cleans up after a PowerLoss would not have run there. */
  closeSync(): void {
    if (this.#closed) throw new Error(`a closed file is closed: ${this.path}`);
    if (this.#inFlight > 0 && !this.#disk.dead()) throw new Error(`a file is closed while a call on it is under way: ${this.path}`);
    this.#closed = true;
    this.#disk.closed(this);
  }

  #beginSync(): () => void {
    try {
      this.#disk.operation('datasync', '', () => undefined);
    } catch (error) {
      if (!(error instanceof PowerLoss)) this.#file.drop();
      throw error;
    }
    const pending = this.#disk.lies() ? undefined : this.#file.beginSync();
    return () => {
      this.#disk.alive();
      if (pending) this.#file.finishSync(pending);
      this.#disk.synced();
    };
  }

  #later<T>(body: () => T, settle = this.#disk.settle): Promise<T> {
    this.#inFlight++;
    return new Promise((resolve, reject) => {
      settle(() => {
        this.#inFlight--;
        try {
          resolve(body());
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }

  #use(writing: boolean): void {
    this.#disk.alive();
    if (this.#closed) throw new Error(`a closed file is used: ${this.path}`);
    if (writing && !this.#writable) throw systemError('EBADF', 'write', this.path);
  }
}

function isSilent(error: Fault['error']): error is Silent {
  return SILENT.has(error);
}

function systemError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} ${path} (simulated)`), { code, syscall: call });
}
