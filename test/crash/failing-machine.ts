/**
 * A simulated machine that loses its power, its process or its disk while replicas live on it (replica-life.ts, shards-life.ts). Everything is waited for on virtual time, and
 * ends when the machine does.
 */
import type { CrashMode } from '../sim/sim-file.ts';
import { type Fault, PowerLoss, SimFileSystem } from '../sim/sim-file-system.ts';
import { SimRandom } from '../sim/sim-random.ts';
import { drain, SimScheduler } from '../sim/sim-scheduler.ts';

const PATIENCE_MS = 60_000;

export interface Trouble {
  /** Power is lost at this operation, or only the process dies; and again at that one of the life after. */
  readonly loss?: { readonly at: number; readonly mode: CrashMode | 'process'; readonly again?: number };
  /** The disk fails; when a replica stops for it, the process ends and everything is opened again. */
  readonly fault?: Fault;
}

/** What lives on the machine. */
export interface Inhabitant {
  /** Begins anew with what is on the disk. */
  readonly open: () => Promise<void>;
  /** Throws what is not as it must be. */
  readonly look: () => Promise<void>;
  /** Its process is gone. */
  readonly abandon: () => void;
}

/** Not as it must be, whatever the machine did. */
export class Wrong extends Error {}

export class FailingMachine {
  readonly fs: SimFileSystem;
  readonly scheduler: SimScheduler = new SimScheduler();
  readonly #trouble: Trouble;
  readonly #inhabitant: Inhabitant;
  #from = 0;
  #crashes = 0;
  /** Replicas that cannot go on, and why: of the inhabitant of now, which adds to it. */
  stopped: readonly unknown[] = [];

  constructor(seed: number, trouble: Trouble, inhabitant: Inhabitant) {
    const random = new SimRandom(seed);
    const settle = (complete: () => void): void => void this.scheduler.after(random.below(4), complete);
    this.fs = new SimFileSystem({ seed, settle });
    this.#trouble = trouble;
    this.#inhabitant = inhabitant;
  }

  get crashes(): number {
    return this.#crashes;
  }

  /** From now on operations are counted, up to the trouble. */
  begin(): void {
    this.#from = this.fs.operations;
    const { loss, fault } = this.#trouble;
    if (loss) this.fs.killAt(this.#from + loss.at);
    if (fault) this.fs.failAt({ ...fault, at: this.#from + fault.at });
  }

  /** The trouble is over. Returns how many operations there were. */
  calm(): number {
    const operations = this.fs.operations - this.#from;
    this.fs.killAt(Infinity);
    this.fs.failAt();
    return operations;
  }

  /** Closed in good order: what is not on the disk now is lost, and what is there is opened and looked at. */
  async reopen(close: () => Promise<void>): Promise<void> {
    await this.until(close());
    if (this.fs.openFiles.length > 0) throw new Wrong(`files are left open: ${this.fs.openFiles.join(' ')}`);
    this.fs.crash('none');
    await this.#inhabitant.open();
    await this.#inhabitant.look();
    await this.until(close());
  }

  /** The machine has failed, or the disk and for that a replica. */
  get over(): boolean {
    return this.fs.dead || (this.fs.faultsHit > 0 && this.stopped.length > 0);
  }

  /** Whether the step was done. Throws what no failure explains. */
  async attempt(step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      return !this.over;
    } catch (error) {
      // A call that the disk failed says so; whether the replica can go on shows then.
      if (!this.over && (error instanceof Wrong || this.fs.faultsHit === 0)) throw error;
      return false;
    }
  }

  /** The process ends, or the machine does; what is left is opened and looked at. */
  async recover(): Promise<void> {
    for (;;) {
      await this.#end();
      try {
        await this.#inhabitant.open();
        await this.#inhabitant.look();
        if (!this.over) return;
      } catch (error) {
        if (!this.over) throw error;
      }
    }
  }

  async #end(): Promise<void> {
    const { fs, scheduler } = this;
    const { loss, fault } = this.#trouble;
    this.stopped = [];
    this.#inhabitant.abandon();
    // What the process had begun meets a disk that is gone, and does not come back to life with it.
    if (loss) await scheduler.runDry();
    if (fault) {
      // The disk is well again, and the process gone.
      fs.failAt();
      await scheduler.runDry();
    }
    if (loss && loss.mode !== 'process') fs.crash(loss.mode);
    else fs.endProcess();
    await scheduler.runDry();
    fs.killAt(loss?.again === undefined || this.#crashes > 0 ? Infinity : fs.operations + loss.again);
    this.#crashes++;
  }

  async pass(ms: number): Promise<void> {
    let passed = false;
    this.scheduler.at(this.scheduler.nowMs + ms, () => (passed = true));
    while (!passed && !this.over) await this.scheduler.step();
    if (this.over) throw new PowerLoss();
  }

  /** Throws when the machine fails first. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const note = (): void => {
      settled = true;
    };
    promise.then(note, note);
    const untilMs = this.scheduler.nowMs + PATIENCE_MS;
    for (;;) {
      await drain();
      if (settled) return promise;
      if (this.over) throw new PowerLoss();
      if (this.scheduler.nowMs > untilMs) throw new Wrong('what was asked for does not come');
      await this.scheduler.step();
    }
  }
}
