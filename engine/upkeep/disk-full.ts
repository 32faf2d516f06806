/** What a checkpoint, backup or restore says when there is no room for it: where, and what is left of it. */
import { SparrowError } from '../../base/errors.ts';

const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);

/** `exhausted/DISK_FULL` for an error of the system that says so; any other as it is. `left`: what there is now. */
export function orDiskFull(error: unknown, directory: string, left: string): unknown {
  if (error instanceof SparrowError || !FULL.has((error as { code?: unknown } | undefined)?.code)) return error;
  return new SparrowError('exhausted', 'DISK_FULL', `no space left for ${directory}: ${left}`, { directory }, error);
}
