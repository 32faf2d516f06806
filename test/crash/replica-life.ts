/**
 * A short life of a replica of one voter whose engine is under the node's log, that passes everything a crash could fall into: entries on their way into the
 * log, values pointed to in it, links, flushes, the log cut behind them, segments dropped that engines still lead into, values that move out of them, files of
 * segments that are used again. Writes have ids and are sent again after a crash, with the outcome that they had.
 */
import { SparrowError } from '../../base/errors.ts';
import type { EngineSettingsInput } from '../../engine/index.ts';
import { ReplicaHarness } from '../server/node/replica-harness.ts';
import { SimClock } from '../sim/sim-clock.ts';
import { FailingMachine, type Trouble, Wrong } from './failing-machine.ts';

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

/** Undefined: a delete. */
interface Write {
  readonly key: string;
  readonly value: string | undefined;
  readonly sequence: number;
}

export async function liveReplica(seed: number, trouble: Trouble = {}): Promise<ReplicaLife> {
  return new Life(seed, trouble).run();
}

class Life {
  readonly #machine: FailingMachine;
  /** What was acknowledged, and what may have been done. */
  readonly #known = new Map<string, { value: string | undefined; version: number }>();
  #unanswered: Write[] = [];
  #sequence = 0;
  #harness!: ReplicaHarness;
  #replayed = 0;
  #links = 0;
  #blocks = 0;
  #dropped = 0;
  #emptied = 0;

  constructor(seed: number, trouble: Trouble) {
    this.#machine = new FailingMachine(seed, trouble, {
      open: () => this.#open(),
      look: () => this.#look(),
      abandon: () => {
        this.#harness?.replica.abort();
        this.#harness?.host.close();
        this.#harness?.log.abort();
      },
    });
  }

  async run(): Promise<ReplicaLife> {
    this.#machine.begin();
    await this.#survive(() => this.#open());
    for (const step of this.#script()) await this.#survive(step);
    await this.#survive(() => this.#look());
    const operations = this.#machine.calm();
    await this.#machine.reopen(() => this.#harness.close());
    return {
      operations,
      crashes: this.#machine.crashes,
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
      yield () => this.#machine.pass(2100);
      yield () => this.#look();
      if (round % 2 === 1) yield () => this.#machine.until(this.#harness.engine.settled());
    }
    yield () => this.#machine.pass(6000);
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
    const answers = await this.#machine.until(
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
        if (!this.#machine.over && !isFull(answer.reason)) throw new Wrong(`write ${write.sequence} was refused: ${String(answer.reason)}`);
        continue;
      }
      if (answer.value.outcome !== 'applied') throw new Wrong(`write ${write.sequence} came to ${answer.value.outcome}`);
      this.#unanswered = this.#unanswered.filter((each) => each !== write);
      this.#known.set(write.key, { value: write.value, version: answer.value.version });
    }
    if (this.#unanswered.length === 0 || this.#machine.over) return;
    if (attempts === 0) throw new Wrong('the disk stays full');
    await this.#machine.pass(300);
    await this.#send(attempts - 1);
  }

  async #open(): Promise<void> {
    const opening = ReplicaHarness.open(this.#machine.fs, {
      scheduler: this.#machine.scheduler,
      clock: new SimClock(this.#machine.scheduler),
      segmentBytes: 16 * KIB,
      checkpointBytes: 20 * KIB,
      logBytesMax: 64 * KIB,
      engine: ENGINE,
    });
    this.#harness = await this.#machine.until(opening);
    this.#machine.stopped = this.#harness.stopped;
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
    const { problems } = await this.#machine.until(engine.verify());
    if (problems.length > 0) throw new Wrong(`verify: ${problems[0]!.file}: ${problems[0]!.what}`);
    const names = this.#machine.fs.listSync('/engine');
    this.#links = Math.max(this.#links, names.filter((name) => name.endsWith('.link')).length);
    this.#blocks = Math.max(this.#blocks, names.filter((name) => name.endsWith('.block')).length);
    this.#dropped = Math.max(this.#dropped, log.oldestSegment - 1);
    this.#emptied = Math.max(this.#emptied, host.segmentsEmptied);
  }

  /** Does a step; recovers when machine or disk failed. */
  async #survive(step: () => Promise<void>): Promise<void> {
    if (!(await this.#machine.attempt(step))) await this.#machine.recover();
  }
}

/** Refused, and not applied. */
function isFull(error: unknown): boolean {
  return error instanceof SparrowError && error.code === 'DISK_FULL' && error.details['applied'] === false;
}

function valueOf(sequence: number, bytes: number): string {
  return `<${sequence}>`.repeat(Math.ceil(bytes / 3)).slice(0, bytes);
}
