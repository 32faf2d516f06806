/**
 * A machine: disk, clock, address; and the program that lives on it. Each start is a new *life*, with an environment of its own. When a life
 * ends, its timers die, what its disk was about to answer is never answered, its connections break; nothing of it runs again. Its disk
 * becomes what the crash leaves (`SimFileSystem.crash`), or stays in the system's cache when only the process ended.
 *
 * A machine whose disk has deceived it (a bit read wrongly, a write or a sync that was none) is good for as long as the life in which that happened: what
 * is read is checked. The next life might find less than the earlier one promised and cannot always tell, as the damaged end of a log looks like a torn
 * one. So there is none: the machine is lost, and would be replaced by one of another id.
 */
import type { Clock, FileSystem, Random, Scheduler, Timer } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { SimClock } from './sim-clock.ts';
import type { Counters } from './counters.ts';
import type { Moment } from './moments.ts';
import { SimFileSystem } from './sim-file-system.ts';
import type { CrashMode } from './sim-file.ts';
import type { SimEndpoint, SimNetwork } from './sim-network.ts';
import type { SimRandom } from './sim-random.ts';
import type { SimScheduler } from './sim-scheduler.ts';
import type { TraceHash } from './trace-hash.ts';

/** All that a program knows of the outside world. */
export interface Environment {
  readonly name: string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly fileSystem: FileSystem;
  readonly endpoint: SimEndpoint;
  /** The program cannot go on: it ends, and is started again. */
  exit(why: Error): void;
  /** Something has just left for other machines that faults may be planned for (moments.ts). */
  sent(what: Moment): void;
}

export interface Program {
  /** Of its state, for the trace and for comparing. */
  digest(): string;
  /** Of a replica: how far it is, and what its data is then; replicas that are equally far have the same. */
  replicated?(): { readonly applied: number; readonly data: () => string };
  /** What this life has reached so far, by name: rare branches that a run is to pass. */
  reached?(): Readonly<Record<string, number>>;
  /** The term that it leads; 0: none. */
  leads?(): number;
  /** The term in which it leads the metaserver; 0: it does not. */
  leadsMetaserver?(): number;
  /** Hands the lead over to the program of that name. Whether it will. */
  handOver?(to: string): boolean;
  /** The engine does this now. */
  upkeep?(what: 'flush' | 'compact'): Promise<void>;
  /** Reads everything, so that damage is met. */
  readAll?(): void;
  /** No damage that was met is left. */
  isSound?(): boolean;
}

/** What a machine stands in (world.ts). */
export interface Surroundings {
  readonly scheduler: SimScheduler;
  readonly network: SimNetwork;
  readonly random: SimRandom;
  readonly trace: TraceHash;
  readonly counters: Counters;
  /** What must never happen has happened: the run is over. */
  alarm(error: Error): void;
}

/** Settles when the program serves. */
export type Boot = (environment: Environment) => Promise<Program>;

/** `process`: the process dies, the machine runs on. Otherwise the power fails, with what that leaves on the disk. */
export type Ending = CrashMode | 'process';

const DISK_MS_MIN = 0.02;
/** From one machine to the next: a slow disk leaves much unsynced at any moment. */
const DISK_MS_MAX: readonly number[] = [0.3, 3, 12];
/** A program that ended itself is started again. */
const RESTART_MS = 200;

/** A file of a group's engine becomes one of another group. */
const MAKES_CHILD = /^link \S*\/groups\/(\d+)\/\S* -> \S*\/groups\/(?!\1\/)\d+\//;

/** Kinds of errors for which a program must never end, whatever happens around it. */
const OURS: ReadonlySet<string> = new Set(['internal', 'invalid', 'foreign']);

interface Life {
  over: boolean;
  /** What waits for the process to run again; undefined while it runs. */
  held: (() => void)[] | undefined;
}

export class SimNode {
  readonly name: string;
  readonly disk: SimFileSystem;
  readonly clock: SimClock;
  /** How many times slower the disk is than usual. */
  diskSlowness = 1;
  /** Errors of damage are to be expected: damage was planted. */
  damaged = false;
  #lost = false;
  readonly #world: Surroundings;
  readonly #boot: Boot;
  readonly #random: SimRandom;
  #life: Life = { over: true, held: undefined };
  #program: Program | undefined;
  /** The ending that is planned at an operation of the disk, and for how long nothing runs then. */
  #planned: { readonly ending: Ending; readonly downMs: number } | undefined;
  /** The ending that is planned for the making of a replica of a shard that is split off, `after` operations of the disk into it. */
  #atChild: { readonly ending: Ending; readonly downMs: number; readonly after: number } | undefined;
  /** What is to happen when something has been sent, after so many that are let go by. */
  #awaited: { readonly what: Moment; after: number; readonly happens: () => void }[] = [];

  constructor(world: Surroundings, name: string, boot: Boot) {
    this.#world = world;
    this.name = name;
    this.#boot = boot;
    this.#random = world.random.fork();
    const { random, trace } = { random: this.#random.fork(), trace: world.trace };
    this.clock = new SimClock(world.scheduler, (random.fraction() - 0.5) * 1e-3);
    this.clock.jumpWall(random.below(2000) - 1000);
    const diskMsMax = random.pick(DISK_MS_MAX);
    this.disk = new SimFileSystem({
      seed: random.u32(),
      settle: (complete) => {
        const ms = (DISK_MS_MIN + random.fraction() * (diskMsMax - DISK_MS_MIN)) * this.diskSlowness;
        this.#after(this.#life, ms, complete);
      },
      observe: (operation, bytes) => {
        trace.fold(`${name} ${operation}`, bytes);
        if (this.#atChild !== undefined && MAKES_CHILD.test(operation)) this.#childBegins(this.#atChild);
      },
    });
  }

  get isUp(): boolean {
    return !this.#life.over;
  }

  /** It never starts again. */
  get isLost(): boolean {
    return this.#lost;
  }

  /** The program, once it serves. */
  get program(): Program | undefined {
    return this.isUp ? this.#program : undefined;
  }

  start(): void {
    if (this.isUp || this.#lost) return;
    const world = this.#world;
    const life: Life = { over: false, held: undefined };
    this.#life = life;
    this.#program = undefined;
    world.network.revive(this.name);
    world.counters.add('start');
    const environment: Environment = {
      name: this.name,
      clock: this.clock,
      scheduler: {
        after: (delayMs, task, background) => this.#after(life, delayMs, task, background),
        soon: (task) => void this.#after(life, 0, task),
      },
      random: this.#random.fork(),
      fileSystem: this.disk,
      endpoint: world.network.endpoint(this.name),
      exit: (why) => this.#exit(life, why),
      sent: (what) => {
        if (!life.over && this.#awaited.length > 0) this.#sent(what);
      },
    };
    this.#boot(environment).then(
      (program) => {
        if (life.over) return;
        // What it has made of its disk may not be what was there.
        if (this.disk.deceits > 0) return this.end('process', RESTART_MS);
        this.#program = program;
        try {
          world.trace.fold(`${this.name} serves at ${world.scheduler.nowMs}: ${program.digest()}`);
        } catch (error) {
          // What it has cannot be read.
          this.#exit(life, error as Error);
        }
      },
      (error: unknown) => this.#exit(life, error as Error),
    );
  }

  /** The life ends, now. Starts again after `downMs`. */
  end(ending: Ending, downMs: number): void {
    if (!this.isUp) return;
    this.#world.counters.add(ending === 'process' ? 'process ended' : `power lost: ${ending}`);
    for (const [what, count] of Object.entries(this.#program?.reached?.() ?? {})) this.#world.counters.add(what, count);
    this.#world.trace.fold(`${this.name} ends at ${this.#world.scheduler.nowMs}: ${ending}`);
    this.#life.over = true;
    this.#life.held = undefined;
    this.#planned = undefined;
    if (ending === 'process') this.disk.endProcess();
    else this.disk.crash(ending);
    this.#world.network.end(this.name, ending === 'process' ? 'process' : 'machine');
    if (this.disk.deceits > 0) {
      this.#lost = true;
      this.#world.counters.add('machine lost');
    } else this.#world.scheduler.after(downMs, () => this.start());
  }

  /** The machine is gone, with its disk. */
  lose(): void {
    this.#lost = true;
    this.end('none', 0);
    this.#world.counters.add('machine lost');
  }

  /** Power fails, or the process dies, in the midst of an operation of the disk, `after` more of them from now. */
  endAtOperation(after: number, ending: Ending, downMs: number): void {
    this.#planned = { ending, downMs };
    this.disk.killAt(this.disk.operations + 1 + after);
  }

  /** The same, `after` operations after it has begun to make the replica of a shard that is split off. In this life or a later one. */
  endAtChild(after: number, ending: Ending, downMs: number): void {
    this.#atChild = { after, ending, downMs };
  }

  #childBegins({ after, ending, downMs }: { readonly after: number; readonly ending: Ending; readonly downMs: number }): void {
    this.#atChild = undefined;
    this.#world.counters.add('ended at child');
    // The operation that is under way counts already.
    this.endAtOperation(after - 1, ending, downMs);
  }

  /** What is planned for the disk will not happen. */
  forgetPlans(): void {
    this.#planned = undefined;
    this.#atChild = undefined;
    this.#awaited = [];
    this.disk.killAt(Infinity);
    this.disk.failAt();
  }

  /** `happens` is called when the program has sent what `what` names, `after` more of them from now. In this life or a later one. */
  whenSent(what: Moment, after: number, happens: () => void): void {
    this.#awaited.push({ what, after, happens });
  }

  #sent(what: Moment): void {
    const awaited = this.#awaited.find((each) => each.what === what);
    if (awaited === undefined || awaited.after-- > 0) return;
    this.#awaited = this.#awaited.filter((each) => each !== awaited);
    awaited.happens();
  }

  /** Called after every event: whether a planned ending has come. */
  noteEnding(): void {
    if (!this.disk.dead || !this.#planned || !this.isUp) return;
    this.#world.counters.add('ended in an operation');
    this.end(this.#planned.ending, this.#planned.downMs);
  }

  /** The process stands still, as under SIGSTOP; the world goes on. */
  pause(forMs: number): void {
    const life = this.#life;
    if (life.over || life.held) return;
    life.held = [];
    this.#world.scheduler.after(forMs, () => {
      const held = life.held ?? [];
      life.held = undefined;
      // In their order, one event each, as the timers would have come.
      for (const task of held) this.#after(life, 0, task);
    });
  }

  #after(life: Life, delayMs: number, task: () => void, background?: boolean): Timer {
    return this.#world.scheduler.after(
      delayMs,
      () => {
        if (life.over) return;
        if (life.held) life.held.push(task);
        else task();
      },
      background,
    );
  }

  #exit(life: Life, why: Error): void {
    if (life.over || this.disk.dead) return;
    const kind = rootKind(why);
    this.#world.counters.add(`exit: ${kind}`);
    this.#world.trace.fold(`${this.name} exits: ${why.message}`);
    const wrong = OURS.has(kind) || (kind === 'corrupt' && !this.damaged);
    if (wrong) this.#world.alarm(new Error(`${this.name} ended itself: ${why.message}`, { cause: why }));
    // Not within the event that it happens in: what it is about to do it still does.
    this.#world.scheduler.soon(() => {
      if (!life.over) this.end('process', RESTART_MS);
    });
  }
}

/** What is at the bottom of it: a stopped replica tells why it stopped by its cause. */
function rootKind(error: unknown): string {
  if (error instanceof SparrowError) return error.cause === undefined ? error.kind : rootKind(error.cause);
  return isDiskError(error) ? 'disk' : 'foreign';
}

/** The operating system's own word for what a disk did. */
export function isDiskError(error: unknown): error is NodeJS.ErrnoException & { code: string } {
  return error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'ENOSPC');
}
