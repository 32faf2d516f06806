/**
 * Runs commands on the engine, over a simulated disk and virtual time, beside the model, and compares at every step.
 *
 * After a crash the store must hold the first n batches, whole, for some n between what was acknowledged as durable and what was issued;
 * the model then forgets the rest and both go on. Snapshots and iterators do not outlive a crash or a reopening.
 */
import { open, type Durability, type Engine, type Entry, type ReadOptions, type ScanOptions, type Snapshot } from '../../engine/index.ts';
import { type Fault, PowerLoss, SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { drain, SimScheduler } from '../sim/sim-scheduler.ts';
import { keyOf, scanOptionsOf, valueOf, type Command, type DrawnWrite, type Run } from './commands.ts';
import { type Frozen, latin1, Model, type ModelWrite } from './model.ts';

const DIRECTORY = '/data';

export class Disagreement extends Error {}

interface OpenIterator {
  readonly entries: IterableIterator<Entry>;
  readonly expected: [string, string][];
  at: number;
}

/** How a life of the store ends: power loss, or the death of the process alone. */
export type End = CrashMode | 'process';

/** Trouble that is planned beside the commands. */
export interface Trouble {
  /** Power is lost at these operations, counted from the recovery before; what is left of each is as its mode says. */
  readonly powerLosses?: readonly { readonly after: number; readonly mode: End }[];
  /** The disk fails once; whatever call learns of it, the process then dies and the store is opened again. */
  readonly fault?: Fault;
}

/** What a run reached: a test of the test. */
export interface Reached {
  flushes: number;
  compactions: number;
  crashes: number;
  /** Crashes that took batches away. */
  losses: number;
  pointers: number;
  /** Block files that compaction made, and manifests begun anew, in lives that ended without a crash. */
  relocations: number;
  rolls: number;
}

export const NOTHING_REACHED: Readonly<Reached> = {
  flushes: 0,
  compactions: 0,
  crashes: 0,
  losses: 0,
  pointers: 0,
  relocations: 0,
  rolls: 0,
};

export class Interpreter {
  readonly fs: SimFileSystem;
  readonly model: Model = new Model();
  readonly reached: Reached = { ...NOTHING_REACHED };
  readonly #run: Run;
  readonly #fault: Fault | undefined;
  readonly #powerLosses: { readonly after: number; readonly mode: End }[];
  readonly #scheduler = new SimScheduler();
  readonly #clock = new SimClock(this.#scheduler);
  #engine!: Engine;
  /** Batches that are durable against power loss, and against the death of the process. */
  #synced = 0;
  #inSystem = 0;
  #stamp = 0;
  readonly #pending = new Set<Promise<void>>();
  #refused: unknown;
  #snapshots: { snapshot: Snapshot; frozen: Frozen }[] = [];
  #iterators: OpenIterator[] = [];

  constructor(run: Run, trouble: Trouble = {}) {
    this.#run = run;
    this.#powerLosses = [...(trouble.powerLosses ?? [])];
    this.#fault = trouble.fault;
    const random = new SimRandom(run.seed ^ 0x5eed);
    const settle = (complete: () => void): void => void this.#scheduler.after(random.below(4), complete);
    this.fs = new SimFileSystem({ seed: run.seed, settle });
  }

  /** Runs everything, then closes, opens again and compares all. */
  async run(): Promise<Reached> {
    this.fs.makeDirectorySync(DIRECTORY);
    if (this.#fault) this.fs.failAt(this.#fault);
    this.#planPowerLoss();
    await this.#survive(() => this.#open());
    for (const command of this.#run.commands) await this.#survive(() => this.#do(command));
    await this.#survive(() => this.#reopen());
    await this.#survive(() => this.#close());
    return this.reached;
  }

  /** Does something; recovers when the machine or, where one was planned, the disk failed. */
  async #survive(something: () => Promise<void>): Promise<void> {
    try {
      await something();
    } catch (error) {
      const failed = this.fs.dead || (this.#fault !== undefined && this.fs.faultsHit > 0);
      // On a dead machine nothing has to agree: what ran on was cut off from its disk.
      if (!failed || (error instanceof Disagreement && !this.fs.dead)) throw error;
      await this.#recover(this.#mode());
    }
  }

  /** Recovers, again when power is lost while the recovered store is looked at. */
  async #recover(end: End): Promise<void> {
    for (let next: End | undefined = end; next;) {
      const life: End = next;
      next = undefined;
      try {
        await this.#recoverOnce(life);
      } catch (error) {
        if (!this.fs.dead) throw error;
        next = this.#mode();
      }
    }
  }

  #planPowerLoss(): void {
    const next = this.#powerLosses[0];
    if (next) this.fs.killAt(this.fs.operations + 1 + next.after);
  }

  /** What the power loss that is under way leaves. */
  #mode(): End {
    return (this.fs.dead && this.#powerLosses.shift()?.mode) || 'random';
  }

  async #do(command: Command): Promise<void> {
    switch (command.type) {
      case 'write':
        return this.#write(command.writes, command.durability, command.awaited);
      case 'fill':
        for (let i = 0; i < command.count; i++) await this.#write([{ key: command.from + i, bytes: command.bytes }], 'buffered', false);
        return;
      case 'get':
        return this.#compareGets(command.keys, this.model, {});
      case 'scan':
        return this.#compareScan(scanOptionsOf(command.scan), this.model);
      case 'snapshot':
        if (this.#snapshots.length < 4) this.#snapshots.push({ snapshot: this.#engine.snapshot(), frozen: this.model.freeze() });
        return;
      case 'readSnapshot':
        return this.#readSnapshot(command.which, command.keys, scanOptionsOf(command.scan));
      case 'releaseSnapshot':
        this.#snapshots.splice(command.which, 1)[0]?.snapshot.release();
        return;
      case 'openIterator':
        if (this.#iterators.length < 4) this.#openIterator(scanOptionsOf(command.scan));
        return;
      case 'advanceIterator':
        return this.#advanceIterator(command.which, command.count);
      case 'flush':
        return this.#durable(this.#engine.flush());
      case 'sync':
        return this.#durable(this.#engine.sync());
      case 'settle':
        return this.#until(this.#engine.settled());
      case 'wait':
        return this.#until(Promise.all(this.#pending).then(() => undefined));
      case 'reopen':
        return this.#reopen();
      case 'crash':
        return this.#crash(command.mode, command.after);
    }
  }

  // ---- writes ----

  async #write(drawn: readonly DrawnWrite[], durability: Durability, awaited: boolean): Promise<void> {
    const writes = drawn.map(({ key, bytes, to }): ModelWrite => {
      if (to !== undefined) {
        const [first, end] = [keyOf(key), keyOf(to)].toSorted((a, b) => Buffer.compare(a, b));
        // A range without keys would be no batch.
        const behind = Buffer.compare(first!, end!) === 0 ? Buffer.concat([end!, Buffer.alloc(1)]) : end!;
        return { key: first!, value: undefined, end: behind };
      }
      const value = bytes === undefined ? undefined : valueOf(++this.#stamp, bytes);
      return { key: keyOf(key), value };
    });
    const sequence = this.model.sequence + 1;
    // In the model first: whatever happens during the call, the batch has been issued.
    this.model.apply(writes);
    const acknowledged = this.#issue(writes, durability).then(() => {
      // What a dead machine says nobody hears.
      if (this.fs.dead) return;
      if (durability === 'synced') this.#synced = Math.max(this.#synced, sequence);
      if (durability !== 'buffered') this.#inSystem = Math.max(this.#inSystem, sequence);
    });
    const pending = acknowledged.finally(() => this.#pending.delete(pending));
    // Who does not wait is not told.
    pending.catch((error: unknown) => {
      this.#refused ??= error;
    });
    this.#pending.add(pending);
    if (awaited) await this.#until(pending);
    if (!this.#fault) return;
    // A failing disk may refuse a batch, which then was not issued: nothing may be issued behind it.
    await drain();
    if (this.#refused) throw this.#refused;
  }

  async #issue(writes: readonly ModelWrite[], durability: Durability): Promise<void> {
    const [first] = writes;
    const single = writes.length === 1 ? first : undefined;
    if (single?.value !== undefined) return this.#engine.put(single.key, single.value, { durability });
    if (single?.end) return this.#engine.deleteRange({ gte: single.key, lt: single.end }, { durability });
    if (single) return this.#engine.delete(single.key, { durability });
    const sequence = this.model.sequence;
    const batch = writes.map(({ key, value, end }) => {
      if (end) return { type: 'deleteRange' as const, gte: key, lt: end };
      return value === undefined ? { type: 'delete' as const, key } : { type: 'put' as const, key, value };
    });
    const result = await this.#engine.write(batch, { durability });
    expectSame('sequence of a batch', result.sequence, sequence);
  }

  async #durable(done: Promise<void>): Promise<void> {
    const { sequence } = this.model;
    await this.#until(done);
    if (this.fs.dead) throw new PowerLoss();
    this.#synced = Math.max(this.#synced, sequence);
    this.#inSystem = Math.max(this.#inSystem, sequence);
  }

  // ---- reads ----

  #compareGets(keys: readonly number[], expected: Model | Frozen, options: ReadOptions): void {
    const bytes = keys.map(keyOf);
    const many = this.#engine.getManySync(bytes, options);
    bytes.forEach((key, i) => {
      const wanted = expected.get(key);
      expectValue(key, this.#engine.getSync(key, options), wanted?.value);
      expectValue(key, many[i], wanted?.value);
      const entry = this.#engine.getEntrySync(key, options);
      expectValue(key, entry?.value, wanted?.value);
      if (entry?.version !== wanted?.version) expectSame(`key ${name(key)}, version`, entry?.version, wanted?.version);
    });
  }

  #compareScan(options: ScanOptions, expected: Model | Frozen): void {
    compareEntries(options, [...this.#engine.scanSync(options)].map(entryText), expected.scan(options));
  }

  #compareAll(): void {
    expectSame('sequence', this.#engine.sequence, this.model.sequence);
    this.#compareScan({}, this.model);
    this.#compareScan({ reverse: true, keysOnly: true }, this.model);
    this.#compareGets([...Array(80).keys()], this.model, {});
  }

  #readSnapshot(which: number, keys: readonly number[], options: ScanOptions): void {
    const held = this.#snapshots[which];
    if (!held) return;
    const { snapshot, frozen } = held;
    expectSame('sequence of a snapshot', snapshot.sequence, frozen.sequence);
    this.#compareGets(keys, frozen, { snapshot });
    this.#compareScan({ ...options, snapshot }, frozen);
  }

  #openIterator(options: ScanOptions): void {
    this.#iterators.push({ entries: this.#engine.scanSync(options), expected: this.model.scan(options), at: 0 });
  }

  #advanceIterator(which: number, count: number): void {
    const iterator = this.#iterators[which];
    if (!iterator) return;
    for (let i = 0; i < count; i++) {
      const next = iterator.entries.next();
      const wanted = iterator.expected[iterator.at++];
      expectSame('an iterator opened earlier', next.done ? 'end' : show(entryText(next.value)), wanted ? show(wanted) : 'end');
      if (!next.done) continue;
      this.#iterators.splice(which, 1);
      return;
    }
  }

  // ---- life ----

  async #open(): Promise<void> {
    this.#engine = await this.#until(
      open(DIRECTORY, this.#run.settings, { fileSystem: this.fs, scheduler: this.#scheduler, clock: this.#clock }),
    );
  }

  async #close(): Promise<void> {
    const { flushes, compactions, values } = this.#engine.metrics();
    this.reached.flushes += flushes.count;
    this.reached.compactions += compactions.count;
    this.reached.pointers += values.liveBytes > 0 ? 1 : 0;
    const names = this.fs.listSync(DIRECTORY);
    this.reached.relocations += names.filter((each) => each.endsWith('.block')).length;
    this.reached.rolls += names.some((each) => /^MANIFEST-0*[^01]/.test(each)) ? 1 : 0;
    this.#dropHandles();
    await this.#until(this.#engine.close());
    // A store that only had to close its files does not notice.
    if (this.fs.dead) throw new PowerLoss();
    expectSame('files left open', this.fs.openFiles.join(' '), '');
  }

  async #reopen(): Promise<void> {
    await this.#close();
    // What was written reaches the system when the engine closes.
    this.#inSystem = this.model.sequence;
    await this.#open();
    this.#compareAll();
  }

  /** Power goes `after` operations from now, or when nothing more happens by itself. */
  async #crash(mode: End, after: number): Promise<void> {
    this.fs.killAt(this.fs.operations + 1 + after);
    try {
      await this.#write([{ key: after, bytes: 10 * after }], 'synced', true);
      await this.#until(this.#engine.flush());
      await this.#until(this.#engine.settled());
    } catch (error) {
      if (!this.fs.dead) throw error;
    }
    await this.#recover(mode);
  }

  async #recoverOnce(mode: End): Promise<void> {
    this.#iterators = [];
    this.#snapshots = [];
    this.#refused = undefined;
    let [processOnly, powerLost] = [true, false];
    for (let next: End | undefined = mode; next;) {
      processOnly &&= next === 'all' || next === 'process';
      powerLost ||= next !== 'process';
      if (next === 'process') this.fs.endProcess();
      else this.fs.crash(next);
      // What was under way learns that the machine is gone before the next life begins.
      await this.#scheduler.runDry();
      this.#pending.clear();
      this.#refused = undefined;
      this.#planPowerLoss();
      next = undefined;
      try {
        await this.#open();
      } catch (error) {
        if (!this.fs.dead) throw error;
        // Again, while it was recovering.
        next = this.#mode();
      }
    }
    const { sequence } = this.#engine;
    const floor = processOnly ? this.#inSystem : this.#synced;
    if (sequence < floor || sequence > this.model.sequence) {
      throw new Disagreement(`after a crash (${mode}) the store is at ${sequence}; durable were ${floor}, issued ${this.model.sequence}`);
    }
    this.reached.crashes++;
    if (sequence < this.model.sequence) this.reached.losses++;
    this.model.truncate(sequence);
    // What is there after power loss is on the disk.
    if (powerLost) this.#synced = sequence;
    this.#inSystem = sequence;
    this.#compareAll();
  }

  #dropHandles(): void {
    for (const { snapshot } of this.#snapshots) snapshot.release();
    for (const { entries } of this.#iterators) entries.return?.();
    this.#snapshots = [];
    this.#iterators = [];
  }

  #until<T>(promise: Promise<T>): Promise<T> {
    return this.#scheduler.until(promise);
  }
}

function compareEntries(options: ScanOptions, found: readonly [string, string][], wanted: readonly [string, string][]): void {
  const what = `scan ${JSON.stringify({ ...options, snapshot: options.snapshot?.sequence })}`;
  for (let i = 0; i < Math.max(found.length, wanted.length); i++) {
    const [has, should] = [found[i], wanted[i]];
    if (has && should && has[0] === should[0] && has[1] === should[1]) continue;
    expectSame(`${what}, entry ${i}`, has ? show(has) : 'end', should ? show(should) : 'end');
  }
}

function entryText([key, value]: Entry): [string, string] {
  return [latin1(key), latin1(value)];
}

function show([key, value]: [string, string]): string {
  return `${name(key)} = ${value.length > 60 ? `${value.slice(0, 40)}... ${value.length} ${hash(value)}` : JSON.stringify(value)}`;
}

function expectValue(key: Uint8Array, found: Uint8Array | undefined, wanted: Uint8Array | undefined): void {
  if (found === wanted || (found && wanted && Buffer.compare(found, wanted) === 0)) return;
  throw new Disagreement(`key ${name(key)}: found ${String(describe(found))}, expected ${String(describe(wanted))}`);
}

function describe(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : show(['', latin1(value)]);
}

function name(key: Uint8Array | string): string {
  const text = latin1(key);
  return text.length > 30 ? `${text.slice(0, 10)}...${text.slice(-10)}` : JSON.stringify(text);
}

function hash(text: string): number {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) | 0;
  return sum >>> 0;
}

function expectSame(what: string, found: unknown, wanted: unknown): void {
  if (!Object.is(found, wanted)) throw new Disagreement(`${what}: found ${String(found)}, expected ${String(wanted)}`);
}
