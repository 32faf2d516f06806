/** Tells a write that found no room, after which nothing has changed and which is tried again, from failures that are final. */
export class NoRoom extends Error {}

/** Does what takes space. Throws NoRoom when there is none. Not for syncs: one that fails is final, whatever the reason. */
export function noRoom<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'ENOSPC' || code === 'EDQUOT' ? new NoRoom('no room', { cause: error }) : error;
  }
}
