/**
 * The engine's names for segments of its host's log: hard links `NNNNNN.link` in its own directory, through which values are read, checkpoints and
 * backups made and files removed as if each were a block file of the engine's own.
 *
 * A link belongs to one memtable and one segment, and has an id of its own from the engine's counter. It is made when the first pointer of that memtable
 * into the segment comes, before the batch changes anything; the flush of the memtable syncs the directory, then the manifest takes it with the table, or
 * it goes when the table does not refer to it. So how much the engine has put there is known once, with the flush, and never changes; and batches that are
 * applied again after a crash get links of their own, while those of the life before are either in the manifest or removed at opening.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { Hosted } from '../hosted-api.ts';
import { linkName } from '../manifest/index.ts';
import type { Memtable, MemtableLink } from '../memtable/index.ts';

/** What a file system answers that cannot link these two, or no more. */
const CANNOT_LINK: ReadonlySet<string> = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

export class HostLinks {
  readonly #hosted: Hosted;
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #takeFileId: () => number;

  constructor(hosted: Hosted, fileSystem: FileSystem, directory: string, takeFileId: () => number) {
    this.#hosted = hosted;
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#takeFileId = takeFileId;
  }

  /**
   * The memtable's link to the host's segment, made when it is not there. `invalid/NO_SEGMENT` when the host has no such file, `invalid/CANNOT_LINK`,
   * `exhausted/DISK_FULL`; others are the operating system's. Nothing has changed then.
   */
  of(memtable: Memtable, hostSegment: number): MemtableLink {
    const known = memtable.links.get(hostSegment);
    if (known) return known;
    const path = this.#hosted.segmentPath(hostSegment);
    const segment = this.#takeFileId();
    try {
      this.#fileSystem.linkSync(path, `${this.#directory}/${linkName(segment)}`);
    } catch (cause) {
      throw this.#refused(hostSegment, path, cause);
    }
    const link = { segment, bytes: 0, end: 0 };
    memtable.addLink(hostSegment, link);
    return link;
  }

  #refused(segment: number, path: string, cause: unknown): unknown {
    const code = String((cause as NodeJS.ErrnoException).code);
    const directory = this.#directory;
    if (code === 'ENOENT')
      return new SparrowError(
        'invalid',
        'NO_SEGMENT',
        `segment ${segment} of the host's log, ${path}, is not there`,
        { segment, path },
        cause,
      );
    if (CANNOT_LINK.has(code)) {
      const message = `segment ${segment} of the host's log, ${path}, cannot be linked into ${directory} (${code}): both must be on one file system that links`;
      return new SparrowError('invalid', 'CANNOT_LINK', message, { segment, path, directory, code }, cause);
    }
    if (FULL.has(code)) return new SparrowError('exhausted', 'DISK_FULL', `no space left for a link in ${directory}`, { directory }, cause);
    return cause;
  }
}
