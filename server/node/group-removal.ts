/**
 * How a group leaves a node for good, so that a crash at any moment leaves it there or gone:
 *
 *   1  `destroyed` is in the group's directory, durably      from here on it goes, at the next start if not now
 *   2  its files go: `current` first, so that nobody takes the rest for a group
 *   3  the node's log forgets its entries, and keeps term and vote (GroupLog.retire). Not before 2: on a full disk that may have to wait for the room that 2 makes
 *   4  `destroyed` goes, and the directory with it
 *
 * Its replica has stopped before, and its engine is closed. Used by node-replicas.ts.
 */
import type { FileSystem } from '../../base/env.ts';
import type { GroupLog } from './log/index.ts';

const MARK = 'destroyed';
/** Innermost first. */
const DIRECTORIES = ['a/files', 'b/files', 'a', 'b', 'outgoing', ''];

/** Whether it was begun, and a crash came in between. */
export function isBeingRemoved(fileSystem: FileSystem, group: string): boolean {
  return fileSystem.existsSync(`${group}/${MARK}`);
}

export async function removeGroup(fileSystem: FileSystem, group: string, log: GroupLog): Promise<void> {
  const mark = `${group}/${MARK}`;
  if (!fileSystem.existsSync(mark)) fileSystem.openSync(mark, 'create').closeSync();
  // Found, it may be in the system's cache only.
  fileSystem.syncDirectorySync(group);
  if (fileSystem.existsSync(`${group}/current`)) {
    fileSystem.unlinkSync(`${group}/current`);
    fileSystem.syncDirectorySync(group);
  }
  for (const name of DIRECTORIES) await empty(fileSystem, name === '' ? group : `${group}/${name}`);
  const { retired, lastIndex, compactedIndex } = log.contents();
  if (!retired || lastIndex > 0 || compactedIndex > 0) await log.retire();
  fileSystem.unlinkSync(mark);
  fileSystem.syncDirectorySync(group);
  fileSystem.removeDirectorySync?.(group);
}

/** But for the mark, and for directories where they cannot be removed. */
async function empty(fileSystem: FileSystem, directory: string): Promise<void> {
  if (!fileSystem.existsSync(directory)) return;
  const inner = new Set(DIRECTORIES.filter((name) => !name.includes('/')));
  const names = fileSystem.listSync(directory).filter((name) => name !== MARK && name !== 'files' && !inner.has(name));
  for (const name of names) await fileSystem.unlink(`${directory}/${name}`);
  if (names.length > 0) fileSystem.syncDirectorySync(directory);
  if (!fileSystem.existsSync(`${directory}/${MARK}`)) fileSystem.removeDirectorySync?.(directory);
}
