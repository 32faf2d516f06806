/**
 * Runs commands on the engine, over a simulated disk and virtual time, beside the model, and compares at every step.
 *
 * After a crash the store must hold the first n batches, whole, for some n between what was acknowledged as durable and what was issued;
 * the model then forgets the rest and both go on; or, under a host's log, the host writes the rest again. Snapshots and iterators do not outlive a
 * crash or a reopening.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  open,
  type Durability,
  type Engine,
  type EngineSettingsInput,
  type HostedEngine,
  type KeyValues,
  type Keyspace,
  type KeyspaceSettings,
  type ReadOptions,
  type ScanOptions,
  type Snapshot,
} from '../../engine/index.ts';
import { type ReadPolicy, RecentReads } from '../../engine/cold-reads/index.ts';
import type { Scheduler } from '../../base/env.ts';
import { type Fault, PowerLoss, SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { drain, SimScheduler } from '../sim/sim-scheduler.ts';
import { Disagreement, entryText, expectEntries, expectSame, expectValue, nameOf } from './agreement.ts';
import { type Command, type DrawnCondition, type DrawnWrite, keyOf, KEYSPACES, type Run, scanOptionsOf } from './commands.ts';
import { type Frozen, Model, type ModelState } from './model.ts';
import { ModelHost } from './model-host.ts';
import { OpenIterator } from './open-iterator.ts';
import { ReadsUnderWay } from './reads-under-way.ts';
import { type Planned, WritePlanner } from './write-plan.ts';

export { Disagreement } from './agreement.ts';

const DIRECTORY = '/data';
const HANDLES_MAX = 4;

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
  /** Compactions that were run in parts. */
  parted: number;
  crashes: number;
  /** Crashes that took batches away. */
  losses: number;
  pointers: number;
  /** Block files that compaction made, and manifests begun anew, in lives that ended without a crash. */
  relocations: number;
  rolls: number;
  /** Reads of values that had expired. */
  expired: number;
  increments: number;
  rangeDeletes: number;
  drops: number;
  /** Times that a keyspace was found with settings of its own, in a store that was opened again. */
  settingsKept: number;
  /** Batches that were refused: a condition did not hold, or a value was no counter. */
  refusals: number;
  seeks: number;
  /** Reads of files that asynchronous verbs waited for. */
  awayReads: number;
  /** Asynchronous reads that were on their way while the next command ran. */
  readsBeside: number;
  /** Batches that a host has written again. */
  repeated: number;
}

export const NOTHING_REACHED: Readonly<Reached> = {
  flushes: 0,
  compactions: 0,
  parted: 0,
  crashes: 0,
  losses: 0,
  pointers: 0,
  relocations: 0,
  rolls: 0,
  expired: 0,
  increments: 0,
  rangeDeletes: 0,
  drops: 0,
  settingsKept: 0,
  refusals: 0,
  seeks: 0,
  awayReads: 0,
  readsBeside: 0,
  repeated: 0,
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
  /** The sequence at which the engine was found. */
  #found = 0;
  #life: Life = { over: false };
  /** Keyspaces that have been opened in this life of the store; the default one is the engine. */
  #stores: (KeyValues | undefined)[] = [];
  readonly #planner = new WritePlanner(this.model, this.#clock);
  /** Batches that are durable against power loss, and against the death of the process. */
  #synced = 0;
  #inSystem = 0;
  /** Of each keyspace, settings that are durable. Those of the planner may be on their way. */
  readonly #settingsKept: (KeyspaceSettings | undefined)[] = [];
  readonly #pending = new Set<Promise<void>>();
  #refused: unknown;
  #snapshots: { snapshot: Snapshot; frozen: Frozen }[] = [];
  #iterators: OpenIterator[] = [];
  #reads: ReadsUnderWay;
  readonly #random: SimRandom;
  /** Of an engine without a log. */
  readonly #host: ModelHost | undefined;

  constructor(run: Run, trouble: Trouble = {}) {
    this.#run = run;
    this.#powerLosses = [...(trouble.powerLosses ?? [])];
    this.#fault = trouble.fault;
    this.#random = new SimRandom(run.seed ^ 0x4ead);
    this.#reads = this.#newReads();
    const random = new SimRandom(run.seed ^ 0x5eed);
    const settle = (complete: () => void): void => void this.#scheduler.after(random.below(4), complete);
    this.fs = new SimFileSystem({ seed: run.seed, settle });
    this.#host = run.hosted ? new ModelHost(this.fs) : undefined;
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
    this.#reads.check();
    if (this.#reads.count > 0) this.reached.readsBeside++;
    switch (command.type) {
      case 'write':
        return this.#write(command.writes, command.durability, command.awaited, command.conditions);
      case 'fill': {
        const { from, count, bytes, keyspace, ttl } = command;
        for (let i = 0; i < count; i++) await this.#write([{ key: from + i, bytes, keyspace, ttl }], 'buffered', false);
        return;
      }
      case 'get':
        await this.#store(command.keyspace);
        this.#reads.points(this.#stores[command.keyspace ?? 0]!, command.keyspace ?? 0, command.keys.map(keyOf), this.model, {});
        if (this.#random.chance(0.5)) this.#compareGets(command.keys, command.keyspace, this.model, {});
        return this.#perhapsWait();
      case 'scan': {
        await this.#store(command.keyspace);
        const options = scanOptionsOf(command.scan);
        this.#reads.scan(this.#stores[command.keyspace ?? 0]!, command.keyspace ?? 0, this.model, options);
        if (this.#random.chance(0.5)) this.#compareScan(options, command.keyspace, this.model);
        return this.#perhapsWait();
      }
      case 'snapshot':
        if (this.#snapshots.length < HANDLES_MAX) this.#snapshots.push({ snapshot: this.#engine.snapshot(), frozen: this.model.freeze() });
        return;
      case 'readSnapshot':
        await this.#store(command.keyspace);
        this.#readSnapshot(command.which, command.keys, scanOptionsOf(command.scan), command.keyspace);
        return this.#perhapsWait();
      case 'releaseSnapshot':
        this.#snapshots.splice(command.which, 1)[0]?.snapshot.release();
        return;
      case 'openIterator':
        await this.#store(command.keyspace);
        if (this.#iterators.length < HANDLES_MAX) this.#openIterator(scanOptionsOf(command.scan), command.keyspace, command.seeks === true);
        return;
      case 'advanceIterator':
        return this.#advanceIterator(command.which, command.count, command.to);
      case 'pass':
        return this.#scheduler.advance(command.ms);
      case 'settings':
        this.#planner.settings[command.keyspace] = command.settings;
        await this.#openKeyspace(command.keyspace);
        return;
      case 'drop':
        return this.#drop(command.keyspace);
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

  async #write(
    drawn: readonly DrawnWrite[],
    durability: Durability,
    awaited: boolean,
    conditions: readonly DrawnCondition[] = [],
  ): Promise<void> {
    for (const { keyspace } of [...drawn, ...conditions]) await this.#store(keyspace);
    const planned = this.#planner.plan(drawn, conditions, (keyspace) => this.#stores[keyspace]!);
    if (planned.refusal !== undefined) return this.#refusal(planned, durability);
    const sequence = this.model.sequence + 1;
    // In the model first: whatever happens during the call, the batch has been issued.
    this.model.apply(planned.writes);
    for (const { by, to } of drawn)
      this.reached[by !== undefined ? 'increments' : 'rangeDeletes'] += by !== undefined || to !== undefined ? 1 : 0;
    const acknowledged = this.#issue(planned, durability, sequence).then(() => {
      // What a dead machine says nobody hears.
      if (this.fs.dead || this.#host) return;
      if (durability === 'synced') this.#synced = Math.max(this.#synced, sequence);
      if (durability !== 'buffered') this.#inSystem = Math.max(this.#inSystem, sequence);
    });
    await this.#follow(acknowledged, awaited);
  }

  async #issue(planned: Planned, durability: Durability, sequence: number): Promise<void> {
    const { call, counters } = planned;
    if (call && !this.#host) return call({ durability });
    const result = await this.#writeBatch(planned, durability, sequence);
    expectSame('sequence of a batch', result.sequence, sequence);
    expectSame('counters of a batch', result.counters.join(' '), counters.join(' '));
  }

  #writeBatch({ operations, conditions }: Planned, durability: Durability, sequence: number): ReturnType<Engine['write']> {
    if (this.#host === undefined) return this.#engine.write(operations, { durability, conditions });
    return this.#engine.write(this.#host.logged(operations), { conditions, sequence });
  }

  /** A batch that must be refused, and change nothing. */
  async #refusal(planned: Planned, durability: Durability): Promise<void> {
    const { call, refusal } = planned;
    const wanted = `refused: ${refusal}`;
    const writing =
      call && !this.#host ? call({ durability }) : this.#writeBatch(planned, durability, this.model.sequence + 1).then(() => undefined);
    let found = 'accepted';
    try {
      await this.#until(writing);
    } catch (error) {
      const { code, index } = error as { code?: string; index?: number };
      found = `refused: ${code}${index === undefined ? '' : ` ${index}`}`;
      if (found !== wanted) throw error;
    }
    expectSame('a batch', found, wanted);
    this.reached.refusals++;
  }

  async #follow(acknowledged: Promise<void>, awaited: boolean): Promise<void> {
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

  // ---- keyspaces ----

  async #store(keyspace = 0): Promise<KeyValues> {
    return this.#stores[keyspace] ?? this.#openKeyspace(keyspace);
  }

  async #openKeyspace(keyspace: number): Promise<KeyValues> {
    const settings = this.#planner.settings[keyspace] ?? {};
    const opened = await this.#until(this.#engine.keyspace(keyspaceName(keyspace), settings));
    // What a dead machine says nobody hears: settings given after it would pass for those that were on their way.
    if (this.fs.dead) throw new PowerLoss();
    this.#stores[keyspace] = opened;
    this.#settingsKept[keyspace] = settings;
    return opened;
  }

  /** A store that was opened again has the settings that were durable, or those that were being altered to. */
  #compareSettings(): void {
    const { keyspaceSettings } = this.#engine.metrics();
    for (let keyspace = 1; keyspace < KEYSPACES; keyspace++) {
      const name = keyspaceName(keyspace);
      if (!this.#engine.keyspaces().includes(name)) continue;
      const found = keyspaceSettings[name] ?? {};
      const given = this.#planner.settings[keyspace] ?? {};
      const kept = this.#settingsKept[keyspace] ?? given;
      if (!isDeepStrictEqual(found, kept) && !isDeepStrictEqual(found, given))
        expectSame(`settings of keyspace ${name}`, JSON.stringify(found), JSON.stringify(kept));
      this.#settingsKept[keyspace] = found;
      if (Object.keys(found).length > 0) this.reached.settingsKept++;
    }
  }

  async #drop(keyspace: number): Promise<void> {
    if (!this.#engine.keyspaces().includes(keyspaceName(keyspace))) return;
    const store = (await this.#store(keyspace)) as Keyspace;
    const sequence = this.model.sequence + 1;
    this.model.apply([{ keyspace, key: new Uint8Array(0), value: undefined, end: null }]);
    this.#stores[keyspace] = undefined;
    // A keyspace of that name is another one from now on, at older snapshots too.
    for (const { frozen } of this.#snapshots) frozen.clear(keyspace);
    this.reached.drops++;
    const dropped = store.drop(this.#host ? { sequence } : {}).then(() => {
      if (this.fs.dead) return;
      this.#synced = Math.max(this.#synced, sequence);
      this.#inSystem = Math.max(this.#inSystem, sequence);
    });
    await this.#follow(dropped, true);
  }

  async #durable(done: Promise<void>): Promise<void> {
    const { sequence } = this.model;
    await this.#until(done);
    if (this.fs.dead) throw new PowerLoss();
    this.#synced = Math.max(this.#synced, sequence);
    this.#inSystem = Math.max(this.#inSystem, sequence);
  }

  // ---- reads ----

  #compareGets(keys: readonly number[], keyspace = 0, expected: ModelState, options: ReadOptions): void {
    const store = this.#stores[keyspace]!;
    const nowMs = this.#clock.wallMs();
    const bytes = keys.map(keyOf);
    const many = store.getManySync(bytes, options);
    bytes.forEach((key, i) => {
      const wanted = expected.get(keyspace, key, nowMs);
      if (wanted === undefined && expected.get(keyspace, key, -Infinity)) this.reached.expired++;
      expectValue(key, store.getSync(key, options), wanted?.value);
      expectValue(key, many[i], wanted?.value);
      const entry = store.getEntrySync(key, options);
      expectValue(key, entry?.value, wanted?.value);
      const what = (fact: string): string => `key ${nameOf(key)}, ${fact}`;
      if (entry?.version !== wanted?.version) expectSame(what('version'), entry?.version, wanted?.version);
      if (entry?.expiresAtMs !== wanted?.expiresAtMs) expectSame(what('expiry'), entry?.expiresAtMs, wanted?.expiresAtMs);
      if (store.hasSync(key, options) !== (wanted !== undefined))
        expectSame(what('whether it is there'), wanted === undefined, wanted !== undefined);
    });
  }

  #compareScan(options: ScanOptions, keyspace = 0, expected: ModelState): void {
    const found = [...this.#stores[keyspace]!.scanSync(options)].map(entryText);
    expectEntries(options, found, expected.scan(keyspace, options, this.#clock.wallMs()));
  }

  async #compareAll(): Promise<void> {
    expectSame('sequence', this.#engine.sequence, this.model.sequence);
    const names = this.#engine.keyspaces();
    for (let keyspace = 0; keyspace < KEYSPACES; keyspace++) {
      if (keyspace > 0 && !names.includes(keyspaceName(keyspace))) {
        expectSame('entries of a keyspace that is not there', 0, this.model.entries(keyspace).length);
        continue;
      }
      await this.#store(keyspace);
      this.#compareScan({}, keyspace, this.model);
      this.#compareScan({ reverse: true, keysOnly: true }, keyspace, this.model);
      this.#compareGets(keyspace === 0 ? ALL_KEYS : SOME_KEYS, keyspace, this.model, {});
    }
  }

  #newReads(): ReadsUnderWay {
    const mayFail = (error: unknown): boolean => {
      const { code } = error as { code?: unknown };
      // A scan is not waited for by close, a keyspace may be dropped, and where the disk is to fail it does.
      return code === 'ENGINE_CLOSED' || code === 'KEYSPACE_DROPPED' || (this.#fault !== undefined && this.fs.faultsHit > 0);
    };
    return new ReadsUnderWay(() => this.#clock.wallMs(), mayFail);
  }

  /** For asynchronous reads, or they go on beside what comes next. */
  async #perhapsWait(): Promise<void> {
    if (this.#random.chance(0.5)) await this.#until(this.#reads.settled());
  }

  #readSnapshot(which: number, keys: readonly number[], options: ScanOptions, keyspace = 0): void {
    const held = this.#snapshots[which];
    if (!held) return;
    const { snapshot, frozen } = held;
    expectSame('sequence of a snapshot', snapshot.sequence, frozen.sequence);
    this.#reads.points(this.#stores[keyspace]!, keyspace, keys.map(keyOf), frozen, { snapshot });
    this.#reads.scan(this.#stores[keyspace]!, keyspace, frozen, { ...options, snapshot });
    this.#compareGets(keys, keyspace, frozen, { snapshot });
    this.#compareScan({ ...options, snapshot }, keyspace, frozen);
  }

  #openIterator(options: ScanOptions, keyspace = 0, seeks: boolean): void {
    const store = this.#stores[keyspace]!;
    const iterator = seeks ? store.iterator(options) : store.scanSync(options);
    this.#iterators.push(new OpenIterator(iterator, options, this.model.entries(keyspace, options), this.#clock.wallMs()));
  }

  #advanceIterator(which: number, count: number, to: number | undefined): void {
    const iterator = this.#iterators[which];
    if (!iterator) return;
    if (to !== undefined && iterator.seek(keyOf(to))) this.reached.seeks++;
    if (!iterator.take(count, this.#clock.wallMs())) return;
    iterator.close();
    this.#iterators.splice(which, 1);
  }

  // ---- life ----

  async #open(): Promise<void> {
    this.#life = { over: false };
    const scheduler = lifelong(this.#scheduler, this.#life);
    const readPolicy = this.#readPolicy();
    const components = { fileSystem: this.fs, scheduler, clock: this.#clock, readPolicy };
    const opening: Promise<Engine> = this.#host
      ? open(DIRECTORY, withoutLog(this.#run.settings), { ...components, hosted: this.#host.log.hosted })
      : open(DIRECTORY, this.#run.settings, components);
    this.#engine = await this.#until(opening);
    this.#found = this.#engine.sequence;
    this.#reads = this.#newReads();
    this.#stores = [this.#engine];
    this.#compareSettings();
    this.#engine.events.on('compaction-ended', ({ parts }) => {
      if (parts > 1) this.reached.parted++;
    });
    await this.#catchUp();
  }

  /** A host writes again what the engine was found without. */
  async #catchUp(): Promise<void> {
    if (this.#host === undefined) return;
    const before = this.#host.repeated;
    await this.#host.catchUp(this.#engine as HostedEngine, this.model, {
      storeOf: (keyspace) => this.#store(keyspace),
      dropped: (keyspace) => (this.#stores[keyspace] = undefined),
      until: (promise) => this.#until(promise),
    });
    this.reached.repeated += this.#host.repeated - before;
  }

  /** Of three runs, one has every read of a file wait for the disk, and one some of them. */
  #readPolicy(): () => ReadPolicy {
    if (this.#run.seed % 3 === 0) return () => new RecentReads(this.#clock);
    const share = this.#run.seed % 3 === 1 ? 1 : 0.5;
    return () => ({ choose: () => (this.#random.chance(share) ? 'away' : 'here'), took: () => undefined });
  }

  async #close(): Promise<void> {
    const { flushes, compactions, values, reads } = this.#engine.metrics();
    this.reached.awayReads += reads.awayReads;
    this.reached.flushes += flushes.count;
    this.reached.compactions += compactions.count;
    this.reached.pointers += values.liveBytes > 0 ? 1 : 0;
    const names = this.fs.listSync(DIRECTORY);
    this.reached.relocations += names.filter((each) => each.endsWith('.block')).length;
    this.reached.rolls += names.some((each) => /^MANIFEST-0*[^01]/.test(each)) ? 1 : 0;
    this.#dropHandles();
    await this.#until(this.#engine.close());
    // All have been answered, or refused.
    await drain();
    this.#host?.log.close();
    this.#reads.check();
    expectSame('reads after closing', this.#reads.count, 0);
    // A store that only had to close its files does not notice.
    if (this.fs.dead) throw new PowerLoss();
    expectSame('files left open', this.fs.openFiles.join(' '), '');
  }

  async #reopen(): Promise<void> {
    await this.#close();
    // What was written reaches the system when the engine closes.
    if (!this.#host) this.#inSystem = this.model.sequence;
    await this.#open();
    await this.#compareAll();
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
    this.#reads.abandon();
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
      this.#life.over = true;
      this.#host?.log.recover();
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
    const sequence = this.#found;
    const floor = processOnly ? this.#inSystem : this.#synced;
    if (sequence < floor || sequence > this.model.sequence) {
      throw new Disagreement(`after a crash (${mode}) the store is at ${sequence}; durable were ${floor}, issued ${this.model.sequence}`);
    }
    this.reached.crashes++;
    if (sequence < this.model.sequence) this.reached.losses++;
    // A host has written again what was lost.
    if (!this.#host) this.model.truncate(sequence);
    // What is there after power loss is on the disk.
    if (powerLost) this.#synced = sequence;
    this.#inSystem = sequence;
    await this.#compareAll();
  }

  #dropHandles(): void {
    for (const { snapshot } of this.#snapshots) snapshot.release();
    for (const iterator of this.#iterators) iterator.close();
    this.#snapshots = [];
    this.#iterators = [];
  }

  #until<T>(promise: Promise<T>): Promise<T> {
    return this.#scheduler.until(promise);
  }
}

/** A process: its timers end with it. */
interface Life {
  over: boolean;
}

function lifelong(scheduler: SimScheduler, life: Life): Scheduler {
  const unlessOver = (task: () => void) => (): void => {
    if (!life.over) task();
  };
  return {
    after: (delayMs, task, background) => scheduler.after(delayMs, unlessOver(task), background),
    soon: (task) => scheduler.soon(unlessOver(task)),
  };
}

/** Of a log, which such an engine does not have. */
function withoutLog(settings: EngineSettingsInput): EngineSettingsInput {
  const { segmentBytes: _, callerSyncMs: _calls, ...others } = settings;
  return others;
}

const ALL_KEYS: readonly number[] = [...Array(80).keys()];
const SOME_KEYS: readonly number[] = ALL_KEYS.filter((number) => number % 5 < 2);

function keyspaceName(keyspace: number): string {
  return `keyspace ${keyspace}`;
}
