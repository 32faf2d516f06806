/** Upkeep tasks (upkeep-tasks.ts) cut off by power loss, and cut off again while what is left is looked at and the work is done anew. */
import type { Engine } from '../../engine/index.ts';
import type { StoreImage } from '../corruption/stores.ts';
import type { CrashMode } from '../sim/sim-file.ts';
import { type Outcome, type UpkeepTask } from './upkeep-tasks.ts';
import { type DiskImage, diskWith, World } from './upkeep-world.ts';

export interface PowerLossAt {
  /** Of the operations of the work, the first is 1. One more than there are: after its end. */
  readonly at: number;
  readonly mode: CrashMode;
  /** Power is lost again at this operation of the check. */
  readonly again?: number;
}

export interface TaskLife {
  /** That the work took. */
  readonly operations: number;
  readonly outcome: Outcome;
}

const begun = new Map<UpkeepTask, { image: StoreImage; files: Promise<DiskImage> }>();

/** The world that a task begins in. */
export async function beginTask(task: UpkeepTask, image: StoreImage): Promise<World> {
  let known = begun.get(task);
  if (known?.image !== image) {
    known = { image, files: task.begin(image) };
    begun.set(task, known);
  }
  return new World(diskWith(await known.files), image);
}

/** The work, cut off, and what is left checked; without `loss` the work in one piece. */
export async function runTask(task: UpkeepTask, image: StoreImage, loss?: PowerLossAt): Promise<TaskLife> {
  const world = await beginTask(task, image);
  const { disk } = world;
  const before = disk.operations;
  if (loss) disk.killAt(before + loss.at);
  // What has settled counts, though the store is not closed yet.
  let ended = false;
  await unlessDead(world, () =>
    wholeWork(task, world, () => {
      ended = !disk.dead;
    }),
  );
  const operations = disk.operations - before;
  if (!loss) {
    disk.endProcess();
    return { operations, outcome: await task.check(world, true) };
  }
  await crash(world, loss.mode);
  if (loss.again !== undefined) {
    disk.killAt(disk.operations + loss.again);
    let outcome: Outcome | undefined;
    const checked = await unlessDead(world, async () => {
      outcome = await task.check(world, ended);
    });
    if (checked) return { operations, outcome: outcome! };
    await crash(world, loss.mode);
  }
  return { operations, outcome: await task.check(world, ended) };
}

async function wholeWork(task: UpkeepTask, world: World, onEnded: () => void): Promise<void> {
  let engine: Engine | undefined;
  if (task.offline !== true) engine = await world.open();
  await world.until(task.work(world, engine!));
  onEnded();
  await engine?.close();
}

async function unlessDead({ disk }: World, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return !disk.dead;
  } catch (error) {
    if (!disk.dead) throw error;
    return false;
  }
}

async function crash({ disk, scheduler }: World, mode: CrashMode): Promise<void> {
  disk.crash(mode);
  await scheduler.runDry();
}
