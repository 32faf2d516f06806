/** A place for data whose figures mean something: on a disk, with room. In memory fsync is free and nothing is written. */
import { mkdirSync, mkdtempSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

/** `f_type` of tmpfs and ramfs, as statfs(2) has them. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

/** A new directory in `parent`. Throws when it would be in memory, or there are not `bytes` free. */
export function makeDiskPlace(parent: string, bytes: number): string {
  mkdirSync(parent, { recursive: true });
  const { type, bavail, bsize } = statfsSync(parent);
  if (IN_MEMORY.has(type)) throw new Error(`${parent} is in memory, where fsync costs nothing: name a directory on a disk with --dir`);
  if (bavail * bsize < bytes) {
    const [free, needed] = [bavail * bsize, bytes].map((count) => `${(count / 2 ** 30).toFixed(1)} GiB`);
    throw new Error(`${parent} has ${free} free, and up to ${needed} are written: name another directory with --dir`);
  }
  return mkdtempSync(join(parent, 'cluster-'));
}
