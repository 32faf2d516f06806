/**
 * Upkeep tasks (test/crash/upkeep-tasks.ts) whose disk fails in the midst of the work. The work says so by the operating system's error or one that
 * says what to do; what it is made from is not touched; and when the disk is well again it can be done anew: by the same engine where space was
 * missing, and where only a file outside of the store failed.
 */
import { SparrowError } from '../../base/errors.ts';
import { type Engine, verify } from '../../engine/index.ts';
import { beginTask } from '../crash/upkeep-life.ts';
import type { UpkeepTask } from '../crash/upkeep-tasks.ts';
import { textsOf, type World } from '../crash/upkeep-world.ts';
import { DIRECTORY, type StoreImage } from '../corruption/stores.ts';
import type { Fault } from '../sim/sim-file-system.ts';

export interface FailingTask {
  /** Operations and reads of the work. */
  readonly operations: number;
  readonly reads: number;
  readonly hit: boolean;
  /** The engine refused to go on until it was opened again. */
  readonly stopped: boolean;
}

/** `fault.at` counts from the beginning of the work. `end`: what becomes of the disk before all is looked at. */
export async function runFailing(
  task: UpkeepTask,
  image: StoreImage,
  fault?: Fault,
  end: 'process' | 'power' = 'power',
): Promise<FailingTask> {
  const world = await beginTask(task, image);
  const { disk } = world;
  const engine = task.offline === true ? undefined : await world.open();
  const before = engine && textsOf(engine);
  const [begun, begunReads] = [disk.operations, disk.reads];
  if (fault) disk.failAt({ ...fault, at: fault.at + (fault.on === 'read' ? begunReads : begun) });
  const failure = await failureOf(world, () => task.work(world, engine!));
  const [operations, reads] = [disk.operations - begun, disk.reads - begunReads];
  const hit = disk.faultsHit > 0;
  const outside = failedOutside(world);
  disk.failAt();
  let stopped = false;
  let ended = failure === undefined;
  if (engine) {
    stopped = !(await goesOn(world, engine));
    if (stopped && fault?.on === 'space') throw new Error('a full disk stops the engine for good');
    if (stopped && outside) throw new Error(`a failure at ${outside} stops the engine for good`);
    if (!stopped) expectReadable(engine, before!);
  }
  if (!ended && !stopped) {
    const again = await failureOf(world, () => task.work(world, engine!));
    if (again === undefined) ended = true;
    // What counts already but for its last sync need not be taken twice.
    else expectThere(again);
  }
  // What could not be read may have been left out.
  if (ended && task.offline === true && fault?.on === 'read') await world.until(task.work(world, engine!)).catch(expectThere);
  if (engine) await failureOf(world, () => engine.close());
  await world.scheduler.runDry();
  if (engine && fault?.on === 'space') await expectNothingLeft(world);
  if (disk.openFiles.length > 0) throw new Error(`files are left open: ${disk.openFiles.join(' ')}`);
  if (end === 'power') disk.crash('none');
  else disk.endProcess();
  await task.check(world, ended);
  return { operations, reads, hit, stopped };
}

/** What the work fails with: it must tell. */
async function failureOf(world: World, work: () => Promise<void>): Promise<unknown> {
  try {
    await world.until(Promise.resolve().then(work));
    return undefined;
  } catch (error) {
    if (world.disk.faultsHit === 0) throw new Error(`it fails though the disk did not: ${String(error)}`, { cause: error });
    if (!isTold(error)) throw new Error(`not what a failing disk is told by: ${String(error)}`, { cause: error });
    return error;
  }
}

function isTold(error: unknown): boolean {
  if (error instanceof SparrowError && error.kind === 'corrupt') return error.message.includes('cannot be read: EIO');
  if (error instanceof SparrowError) return error.kind === 'closed' || error.code === 'DISK_FULL' || isThere(error);
  return ['EIO', 'ENOSPC'].includes(String((error as NodeJS.ErrnoException).code));
}

/** Of work that is done again and was done but for the last of it. */
function isThere(error: unknown): boolean {
  return error instanceof SparrowError && ['NOT_EMPTY', 'INGESTED_BEFORE', 'NOT_INGESTABLE'].includes(error.code);
}

function expectThere(error: unknown): void {
  if (!isThere(error)) throw new Error(`done again it fails: ${String(error)}`, { cause: error });
}

/** The file that failed, when it is none of the store's. */
function failedOutside({ disk }: World): string | undefined {
  const failed = disk.trace
    .filter((_, i) => disk.trace[i + 1]?.startsWith('  fault') === true)
    .map((line) => line.split(' ').slice(2).join(' '));
  return failed.length > 0 && failed.every((what) => !what.includes(`${DIRECTORY}/`) && what.trim() !== DIRECTORY) ? failed[0] : undefined;
}

/** Whether the engine takes writes and flushes them, now that the disk is well. */
async function goesOn(world: World, engine: Engine): Promise<boolean> {
  // What was refused for lack of space is tried again by a timer.
  await world.scheduler.advance(2000);
  const failure = await failureOf(world, async () => {
    const keyspace = await engine.keyspace('after');
    await keyspace.put('key', 'value', { durability: 'synced' });
    await engine.flush();
    await engine.settled();
  });
  if (failure === undefined) return true;
  if (failure instanceof SparrowError && failure.kind === 'closed') return false;
  throw new Error('neither stopped nor going on', { cause: failure });
}

/** What was begun and did not fit takes no room: who waits for space would wait for it too. */
async function expectNothingLeft({ components, scheduler }: World): Promise<void> {
  const { notices } = await scheduler.until(verify(DIRECTORY, {}, components));
  const left = notices.filter(({ what }) => what.startsWith('it belongs to nothing'));
  if (left.length > 0) throw new Error(`left in the store: ${left.map(({ file }) => file).join(' ')}`);
}

/** Nothing that was there before is gone or other than before, but for what the work itself writes. */
function expectReadable(engine: Engine, before: ReadonlyMap<string, string>): void {
  const found = textsOf(engine);
  for (const key of before.keys())
    if (key.startsWith('lasting/') && found.get(key) !== before.get(key)) throw new Error(`${key} is not as it was`);
}
