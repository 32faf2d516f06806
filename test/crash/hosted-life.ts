/**
 * A short life of an engine under a host's log that passes everything a crash could fall into: links, flushes, the manifest's edits, links that go with their
 * tables or as nobody needs them, values that move out of a segment, segments that the log drops. The host keeps its batches and writes again
 * what the engine has lost; values of batches that the log had not synced come from elsewhere then, and lie in another segment.
 */
import { type EngineSettingsInput, type HostedEngine, type HostedOperation, open } from '../../engine/index.ts';
import { HostLog, valueOf } from '../engine/hosted/host-log.ts';
import { type Fault, PowerLoss, SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { SimScheduler } from '../sim/sim-scheduler.ts';

const SETTINGS: EngineSettingsInput = {
  inlineThreshold: 256,
  memtableBytes: 64 * 1024,
  tableBytes: 64 * 1024,
  level0Compact: 2,
  level1Bytes: 256 * 1024,
  levelRatio: 2,
  garbageRatio: 0.05,
  manifestBytes: 512,
  pageCacheBytes: 1024 * 1024,
  valueCacheBytes: 0,
  memoryBytes: 64 * 1024 * 1024,
  maxBatchBytes: 8 * 1024 * 1024,
  maxValueBytes: 1024 * 1024,
};

/** Keys to values, of a batch; undefined: a delete. */
type Batch = readonly { readonly key: string; readonly bytes: number | undefined; readonly stamp: number }[];

export interface HostedTrouble {
  /** Power is lost at this operation, and again at that one of the life after. */
  readonly loss?: { readonly at: number; readonly mode: CrashMode; readonly again?: number };
  /** The disk fails; the process ends and the store is opened again. */
  readonly fault?: Fault;
}

export interface HostedLife {
  readonly operations: number;
  readonly crashes: number;
  /** Batches that were written again. */
  readonly repeated: number;
  /** Most links at a time, and values moved by relocation or garbage collection. */
  readonly links: number;
  readonly blocks: number;
}

class Wrong extends Error {}

export async function liveHosted(seed: number, trouble: HostedTrouble = {}): Promise<HostedLife> {
  return new Life(seed, trouble).run();
}

class Life {
  readonly #fs: SimFileSystem;
  readonly #scheduler = new SimScheduler();
  readonly #log: HostLog;
  readonly #trouble: HostedTrouble;
  /** What the host's log has, for good: batch n has sequence number n + 1. */
  readonly #batches: Batch[] = [];
  /** The last segment of each batch, as the log placed it last. */
  readonly #segmentOf: number[] = [];
  #removedBelow = 1;
  /** What the engine has said to be durable. */
  #durable = 0;
  #engine!: HostedEngine;
  #mode: CrashMode;
  #crashes = 0;
  #repeated = 0;
  #links = 0;
  #blocks = 0;
  #stamp = 0;

  constructor(seed: number, trouble: HostedTrouble) {
    const random = new SimRandom(seed);
    const settle = (complete: () => void): void => void this.#scheduler.after(random.below(4), complete);
    this.#fs = new SimFileSystem({ seed, settle });
    this.#log = new HostLog(this.#fs, '/log', 24 * 1024);
    this.#trouble = trouble;
    this.#mode = trouble.loss?.mode ?? 'none';
  }

  async run(): Promise<HostedLife> {
    const { loss, fault } = this.#trouble;
    if (loss) this.#fs.killAt(this.#fs.operations + loss.at);
    if (fault) this.#fs.failAt({ ...fault, at: this.#fs.operations + fault.at });
    const from = this.#fs.operations;
    await this.#survive(() => this.#open());
    for (const step of this.#script()) await this.#survive(step);
    await this.#survive(() => this.#look());
    const operations = this.#fs.operations - from;
    this.#fs.failAt();
    this.#fs.killAt(Infinity);
    await this.#until(this.#engine.flush());
    await this.#until(this.#engine.close());
    // All is durable: without the host's log it is there.
    for (const name of this.#fs.listSync('/log')) this.#fs.unlinkSync(`/log/${name}`);
    await this.#open();
    if (this.#engine.sequence !== this.#batches.length) throw new Wrong(`after a flush of all it is at ${this.#engine.sequence}`);
    await this.#look();
    await this.#until(this.#engine.close());
    this.#log.close();
    if (this.#fs.openFiles.length > 0) throw new Wrong(`files are left open: ${this.#fs.openFiles.join(' ')}`);
    return { operations, crashes: this.#crashes, repeated: this.#repeated, links: this.#links, blocks: this.#blocks };
  }

  /** Each step may be done again after a crash in its midst: batches that were issued are in the host's log. */
  *#script(): Generator<() => Promise<void>> {
    const flush = (): Promise<void> => this.#until(this.#engine.flush());
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 7; i++)
        yield () =>
          this.#write([
            [`large/${(i * 3 + round) % 9}`, 1500 + i * 700],
            [`small/${i}`, 40],
          ]);
      yield () =>
        this.#write([
          [`large/${round}`, undefined],
          [`other/${round}`, 300],
        ]);
      if (round === 1) yield () => this.#write([]);
      yield flush;
      yield () => this.#truncate();
      // Overwritten before the flush: its link goes without ever having counted.
      yield () => this.#write([['passing', 2000]]);
      yield () => Promise.resolve(this.#log.roll());
      yield () => this.#write([['passing', 2100]]);
      yield () => this.#until(this.#engine.settled());
      if (round > 0) yield () => this.#relocateOldest();
    }
    yield flush;
    yield () => this.#until(this.#engine.settled());
    yield () => this.#write([['last', 900]]);
  }

  async #write(writes: readonly (readonly [string, number | undefined])[]): Promise<void> {
    const batch = writes.map(([key, bytes]) => ({ key, bytes, stamp: ++this.#stamp }));
    this.#batches.push(batch);
    await this.#apply(this.#batches.length);
  }

  /** Writes the batch of that sequence number to the engine. */
  async #apply(sequence: number): Promise<void> {
    const operations = this.#batches[sequence - 1]!.map(({ key, bytes, stamp }): HostedOperation => {
      if (bytes === undefined) return { type: 'delete', key };
      const value = valueOf(stamp, bytes);
      return { type: 'put', key, value, at: this.#log.append(value) };
    });
    this.#segmentOf[sequence - 1] = this.#log.segment;
    await this.#until(this.#engine.write(operations, { sequence }));
  }

  /** The log drops segments whose batches are all durable in the engine. */
  async #truncate(): Promise<void> {
    this.#durable = this.#engine.durableSequence;
    const needed = Math.min(this.#log.segment, ...this.#segmentOf.slice(this.#durable));
    for (; this.#removedBelow < needed; this.#removedBelow++) {
      if (this.#fs.existsSync(this.#log.path(this.#removedBelow))) this.#log.remove(this.#removedBelow);
    }
  }

  async #relocateOldest(): Promise<void> {
    const [oldest] = this.#engine.hostSegments();
    if (oldest === undefined || oldest.segment === this.#log.segment) return;
    await this.#until(this.#engine.relocate(oldest.segment));
    if (this.#fs.dead) throw new PowerLoss();
    if (this.#engine.hostSegments().some(({ segment }) => segment === oldest.segment))
      throw new Wrong(`segment ${oldest.segment} is still linked`);
  }

  async #open(): Promise<void> {
    const clock = new SimClock(this.#scheduler);
    const { hosted } = this.#log;
    const opening = open('/store', SETTINGS, { fileSystem: this.#fs, scheduler: this.#scheduler, clock, hosted });
    this.#engine = await this.#until(opening);
    const { sequence } = this.#engine;
    if (sequence < this.#durable || sequence > this.#batches.length)
      throw new Wrong(`it is at ${sequence}; durable were ${this.#durable}, issued ${this.#batches.length}`);
    this.#compare(sequence);
    for (let next = sequence + 1; next <= this.#batches.length; next++) {
      await this.#apply(next);
      this.#repeated++;
    }
  }

  /** What is there must be the first `sequence` batches. */
  #compare(sequence: number): void {
    const wanted = new Map<string, string>();
    for (const { key, bytes, stamp } of this.#batches.slice(0, sequence).flat()) {
      if (bytes === undefined) wanted.delete(key);
      else wanted.set(key, Buffer.from(valueOf(stamp, bytes)).toString('latin1'));
    }
    const found = [...this.#engine.scanSync()].map(([key, value]) => [text(key), text(value)] as const);
    const keys = [...wanted.keys()].toSorted();
    if (found.map(([key]) => key).join(' ') !== keys.join(' '))
      throw new Wrong(`keys at ${sequence}: ${found.map(([key]) => key).join(' ')}; wanted ${keys.join(' ')}`);
    for (const [key, value] of found) if (wanted.get(key) !== value) throw new Wrong(`${key} at ${sequence} is ${value.slice(0, 20)}`);
  }

  async #look(): Promise<void> {
    this.#compare(this.#batches.length);
    const { problems } = await this.#until(this.#engine.verify());
    if (this.#fs.dead) throw new PowerLoss();
    if (problems.length > 0) throw new Wrong(`verify: ${problems[0]!.file}: ${problems[0]!.what}`);
    const names = this.#fs.listSync('/store');
    this.#links = Math.max(this.#links, names.filter((name) => name.endsWith('.link')).length);
    this.#blocks = Math.max(this.#blocks, names.filter((name) => name.endsWith('.block')).length);
  }

  /** Does a step; recovers when the machine or its disk failed, and does not repeat it: what it wrote is in the host's log. */
  async #survive(step: () => Promise<void>): Promise<void> {
    try {
      await step();
      if (!this.#fs.dead) return;
    } catch (error) {
      const failed = this.#fs.dead || (this.#trouble.fault !== undefined && this.#fs.faultsHit > 0);
      if (!failed || (error instanceof Wrong && !this.#fs.dead)) throw error;
    }
    for (;;) {
      await this.#end();
      try {
        await this.#open();
        await this.#look();
        if (!this.#fs.dead) return;
      } catch (error) {
        if (!this.#fs.dead) throw error;
      }
    }
  }

  async #end(): Promise<void> {
    const again = this.#crashes === 0 ? this.#trouble.loss?.again : undefined;
    this.#crashes++;
    if (this.#trouble.fault) {
      // The disk is well again, and the process gone.
      this.#fs.failAt();
      await this.#scheduler.runDry();
      this.#fs.endProcess();
    } else this.#fs.crash(this.#mode);
    await this.#scheduler.runDry();
    this.#log.recover();
    this.#fs.makeDirectorySync('/log');
    this.#fs.makeDirectorySync('/store');
    this.#fs.killAt(again === undefined ? Infinity : this.#fs.operations + again);
  }

  #until<T>(promise: Promise<T>): Promise<T> {
    return this.#scheduler.until(promise);
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
