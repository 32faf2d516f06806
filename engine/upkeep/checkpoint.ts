/**
 * A checkpoint: a second store, in a directory of its own, that is what the first was at the moment of the call. What never changes is
 * linked and takes no space of its own for as long as the first has it too; the newest log segment is copied up to where its frames ended.
 *
 * In this order, each on disk before the next: the log of the source (pointers and links must not lead into what a power failure takes
 * back); links and copy; their names; the manifest (new-directory.ts). A crash before the end leaves a directory that is refused.
 */
import type { FileSystem } from '../../base/env.ts';
import { SparrowError } from '../../base/errors.ts';
import type { CheckpointOptions, CheckpointResult } from '../files-api.ts';
import { logFileSegment, sealCopiedSegment } from '../log/index.ts';
import { copyFile, type Pause } from './copy-file.ts';
import { orDiskFull } from './disk-full.ts';
import { NewDirectory } from './new-directory.ts';
import type { ImageFile, StoreImage } from '../inspect/index.ts';
import { withoutHost } from './without-host.ts';
import { withStoreId } from './store-id.ts';

/** What a file system answers that cannot link these two. */
const CANNOT_LINK: ReadonlySet<string> = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * `sync`: settles when everything in the image is on disk. `assertOpen`: throws when the source is being closed. `storeId`: the copy's. `sequence`:
 * of the last batch in the image, where it is known. `pause`: between pieces of what is copied, where somebody uses the source meanwhile.
 */
export async function makeCheckpoint(
  fileSystem: FileSystem,
  image: StoreImage,
  directory: string,
  options: CheckpointOptions,
  source: { sync: () => Promise<void>; assertOpen: () => void; storeId: number | undefined; sequence: number | undefined; pause?: Pause },
): Promise<CheckpointResult> {
  const target = new NewDirectory(fileSystem, directory);
  let linkedBytes = 0;
  let copiedBytes = 0;
  try {
    await source.sync();
    for (const file of image.files) {
      source.assertOpen();
      if (file.immutable && link(image.directory, file, target, options)) linkedBytes += file.bytes;
      else {
        await copy(fileSystem, image.directory, file, target, source.pause);
        copiedBytes += file.bytes;
      }
    }
    source.assertOpen();
    target.finish(withoutHost(withStoreId(image.version, source.storeId)));
  } catch (error) {
    target.discard();
    throw orDiskFull(error, directory, 'nothing is left in it');
  }
  const contents = image.files.map(({ name, bytes }) => ({ name, bytes }));
  return { directory, sequence: source.sequence, files: contents.length, contents, linkedBytes, copiedBytes };
}

/** False: it is to be copied. */
function link(from: string, { name }: ImageFile, target: NewDirectory, options: CheckpointOptions): boolean {
  try {
    target.link(`${from}/${name}`, name);
    return true;
  } catch (cause) {
    const code = String((cause as NodeJS.ErrnoException).code);
    if (!CANNOT_LINK.has(code)) throw cause;
    if (options.copy === true) return false;
    throw new SparrowError(
      'invalid',
      'CANNOT_LINK',
      `files of ${from} cannot be linked into ${target.path} (${code}): the checkpoint must be on the same file system, or be allowed to copy (copy: true)`,
      { directory: target.path, code },
      cause,
    );
  }
}

async function copy(
  fileSystem: FileSystem,
  from: string,
  { name, bytes, immutable }: ImageFile,
  target: NewDirectory,
  pause: Pause | undefined,
): Promise<void> {
  const file = target.create(name);
  try {
    await copyFile(fileSystem, `${from}/${name}`, bytes, file, undefined, pause);
    const segment = logFileSegment(name);
    if (immutable || segment === undefined) return;
    // Everything before it is on disk here: without a seal, damage there would pass for the torn end of a log.
    sealCopiedSegment(file, `${from}/${name}`, segment);
    await file.datasync();
  } finally {
    file.closeSync();
  }
}
