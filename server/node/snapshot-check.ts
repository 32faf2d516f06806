/**
 * Whether a snapshot that has arrived is sound, and of the entry that it is called after: every byte of it is read before it may take the place of an engine.
 *
 * On its way it is only made sure that what arrives is what the sender's disk gave. A member whose disk is damaged would otherwise hand its damage on, and members
 * that were sound would be ruined by it, one after another.
 *
 * Used by replica-store.ts. Calls the engine.
 */
import type { FileSystem, Scheduler } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import { verify } from '../../engine/index.ts';

/** Throws `corrupt/SNAPSHOT_DAMAGED`. */
export async function checkSnapshot(
  directory: string,
  index: number,
  components: { readonly fileSystem: FileSystem; readonly scheduler: Scheduler },
): Promise<void> {
  const { sound, problems, lastSequence } = await verify(directory, {}, components);
  if (sound && lastSequence === index) return;
  const [problem] = problems;
  const what = problem === undefined ? `it has the state of entry ${lastSequence}` : `${problem.file}: ${problem.what}`;
  const where = problem === undefined ? {} : { file: problem.file };
  throw new SparrowError('corrupt', 'SNAPSHOT_DAMAGED', `a snapshot of entry ${index} arrived damaged: ${what}`, { index, ...where });
}
