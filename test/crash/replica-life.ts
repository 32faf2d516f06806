/**
 * A short life of a replica of one voter whose engine is under the node's log, that passes everything a crash could fall into: entries on their way into the
 * log, values pointed to in it, links, flushes, the log cut behind them, segments dropped that engines still lead into, values that move out of them, files of
 * segments that are used again. Writes have ids and are sent again after a crash, with the outcome that they had.
 */
import { SparrowError } from '../../base/errors.ts';
import type { EngineSettingsInput } from '../../engine/index.ts';
import { ReplicaHarness } from '../server/node/replica-harness.ts';
import { type Fault, PowerLoss, SimFileSystem } from '../sim/sim-file-system.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { drain, SimScheduler } from '../sim/sim-scheduler.ts';
import { SimRandom } from '../sim/sim-random.ts';

const KIB = 1024;
const ENGINE: EngineSettingsInput = {
  memtableBytes: 64 * KIB,
  tableBytes: 64 * KIB,
  level0Compact: 2,
  level1Bytes: 256 * KIB,
  levelRatio: 2,
  inlineThreshold: 256,
  garbageRatio: 0.2,
  manifestBytes: 512,
  memoryBytes: 64 * KIB * KIB,
  maxBatchBytes: 8 * KIB * KIB,
  maxValueBytes: KIB * KIB,
};

export interface ReplicaTrouble {
  /** Power is lost at this operation, or only the process dies; and again at that one of the life after. */
  readonly loss?: { readonly at: number; readonly mode: CrashMode | 'process'; readonly again?: number };
  /** The disk fails; when the replica stops for it, the process ends and everything is opened again. */
  readonly fault?: Fault;
}

export interface ReplicaLife {
  readonly operations: number;
  readonly crashes: number;
  /** Entries that were applied again. */
  readonly replayed: number;
  /** Most links and files of moved values at a time. */
  readonly links: number;
  readonly blocks: number;
  /** Segments that the log has dropped, and those whose values were moved because of what else they held. */
  readonly dropped: number;
  readonly emptied: number;
}

class Wrong extends Error {}

/** Undefined: a delete. */
interface Write {
  readonly key: string;
  readonly value: string | undefined;
  readonly sequence: number;
}

export async function liveReplica(seed: number, trouble: ReplicaTrouble = {}): Promise<ReplicaLife> {
  return new Life(seed, trouble).run();
}

class Life {
  readonly #fs: SimFileSystem;
  readonly #scheduler = new SimScheduler();
  readonly #trouble: ReplicaTrouble;
  /** What was acknowledged, and what may have been done. */
  readonly #known = new Map<string, { value: string | undefined; version: number }>();
  #unanswered: Write[] = [];
  #sequence = 0;
  #harness!: ReplicaHarness;
  /** Why the replica of this life cannot go on. */
  #stopped: readonly unknown[] = [];
  readonly #random: SimRandom;
  #crashes = 0;
  #replayed = 0;
  #links = 0;
  #blocks = 0;
  #dropped = 0;
  #emptied = 0;

  constructor(seed: number, trouble: ReplicaTrouble) {
    this.#random = new SimRandom(seed);
    const settle = (complete: () => void): void => void this.#scheduler.after(this.#random.below(4), complete);
    this.#fs = new SimFileSystem({ seed, settle });
    this.#trouble = trouble;
  }

  async run(): Promise<ReplicaLife> {
    const from = this.#fs.operations;
    const { loss, fault } = this.#trouble;
    if (loss) this.#fs.killAt(from + loss.at);
    if (fault) this.#fs.failAt({ ...fault, at: from + fault.at });
    await this.#survive(() => this.#open());
    for (const step of this.#script()) await this.#survive(step);
    await this.#survive(() => this.#look());
    const operations = this.#fs.operations - from;
    this.#fs.killAt(Infinity);
    this.#fs.failAt();
    await this.#until(this.#harness.close());
    if (this.#fs.openFiles.length > 0) throw new Wrong(`files are left open: ${this.#fs.openFiles.join(' ')}`);
    this.#fs.crash('none');
    await this.#open();
    await this.#look();
    await this.#until(this.#harness.close());
    return {
      operations,
      crashes: this.#crashes,
      replayed: this.#replayed,
      links: this.#links,
      blocks: this.#blocks,
      dropped: this.#dropped,
      emptied: this.#emptied,
    };
  }

  *#script(): Generator<() => Promise<void>> {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 5; i++)
        yield () =>
          this.#write([
            [`large/${(i * 3 + round) % 9}`, 1500 + i * 700],
            [`small/${i}`, 40],
            // Small values between the large ones: more and more of a segment that is kept for a large value is waste.
            [`between/${round}/${i}`, 200 + round * 20],
          ]);
      yield () => this.#write([[`large/${round}`, undefined]]);
      yield () => this.#write([[`one/${round}`, 5000]]);
      // Ticks: segments are looked at.
      yield () => this.#pass(2100);
      yield () => this.#look();
      if (round % 2 === 1) yield () => this.#until(this.#harness.engine.settled());
    }
    yield () => this.#pass(6000);
  }

  async #write(writes: readonly (readonly [string, number | undefined])[]): Promise<void> {
    const issued = writes.map(([key, bytes]): Write => {
      const sequence = ++this.#sequence;
      return { key, value: bytes === undefined ? undefined : valueOf(sequence, bytes), sequence };
    });
    this.#unanswered.push(...issued);
    await this.#send();
  }

  /** Until each has been answered; again where there was no room. */
  async #send(attempts = 10): Promise<void> {
    const sent = this.#unanswered;
    const answers = await this.#until(
      Promise.allSettled(
        sent.map(({ key, value, sequence }) =>
          this.#harness.write(
            [
              value === undefined
                ? { type: 'delete', key: Buffer.from(key) }
                : { type: 'put', key: Buffer.from(key), value: Buffer.from(value) },
            ],
            [],
            sequence,
          ),
        ),
      ),
    );
    for (const [i, answer] of answers.entries()) {
      const write = sent[i]!;
      if (answer.status === 'rejected') {
        if (!this.#over && !isFull(answer.reason)) throw new Wrong(`write ${write.sequence} was refused: ${String(answer.reason)}`);
        continue;
      }
      if (answer.value.outcome !== 'applied') throw new Wrong(`write ${write.sequence} came to ${answer.value.outcome}`);
      this.#unanswered = this.#unanswered.filter((each) => each !== write);
      this.#known.set(write.key, { value: write.value, version: answer.value.version });
    }
    if (this.#unanswered.length === 0 || this.#over) return;
    if (attempts === 0) throw new Wrong('the disk stays full');
    await this.#pass(300);
    await this.#send(attempts - 1);
  }

  async #open(): Promise<void> {
    const opening = ReplicaHarness.open(this.#fs, {
      scheduler: this.#scheduler,
      clock: new SimClock(this.#scheduler),
      segmentBytes: 16 * KIB,
      checkpointBytes: 20 * KIB,
      logBytesMax: 64 * KIB,
      engine: ENGINE,
    });
    this.#harness = await this.#until(opening);
    this.#stopped = this.#harness.stopped;
    this.#replayed += this.#harness.replica.stats().replayedEntries;
    this.#compare();
    await this.#send();
  }

  /** What is there is what was acknowledged, and of what was not all or nothing of a write, never anything older. */
  #compare(): void {
    const { engine } = this.#harness;
    const found = new Map<string, { value: string; version: number }>();
    for (const [key] of engine.scanSync({ gte: Uint8Array.of(1) })) {
      const name = Buffer.from(key).subarray(1).toString();
      found.set(name, this.#harness.get(name)!);
    }
    for (const [key, { value, version }] of this.#known) {
      const now = found.get(key);
      const open = this.#unanswered.filter((write) => write.key === key);
      if (now?.value === value && (now === undefined || now.version === version)) continue;
      if (!open.some((write) => write.value === now?.value))
        throw new Wrong(`${key} is ${now?.value.slice(0, 20)}, not ${value?.slice(0, 20)}`);
    }
    for (const [key, { value }] of found) {
      if (!this.#known.has(key) && !this.#unanswered.some((write) => write.key === key && write.value === value))
        throw new Wrong(`${key} is there: ${value.slice(0, 20)}`);
    }
  }

  async #look(): Promise<void> {
    this.#compare();
    const { engine, log, host } = this.#harness;
    const { problems } = await this.#until(engine.verify());
    if (problems.length > 0) throw new Wrong(`verify: ${problems[0]!.file}: ${problems[0]!.what}`);
    const names = this.#fs.listSync('/engine');
    this.#links = Math.max(this.#links, names.filter((name) => name.endsWith('.link')).length);
    this.#blocks = Math.max(this.#blocks, names.filter((name) => name.endsWith('.block')).length);
    this.#dropped = Math.max(this.#dropped, log.oldestSegment - 1);
    this.#emptied = Math.max(this.#emptied, host.segmentsEmptied);
  }

  async #pass(ms: number): Promise<void> {
    const untilMs = this.#scheduler.nowMs + ms;
    let over = false;
    this.#scheduler.at(untilMs, () => (over = true));
    while (!over && !this.#over) await this.#scheduler.step();
    if (this.#over) throw new PowerLoss();
  }

  /** The machine has failed, or the disk and for that the replica. */
  get #over(): boolean {
    return this.#fs.dead || (this.#fs.faultsHit > 0 && this.#stopped.length > 0);
  }

  /** Does a step; recovers when machine or disk failed. */
  async #survive(step: () => Promise<void>): Promise<void> {
    try {
      await step();
      if (!this.#over) return;
    } catch (error) {
      // A call that the disk failed says so; whether the replica can go on shows then.
      if (!this.#over && (error instanceof Wrong || this.#fs.faultsHit === 0)) throw error;
    }
    for (;;) {
      await this.#end();
      try {
        await this.#open();
        await this.#look();
        if (!this.#over) return;
      } catch (error) {
        if (!this.#over) throw error;
      }
    }
  }

  async #end(): Promise<void> {
    const { loss, fault } = this.#trouble;
    this.#stopped = [];
    this.#harness?.replica.abort();
    this.#harness?.host.close();
    this.#harness?.log.abort();
    if (fault) {
      // The disk is well again, and the process gone.
      this.#fs.failAt();
      await this.#scheduler.runDry();
    }
    if (loss && loss.mode !== 'process') this.#fs.crash(loss.mode);
    else this.#fs.endProcess();
    await this.#scheduler.runDry();
    this.#fs.killAt(loss?.again === undefined || this.#crashes > 0 ? Infinity : this.#fs.operations + loss.again);
    this.#crashes++;
  }

  /** Throws when the machine fails first. */
  async #until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const note = (): void => {
      settled = true;
    };
    promise.then(note, note);
    const untilMs = this.#scheduler.nowMs + 60_000;
    for (;;) {
      await drain();
      if (settled) return promise;
      if (this.#over) throw new PowerLoss();
      if (this.#scheduler.nowMs > untilMs) throw new Wrong('what was asked for does not come');
      await this.#scheduler.step();
    }
  }
}

/** Refused, and not applied. */
function isFull(error: unknown): boolean {
  return error instanceof SparrowError && error.code === 'DISK_FULL' && error.details['applied'] === false;
}

function valueOf(sequence: number, bytes: number): string {
  return `<${sequence}>`.repeat(Math.ceil(bytes / 3)).slice(0, bytes);
}
